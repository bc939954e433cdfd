"""The lift as a plain function: records in, motion and residuals out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from studio_pipeline.geometry.cameras import project
from studio_pipeline.geometry.rotations import matrix_to_sixd, sixd_to_matrix
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Motion, Observations, Rig
from studio_pipeline.stages.base import silent
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.views import View

if TYPE_CHECKING:
    from studio_pipeline.stages.lifted_motion.synthesis import Fitter

__all__ = ["LiftResult", "lift", "measure"]

CARRIED = 0.2  # skin weight that makes a vertex a joint's own


@dataclass(frozen=True)
class LiftResult:
    """What the lift gives."""

    motion: Motion
    residuals: dict[str, Any]  # JSON: per-frame errors, calibrated weights, curves of the terms
    pictures: np.ndarray  # [T, H, W, 3] uint8 sRGB, the lift rendered like the clip


def _checked(character: Character, rig: Rig, view: View, name: str, frames: int) -> None:
    camera, clip, observations = view.camera, view.clip, view.observations
    if len(rig.weights) != len(character.vertices):
        raise InputError(
            f"weighs {len(rig.weights)} vertices, the character has {len(character.vertices)}", where="rig"
        )
    if clip.frame_count != frames:
        raise InputError(f"has {clip.frame_count} frames, the shot has {frames}", where=f"{name}clip")
    if camera.frame_count != frames or (camera.width, camera.height) != clip.size:
        raise InputError("differs from the clip in length or size", where=f"{name}camera")
    if len(observations.masks) != frames or observations.masks.shape[1:] != clip.frames.shape[1:3]:
        raise InputError("differ from the clip in length or size", where=f"{name}observations")


def measure(
    character: Character, camera: CameraPath, observations: Observations, vertices: np.ndarray, face_ids: np.ndarray
) -> dict[str, list[float | None]]:
    """Per frame: silhouette IoU against the mask and median track error [px]; None where nothing was seen.

    vertices [T, V, 3]; face_ids [T, H, W] of the same, rasterised.
    """
    covered = face_ids >= 0
    points = (vertices[:, character.faces[observations.track_faces]] * observations.track_barycentrics[..., None]).sum(
        2
    )
    gap = np.linalg.norm(project(camera, points)[0] - observations.tracks, axis=-1)
    overlap: list[float | None] = []
    error: list[float | None] = []
    for index, mask in enumerate(observations.masks > 127):
        union = np.logical_or(mask, covered[index]).sum()
        overlap.append(round(float(np.logical_and(mask, covered[index]).sum() / union), 4) if mask.any() else None)
        visible = observations.visibility[index]
        error.append(round(float(np.median(gap[index, visible])), 3) if visible.any() else None)
    return {"iou": overlap, "track_error_px": error}


def lift(
    character: Character,
    rig: Rig,
    camera: CameraPath,
    clip: Clip,
    observations: Observations,
    settings: LiftSettings,
    progress: Callable[..., None] = silent,
    views: Sequence[View] = (),
) -> LiftResult:
    """Fit joint motion of a rigged character to a clip whose index 0 shows the rest pose.

    Args:
        character: What the clip shows.
        rig: Its rig.
        camera: One camera a frame, of the clip's size.
        clip: The frames.
        observations: Masks, tracks and depth of the clip. Frames with an empty mask are carried by smoothness.
        settings: See `LiftSettings`.
        progress: Told the fraction done and a word.
        views: Other clips of the same motion, from other cameras.

    Raises:
        InputError: The records don't belong together.
    """
    everything = (View(camera=camera, clip=clip, observations=observations), *views)
    fitters = _fitters(character, rig, everything, settings)
    residuals: dict[str, Any] = {"rounds": 0}
    if "start" in settings.without:
        rotations, translations = _at_rest(rig.joint_count, clip.frame_count)
    else:
        rotations, translations = _synthesised(fitters[0], progress)
        residuals["rounds"] = settings.rounds_first + settings.rounds_all
    if settings.iterations and clip.frame_count > 1:
        rotations, translations = _refined(
            fitters, everything, (rotations, translations), settings, progress, residuals
        )
    rotations = matrix_to_sixd(sixd_to_matrix(rotations)).astype(np.float32)
    if settings.contacts:
        progress(0.92, "contacts")
        rotations, translations = _planted(fitters[0], everything, rotations, translations, residuals)
    motion = Motion(rotations=rotations, translations=translations, fps=clip.fps, first_frame=clip.first_frame)
    return _shown(fitters[0], everything, motion, residuals)


def _fitters(character: Character, rig: Rig, views: Sequence[View], settings: LiftSettings) -> list[Fitter]:
    """A fitter for each view, the others joined to the first."""
    from studio_pipeline.stages.lifted_motion.synthesis import Fitter

    for number, view in enumerate(views):
        _checked(character, rig, view, f"view {number}: " if number else "", views[0].clip.frame_count)
    fitters = [Fitter(character, rig, view.camera, view.clip, view.observations, settings) for view in views]
    for other in fitters[1:]:
        fitters[0].join(other)
    return fitters


def _at_rest(joints: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    rotations = np.tile(np.eye(3)[:, :2].T.ravel(), (frames, joints, 1)).astype(np.float32)
    return rotations, np.zeros((frames, joints, 3), np.float32)


def _refined(
    fitters: Sequence[Fitter],
    views: Sequence[View],
    start: tuple[np.ndarray, np.ndarray],
    settings: LiftSettings,
    progress: Callable[..., None],
    residuals: dict[str, Any],
) -> tuple[np.ndarray, np.ndarray]:
    """Rotations and translations after the gradient stage; what it says of itself goes to ``residuals``."""
    from studio_pipeline.stages.lifted_motion.refine import Sight, refine

    sights = [
        Sight(
            camera=view.camera,
            clip=view.clip,
            observations=view.observations,
            backgrounds=np.stack([frame.background for frame in fitter.frames]),
            light=fitter.appearance.light,
        )
        for view, fitter in zip(views, fitters, strict=True)
    ]
    first = fitters[0]
    refined = refine(
        first.character, first.rig, sights, start, first.priors, settings,
        lambda done: progress(0.65 + 0.25 * done, "gradients"),
    )  # fmt: skip
    residuals |= {
        "weights": refined.weights,
        "curves": refined.curves,
        "iterations": refined.iterations,
        "explained": refined.explained,
        "frames_doubted": [{"frame": index, "explained": share} for index, share in refined.doubted.items()],
        "frames_partly_doubted": [{"frame": index, "explained": share} for index, share in refined.partly.items()],
    }
    return refined.rotations, refined.translations


def _synthesised(fitter: Fitter, progress: Callable[..., None]) -> tuple[np.ndarray, np.ndarray]:
    """Rotations [T, J, 6] and translations [T, J, 3] by analysis through synthesis."""
    poses = fitter.follow(lambda done: progress(0.05 + 0.4 * done, "frame by frame"))
    if len(poses) > 1:
        poses = fitter.together(poses, lambda done: progress(0.45 + 0.2 * done, "all frames"))
    rotations = np.stack([matrix_to_sixd(pose.rotations) for pose in poses]).astype(np.float32)
    return rotations, np.stack([pose.translations for pose in poses]).astype(np.float32)


def _planted(
    fitter: Fitter,
    views: Sequence[View],
    rotations: np.ndarray,
    translations: np.ndarray,
    residuals: dict[str, Any],
) -> tuple[np.ndarray, np.ndarray]:
    """The motion with planted feet held; which ones goes to ``residuals``."""
    from studio_pipeline.stages.lifted_motion.contact import find_contacts, hold_contacts
    from studio_pipeline.stages.lifted_motion.kinematics import Pose

    turns = sixd_to_matrix(rotations.astype(np.float64))
    poses = [Pose(turn, shift) for turn, shift in zip(turns, translations.astype(np.float64), strict=True)]
    vertices = np.stack([fitter.vertices_of(pose) for pose in poses])
    cameras = [view.camera for view in views]
    character, rig = fitter.character, fitter.rig
    contacts = find_contacts(character, rig, cameras, vertices)
    held, told = hold_contacts(character, rig, cameras, poses, fitter.seams, contacts)
    residuals["contacts"] = [
        {
            "joint": rig.names[contact.joint],
            "first": contact.first,
            "last": contact.last,
            "held": contact.held,
            "slide_before_mm": round(1e3 * contact.before_m, 2),
            "slide_after_mm": round(1e3 * contact.after_m, 2),
            "slide_before_percent": round(100.0 * contact.before_m / character.height_m, 3),
            "slide_after_percent": round(100.0 * contact.after_m / character.height_m, 3),
        }
        for contact in told
    ]
    if not any(contact.held for contact in told):
        return rotations, translations
    turned = np.stack([matrix_to_sixd(pose.rotations) for pose in held]).astype(np.float32)
    return turned, np.stack([pose.translations for pose in held]).astype(np.float32)


def _shown(fitter: Fitter, views: Sequence[View], motion: Motion, residuals: dict[str, Any]) -> LiftResult:
    """The motion with its pictures; adds what they differ by to ``residuals``."""
    transforms = skinning_transforms(fitter.rig, motion)
    vertices = pose_vertices(fitter.character.vertices, fitter.rig.weights, transforms)
    backgrounds = [frame.background for frame in fitter.frames]
    pictures = np.stack([fitter.appearance.render(v, i, backgrounds[i]).image for i, v in enumerate(vertices)])
    character, observations, clip = fitter.character, views[0].observations, views[0].clip
    visible = [_ids(character, view.camera, vertices) for view in views]
    frames = [measure(character, v.camera, v.observations, vertices, s) for v, s in zip(views, visible, strict=True)]
    residuals["frames"] = frames[0]
    residuals["views"] = [{"name": v.name, **f} for v, f in zip(views[1:], frames[1:], strict=True)]
    residuals["joints_unseen"] = _unseen(character, fitter.rig, visible)
    residuals["frames_unseen"] = [i for i, mask in enumerate(observations.masks > 127) if not mask.any()]
    residuals["rgb_error"] = _colour_error(pictures, clip, observations)
    return LiftResult(motion, residuals, pictures)


def _ids(character: Character, camera: CameraPath, vertices: np.ndarray) -> np.ndarray:
    from studio_pipeline.render.raster import rasterize

    return rasterize(vertices.astype(np.float32), character.faces, camera).face_ids


def _unseen(character: Character, rig: Rig, pictures: Sequence[np.ndarray]) -> list[str]:
    """Joints that carry skin of which no frame of any view (face ids [T, H, W]) shows anything."""
    faces = np.unique(np.concatenate([np.unique(ids) for ids in pictures]))
    seen = np.unique(character.faces[faces[faces >= 0]])
    carried = rig.weights > CARRIED
    lost = carried.any(0) & ~carried[seen].any(0)
    return [rig.names[joint] for joint in np.flatnonzero(lost)]


def _colour_error(pictures: np.ndarray, clip: Clip, observations: Observations) -> float:
    """Mean absolute difference on the character, 0..1."""
    inside = observations.masks > 127
    if not inside.any():
        return 0.0
    return round(float(np.abs(pictures[inside].astype(np.float32) - clip.frames[inside]).mean() / 255.0), 5)
