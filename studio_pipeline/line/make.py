"""Making one artifact: find it, or run its stage under a lease, commit it and publish it."""

from __future__ import annotations

import errno
import gc
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio_pipeline.line.gpu_turn import gpu_turn
from studio_pipeline.line.graph import graph, upstream
from studio_pipeline.line.home import open_home
from studio_pipeline.line.keys import code_parts
from studio_pipeline.line.plan import ShotPlan, StagePlan, plan_shot, verdicts_of
from studio_pipeline.line.processes import process_name
from studio_pipeline.line.progress import watcher
from studio_pipeline.line.reading import checkout
from studio_pipeline.line.reductions import memory_settings, reduce_further, reduction_words
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.shotview import ShotView
from studio_pipeline.line.trouble import Again, Busy, Passing, Reduced, Retry, is_passing, out_of_memory
from studio_pipeline.schema.arrays import save_json
from studio_pipeline.schema.errors import (
    OutOfMemory,
    StorageError,
    StorageFull,
    StudioError,
    one_line,
)
from studio_pipeline.schema.secrets import hide_secrets
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.store import Artifact, InputRef, Lease, LeaseLost, Loss, Store, Work

__all__ = [
    "Again",
    "Busy",
    "GateClosed",
    "Outcome",
    "StageCrashed",
    "WorkersLost",
    "adopt",
    "make_stage",
    "outcome_of",
    "place_of",
]

MAX_LOST = 3  # attempts at one key whose worker was never heard of again


class GateClosed(StudioError):
    """An input is missing or failed a blocking gate."""


class StageCrashed(StudioError):
    """A stage raised something that it shouldn't; the traceback is in the log."""


class WorkersLost(StudioError):
    """One worker after the other was killed while it made the same artifact."""


@dataclass(frozen=True)
class Outcome:
    """An artifact as the orchestrator and the command line see it."""

    key: str
    generation: int
    folder: Path | None  # None when the store isn't local
    place: str  # the folder, or the URL
    content_hash: str
    version: str
    made: bool
    backend: str
    seconds: float
    figures: Mapping[str, Any]
    previews: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    files: tuple[str, ...] = ()  # names in the payload
    inputs: tuple[InputRef, ...] = ()  # the exact artifacts that it was made from


def place_of(store: Store, artifact: Artifact) -> str:
    """Where an artifact's payload lies, for people: a folder, or a URL; `Store.checkout` gives a folder always."""
    return str(store.primitive.folder(artifact.payload) or f"{store.url}/{artifact.payload}")


def outcome_of(store: Store, artifact: Artifact, *, version: str, made: bool) -> Outcome:
    """Describe an artifact from its manifest."""
    return Outcome(
        key=artifact.key,
        generation=artifact.generation,
        folder=store.primitive.folder(artifact.payload),
        place=place_of(store, artifact),
        content_hash=artifact.content_hash,
        version=version,
        made=made,
        backend=artifact.manifest["backend"],
        seconds=artifact.provenance["seconds"],
        figures=artifact.figures,
        previews=artifact.previews,
        verdicts=verdicts_of(artifact),
        files=tuple(file.name for file in artifact.files),
        inputs=artifact.inputs,
    )


def make_stage(
    store: Store,
    shot: ResolvedShot,
    name: str,
    *,
    run_id: str = "",
    again: Callable[[Exception], Retry | None] = lambda error: None,
) -> Outcome:
    """Give the artifact of one stage of one shot, made now or found, and publish it to the shot.

    Args:
        store: The artifact store.
        shot: The shot.
        name: The stage.
        run_id: The orchestrator's run.
        again: Says of an error whether the caller tries again; then it is no failure yet.

    Raises:
        Busy: Another worker makes it; ask again later.
        Again: In the place of an error of which ``again`` said so.
        GateClosed: An input isn't there or failed a gate.
        StudioError: The stage failed; the reason is recorded for `plan`, `why` and `retry`.
    """
    plan = plan_shot(store, shot, only={name} | upstream(name))
    if (there := plan.stages[-1].artifact) is not None and (damage := store.damage(there.key, thorough=True)):
        # Bytes that changed under a time that was set back: `run` has seen it, a quick look doesn't.
        store.quarantine(there.key, there.generation, damage)
        plan = plan_shot(store, shot, only={name} | upstream(name))
    shot, mine = plan.shot, plan.stages[-1]
    others = {item.stage: item for item in plan.stages[:-1]}
    if mine.artifact is not None:
        outcome = _publish(store, shot, mine.artifact, name, made=False)
        watcher().finished(shot.id, name, outcome)
        return outcome
    if mine.key is None or mine.state == "waits":
        raise GateClosed(mine.reason, where=f"{shot.id} {name}")
    work = Work(shot=shot.id, stage=name, run=run_id, queue=os.environ.get("STUDIO_QUEUE", ""))
    lease = store.leases.acquire(mine.key, who=f"{shot.id} {name}", work=work)
    if not isinstance(lease, Lease):
        raise Busy(f"{lease.holder} is making it")
    watcher().started(shot.id, name)
    try:
        with lease:
            artifact = store.find(mine.key)
            made = artifact is None
            if artifact is None:
                _check_attempts(lease, f"{shot.id} {name}")
                artifact = _make(store, shot, mine, others, lease=lease, run_id=run_id)
            outcome = _publish(store, shot, artifact, name, made=made and not artifact.joined)
    except LeaseLost as lost:
        # Thought dead, overtaken: the other's result is this one's too.
        raise Busy(str(lost)) from lost
    except StudioError as error:
        told = _troubled(store, shot, mine, error, again, {"run": run_id, "attempt": lease.attempt})
        raise told from (error if isinstance(told, Again) else told.__cause__)
    watcher().finished(shot.id, name, outcome)
    return outcome


def _troubled(
    store: Store,
    shot: ResolvedShot,
    mine: StagePlan,
    error: StudioError,
    again: Callable[[Exception], Retry | None],
    details: Mapping[str, str | int],
) -> Exception:
    """What to raise for an error: `Again`, or the error after it was kept as the key's failure."""
    if isinstance(error, OutOfMemory):
        error = _after_memory_ran_out(store, shot, mine.stage, error)
    if (retry := again(error)) is not None:
        watcher().again(shot.id, mine.stage, retry.said)
        return Again(retry)
    _fail(store, shot, mine, error, {**details, "host": platform.node()})
    return error


def _after_memory_ran_out(store: Store, shot: ResolvedShot, name: str, error: OutOfMemory) -> OutOfMemory:
    """Give the stage smaller settings, if there are any; the error that says what comes of it."""
    entry = reduce_further(store, shot, name, host=platform.node(), reason=error.what)
    if entry is not None:
        words = reduction_words(entry)
        found = Reduced(error.what, where=error.where, do=f"from now on {words.removeprefix('reduced ')}")
        found.reduced = words
    else:
        names = memory_settings(shot, name)
        already = shot.setups[name].reduced
        what = f"{error.what}; {already}; nothing gets smaller any more" if already else error.what
        do = f"set {' or '.join(names)} of {name} smaller" if names else f"no setting of {name} makes it smaller"
        found = OutOfMemory(what, where=error.where, do=f"{do}, or give the workers more memory")
    found.__cause__ = error.__cause__
    return found


def _check_attempts(lease: Lease, where: str) -> None:
    """Don't feed worker after worker to what kills them: every shot that needs this key is told so at once."""
    if lease.attempt > MAX_LOST:
        lease.give_up()
        lost = len(lease.losses)
        raise WorkersLost(
            f"worker lost {lost} times while making it, {_last_seen(lease.losses)}; probably out of memory",
            where=where,
            do="give the workers more memory or the stage smaller settings, then: studio retry",
        )


def _last_seen(losses: tuple[Loss, ...]) -> str:
    last = losses[-1]
    hosts = list(dict.fromkeys(loss.worker for loss in losses))
    how_far = f" at {last.fraction:.0%}" if last.fraction else ""
    how_far += f" '{last.message}'" if last.message else ""
    return f"last {last.worker}{how_far}" + (f" (before: {', '.join(hosts[:-1])})" if len(hosts) > 1 else "")


def adopt(store: Store, plan: ShotPlan) -> ShotPlan:
    """Publish to the shot what was found in the store but isn't its latest version yet.

    That is another shot's work with the same ingredients, or an earlier version whose settings came back.
    """
    stages = []
    for item in plan.stages:
        if item.artifact is not None and not item.version:
            outcome = _publish(store, plan.shot, item.artifact, item.stage, made=False)
            item = replace(item, version=outcome.version)
        stages.append(item)
    return replace(plan, stages=tuple(stages))


def _publish(store: Store, shot: ResolvedShot, artifact: Artifact, name: str, *, made: bool) -> Outcome:
    note = {"ingredients": artifact.ingredients, "backend": artifact.manifest["backend"], "figures": artifact.figures}
    version = store.shots.publish(shot.id, name, artifact, note=note).label
    return outcome_of(store, artifact, version=version, made=made)


def _fail(
    store: Store, shot: ResolvedShot, mine: StagePlan, error: StudioError, details: Mapping[str, str | int]
) -> None:
    watcher().failed(shot.id, mine.stage, str(error))
    try:
        told = {**details, "kind": type(error).__name__}
        store.shots.record_failure(shot.id, mine.stage, mine.key or "", str(error), details=told)
    except (StudioError, OSError):
        # On a full disk the reason can't be kept either; the caller still gets it.
        return


def _make(
    store: Store, shot: ResolvedShot, mine: StagePlan, others: Mapping[str, StagePlan], *, lease: Lease, run_id: str
) -> Artifact:
    stage = graph()[mine.stage]
    assert mine.key is not None
    inputs: dict[str, Artifact] = {}
    for parent in stage.inputs:
        artifact = others[parent].artifact
        assert artifact is not None
        inputs[parent] = artifact
    home = open_home()
    try:
        out = Path(tempfile.mkdtemp(prefix=f"{process_name()}.{shot.id}.{mine.stage}.", dir=home.scratch))
    except OSError as error:
        kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
        raise kind(f"no scratch folder can be made ({error.strerror})", where=str(home.scratch)) from error
    try:
        with store.using():
            payloads = {parent: checkout(store, artifact) for parent, artifact in inputs.items()}
            with gpu_turn(shot.backend(mine.stage).uses_gpu, lease.progress):
                began = time.monotonic()
                result = _run_backend(shot, mine, payloads, out, home.root, lease)
        seconds = time.monotonic() - began
        _check_verdicts(stage.checks, result, f"{shot.id} {mine.stage}")
        manifest = {
            **_summary(mine, result),
            "previews": list(result.previews),
            "ingredients": dict(mine.ingredients),
            "code_parts": code_parts(shot, mine.stage),
            "inputs": [vars(artifact.as_input(parent)) for parent, artifact in inputs.items()],
            "provenance": {**_provenance(shot, mine, run_id), "seconds": round(seconds, 3)},
        }
        return store.commit(mine.key, out, manifest, lease=lease)
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _run_backend(
    shot: ResolvedShot, mine: StagePlan, payloads: Mapping[str, Path], out: Path, home: Path, lease: Lease
) -> StageResult:
    stage = graph()[mine.stage]

    def progress(fraction: float, message: str = "") -> None:
        watcher().advanced(shot.id, mine.stage, fraction, message)
        lease.progress(fraction, message)

    context = StageContext(
        settings=shot.setups[mine.stage].settings,
        inputs=payloads,
        shot=ShotView(shot.shot, stage.shot_fields),
        out=out,
        progress=progress,
    )
    where = f"{shot.id} {mine.stage}"
    try:
        result = shot.backend(mine.stage).load()(context)
        save_json(out / "stage.json", _summary(mine, result))  # in here: the disk may be full by now
        return result
    except StudioError as error:
        if said := out_of_memory(error):
            raise _no_memory(error, said, where) from error
        raise type(error)(error.what, where=f"{where}: {error.where}" if error.where else where, do=error.do) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                "the disk is full", where=where, do="free space, then run again; what was finished is kept"
            ) from error
        raise _sorted_out(error, where, home) from error
    except Exception as error:
        raise _sorted_out(error, where, home) from error


def _sorted_out(error: Exception, where: str, home: Path) -> StudioError:
    if said := out_of_memory(error):
        return _no_memory(error, said, where)
    if is_passing(error):
        return Passing(f"{type(error).__name__}: {one_line(error)[:300]}", where=where, do="run again")
    return _crash(error, where, home)


def _no_memory(error: Exception, said: str, where: str) -> OutOfMemory:
    """The error in words, after what its traceback held on to was let go: the next try needs that memory."""
    item: BaseException | None = error
    while item is not None:
        traceback.clear_frames(item.__traceback__)
        item = item.__cause__ or item.__context__
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    return OutOfMemory(f"out of memory ({said})", where=where)


def _crash(error: Exception, where: str, home: Path) -> StageCrashed:
    log = home / "logs" / f"{where.replace(' ', '.')}.log"
    try:
        log.parent.mkdir(exist_ok=True)
        log.write_text(hide_secrets("".join(traceback.format_exception(error))), encoding="utf-8")
    except OSError:
        log = Path("(no log: the home can't be written)")
    return StageCrashed(
        f"{type(error).__name__}: {hide_secrets(one_line(error))[:300]}", where=where, do=f"the traceback is in {log}"
    )


def _check_verdicts(expected: tuple[str, ...], result: StageResult, where: str) -> None:
    given = tuple(verdict.name for verdict in result.verdicts)
    if set(given) != set(expected):
        raise StageCrashed(f"gave the verdicts {given} where {expected} were declared", where=where)


def _summary(mine: StagePlan, result: StageResult) -> dict[str, Any]:
    return {
        "stage": mine.stage,
        "backend": mine.backend,
        "figures": dict(result.figures),
        "verdicts": [
            {"name": v.name, "passed": bool(v.passed), "message": v.message, "blocking": v.blocking}
            for v in result.verdicts
        ],
    }


def _provenance(shot: ResolvedShot, mine: StagePlan, run_id: str) -> dict[str, Any]:
    from studio_pipeline import __version__

    return {
        "package": __version__,
        "host": platform.node(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "pid": os.getpid(),
        "shot": shot.id,
        "source": shot.source,
        "run": run_id,
        **({"reduced": mine.reduced} if mine.reduced else {}),
    }
