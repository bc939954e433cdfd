"""Masks, tracks and depth of a clip by whichever providers the settings name, and what there is to say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Observations
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.observations.depth import solve_depth
from studio_pipeline.stages.observations.edges import edge_offset, moved_edges
from studio_pipeline.stages.observations.matte import plate_matte
from studio_pipeline.stages.observations.parts import Measured, Providers, Scene
from studio_pipeline.stages.observations.preview import write_previews
from studio_pipeline.stages.observations.sampling import sample_surface
from studio_pipeline.stages.observations.settings import ObservationSettings
from studio_pipeline.stages.observations.silhouettes import has_alpha, iou

if TYPE_CHECKING:
    from studio_pipeline.render.raster import Raster

__all__ = ["observe_with", "run_with"]

LEAST_REST_IOU = 0.5
FARTHEST = 0.5  # of the diagonal: metres that are further off are no metres
FLATTEST = 0.25  # a scale that is surer than this fraction of itself is used


def observe_with(
    providers: Providers,
    character: Character,
    camera: CameraPath,
    clip: Clip,
    settings: ObservationSettings,
    progress: Callable[..., None],
) -> tuple[Observations, np.ndarray]:
    """Masks, tracks and depth of a clip whose index 0 shows the rest pose.

    Returns:
        The observations, and the rasterised rest silhouette [H, W] bool that index 0 should show.

    Raises:
        InputError: Camera and clip differ in size or length; depth can't be brought to metres.
        BackendUnavailable: A provider needs a package or a model that is not there.
    """
    scene, raster = _scene(character, camera, clip)
    progress(0.1, "masks")
    masks, mask_source = _masks(providers, scene, settings)
    offset = edge_offset(masks[0], character, camera) if mask_source != "alpha" else 0.0
    if offset:
        masks, mask_source = moved_edges(masks, offset), f"{mask_source}, edges moved inwards by {offset:.2f} px"
    progress(0.5, "tracks")
    gray = cv2.cvtColor(clip.frames[0], cv2.COLOR_RGB2GRAY)
    points = sample_surface(gray, raster.face_ids[0], raster.barycentrics[0], masks[0] > 127, settings.track_count)
    tracked, track_source = providers.tracks[settings.tracks](scene, masks, points, settings)
    progress(0.8, "depth")
    measured = providers.depth[settings.depth](scene, masks, settings)
    depth, kind, depth_source = _metres(measured, scene, masks)
    count = len(points.faces)
    observations = Observations(
        masks=masks,
        tracks=tracked.tracks[:, :count],
        visibility=tracked.visibility[:, :count],
        track_faces=points.faces,
        track_barycentrics=points.barycentrics,
        track_births=tracked.births[:count],
        late_tracks=tracked.tracks[:, count:],
        late_visibility=tracked.visibility[:, count:],
        late_births=tracked.births[count:],
        depth=depth,
        depth_is_metric=depth is not None and kind == "metric",
        depth_kind=kind,
        sources={"masks": mask_source, "tracks": track_source, "depth": depth_source},
    )
    return observations, scene.rest


def _masks(providers: Providers, scene: Scene, settings: ObservationSettings) -> tuple[np.ndarray, str]:
    """Masks [T, H, W] uint8 and where they come from: what is known exactly comes before what is guessed."""
    if settings.use_alpha and has_alpha(scene.clip.alpha):
        return np.asarray(scene.clip.alpha), "alpha"
    if settings.background is not None:
        return plate_matte(scene.clip.frames, settings.background, scene.rest, settings), "background plate"
    return providers.masks[settings.masks](scene, settings)


def _scene(character: Character, camera: CameraPath, clip: Clip) -> tuple[Scene, Raster]:
    """What providers see, and index 0 as the rest mesh would show it."""
    from studio_pipeline.render.raster import rasterize

    if clip.size != (camera.width, camera.height) or clip.frame_count != camera.frame_count:
        raise InputError(
            f"has {clip.frame_count} frames of {clip.size}, the camera {camera.frame_count} of "
            f"{(camera.width, camera.height)}",
            where="reference_clip",
        )
    raster = rasterize(character.vertices[None].astype(np.float32), character.faces, camera.at([0]))
    return Scene(character, camera, clip, raster.face_ids[0] >= 0, raster.depth[0]), raster


def _metres(measured: Measured | None, scene: Scene, masks: np.ndarray) -> tuple[np.ndarray | None, str, str]:
    """Depth [T, H, W] [m] or None, its kind, and where it comes from."""
    if measured is None:
        return None, "metric", "none"
    known = measured.values[np.isfinite(measured.values)]
    if measured.kind == "metric" and (known <= 0.0).any():
        raise InputError(
            "holds depths that are not in front of the camera",
            where="reference_clip",
            do="give metres, or say what they are with observations' depth_kind: affine or inverse",
        )
    try:
        solved = solve_depth(measured.values, measured.kind, scene.rest_depth, masks)
    except InputError as error:
        if measured.given:
            raise
        return None, "metric", f"none: {measured.source} contradicts the rest pose ({error.what})"
    if measured.kind == "metric":
        if solved.residual > FARTHEST * scene.character.diagonal:
            raise InputError(
                f"has a z pass that differs from the rest pose at index 0 by {solved.residual:.3g} m",
                where="reference_clip",
                do="give metres from the shot's camera, or set depth_kind: affine",
            )
        return solved.depth_m, "metric", measured.source
    said = f"{measured.source} ({measured.kind}), scale {solved.scale:.5g} shift {solved.shift:.5g}"
    residual = 100.0 * solved.residual / scene.character.diagonal
    said += f", residual {residual:.2f} % of the diagonal, scale known to {100.0 * solved.scale_error:.2g} %"
    if not solved.scale_error < FLATTEST:
        return None, "metric", f"none: {said} - the rest pose is too flat at index 0"
    return solved.depth_m, "metric", said


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


def run_with(providers: Providers, context: StageContext) -> StageResult:
    """Observe the reference clip (see `observe_with`)."""
    character = Character.load(context.inputs["character"])
    camera = CameraPath.load(context.inputs["reference_clip"])
    clip = Clip.load(context.inputs["reference_clip"])
    observations, rest = observe_with(providers, character, camera, clip, context.settings, context.progress)
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
            "late_track_count": len(observations.late_births),
            "track_length_median_frames": length,
            "visible_fraction": round(float(observations.visibility.mean()), 4) if count else 0.0,
            "depth": observations.sources["depth"],
        },
        previews=previews,
        verdicts=_verdicts(rest_iou, found, clip.frame_count, count, length),
    )
