"""Where a studio keeps everything: the store, Dagster's instance, logs, scratch.

The artifacts may lie elsewhere, on S3: the environment says so (``STUDIO_STORE``), or the home's ``studio.yaml``::

    store: s3://bucket/prefix
    cache: /scratch/studio-cache    # where payloads are checked out; the home's folder "cache" when absent
    cache_gb: 50
    watch: /shows/lists             # shot lists that appear or change here are launched (``STUDIO_WATCH``)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from studio_pipeline.schema.errors import InputError, StorageError
from studio_pipeline.store.cache import DEFAULT_BYTES

__all__ = ["Home", "open_home", "watched_folder"]

_DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
run_coordinator:
  module: dagster._core.run_coordinator
  class: DefaultRunCoordinator
concurrency:
  pools:
    granularity: op
    default_limit: 1
"""

# For Dagster's own commands, as the daemon's: where the studio's code is, under the name that runs are queued with.
_WORKSPACE_YAML = """\
load_from:
  - python_module:
      module_name: studio_pipeline.dag.definitions
      location_name: studio
"""


# DAGSTER_HOME values that this process set itself: a second home opened here must not inherit the first one's.
_opened: set[str] = set()


@dataclass(frozen=True)
class Home:
    """The folder named by ``STUDIO_HOME``. Two homes know nothing of each other."""

    root: Path

    @property
    def store(self) -> str:
        """The artifact store: a folder, or ``s3://bucket/prefix``."""
        given = self._setting("store", "STUDIO_STORE") or str(self.root / "store")
        return given if "://" in given else str(Path(given).expanduser().absolute())

    @property
    def cache(self) -> Path:
        """Where payloads of a store on S3 are checked out."""
        return Path(self._setting("cache", "STUDIO_CACHE") or self.root / "cache").expanduser().absolute()

    @property
    def cache_bytes(self) -> int:
        """How large the cache may get."""
        given = self._setting("cache_gb", "STUDIO_CACHE_GB") or DEFAULT_BYTES / 1e9
        try:
            size = float(given) * 1e9
        except ValueError:
            size = 0.0
        if not 1e6 <= size < 1e18:
            raise InputError("the cache's size is a number of gigabytes", where="STUDIO_CACHE_GB", do="write 20")
        return int(size)

    @property
    def dagster(self) -> Path:
        """Dagster's instance; ``DAGSTER_HOME`` wins when it is set."""
        given = os.environ.get("DAGSTER_HOME")
        return Path(given) if given and given not in _opened else self.root / "dagster"

    @property
    def scratch(self) -> Path:
        """Where stages write before their work is committed."""
        return self.root / "scratch"

    @property
    def watch(self) -> Path | None:
        """The folder whose shot lists are launched when they appear or change; None when there is none."""
        given = self._setting("watch", "STUDIO_WATCH")
        return Path(given).expanduser().absolute() if given else None

    def _setting(self, name: str, variable: str) -> str:
        return os.environ.get(variable) or _read_settings(self.root / "studio.yaml").get(name, "")


def _read_settings(path: Path) -> dict[str, str]:
    """The home's own settings; none when there is no such file.

    Raises:
        InputError: It isn't what it should be.
    """
    from studio_pipeline.schema.yaml_tree import YamlProblem, parse_yaml, read_text

    if not path.exists():
        return {}
    try:
        root, problems = parse_yaml(read_text(path))
    except YamlProblem as problem:
        raise InputError(problem.what, where=f"{path}:{problem.line}", do=problem.do) from None
    if problems:
        raise InputError(problems[0].what, where=f"{path}:{problems[0].line}", do=problems[0].do)
    found = root.value or {}
    known = {"store", "cache", "cache_gb", "watch"}
    if not isinstance(found, dict) or not set(found) <= known:
        raise InputError(f"knows only {', '.join(sorted(known))}", where=path)
    return {name: str(value) for name, value in found.items() if value is not None}


def watched_folder() -> Path | None:
    """The watched folder of the home that the environment names; None when there is none, or no sound settings."""
    try:
        return Home(_root()).watch
    except InputError:  # whoever opens the home is told
        return None


def _root(root: str | Path | None = None) -> Path:
    return Path(root or os.environ.get("STUDIO_HOME") or ".studio").expanduser().resolve()


def _put(path: Path, text: str) -> None:
    """Write a file that is whole whenever it is there: another process may open the same new home."""
    own = path.with_name(f".{path.name}.{os.getpid()}")
    own.write_text(text, encoding="utf-8")
    own.replace(path)


def open_home(root: str | Path | None = None) -> Home:
    """Open, and make when needed, the studio's home.

    Args:
        root: The folder; ``STUDIO_HOME`` or ``./.studio`` when absent.

    Raises:
        StorageError: It cannot be made or written.
        InputError: Its settings are wrong.
    """
    home = Home(_root(root))
    try:
        local = [] if "://" in home.store else [Path(home.store)]
        for folder in (home.root, *local, home.scratch, home.dagster):
            folder.mkdir(parents=True, exist_ok=True)
        settings = {"workspace.yaml": _WORKSPACE_YAML, "dagster.yaml": _DAGSTER_YAML}
        if not (home.dagster / "dagster.yaml").exists():
            for name, text in settings.items():
                _put(home.dagster / name, text)
    except OSError as error:
        raise StorageError(
            f"the studio's home {home.root} can't be written ({error.strerror})", do="set STUDIO_HOME"
        ) from error
    dagster = str(home.dagster.resolve())
    if dagster == str(home.root / "dagster"):
        _opened.add(dagster)
    os.environ["STUDIO_HOME"] = str(home.root)
    os.environ["DAGSTER_HOME"] = dagster
    return home
