"""Figures and verdicts of a refined motion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from studio_pipeline.physics.embedding import volumes
from studio_pipeline.physics.intersections import SelfIntersections
from studio_pipeline.physics.simulate import Trajectory, Unsolved
from studio_pipeline.schema.records import Character, PointCache, Solid
from studio_pipeline.stages.base import Verdict
from studio_pipeline.stages.refined_motion.guard import Leading

__all__ = ["Report", "judge", "measure"]


@dataclass(frozen=True)
class Report:
    """Key figures (see the package's docstring) and what the verdicts need beside them."""

    figures: Mapping[str, float | int | str | bool]
    finite: bool
    fallback: tuple[int, ...]  # frame numbers
    unsolved: tuple[str, ...]  # for each of them, which tetrahedra did not settle and at which joint
    worst_frame: int  # frame number of the smallest det F
    worst_tet: int
    intersection_frame: int  # frame number of the most crossing pairs among those sampled
    faces: int
    leading: Leading | None  # None: there was no clip to compare with, or nobody wanted it


def measure(
    character: Character,
    points: PointCache,
    skinned: np.ndarray,
    trajectory: Trajectory,
    solid: Solid,
    *,
    samples: int,
    leading: Leading | None = None,
    names: tuple[str, ...] = (),
) -> Report:
    """Compare the refined surface with the skinned one [T, V, 3] and the states with the rest solid.

    Args:
        character: The character.
        points: The refined surface.
        skinned: The skinned one.
        trajectory: The states.
        solid: At rest.
        samples: Frames in which self-intersections are counted.
        leading: How flesh was kept to the clip.
        names: Of the joints.
    """
    displacement = float(np.linalg.norm(points.points - skinned, axis=-1).max())
    rest_volume = float(volumes(solid.vertices[None].astype(np.float64), solid.tets)[0])
    change = [
        float(np.abs(volumes(x, solid.tets) / rest_volume - 1.0).max())
        for x in (trajectory.positions, trajectory.skinned)
    ]
    refined_pairs, skinned_pairs, crossed = _new_intersections(character, points.points, skinned, samples)
    unsolved = tuple(_where(item, points.first_frame) for item in trajectory.unsolved)
    worst = int(trajectory.volume_ratio_min.argmin())
    figures: dict[str, float | int | str | bool] = {
        "tets": len(solid.tets),
        "newton_iterations": int(trajectory.newton_iterations.sum()),
        "linear_iterations": int(trajectory.linear_iterations.sum()),
        "max_displacement_m": round(displacement, 6),
        "max_displacement_percent": round(100.0 * displacement / character.diagonal, 4),
        "min_det_f": round(float(trajectory.volume_ratio_min.min()), 6),
        "volume_change_percent": round(100.0 * change[0], 4),
        "volume_change_skinned_percent": round(100.0 * change[1], 4),
        "kinetic_energy_max_j": round(float(trajectory.kinetic_energy.max()), 6),
        "jerk_ratio": round(_jerk(points.points) / max(_jerk(skinned), 1e-12), 4),
        "fallback_frames": int(points.fallback.sum()),
        "halved_frames": int(trajectory.halved.sum()),
        "new_intersections": refined_pairs,
        "new_intersections_skinned": skinned_pairs,
    }
    if unsolved:
        figures["fallback_where"] = _listed(unsolved, "; ")
    if refined_pairs:
        figures["new_intersections_frame"] = crossed + points.first_frame
    if leading is not None:
        figures |= _leading_figures(leading, names)
    return Report(
        figures=figures,
        finite=bool(np.isfinite(points.points).all()),
        fallback=tuple(int(i) + points.first_frame for i in np.flatnonzero(points.fallback)),
        unsolved=unsolved,
        worst_frame=worst + points.first_frame,
        worst_tet=int(trajectory.volume_ratio_tet[worst]),
        intersection_frame=crossed + points.first_frame,
        faces=len(character.faces),
        leading=leading,
    )


def _leading_figures(leading: Leading, names: tuple[str, ...]) -> dict[str, float | int | str | bool]:
    """What the physics costs of the image fit, and which joints' flesh was led to keep it."""
    figures: dict[str, float | int | str | bool] = {
        "clip_iou": round(leading.kept.iou, 4),
        "clip_iou_drop": round(leading.kept.drop, 5),
        "clip_iou_drop_free": round(leading.free.drop, 5),
        "lead_rounds": leading.rounds,
    }
    usual = leading.follow_hz.min()
    changed = (leading.follow_hz > usual) | (leading.share < 1.0)
    led = tuple(
        f"{names[joint]} {leading.follow_hz[joint]:.1f} Hz"
        + (f" x {leading.share[joint]:.2f}" if leading.share[joint] < 1.0 else "")
        for joint in np.lexsort((-leading.follow_hz, leading.share))
        if changed[joint]
    )
    if led:
        figures["led_joints"] = _listed(led, ", ", 8)
    return figures


def _jerk(points: np.ndarray) -> float:
    """Mean length of the third differences over time; 0 for clips that are too short to have one."""
    if len(points) < 4:
        return 0.0
    return float(np.linalg.norm(np.diff(points.astype(np.float64), n=3, axis=0), axis=-1).mean())


def _new_intersections(
    character: Character, refined: np.ndarray, skinned: np.ndarray, samples: int
) -> tuple[int, int, int]:
    """Most crossing pairs over the rest pose's count among sampled frames, refined and skinned; the refined's frame."""
    counter = SelfIntersections(character.vertices, character.faces)
    rest = counter.count(character.vertices)
    frames = np.unique(np.linspace(0, len(refined) - 1, min(samples, len(refined))).round().astype(int))
    refined_counts, skinned_counts = ([counter.count(clip[i]) - rest for i in frames] for clip in (refined, skinned))
    worst = int(frames[int(np.argmax(refined_counts))])
    return max(*refined_counts, 0), max(*skinned_counts, 0), worst


def _where(unsolved: Unsolved, first_frame: int) -> str:
    """One frame's account of what did not settle."""
    tets = " ".join(str(tet) for tet in unsolved.tets)
    return (
        f"{unsolved.frame + first_frame} (tetrahedra {tets} at {unsolved.joint} still moved {unsolved.move:.2g} m, "
        f"{unsolved.squeezed} at {unsolved.squeezed_joint} is squeezed to {unsolved.volume_ratio:.2g})"
    )


def _listed(items: tuple[str, ...], between: str, limit: int = 4) -> str:
    """The first few of a list."""
    return between.join(items[:limit]) + (f"{between}and {len(items) - limit} more" if len(items) > limit else "")


def judge(report: Report) -> tuple[Verdict, ...]:
    """The five verdicts of the stage."""
    figures = report.figures
    smallest = float(figures["min_det_f"])
    refined, skinned = int(figures["new_intersections"]), int(figures["new_intersections_skinned"])
    # A few pairs may touch where skinning has none: flesh pressed together at a bent joint.
    allowed = skinned + max(2, report.faces // 500)
    frames = _listed(tuple(str(frame) for frame in report.fallback), ", ", 20)
    where = _listed(report.unsolved, "; ")
    worst = f"; most at frame {report.intersection_frame} of those sampled" if refined else ""
    return (
        Verdict(
            "no_inverted_tetrahedra",
            smallest > 0.0,
            f"smallest det F {smallest:.4g} (above 0), frame {report.worst_frame}, tetrahedron {report.worst_tet}",
        ),
        Verdict("finite", report.finite, "all points are finite" if report.finite else "some points are not finite"),
        Verdict(
            "solver_converged",
            not report.fallback,
            f"the skinned pose stands in at frames {frames}; unsolved: {where}"
            if report.fallback
            else "every step converged",
            blocking=False,
        ),
        Verdict(
            "no_new_self_intersections",
            refined <= allowed,
            f"{refined} more crossing triangle pairs than at rest, skinning has {skinned} (at most {allowed}){worst}",
            blocking=False,
        ),
        _keeps_image_fit(report),
    )


def _keeps_image_fit(report: Report) -> Verdict:
    leading, name = report.leading, "keeps_image_fit"
    if leading is None:
        return Verdict(name, True, "not compared with a clip", blocking=False)
    said = f"IoU with the clip falls by {leading.kept.drop:.4f} against skinning (bound {leading.bound:g})"
    if leading.kept is not leading.free:
        said += f", by {leading.free.drop:.4f} before flesh was led: {report.figures.get('led_joints', 'all alike')}"
    if leading.own > 0.0:
        said += f"; {leading.own:.4f} at painted joints, which keep their swing"
    return Verdict(name, leading.passed, said, blocking=False)
