"""Making one artifact: find it, or run its stage under a lease, commit it and publish it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio_pipeline.line.graph import graph, upstream
from studio_pipeline.line.home import open_home
from studio_pipeline.line.keys import code_parts
from studio_pipeline.line.plan import ShotPlan, StagePlan, plan_shot, verdicts_of
from studio_pipeline.line.processes import process_name
from studio_pipeline.line.progress import watcher
from studio_pipeline.line.reading import checkout
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.shotview import ShotView
from studio_pipeline.schema.arrays import save_json
from studio_pipeline.schema.errors import StorageError, StudioError, hide_secrets, one_line
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.store import Artifact, InputRef, Lease, Store

__all__ = ["Busy", "GateClosed", "Outcome", "StageCrashed", "adopt", "make_stage", "outcome_of", "place_of"]


class Busy(Exception):
    """Another worker is making this very artifact now."""


class GateClosed(StudioError):
    """An input is missing or failed a blocking gate."""


class StageCrashed(StudioError):
    """A stage raised something that it shouldn't; the traceback is in the log."""


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


def make_stage(store: Store, shot: ResolvedShot, name: str, *, run_id: str = "") -> Outcome:
    """Give the artifact of one stage of one shot, made now or found, and publish it to the shot.

    Raises:
        Busy: Another worker makes it; ask again later.
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
    lease = store.leases.acquire(mine.key, who=f"{shot.id} {name}")
    if not isinstance(lease, Lease):
        raise Busy(f"{lease.holder} is making it")
    watcher().started(shot.id, name)
    try:
        with lease:
            artifact = store.find(mine.key)
            made = artifact is None
            if artifact is None:
                artifact = _make(store, shot, mine, others, lease=lease, run_id=run_id)
            outcome = _publish(store, shot, artifact, name, made=made and not artifact.joined)
    except StudioError as error:
        _fail(store, shot, mine, error)
        raise
    watcher().finished(shot.id, name, outcome)
    return outcome


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


def _fail(store: Store, shot: ResolvedShot, mine: StagePlan, error: StudioError) -> None:
    watcher().failed(shot.id, mine.stage, str(error))
    try:
        store.shots.record_failure(shot.id, mine.stage, mine.key or "", str(error))
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
        raise StorageError(f"no scratch folder can be made ({error.strerror})", where=str(home.scratch)) from error
    try:
        began = time.monotonic()
        with store.using():
            payloads = {parent: checkout(store, artifact) for parent, artifact in inputs.items()}
            result = _run_backend(shot, mine, payloads, out, home.root)
        seconds = time.monotonic() - began
        _check_verdicts(stage.checks, result, f"{shot.id} {mine.stage}")
        save_json(out / "stage.json", _summary(mine, result))
        manifest = {
            **_summary(mine, result),
            "previews": list(result.previews),
            "ingredients": dict(mine.ingredients),
            "code_parts": code_parts(shot, mine.stage),
            "inputs": [vars(artifact.as_input(parent)) for parent, artifact in inputs.items()],
            "provenance": {**_provenance(shot, run_id), "seconds": round(seconds, 3)},
        }
        return store.commit(mine.key, out, manifest, lease=lease)
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _run_backend(
    shot: ResolvedShot, mine: StagePlan, payloads: Mapping[str, Path], out: Path, home: Path
) -> StageResult:
    stage = graph()[mine.stage]
    context = StageContext(
        settings=shot.setups[mine.stage].settings,
        inputs=payloads,
        shot=ShotView(shot.shot, stage.shot_fields),
        out=out,
        progress=lambda fraction, message="": watcher().advanced(shot.id, mine.stage, fraction, message),
    )
    where = f"{shot.id} {mine.stage}"
    try:
        return shot.backend(mine.stage).load()(context)
    except StudioError as error:
        raise type(error)(error.what, where=f"{where}: {error.where}" if error.where else where, do=error.do) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                "the disk is full", where=where, do="free space, then run again; what was finished is kept"
            ) from error
        raise _crash(error, where, home) from error
    except Exception as error:
        raise _crash(error, where, home) from error


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


def _provenance(shot: ResolvedShot, run_id: str) -> dict[str, Any]:
    import platform

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
    }
