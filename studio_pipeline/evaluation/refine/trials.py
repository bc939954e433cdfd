"""One clip refined and compared with its skinned motion. Every result is kept as one JSON file."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio_pipeline.evaluation.cases import Case, Subject, open_subject, true_motion
from studio_pipeline.evaluation.plates import FPS
from studio_pipeline.evaluation.refine.measures import ImageFit, jerk_percent, new_intersections, volume_figures
from studio_pipeline.evaluation.scores import Judge
from studio_pipeline.evaluation.shots import Filmed, film_shot
from studio_pipeline.evaluation.trials import Trial, lift_plate
from studio_pipeline.evaluation.trials import Work as LiftWork
from studio_pipeline.schema.errors import InputError, StudioError, one_line
from studio_pipeline.schema.records import Motion, Observations, Rig, Solid
from studio_pipeline.stages.refined_motion.settings import FemSettings

if TYPE_CHECKING:
    from studio_pipeline.stages.refined_motion.fem import RefineResult

__all__ = ["LIFTED", "TRUE", "Work", "cached", "make_solid", "run_work"]

TRUE, LIFTED = "true", "lifted"
"""Whose joint motion drives the solid: the clip's own, or what the lift found in its pixels."""


@dataclass(frozen=True)
class Work:
    """One clip and the joint motions that are refined."""

    case: Case
    motions: tuple[str, ...] = (TRUE,)
    settings: tuple[tuple[str, Any], ...] = ()  # of `FemSettings`, those that differ from the defaults
    frames: int = 24
    size: int = 256
    seed: int = 0
    out: Path | None = None  # where results, solids and videos go
    videos: bool = True

    @property
    def plate_seed(self) -> int:
        """As in `studio evaluate lift`: the same lights and backdrop."""
        return LiftWork(self.case, (), seed=self.seed).plate_seed


@functools.cache
def _code(target: str) -> str:
    from studio_pipeline.store.codehash import code_digest

    return code_digest(target)


def _file_digest(case: Case) -> str:
    return hashlib.sha256(case.path.read_bytes()).hexdigest()


def _key(*given: Any) -> str:
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]


def _place(work: Work, motion: str) -> Path | None:
    if work.out is None:
        return None
    key = _key(
        [work.case.path.name, work.case.clip, _file_digest(work.case), motion],
        [work.frames, work.size, work.seed, sorted(work.settings)],
        _code(f"{__name__}:run_work"),
    )
    return work.out / "cases" / f"{work.case.id}-{motion}-{key}.json"


def cached(work: Work) -> tuple[list[dict[str, Any]], Work]:
    """Results of an earlier run that still hold, and what is left to do."""
    rows, left = [], []
    for motion in work.motions:
        place = _place(work, motion)
        try:
            rows.append(json.loads(place.read_text(encoding="utf-8")) if place else None)
        except (OSError, ValueError):
            rows.append(None)
        if rows[-1] is None:
            left.append(motion)
    return [row for row in rows if row is not None], replace(work, motions=tuple(left))


def run_work(work: Work, tell: Callable[[dict[str, Any]], None] = lambda row: None) -> list[dict[str, Any]]:
    """Refine the motions of one clip. What fails gives a row with an ``error``, or says why it was ``skipped``.

    Args:
        work: Which.
        tell: Told every row as soon as it is there.
    """
    rows = []
    try:
        bench = _Bench(work)
    except InputError as error:
        bench = None
        rows = [{**_named(work, motion), "skipped": str(error)} for motion in work.motions]
    except Exception as error:  # whatever it is, it is this clip's result, and the others go on
        bench = None
        rows = [{**_named(work, motion), "error": _told(error)} for motion in work.motions]
    for row in rows:
        tell(row)
    for motion in work.motions if bench else ():
        assert bench is not None
        try:
            row = bench.row(motion)
        except Exception as error:
            row = _named(work, motion) | {"error": _told(error)}
        place = _place(work, motion)
        if place is not None and "error" not in row:
            _keep(place, row)
        rows.append(row)
        tell(row)
    return rows


def _told(error: Exception) -> str:
    return ("" if isinstance(error, StudioError) else f"{type(error).__name__}: ") + one_line(error)


def _keep(place: Path, row: dict[str, Any]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_suffix(f".{os.getpid()}.part")
    scratch.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    scratch.replace(place)  # an interrupted run leaves no half a result


def _named(work: Work, motion: str) -> dict[str, Any]:
    return {
        "character": work.case.path.stem,
        "clip": work.case.clip,
        "kind": work.case.kind,
        "motion": motion,
        "settings": dict(work.settings),
    }


def make_solid(work: Work, subject: Subject, rig: Rig) -> tuple[Solid, float]:
    """The character's solid by the stage's defaults, kept in ``work.out``, and the processor time it took [s]."""
    from studio_pipeline.stages.solid.ftetwild import build_solid

    place = None
    if work.out is not None:
        key = _key(_file_digest(work.case), _code("studio_pipeline.stages.solid.ftetwild:build_solid"))
        place = work.out / "solids" / f"{work.case.path.stem}-{key}"
        told = place / "seconds.json"  # written last
        if told.is_file():
            return Solid.load(place), float(json.loads(told.read_text(encoding="utf-8")))
    start = _processor_seconds()
    solid = build_solid(subject.character, rig).solid
    seconds = _processor_seconds() - start
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
        solid.save(place)
        (place / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
    return solid, seconds


def _processor_seconds() -> float:
    spent = os.times()  # with that of children that have ended: the mesher is one
    return spent.user + spent.system + spent.children_user + spent.children_system


def _led(result: RefineResult) -> dict[str, Any] | None:
    """What the stage did to keep to the clip, by its own masks; None where it wasn't asked to."""
    if result.leading is None:
        return None
    names = ("clip_iou_drop", "clip_iou_drop_free", "lead_rounds", "led_joints")
    return {name: result.report.figures[name] for name in names if name in result.report.figures}


class _Bench:
    """One clip, filmed, and its character's solid."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.subject: Subject = open_subject(work.case, frames=work.frames, fps=FPS)
        if self.subject.rig is None:
            raise InputError("has no rig of its own", where=work.case.path, do="choose a rigged character")
        self.rig: Rig = self.subject.rig
        character = self.subject.character
        self.filmed: Filmed = film_shot(character, self.subject.vertices, size=work.size, seed=work.plate_seed)
        self.judge = Judge(
            character, self.filmed.camera, self.filmed.vertices, self.filmed.plate.stage, azimuth=self.filmed.azimuth
        )
        self.fit = ImageFit(self.judge, self.filmed.plate)
        self.solid, self.solid_seconds = make_solid(work, self.subject, self.rig)

    def row(self, name: str) -> dict[str, Any]:
        """Refine one joint motion and measure it, beside its skinned surface."""
        from studio_pipeline.stages.refined_motion.fem import refine
        from studio_pipeline.stages.refined_motion.guard import Outline

        character, settings = self.subject.character, FemSettings(**dict(self.work.settings))
        motion, observations, lift_seconds = self._motion(name)
        outline = Outline(self.filmed.camera, observations.masks)
        start, busy = time.perf_counter(), time.process_time()
        result = refine(character, self.rig, self.solid, motion, settings, outline=outline)
        seconds = {"wall": time.perf_counter() - start, "processor": time.process_time() - busy}
        sides, pictures = {}, []
        for side, points, positions in (
            ("without", result.skinned, result.trajectory.skinned),
            ("with", result.points.points, result.trajectory.positions),
        ):
            fit, shown = self.fit.measure(points)
            pictures.append(shown)
            sides[side] = {
                "jerk_percent": jerk_percent(points, self.judge.areas, character.diagonal),
                **volume_figures(self.solid, positions),
                **new_intersections(character, points),
                "views": fit,
            }
        return _named(self.work, name) | {
            "faces": len(character.faces),
            "tets": len(self.solid.tets),
            **sides,
            "moved_percent": float(result.report.figures["max_displacement_percent"]),
            "led": _led(result),
            "fallback_frames": int(result.points.fallback.sum()),
            "halved_frames": int(result.trajectory.halved.sum()),
            "seconds": seconds | {"solid": self.solid_seconds, "lift": lift_seconds},
            "video": self._video(name, pictures),
        }

    def _motion(self, name: str) -> tuple[Motion, Observations, float]:
        """Whose joints drive the solid, what was seen in the clip, and the processor time of the lift [s]."""
        character, filmed = self.subject.character, self.filmed
        if name == TRUE:
            from studio_pipeline.stages.observations import ClassicalSettings
            from studio_pipeline.stages.observations.classical import observe

            seen = observe(character, filmed.camera, filmed.plate.clip, ClassicalSettings())[0]
            return true_motion(self.work.case, self.subject, frames=self.work.frames, fps=FPS), seen, 0.0
        start = time.process_time()
        lifted = lift_plate(self.subject, self.rig, filmed, Trial("provided", False), self.work.plate_seed)
        assert lifted.motion is not None
        return lifted.motion, lifted.observations, time.process_time() - start

    def _video(self, name: str, pictures: list[np.ndarray]) -> str | None:
        if self.work.out is None or not self.work.videos:
            return None
        from studio_pipeline.evaluation.refine.drawing import write_side_by_side

        clip = self.filmed.plate.clip.frames[-len(pictures[0]) :]
        path = self.work.out / f"{self.work.case.id}-{name}.mp4"
        write_side_by_side(path, [("clip", clip), ("skinned", pictures[0]), ("refined", pictures[1])], FPS)
        return path.name
