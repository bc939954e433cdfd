"""The ``files`` backend: writes every delivered file, reads them back and judges them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.schema.records import CameraPath, Character, Motion, PointCache, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.delivery.checks import glb_conforms, opens, skin_error, usd_conforms
from studio_pipeline.stages.delivery.glb import GLB_INFLUENCES, morph_indices, write_refined_glb, write_skinned_glb
from studio_pipeline.stages.delivery.pictures import write_pictures
from studio_pipeline.stages.delivery.scene import DeliveryScene
from studio_pipeline.stages.delivery.settings import DeliverySettings
from studio_pipeline.stages.delivery.texture import has_tint
from studio_pipeline.stages.delivery.usd import write_usd

__all__ = ["deliver", "run"]


def run(context: StageContext) -> StageResult:
    """Deliver a shot (see the package's docstring)."""
    shot, inputs = context.shot, context.inputs
    scene = DeliveryScene(
        shot_id=shot.id,
        fps=shot.fps,
        frames=tuple(shot.frames),
        handles=shot.handles,
        character=Character.load(inputs["character"]),
        rig=Rig.load(inputs["rig"]),
        camera=CameraPath.load(inputs["reference_clip"]),
        motion=Motion.load(inputs["lifted_motion"]),
        cache=PointCache.load(inputs["refined_motion"]),
    )
    return deliver(scene, context.out, context.settings, context.progress)


def deliver(scene: DeliveryScene, folder: Path, settings: DeliverySettings, progress: Any) -> StageResult:
    """Write all files of ``scene`` into ``folder`` and judge them."""
    progress(0.0, "GLB")
    write_skinned_glb(scene, folder / f"{scene.shot_id}.glb")
    write_refined_glb(scene, folder / f"{scene.shot_id}_refined.glb", limit=settings.morph_limit)
    progress(0.2, "USD")
    write_usd(scene, folder / f"{scene.shot_id}.usd")
    progress(0.4, "frames and MP4")
    write_pictures(scene, folder, settings)
    progress(0.85, "reading back")
    kept = morph_indices(scene.frame_count, settings.morph_limit)
    errors = skin_error(scene, GLB_INFLUENCES)
    slack = float(errors[scene.frame_count // 2].max())
    verdicts = (opens(scene, folder, kept, slack), usd_conforms(scene, folder), glb_conforms(scene, folder))
    middle = f"frames/{scene.shot_id}.{scene.first_frame + scene.frame_count // 2:04d}.png"
    return StageResult(figures=_figures(scene, folder, kept, errors), previews=(middle,), verdicts=verdicts)


def _figures(scene: DeliveryScene, folder: Path, kept: np.ndarray, errors: np.ndarray) -> dict[str, Any]:
    def megabytes(end: str) -> float:
        return round((folder / f"{scene.shot_id}{end}").stat().st_size / 1e6, 3)

    return {
        "frames": scene.frame_count,
        "fps": str(scene.fps),
        "first_frame": scene.first_frame,
        "last_frame": scene.last_frame,
        "own_scale": scene.character.unit_scale,
        "height_units": round(scene.character.height_m * scene.units_per_metre, 6),
        "skin_error_4_influences_mm": round(float(errors.max()) * 1e3, 4),
        "skin_error_4_influences_mean_mm": round(float(errors.mean()) * 1e3, 4),
        "glb_mb": megabytes(".glb"),
        "refined_glb_mb": megabytes("_refined.glb"),
        "usd_mb": megabytes(".usd"),
        "mp4_mb": megabytes(".mp4"),
        "refined_glb_step": int(kept[1] - kept[0]) if len(kept) > 1 else 1,
        "refined_glb_error_mm": round(_between_error(scene, kept) * 1e3, 4),
        "texture_baked": has_tint(scene.character),
        "camera_zoom_only_in_usd": scene.camera_zooms,
    }


def _between_error(scene: DeliveryScene, kept: np.ndarray) -> float:
    """Largest distance [m] between the refined points and the straight lines between kept frames."""
    worst, points = 0.0, scene.cache.points
    for low, high in pairwise(kept):
        for index in range(low + 1, high):
            amount = (index - low) / (high - low)
            between = points[low] + amount * (points[high] - points[low])
            worst = max(worst, float(np.linalg.norm(points[index] - between, axis=1).max()))
    return worst
