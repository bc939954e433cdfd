"""A watched folder: which shot lists in it are new or changed and settled, and what they say."""

from __future__ import annotations

import hashlib
import json
import stat
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.shots import read_shot_lists
from studio_pipeline.schema.errors import InputError, StudioError, one_line
from studio_pipeline.schema.shotlist import ShotListErrors
from studio_pipeline.schema.yaml_tree import MAX_BYTES
from studio_pipeline.store import Store

__all__ = ["Found", "Glance", "look"]

SETTLED = 5.0  # a file that was written to later than that ago may still be written to [s]
MOST_FILES = 500  # that are looked at, by name
MOST_LINES = 20  # of one list's problems that are told
BUDGET = 20.0  # one look takes about this long at most; the rest is for the next [s]
AGAIN = 60.0  # a broken list is read again after so long: what it lacked may be there now [s]


@dataclass
class Glance:
    """What is remembered of one file between two looks."""

    size: int
    mtime_ns: int
    digest: str = ""  # of the content that was dealt with; empty when none was
    broken: float = 0.0  # when it was last read and found broken [s since the epoch]; 0: it was fine
    settled: bool = True  # not written to any more when it was last looked at


@dataclass
class Found:
    """What a look has found."""

    lists: list[tuple[Path, list[ResolvedShot]]] = field(default_factory=list)  # new or changed, and right
    told: list[str] = field(default_factory=list)  # problems, each told once for the same content
    memory: dict[str, Glance] = field(default_factory=dict)  # by file name

    @property
    def cursor(self) -> str:
        """The memory as text, for `look`."""
        return json.dumps({name: asdict(glance) for name, glance in self.memory.items()}, sort_keys=True)


def look(folder: Path, cursor: str, store: Store, *, clock: Callable[[], float] = time.time) -> Found:
    """Look at a folder of shot lists (``*.yaml``, ``*.yml``).

    A list counts once its bytes have settled. What can't be read or is wrong is told once for the same content, harms
    no other list, and is quietly tried again.

    Args:
        folder: The folder; files below its subfolders don't count.
        cursor: What the look before remembered (`Found.cursor`), empty at first.
        store: Tells whether a shot belongs to another list already.
        clock: The time [s since the epoch].
    """
    before, found, began = _remembered(cursor), Found(), time.monotonic()
    names = _names(folder)
    if names is None:  # a network drive that is away comes back
        found.memory = before
        return found
    for name in names[:MOST_FILES]:
        old = before.get(name)
        if time.monotonic() - began > BUDGET:
            if old is not None:
                found.memory[name] = old
            continue
        _look_at(folder / name, old, found, store, clock())
    if len(names) > MOST_FILES and (not cursor or len(before) < MOST_FILES):
        found.told.append(f"{folder}: only the first {MOST_FILES} of {len(names)} lists are watched")
    return found


def _names(folder: Path) -> list[str] | None:
    try:
        return sorted(
            path.name
            for path in folder.iterdir()
            if path.suffix.lower() in (".yaml", ".yml") and not path.name.startswith(".")
        )
    except OSError:
        return None


def _look_at(path: Path, old: Glance | None, found: Found, store: Store, now: float) -> None:
    try:
        status = path.stat()
    except OSError:  # it vanished since it was listed
        return
    if not stat.S_ISREG(status.st_mode):
        return
    glance = replace(old or Glance(0, 0), size=status.st_size, mtime_ns=status.st_mtime_ns)
    found.memory[path.name] = glance
    unchanged = old is not None and (old.size, old.mtime_ns) == (glance.size, glance.mtime_ns)
    due = bool(glance.broken) and now - glance.broken >= AGAIN
    if unchanged and glance.settled and glance.digest and not due:
        return
    glance.settled = unchanged or now - status.st_mtime >= SETTLED
    if not glance.settled:
        return
    try:
        digest = _digest(path, status.st_size)
        after = path.stat()
    except (OSError, InputError) as error:
        digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
        if digest != glance.digest:
            found.told.append(f"{path}: {one_line(getattr(error, 'what', None) or error.__class__.__name__)}")
        glance.digest, glance.broken = digest, now
        return
    if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        glance.settled = False  # it was written to just now
        return
    if digest == glance.digest and not due:
        return
    problems = _read(path, found, store)
    if problems and digest != glance.digest:
        found.told += problems
    glance.digest, glance.broken = digest, now if problems else 0.0


def _read(path: Path, found: Found, store: Store) -> list[str]:
    """Read a list; gives what is wrong with it, in which case nothing of it counts."""
    try:
        shots = read_shot_lists([path])
        problems = [line for shot in shots if (line := _given_elsewhere(store, shot, path))]
    except ShotListErrors as error:
        problems = list(error.lines)
    except StudioError as error:
        problems = [str(error)]
    except (OSError, RecursionError, ValueError) as error:
        problems = [f"{path}: {type(error).__name__}: {one_line(error)[:200]}"]
    else:
        if not problems:
            found.lists.append((path, shots))
    more = [f"{path}: and {len(problems) - MOST_LINES} more"] if len(problems) > MOST_LINES else []
    return [*problems[:MOST_LINES], *more]


def _given_elsewhere(store: Store, shot: ResolvedShot, path: Path) -> str:
    """A shot belongs to one list: two that want it differently would take turns for ever."""
    record = store.shots.latest_shot_record(shot.id)
    source = Path(str(record.shot.get("source") or "")) if record else Path()
    if source == path.resolve() or source.parent != path.resolve().parent or not source.is_file():
        return ""
    try:
        known = {other.id for other in read_shot_lists([source])}
    except StudioError:
        return ""
    return f"{path}: shot {shot.id} is given by {source.name} already" if shot.id in known else ""


def _digest(path: Path, size: int) -> str:
    if size > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES >> 20} MB: no shot list")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _remembered(cursor: str) -> dict[str, Glance]:
    try:
        return {name: Glance(**glance) for name, glance in json.loads(cursor or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}
