"""Running the lift on plates: pixels in, motion out, compared with the truth. Every result is kept as one JSON file."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.evaluation.cases import Case, Subject, open_subject
from studio_pipeline.evaluation.plates import FPS, simulated_depth
from studio_pipeline.evaluation.rigs.backends import BACKENDS
from studio_pipeline.evaluation.scores import Judge, track_errors
from studio_pipeline.evaluation.shots import Filmed, film_shot
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.errors import InputError, StudioError, one_line
from studio_pipeline.schema.records import Motion, Observations, Rig

__all__ = ["TERMS", "Trial", "Work", "cached", "lift_plate", "run_work"]

TERMS = ("rgb", "mask", "track", "depth", "smooth", "start")
"""What `Trial.without` may leave out of the lift."""


@dataclass(frozen=True)
class Trial:
    """One lift of one plate."""

    rig: str  # "provided", or a way of making one, see `evaluation.rigs.backends`
    depth: bool  # simulated depth is given
    without: tuple[str, ...] = ()  # among `TERMS`

    @property
    def label(self) -> str:
        """For file names and progress."""
        return "-".join([self.rig, "depth" if self.depth else "nodepth", *(f"no_{term}" for term in self.without)])


@dataclass(frozen=True)
class Work:
    """The trials of one plate, which share truth and pictures."""

    case: Case
    trials: tuple[Trial, ...]
    frames: int = 24
    size: int = 256
    seed: int = 0
    hard: str | None = None
    out: Path | None = None  # where results and videos go
    lpips: Path | None = None  # folder with LPIPS weights
    videos: bool = True

    @property
    def id(self) -> str:
        """Names the plate."""
        return self.case.id if self.hard is None else f"{self.case.id}-{self.hard}"

    @property
    def plate_seed(self) -> int:
        """Every character and clip gets lights and a backdrop of its own; its hard cases share them."""
        return int.from_bytes(hashlib.sha256(f"{self.case.id}/{self.seed}".encode()).digest()[:4], "little")


@functools.cache
def _code() -> str:
    from studio_pipeline.store.codehash import code_digest

    return code_digest(f"{__name__}:run_work")


def _key(work: Work, trial: Trial) -> str:
    """What a result depends on: the file, the numbers, the code."""
    given = {
        "case": [work.case.path.name, work.case.clip, hashlib.sha256(work.case.path.read_bytes()).hexdigest()],
        "numbers": [work.frames, work.size, work.seed, work.hard, str(work.lpips) if work.lpips else None],
        "trial": asdict(trial),
        "code": _code(),
    }
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]


def _place(work: Work, trial: Trial) -> Path | None:
    if work.out is None:
        return None
    return work.out / "cases" / f"{work.id}-{trial.label}-{_key(work, trial)}.json"


def cached(work: Work) -> tuple[list[dict[str, Any]], Work]:
    """Results of an earlier run that still hold, and what is left to do."""
    rows, left = [], []
    for trial in work.trials:
        place = _place(work, trial)
        try:
            rows.append(json.loads(place.read_text(encoding="utf-8")) if place else None)
        except (OSError, ValueError):
            rows.append(None)
        if rows[-1] is None:
            left.append(trial)
    return [row for row in rows if row is not None], replace(work, trials=tuple(left))


def run_work(work: Work, tell: Callable[[dict[str, Any]], None] = lambda row: None) -> list[dict[str, Any]]:
    """Run the trials of one plate. What can't be lifted gives a row with an ``error``, or says why it was ``skipped``.

    Args:
        work: Which.
        tell: Told every row as soon as it is there.
    """
    try:
        bench = _Bench(work)
    except InputError as error:
        rows = [{**_named(work, trial), "skipped": str(error)} for trial in work.trials]
        for row in rows:
            tell(row)
        return rows
    rows = []
    for trial in work.trials:
        row = bench.row(trial)
        place = _place(work, trial)
        if place is not None and "lift" in row:
            _keep(place, row)
        rows.append(row)
        tell(row)
    return rows


def _keep(place: Path, row: dict[str, Any]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_suffix(f".{os.getpid()}.part")
    scratch.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    scratch.replace(place)  # an interrupted run leaves no half a result


def _named(work: Work, trial: Trial) -> dict[str, Any]:
    return {
        "character": work.case.path.stem,
        "clip": work.case.clip,
        "kind": work.case.kind,
        "hard": work.hard,
        "rig": trial.rig,
        "depth": trial.depth,
        "without": list(trial.without),
    }


class _Bench:
    """One plate, its truth and what a still pose scores."""

    def __init__(self, work: Work) -> None:
        from studio_pipeline.evaluation.lpips import load_lpips

        self.work = work
        self.subject = open_subject(work.case, frames=work.frames, fps=FPS)
        self.filmed = film_shot(
            self.subject.character, self.subject.vertices, size=work.size, seed=work.plate_seed, hard=work.hard
        )
        lpips = load_lpips(work.lpips) if work.lpips else None
        self.judge = Judge(
            self.subject.character, self.filmed.camera, self.filmed.vertices, self.filmed.plate.stage,
            azimuth=self.filmed.azimuth, lpips=lpips,
        )  # fmt: skip
        rest = self.subject.character.vertices
        self.still = self.judge.score(np.repeat(rest[None], work.frames, axis=0))[0]

    def row(self, trial: Trial) -> dict[str, Any]:
        """Lift the plate and score it."""
        row = _named(self.work, trial) | {"played": self.work.case.played, "still": self.still}
        try:
            rig = _rig(self.subject, trial.rig)
        except InputError as error:
            return _named(self.work, trial) | {"skipped": str(error)}
        try:
            lifted = lift_plate(self.subject, rig, self.filmed, trial, self.work.plate_seed)
            if not np.isfinite(lifted.vertices).all():
                raise InputError("gave vertices that are not finite", where="lifted_motion")
        except Exception as error:  # whatever it is, it is this case's result, and the others go on
            kind = "" if isinstance(error, StudioError) else f"{type(error).__name__}: "
            return row | {"error": kind + one_line(error)}
        figures, pictures = self.judge.score(lifted.vertices)
        tracks = track_errors(
            self.filmed.camera, self.subject.character, lifted.observations, self.filmed.vertices, lifted.vertices
        )
        rest = np.repeat(self.subject.character.vertices[None], self.work.frames, axis=0)
        still = track_errors(
            self.filmed.camera, self.subject.character, lifted.observations, self.filmed.vertices, rest
        )
        row |= {
            "still": self.still | {"track_px": still["lifted"]},
            "faces": len(self.subject.character.faces),
            "joints": rig.joint_count,
            "lift": figures | {"track_px": tracks["lifted"], "observed_track_px": tracks["observed"]},
            "depth_error": lifted.depth_error,
            "sources": lifted.observations.sources,
            "seconds": lifted.seconds,
        }
        if self.work.out is not None and self.work.videos and not trial.without:
            from studio_pipeline.evaluation.videos import write_side_by_side

            path = self.work.out / f"{self.work.id}-{trial.label}.mp4"
            row["video"] = path.name
            write_side_by_side(path, self.judge, self.filmed, lifted.pictures, pictures["plus45"])
        return row


def _rig(subject: Subject, kind: str) -> Rig:
    """The provided rig, or one from the shape alone.

    Raises:
        InputError: Truth and lift would share a rig made from the shape, or there is none.
    """
    if kind != "provided":
        if not subject.own:
            raise InputError(
                "has no rig of its own: its truth is posed by the geometric rig", where=subject.character.name
            )
        return BACKENDS[kind].make_rig(subject.character.vertices, subject.character.faces)
    if subject.rig is None:
        raise InputError("has no rig of its own", where=subject.character.name, do="use --rig geometric")
    return subject.rig


@dataclass(frozen=True)
class Lifted:
    """What the two stages made of a plate."""

    vertices: np.ndarray  # [T, V, 3] float32
    observations: Observations
    pictures: np.ndarray  # [T, H, W, 3] uint8, the lift over the clip's background
    seconds: dict[str, float]  # wall clock of both stages, processor time of both together
    depth_error: float | None  # median |depth - truth| of the solved depth, of the rest diagonal
    motion: Motion | None = None  # of the joints


def lift_plate(subject: Subject, rig: Rig, filmed: Filmed, trial: Trial, seed: int) -> Lifted:
    """Observations and lift, on pixels, rest mesh, rig and camera alone (and simulated depth if the trial has it)."""
    from studio_pipeline.stages.lifted_motion import LiftSettings
    from studio_pipeline.stages.lifted_motion.lift import lift
    from studio_pipeline.stages.observations import ClassicalSettings
    from studio_pipeline.stages.observations.classical import observe

    character, camera, clip = subject.character, filmed.camera, filmed.plate.clip
    watching: dict[str, Any] = {}
    if trial.depth:
        clip = replace(clip, depth=simulated_depth(filmed.plate, character.diagonal, seed=seed))
        watching = {"depth_kind": "affine"}
    fitting: dict[str, Any] = {"without": trial.without} if trial.without else {}
    if missing := (set(watching) - set(ClassicalSettings.model_fields)) | (
        set(fitting) - set(LiftSettings.model_fields)
    ):
        raise InputError(f"the stages of this version have no setting {sorted(missing)}")
    start, busy = time.perf_counter(), time.process_time()
    observations, _ = observe(character, camera, clip, ClassicalSettings(**watching))
    middle = time.perf_counter()
    result = lift(character, rig, camera, clip, observations, LiftSettings(**fitting))
    end, spent = time.perf_counter(), time.process_time() - busy
    return Lifted(
        vertices=pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, result.motion)),
        observations=observations,
        pictures=result.pictures,
        seconds={"observations": middle - start, "lift": end - middle, "processor": spent},
        depth_error=_depth_error(observations, filmed.plate.depth, character.diagonal),
        motion=result.motion,
    )


def _depth_error(observations: Observations, truth: np.ndarray, diagonal: float) -> float | None:
    if observations.depth is None or observations.depth.shape != truth.shape:
        return None
    gap = np.abs(observations.depth - truth)
    return float(np.nanmedian(gap) / diagonal) if np.isfinite(gap).any() else None
