"""Scenes made to wobble: a creature that stops dead, and an elbow that bends by 120 degrees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.evaluation.refine.creature import Creature, arm, pouncer
from studio_pipeline.evaluation.refine.measures import surface_volume
from studio_pipeline.evaluation.summary import markdown_table
from studio_pipeline.geometry.rotations import axis_angle_to_matrix, matrix_to_sixd
from studio_pipeline.schema.records import Motion
from studio_pipeline.stages.refined_motion.settings import FemSettings

__all__ = [
    "ELBOW_DEGREES",
    "SOFTNESS",
    "Elbow",
    "Jolt",
    "bend",
    "measure_elbow",
    "measure_wobble",
    "stop_dead",
    "swing_of",
    "wobble_table",
    "write_pictures",
]

FPS = Fraction(24)
SOFTNESS = (0.3, 1.0, 3.0)
"""Young's moduli of the wobble, times the one that the settings give."""
ELBOW_DEGREES = 120.0
ELBOW_GOAL = 1.0 / 3.0  # of skinning's volume loss
_GLIDE, _REST = 10, 22  # frames that speed up, and that stand still after the stop
_TRAVEL = np.array([0.5, -0.25, 0.0])  # [m]


@dataclass(frozen=True)
class Jolt:
    """The creature's stop at one stiffness."""

    youngs_modulus: float  # [Pa]
    creature: Creature
    skinned: np.ndarray  # [T, V, 3] float32 [m]
    refined: np.ndarray  # [T, V, 3] float32 [m]
    tips: Mapping[str, tuple[float, float]]  # lag [frames] and overshoot [%] by place, see `swing_of`
    fallback_frames: int

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "youngs_modulus": self.youngs_modulus,
            "fallback_frames": self.fallback_frames,
            "tips": {name: {"lag_frames": lag, "overshoot_percent": over} for name, (lag, over) in self.tips.items()},
        }


@dataclass(frozen=True)
class Elbow:
    """The arm's bend: volume loss of the skin's inside [%]; positive where volume is lost."""

    creature: Creature
    skinned: np.ndarray  # [T, V, 3] float32 [m]
    refined: np.ndarray  # [T, V, 3] float32 [m]
    skinned_loss: float
    refined_loss: float

    @property
    def ratio(self) -> float:
        """What the physics changes of the volume, to what skinning loses."""
        return abs(self.refined_loss) / self.skinned_loss

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "degrees": ELBOW_DEGREES,
            "skinned_loss_percent": self.skinned_loss,
            "refined_loss_percent": self.refined_loss,
            "ratio": self.ratio,
            "passed": self.ratio <= ELBOW_GOAL,
        }


def stop_dead(joints: int) -> tuple[Motion, int]:
    """The root speeds up along `_TRAVEL` and stops from one frame to the next; the index of the first still frame."""
    path = np.clip(np.arange(_GLIDE + _REST) / _GLIDE, 0.0, 1.0) ** 2
    translations = np.zeros((len(path), joints, 3), dtype=np.float32)
    translations[:, 0] = path[:, None] * _TRAVEL
    return _motion(np.zeros((len(path), joints, 3)), translations), _GLIDE


def bend(degrees: float = ELBOW_DEGREES, *, frames: int = 20, held: int = 8) -> Motion:
    """The second of two joints turns about z over ``frames``, and stays for ``held``."""
    turned = np.clip(np.arange(frames + held) / (frames - 1), 0.0, 1.0)
    turned = turned * turned * (3.0 - 2.0 * turned)
    vectors = np.zeros((frames + held, 2, 3))
    vectors[:, 1, 2] = np.radians(degrees) * turned
    return _motion(vectors, np.zeros((frames + held, 2, 3), dtype=np.float32))


def _motion(vectors: np.ndarray, translations: np.ndarray) -> Motion:
    return Motion(
        rotations=matrix_to_sixd(axis_angle_to_matrix(vectors)).astype(np.float32),
        translations=translations,
        fps=FPS,
        first_frame=1001,
    )


def swing_of(path: np.ndarray, skinned: np.ndarray, stop: int) -> tuple[float, float]:
    """Lag [frames] and overshoot [%] of a place that is carried past the stop.

    The lag is from the stop to the place's farthest swing along the way that it came, between frames by a parabola;
    the overshoot is that swing beyond the skinned place, in percent of the way.

    Args:
        path: The place over time [m]. [T, 3]
        skinned: Where skinning alone puts it. [T, 3]
        stop: Index of the first frame in which the skinned place stands still.
    """
    way = skinned[stop] - skinned[0]
    length = float(np.linalg.norm(way))
    beyond = (path - skinned)[stop:].astype(np.float64) @ (way / length)
    best = int(np.argmax(beyond))
    peak, moment = float(beyond[best]), float(best)
    if 0 < best < len(beyond) - 1:
        before, after = float(beyond[best - 1]), float(beyond[best + 1])
        curve = before - 2.0 * peak + after
        if curve < 0.0:
            shift = 0.5 * (before - after) / curve
            moment, peak = moment + shift, peak - 0.25 * (before - after) * shift
    return moment, 100.0 * peak / length


def measure_wobble(
    settings: Mapping[str, Any] | None = None,
    *,
    softness: Sequence[float] = SOFTNESS,
    creature: Creature | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Jolt]:
    """The creature's stop at several stiffnesses, softest first.

    Args:
        settings: Of `FemSettings`; a ``youngs_modulus`` in it is what ``softness`` multiplies.
        softness: Factors.
        creature: As `pouncer` makes it.
        tell: Told what is going on.
    """
    from studio_pipeline.stages.refined_motion.build import usual_stiffness
    from studio_pipeline.stages.refined_motion.fem import refine

    creature = creature or pouncer()
    given = FemSettings(**dict(settings or {}))
    motion, stop = stop_dead(creature.rig.joint_count)
    found = []
    for factor in sorted(softness):
        modulus = factor * usual_stiffness(creature.solid, given)
        tell(f"wobble: {len(creature.solid.tets)} tetrahedra at {modulus:.3g} Pa")
        with_modulus = given.model_copy(update={"youngs_modulus": modulus})
        result = refine(creature.character, creature.rig, creature.solid, motion, with_modulus)
        points = result.points.points
        tips = {
            name: swing_of(points[:, vertex], result.skinned[:, vertex], stop) for name, vertex in creature.tips.items()
        }
        fallback = int(result.points.fallback.sum())
        found.append(Jolt(modulus, creature, result.skinned, points, tips, fallback))
    return found


def measure_elbow(
    settings: Mapping[str, Any] | None = None, *, tell: Callable[[str], None] = lambda text: None
) -> Elbow:
    """The arm bent by 120 degrees and held: volume inside the skin in the last frame, against rest."""
    from studio_pipeline.stages.refined_motion.fem import refine

    creature = arm()
    tell(f"elbow: {len(creature.solid.tets)} tetrahedra")
    result = refine(creature.character, creature.rig, creature.solid, bend(), FemSettings(**dict(settings or {})))
    faces = creature.character.faces
    rest = float(surface_volume(creature.character.vertices[None], faces)[0])
    skinned, refined = (
        100.0 * (1.0 - float(surface_volume(points[-1:], faces)[0]) / rest)
        for points in (result.skinned, result.points.points)
    )
    return Elbow(creature, result.skinned, result.points.points, skinned, refined)


def wobble_table(jolts: Sequence[Jolt], elbow: Elbow) -> str:
    """What is printed."""
    lines = []
    for jolt in jolts:
        cells = [f"{lag:.2f} / {over:.1f}" for lag, over in jolt.tips.values()]
        lines.append([f"{jolt.youngs_modulus:.3g}", *cells, str(jolt.fallback_frames)])
    heads = ["E [Pa]", *(f"{name}: lag / overshoot" for name in jolts[0].tips), "fallback"]
    verdict = "met" if elbow.ratio <= ELBOW_GOAL else "MISSED"
    return (
        "A creature that stops dead (lag [frames] to the farthest swing, overshoot [%] of the way)\n\n"
        f"{markdown_table(heads, lines)}\n\n"
        f"Elbow bent by {ELBOW_DEGREES:g} degrees: skinning loses {elbow.skinned_loss:.2f} % of the arm's volume, "
        f"physics {elbow.refined_loss:.2f} %; ratio {elbow.ratio:.2f}, goal at most {ELBOW_GOAL:.2f}: {verdict}"
    )


def write_pictures(out: Path, jolts: Sequence[Jolt], elbow: Elbow, *, size: int, video: bool) -> list[Path]:
    """Skinned beside refined, as a strip of frames (and an MP4) of each scene; what was written."""
    from studio_pipeline.evaluation.framing import motion_camera
    from studio_pipeline.evaluation.refine.drawing import write_side_by_side
    from studio_pipeline.render.look import render_frames

    written = []
    wobble = [("skinned", jolts[-1].skinned), *((f"refined, {j.youngs_modulus:.3g} Pa", j.refined) for j in jolts)]
    for name, creature, clips, chosen in (
        ("wobble", jolts[0].creature, wobble, range(_GLIDE - 2, _GLIDE + 12, 2)),
        ("elbow", elbow.creature, [("skinned", elbow.skinned), ("refined", elbow.refined)], range(0, 24, 4)),
    ):
        seen = np.concatenate([points for _, points in clips])
        camera = motion_camera(seen, size=size, azimuth=np.radians(12.0), elevation=np.radians(5.0)).at(slice(0, 1))
        shown = [
            (title, render_frames(points, creature.character, camera, background=(238, 234, 226)).rgb)
            for title, points in clips
        ]
        path = out / f"{name}.mp4"
        write_side_by_side(path, shown, FPS, chosen=chosen, video=video)
        written += [path.with_suffix(".png"), *([path] if video else [])]
    return written
