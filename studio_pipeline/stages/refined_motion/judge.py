"""Figures and verdicts of a refined motion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from studio_pipeline.physics.embedding import volumes
from studio_pipeline.physics.intersections import SelfIntersections
from studio_pipeline.physics.simulate import Trajectory
from studio_pipeline.schema.records import Character, PointCache, Solid
from studio_pipeline.stages.base import Verdict

__all__ = ["Report", "judge", "measure"]


@dataclass(frozen=True)
class Report:
    """Key figures (see the package's docstring) and what the verdicts need beside them."""

    figures: Mapping[str, float | int | str | bool]
    finite: bool
    fallback: tuple[int, ...]  # frame numbers
    worst_frame: int  # frame number of the smallest det F
    worst_tet: int
    faces: int


def measure(
    character: Character,
    points: PointCache,
    skinned: np.ndarray,
    trajectory: Trajectory,
    solid: Solid,
    *,
    samples: int,
) -> Report:
    """Compare the refined surface with the skinned one [T, V, 3] and the states with the rest solid."""
    displacement = float(np.linalg.norm(points.points - skinned, axis=-1).max())
    rest_volume = float(volumes(solid.vertices[None].astype(np.float64), solid.tets)[0])
    change = [
        float(np.abs(volumes(x, solid.tets) / rest_volume - 1.0).max())
        for x in (trajectory.positions, trajectory.skinned)
    ]
    refined_pairs, skinned_pairs = _new_intersections(character, points.points, skinned, samples)
    worst = int(trajectory.volume_ratio_min.argmin())
    figures = {
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
    return Report(
        figures=figures,
        finite=bool(np.isfinite(points.points).all()),
        fallback=tuple(int(i) + points.first_frame for i in np.flatnonzero(points.fallback)),
        worst_frame=worst + points.first_frame,
        worst_tet=int(trajectory.volume_ratio_tet[worst]),
        faces=len(character.faces),
    )


def _jerk(points: np.ndarray) -> float:
    """Mean length of the third differences over time; 0 for clips that are too short to have one."""
    if len(points) < 4:
        return 0.0
    return float(np.linalg.norm(np.diff(points.astype(np.float64), n=3, axis=0), axis=-1).mean())


def _new_intersections(character: Character, refined: np.ndarray, skinned: np.ndarray, samples: int) -> tuple[int, int]:
    """Most crossing pairs over the rest pose's count among sampled frames: refined and skinned."""
    counter = SelfIntersections(character.vertices, character.faces)
    rest = counter.count(character.vertices)
    frames = np.unique(np.linspace(0, len(refined) - 1, min(samples, len(refined))).round().astype(int))
    refined_most, skinned_most = (max(counter.count(clip[i]) for i in frames) - rest for clip in (refined, skinned))
    return max(refined_most, 0), max(skinned_most, 0)


def judge(report: Report) -> tuple[Verdict, ...]:
    """The four verdicts of the stage."""
    figures = report.figures
    smallest = float(figures["min_det_f"])
    refined, skinned = int(figures["new_intersections"]), int(figures["new_intersections_skinned"])
    # A few pairs may touch where skinning has none: flesh pressed together at a bent joint.
    allowed = skinned + max(2, report.faces // 500)
    listed = ", ".join(str(frame) for frame in report.fallback[:20]) + (" ..." if len(report.fallback) > 20 else "")
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
            f"the skinned pose stands in at frames {listed}" if report.fallback else "every step converged",
            blocking=False,
        ),
        Verdict(
            "no_new_self_intersections",
            refined <= allowed,
            f"{refined} more crossing triangle pairs than at rest, skinning has {skinned} (at most {allowed})",
            blocking=False,
        ),
    )
