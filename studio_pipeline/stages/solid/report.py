"""Figures, verdicts and the picture of a solid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio_pipeline.geometry.tetmesh import pieces, tet_quality, tet_volumes
from studio_pipeline.schema.records import Character, Rig, Solid
from studio_pipeline.stages.base import StageResult, Verdict

__all__ = ["Measured", "report"]

_EMBED_BOUND = 0.03  # of the diagonal
_VOLUME_BOUNDS = (0.85, 1.3)
_OWNS = 0.05  # a joint whose largest weight is below this needs no tetrahedron


@dataclass(frozen=True)
class Measured:
    """What the making of a solid tells about it."""

    attempts: int  # runs of the mesher
    reproducible: bool  # whether the mesher could be kept from drawing random numbers
    distance: np.ndarray  # [V] float64 [m], how far each skin vertex lies outside of the solid
    winding_volume: float  # [m^3] inside of the skin by winding number


def report(character: Character, rig: Rig, solid: Solid, measured: Measured, out: Path) -> StageResult:
    """Write ``preview.png`` into ``out`` and judge the solid."""
    import cv2

    from studio_pipeline.stages.solid.drawing import draw_cutaway

    cv2.imwrite(str(out / "preview.png"), np.ascontiguousarray(draw_cutaway(character, solid)[..., ::-1]))
    volume, quality = tet_volumes(solid.vertices, solid.tets), tet_quality(solid.vertices, solid.tets)
    count, piece = pieces(solid.tets, len(solid.vertices))
    held = np.unique(solid.tet_joints[solid.tet_joints >= 0])
    owners = np.flatnonzero(rig.weights.max(0) > _OWNS)
    figures = {
        "tets": len(solid.tets),
        "vertices": len(solid.vertices),
        "attempts": measured.attempts,
        "reproducible": measured.reproducible,
        "embed_distance_max_fraction": round(float(measured.distance.max()) / character.diagonal, 5),
        "embed_outside_fraction": round(float((measured.distance > 0.0).mean()), 4),
        "extrapolation_max": round(float(np.abs(solid.surface_barycentrics).max()), 3),
        "volume_ratio": round(float(volume.sum()) / measured.winding_volume, 4) if measured.winding_volume else 0.0,
        "quality_min": round(float(quality.min()), 4),
        "quality_mean": round(float(quality.mean()), 4),
        "pieces": count,
        "driven_tets": int((solid.tet_joints >= 0).sum()),
        "driven_joints": len(np.intersect1d(held, owners)),
        "weighted_joints": len(owners),
    }
    verdicts = _verdicts(character, solid, measured, volume, count, piece)
    return StageResult(figures=figures, previews=("preview.png",), verdicts=verdicts)


def _verdicts(
    character: Character, solid: Solid, measured: Measured, volume: np.ndarray, count: int, piece: np.ndarray
) -> tuple[Verdict, ...]:
    worst = int(np.argmax(measured.distance))
    far = float(measured.distance[worst]) / character.diagonal
    sums = np.abs(solid.surface_barycentrics.astype(np.float64).sum(1) - 1.0).max()
    ratio = float(volume.sum()) / measured.winding_volume if measured.winding_volume > 0.0 else float("nan")
    held = np.zeros(count, dtype=bool)
    np.logical_or.at(held, piece, solid.tet_joints >= 0)
    largest = float(np.bincount(piece).max()) / len(piece)
    return (
        Verdict(
            "positive_volumes",
            bool((volume > 0.0).all()),
            f"{int((volume <= 0.0).sum())} of {len(volume)} tetrahedra without volume, smallest {volume.min():.1e} m^3",
        ),
        Verdict(
            "surface_embedded",
            far <= _EMBED_BOUND and sums < 1e-3,
            f"vertex {worst} lies {far:.2%} of the diagonal outside (bound {_EMBED_BOUND:.0%})",
        ),
        Verdict(
            "volume_kept",
            bool(_VOLUME_BOUNDS[0] <= ratio <= _VOLUME_BOUNDS[1]),
            f"{ratio:.3f} of the volume inside the skin (bounds {_VOLUME_BOUNDS[0]} to {_VOLUME_BOUNDS[1]})"
            if np.isfinite(ratio)
            else "the skin encloses no volume: its sheets were thickened",
            blocking=False,
        ),
        Verdict(
            "connected",
            bool(held.all()),
            f"{count} pieces, the largest {largest:.0%}, {int((~held).sum())} without a joint that holds it",
        ),
    )
