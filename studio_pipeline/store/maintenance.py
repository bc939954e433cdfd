"""Looking after a store: `verify_all` hashes everything, `gc` removes what nobody refers to any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store.artifacts import Problem, Store, generation_prefix
from studio_pipeline.store.deliveries import DeliveryBook
from studio_pipeline.store.leases import Lease
from studio_pipeline.store.manifest import Corrupt, decode_record
from studio_pipeline.store.primitive import Entry, Missing

__all__ = ["Collected", "GcReport", "VerifyReport", "gc", "repair", "verify_all"]

DAY = 86400.0
Generation = tuple[str, int]  # key and number


@dataclass
class VerifyReport:
    """What `verify_all` has seen."""

    generations: int = 0  # hashed
    files: int = 0
    size: int = 0  # [bytes]
    problems: list[Problem] = field(default_factory=list)
    damaged: list[Generation] = field(default_factory=list)  # not yet quarantined; `run` makes them again
    quarantined: int = 0  # generations already out of use, not looked at
    unfinished: int = 0  # commits that were cut off; harmless, `gc` removes them


@dataclass(frozen=True)
class Collected:
    """One generation that goes."""

    key: str
    generation: int
    stage: str  # empty when its manifest is damaged
    shot: str  # the one that it was first made for; empty when unknown
    size: int  # [bytes]
    modified: float  # last write, by the store's clock [s since the epoch]


@dataclass
class GcReport:
    """What `gc` has removed, or would remove."""

    dry_run: bool
    generations: list[Generation] = field(default_factory=list)
    removed: list[Collected] = field(default_factory=list)  # the same, described
    unfinished: int = 0  # files of commits that were cut off, and stale temporary files
    size: int = 0  # [bytes]
    kept: int = 0  # generations that stay
    busy: int = 0  # generations that stay because their key is being made right now


def repair(store: Store, report: VerifyReport) -> int:
    """Take what `verify_all` found damaged or unreadable out of use, so that the next run makes it again.

    Returns:
        How many generations. Nothing is deleted.
    """
    for key, number in report.damaged:
        what = [str(problem) for problem in report.problems if generation_prefix(key, number) in problem.where]
        store.quarantine(key, number, "; ".join(what) or "found damaged by verify")
    return len(report.damaged)


def verify_all(store: Store, *, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Hash every generation in use and check every record; changes nothing.

    Args:
        store: The store.
        progress: Called with generations done and in total.
    """
    report = VerifyReport()
    tree = _tree(store)
    report.unfinished = len(tree.unfinished)
    wanted = sorted(set(tree.generations) | _published(store))
    for done, (key, number) in enumerate(wanted):
        if progress:
            progress(done, len(wanted))
        if store.is_quarantined(key, number):
            report.quarantined += 1
            continue
        report.generations += 1
        try:
            artifact = store.get(key, number)
        except (Corrupt, StorageError) as error:
            problems = [Problem(error.where, error.what)]
        else:
            problems = store.verify(artifact)
            report.files += len(artifact.files)
            report.size += artifact.size
        if problems:
            report.damaged.append((key, number))
            report.problems += problems
    for shot_id in store.shots.shot_ids():
        report.problems += [Problem(name, what) for name, what in store.shots.problems(shot_id)]
    report.problems += [Problem(name, what) for name, what in DeliveryBook(store.primitive).problems()]
    return report


def gc(
    store: Store, *, older_than_days: float = 7.0, dry_run: bool = True, keep: Iterable[Generation] = ()
) -> GcReport:
    """Remove unreferenced generations, cut-off commits and stale temporary files older than some days.

    Everything published to a shot or delivered stays, in every version, and so do the inputs that it was made from; so
    does every key with a live lease. Hand-made files that were pinned are never looked at.

    Args:
        store: The store.
        older_than_days: Younger ones stay.
        dry_run: Only say what would go.
        keep: Further generations that must stay.

    Raises:
        StorageError: A record of what is published or delivered is damaged, so what must stay can't be told.
    """
    report, limit = GcReport(dry_run), store.primitive.now() - older_than_days * DAY
    _check_books(store)
    tree = _tree(store)
    referenced = _closure(store, _published(store) | _delivered(store) | set(keep))
    doomed: dict[str, list[Generation]] = {}
    for (key, number), entries in tree.generations.items():
        if (key, number) in referenced or max(entry.modified for entry in entries) > limit:
            report.kept += 1
        else:
            doomed.setdefault(key, []).append((key, number))
    for prefix, entries in tree.unfinished.items():
        if max(entry.modified for entry in entries) <= limit:
            doomed.setdefault(prefix.split("/")[2], [])
    for key, generations in doomed.items():
        _collect(store, key, generations, tree, limit, report)
    if not dry_run:
        report.unfinished += store.primitive.sweep(older_than_days * DAY)
        _drop_stale_leases(store, limit)
    return report


@dataclass
class _Tree:
    """The artifacts' files: by generation with a manifest, and by attempt that no manifest names."""

    generations: dict[Generation, list[Entry]] = field(default_factory=dict)
    unfinished: dict[str, list[Entry]] = field(default_factory=dict)


def _tree(store: Store) -> _Tree:
    folders: dict[Generation, list[Entry]] = {}
    for entry in store.primitive.list("artifacts/"):
        parts = entry.name.split("/")
        if len(parts) > 4 and len(parts[2]) == 64 and parts[3][:1] == "g" and parts[3][1:].isdecimal():
            folders.setdefault((parts[2], int(parts[3][1:])), []).append(entry)
    tree = _Tree()
    for (key, number), entries in folders.items():
        prefix = generation_prefix(key, number)
        payload = _payload(store, key, number)
        for entry in entries:
            attempt = entry.name.removeprefix(prefix).partition("/")
            if payload is None or (attempt[1] and payload and prefix + attempt[0] + "/" != payload):
                tree.unfinished.setdefault(prefix + attempt[0], []).append(entry)
            else:
                tree.generations.setdefault((key, number), []).append(entry)
    return tree


def _payload(store: Store, key: str, number: int) -> str | None:
    """The payload's prefix; "" when the manifest is damaged or another's (all may belong to it), None without one."""
    name = generation_prefix(key, number) + "manifest.json"
    try:
        payload = decode_record(store.primitive.read(name).data, name)["payload"]
        return payload if payload.startswith(generation_prefix(key, number)) else ""
    except Missing:
        return None
    except Corrupt:
        return ""


def _published(store: Store) -> set[Generation]:
    return {
        (record.key, record.generation)
        for shot_id in store.shots.shot_ids()
        for stage in store.shots.stages(shot_id)
        for record in store.shots.history(shot_id, stage, revisions=True)
    }


def _delivered(store: Store) -> set[Generation]:
    book = DeliveryBook(store.primitive)
    found = (book.read(name) for name in book.names())
    return {(item.key, item.generation) for delivery in found if delivery for item in delivery.artifacts}


def _check_books(store: Store) -> None:
    """A version whose record is damaged would look like something that nobody refers to."""
    damaged = DeliveryBook(store.primitive).problems()
    for shot_id in store.shots.shot_ids():
        damaged += [item for item in store.shots.problems(shot_id) if "/published/" in item[0]]
    if damaged:
        raise StorageError(
            f"the record's bytes have changed, so what must stay can't be told ({len(damaged)} such)",
            where=damaged[0][0],
            do="bring the record back from a backup; studio verify lists them all",
        )


def _closure(store: Store, generations: set[Generation]) -> set[Generation]:
    """These generations and everything that they were made from."""
    seen: set[Generation] = set()
    pending = list(generations)
    while pending:
        if (item := pending.pop()) in seen:
            continue
        seen.add(item)
        try:
            pending += [(ref.key, ref.generation) for ref in store.get(*item).inputs]
        except (Corrupt, StorageError):
            continue
    return seen


def _collect(
    store: Store, key: str, generations: list[Generation], tree: _Tree, limit: float, report: GcReport
) -> None:
    lease = None if report.dry_run else store.leases.acquire(key, who="gc")
    if (lease is None and store.leases.holder(key)) or (lease is not None and not isinstance(lease, Lease)):
        report.busy += len(generations)
        return
    try:
        for item in generations:
            report.generations.append(item)
            report.removed.append(_describe(store, item, tree.generations[item]))
            # The manifest goes first: from then on the rest is what a cut-off commit leaves. The mark goes last.
            order = sorted(tree.generations[item], key=lambda entry: _rank(entry.name))
            _delete(store, order, report)
        for prefix, entries in tree.unfinished.items():
            if prefix.split("/")[2] == key and max(entry.modified for entry in entries) <= limit:
                report.unfinished += len(entries)
                _delete(store, entries, report)
    finally:
        if isinstance(lease, Lease):
            lease.release()


def _describe(store: Store, item: Generation, entries: list[Entry]) -> Collected:
    size, modified = sum(entry.size for entry in entries), max(entry.modified for entry in entries)
    try:
        artifact = store.get(*item)
    except (Corrupt, StorageError):
        return Collected(*item, "", "", size, modified)
    return Collected(*item, artifact.stage, str(artifact.provenance.get("shot", "")), size, modified)


def _rank(name: str) -> int:
    return 0 if name.endswith("/manifest.json") and name.count("/") == 4 else 2 if name.endswith("/quarantined") else 1


def _delete(store: Store, entries: list[Entry], report: GcReport) -> None:
    for entry in entries:
        report.size += entry.size
        if not report.dry_run:
            store.primitive.delete(entry.name)


def _drop_stale_leases(store: Store, limit: float) -> None:
    for entry in list(store.primitive.list("leases/")):
        key = entry.name.rpartition("/")[2].removesuffix(".json")
        if entry.modified <= limit and store.leases.holder(key) is None:
            store.primitive.delete(entry.name)
