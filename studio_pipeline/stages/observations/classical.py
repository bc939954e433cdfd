"""The classical backend: colours for masks, optical flow for tracks, the clip's alpha and z pass where it has them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Observations
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.observations import ClassicalSettings
from studio_pipeline.stages.observations.preview import write_previews
from studio_pipeline.stages.observations.segmentation import has_alpha, iou, segment
from studio_pipeline.stages.observations.tracking import follow, sample_surface

__all__ = ["observe", "run"]

LEAST_REST_IOU = 0.5


def observe(
    character: Character,
    camera: CameraPath,
    clip: Clip,
    settings: ClassicalSettings,
    progress: Callable[..., None] = lambda fraction, message="": None,
) -> tuple[Observations, np.ndarray]:
    """Masks, tracks and depth of a clip whose index 0 shows the rest pose.

    Returns:
        The observations, and the rasterised rest silhouette [H, W] bool that index 0 should show.

    Raises:
        InputError: Camera and clip differ in size or length.
    """
    from studio_pipeline.render.raster import rasterize

    if clip.size != (camera.width, camera.height) or clip.frame_count != camera.frame_count:
        raise InputError(
            f"has {clip.frame_count} frames of {clip.size}, the camera {camera.frame_count} of "
            f"{(camera.width, camera.height)}",
            where="reference_clip",
        )
    raster = rasterize(character.vertices[None].astype(np.float32), character.faces, camera.at([0]))
    rest = raster.face_ids[0] >= 0
    progress(0.1, "masks")
    masks, source = _masks(camera, clip, rest, settings)
    progress(0.6, "tracks")
    gray = cv2.cvtColor(clip.frames[0], cv2.COLOR_RGB2GRAY)
    points = sample_surface(gray, raster.face_ids[0], raster.barycentrics[0], masks[0] > 127, settings.tracks)
    tracks, visibility = follow(clip.frames, masks, points.pixels, settings)
    depth = clip.depth if settings.use_depth else None
    observations = Observations(
        masks=masks,
        tracks=tracks,
        visibility=visibility,
        track_faces=points.faces,
        track_barycentrics=points.barycentrics,
        depth=depth,
        depth_is_metric=depth is not None,
        sources={"masks": source, "tracks": "flow+lk", "depth": "clip" if depth is not None else "none"},
    )
    return observations, rest


def _masks(camera: CameraPath, clip: Clip, rest: np.ndarray, settings: ClassicalSettings) -> tuple[np.ndarray, str]:
    """Masks [T, H, W] uint8 and where they come from."""
    if settings.use_alpha and has_alpha(clip.alpha):
        return np.asarray(clip.alpha), "alpha"
    still = bool(np.allclose(camera.world_to_camera, camera.world_to_camera[:1], atol=1e-9))
    return segment(clip.frames, rest, settings, still_camera=still), "colour"


def _verdicts(rest_iou: float, found: int, frames: int, tracks: int, length: float) -> tuple[Verdict, ...]:
    return (
        Verdict(
            "rest_pose_matches",
            rest_iou >= LEAST_REST_IOU,
            f"mask of index 0 against the rest silhouette: IoU {rest_iou:.3f}, at least {LEAST_REST_IOU}"
            + ("" if rest_iou >= LEAST_REST_IOU else ": index 0 does not show the rest pose from this camera"),
        ),
        Verdict(
            "masks_found", 2 * found >= frames, f"the character is seen in {found} of {frames} frames, at least half"
        ),
        Verdict(
            "tracks_found",
            tracks >= 8 and length >= 2,
            f"{tracks} tracks, median length {length:g} frames; at least 8 of 2",
            blocking=False,
        ),
    )


def run(context: StageContext) -> StageResult:
    """Observe the reference clip (see `observe`)."""
    character = Character.load(context.inputs["character"])
    camera = CameraPath.load(context.inputs["canonical_view"])
    clip = Clip.load(context.inputs["reference_clip"])
    observations, rest = observe(character, camera, clip, context.settings, context.progress)
    observations.save(context.out)
    context.progress(0.9, "previews")
    previews = write_previews(context.out, clip, observations)
    seen = observations.masks > 127
    rest_iou = iou(seen[0], rest)
    found = int(seen.any(axis=(1, 2)).sum())
    count = observations.tracks.shape[1]
    length = float(np.median(observations.visibility.sum(0))) if count else 0.0
    return StageResult(
        figures={
            "mask_rest_iou": round(rest_iou, 4),
            "mask_area_mean": round(float(seen.mean()), 4),
            "empty_masks": clip.frame_count - found,
            "track_count": count,
            "track_length_median_frames": length,
            "visible_fraction": round(float(observations.visibility.mean()), 4) if count else 0.0,
        },
        previews=previews,
        verdicts=_verdicts(rest_iou, found, clip.frame_count, count, length),
    )
