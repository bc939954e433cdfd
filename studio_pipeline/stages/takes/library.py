"""Performances from the asset library: a BVH motion, retargeted on bodies with two legs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.spatial.transform import Rotation

from studio_pipeline.geometry.bvh import read_bvh
from studio_pipeline.geometry.retarget import retarget
from studio_pipeline.geometry.rotations import axis_angle_to_matrix, matrix_to_sixd, sixd_to_matrix
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Motion, Rig
from studio_pipeline.stages.takes.posing import EASE_FRAMES, held

__all__ = ["AIRBORNE", "library_motion"]

AIRBORNE = ("jump", "run", "hop")
"""Performances whose feet leave the ground together."""


def library_motion(
    name: str, rig: Rig, vertices: np.ndarray, *, fps: Fraction, frame_count: int, first_frame: int, hold: int = 1
) -> Motion | None:
    """The library's motion ``name`` on a rig, eased out of the rest pose; None where it cannot be played.

    Args:
        name: Of ``motions/<name>.bvh``.
        rig: Any; only bodies on two legs can play a motion of the library.
        vertices: Rest surface [V, 3] m.
        fps: Frames a second.
        frame_count: Number of frames T; a motion that is no loop must be as long.
        first_frame: Frame number of index 0.
        hold: Frames that a pose is held.
    """
    path = assets_folder() / "motions" / f"{name}.bvh"
    if not path.is_file():
        return None
    options = {"fps": fps, "frames": frame_count, "in_place": True, "first_frame": first_frame}
    try:
        made = retarget(rig, vertices, read_bvh(path), **options).motion
    except InputError:
        return None
    ease = np.clip(np.arange(frame_count) / (EASE_FRAMES + 1.0), 0.0, 1.0)
    ease = ease * ease * (3.0 - 2.0 * ease)
    turns = sixd_to_matrix(made.rotations.astype(np.float64))
    vectors = Rotation.from_matrix(turns.reshape(-1, 3, 3)).as_rotvec().reshape(*turns.shape[:2], 3)
    turns = axis_angle_to_matrix(vectors * ease[:, None, None])
    moves = made.translations.astype(np.float64) * ease[:, None, None]
    shown = held(frame_count, hold)
    motion = Motion(
        rotations=matrix_to_sixd(turns[shown]).astype(np.float32), translations=moves[shown].astype(np.float32),
        fps=fps, first_frame=first_frame,
    )  # fmt: skip
    posed = pose_vertices(vertices, rig.weights, skinning_transforms(rig, motion))
    lift = float(vertices[:, 1].min()) - posed[..., 1].min(1).astype(np.float64)
    lift = np.maximum(lift, 0.0) if name in AIRBORNE else lift
    lift[0] = 0.0
    up = rig.rest_world[0, :3, :3].T @ np.array([0.0, 1.0, 0.0])
    motion.translations[:, 0] += (lift[:, None] * up).astype(np.float32)
    return motion
