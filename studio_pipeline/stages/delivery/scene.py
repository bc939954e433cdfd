"""What is delivered, gathered and brought to the file's own scale once for all writers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from studio_pipeline.geometry.cameras import project
from studio_pipeline.geometry.skinning import delta_matrices, rest_local
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Motion, PointCache, Rig

__all__ = ["DeliveryScene", "RigScene", "strongest_influences"]


@dataclass(frozen=True, kw_only=True)
class RigScene:
    """A character and its rig at rest. Records are in metres; ``file_*`` members in the file's own unit."""

    character: Character
    rig: Rig

    @property
    def units_per_metre(self) -> float:
        """What metres are multiplied by to give the source file's own scale."""
        return 1.0 / self.character.unit_scale

    @cached_property
    def file_vertices(self) -> np.ndarray:
        """Rest surface. [V, 3] float32, file units"""
        return (self.character.vertices.astype(np.float64) * self.units_per_metre).astype(np.float32)

    @cached_property
    def file_rest_world(self) -> np.ndarray:
        """Rest joints in the world. [J, 4, 4] float64, file units"""
        return self._scaled(self.rig.rest_world)

    @cached_property
    def file_rest_local(self) -> np.ndarray:
        """Rest joints in their parents' frames. [J, 4, 4] float64, file units"""
        return self._scaled(rest_local(self.rig.parents, self.rig.rest_world))

    def _scaled(self, matrices: np.ndarray) -> np.ndarray:
        scaled = np.array(matrices, dtype=np.float64)
        scaled[..., :3, 3] *= self.units_per_metre
        return scaled


@dataclass(frozen=True, kw_only=True)
class DeliveryScene(RigScene):
    """One shot's character, motion and camera."""

    shot_id: str
    fps: Fraction
    frames: tuple[int, int]  # first and last frame number of the cut, both included
    handles: int  # frames before and after the cut that are delivered too
    camera: CameraPath  # one frame, or one per frame of the motion
    motion: Motion
    cache: PointCache

    def __post_init__(self) -> None:
        vertices, count = len(self.character.vertices), self.frame_count
        facts = {
            "the lifted motion's frames": (self.motion.frame_count, count),
            "the refined motion's frames": (self.cache.frame_count, count),
            "the lifted motion's joints": (self.motion.rotations.shape[1], self.rig.joint_count),
            "the rig's weighted vertices": (len(self.rig.weights), vertices),
            "the refined motion's vertices": (self.cache.points.shape[1], vertices),
            "the lifted motion's first frame": (self.motion.first_frame, self.first_frame),
            "the refined motion's first frame": (self.cache.first_frame, self.first_frame),
        }
        if self.camera.frame_count != 1:
            facts["the camera's frames"] = (self.camera.frame_count, count)
        for what, (found, expected) in facts.items():
            if found != expected:
                raise InputError(f"{what}: {found}, expected {expected}", where=f"delivery of {self.shot_id}")

    @property
    def first_frame(self) -> int:
        """Frame number of index 0, handles included."""
        return self.frames[0] - self.handles

    @property
    def last_frame(self) -> int:
        """Frame number of the last index, handles included."""
        return self.frames[1] + self.handles

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return self.last_frame - self.first_frame + 1

    @cached_property
    def times(self) -> np.ndarray:
        """Time of each index from zero [s]. [T] float32"""
        return (np.arange(self.frame_count) / float(self.fps)).astype(np.float32)

    @cached_property
    def file_points(self) -> np.ndarray:
        """Refined surface. [T, V, 3] float32, file units"""
        return (self.cache.points.astype(np.float64) * self.units_per_metre).astype(np.float32)

    @cached_property
    def file_joint_local(self) -> np.ndarray:
        """Posed joints in their parents' frames. [T, J, 4, 4] float64, file units"""
        deltas = delta_matrices(self.motion.rotations, self.motion.translations)
        return self._scaled(rest_local(self.rig.parents, self.rig.rest_world) @ deltas)

    @cached_property
    def camera_moves(self) -> bool:
        """Whether the camera's place or direction changes."""
        first = self.camera.world_to_camera[:1]
        return bool(np.abs(self.camera.world_to_camera - first).max() > 1e-9)

    @cached_property
    def camera_zooms(self) -> bool:
        """Whether the camera's focal length changes."""
        return bool(np.ptp(self.camera.focal) > 1e-9 * self.camera.focal[0])

    @cached_property
    def file_camera(self) -> np.ndarray:
        """Camera-to-world transforms: one when the camera stands still, else one per frame. [1 or T, 4, 4]"""
        view = self.camera.world_to_camera if self.camera_moves else self.camera.world_to_camera[:1]
        rotation = np.swapaxes(view[:, :3, :3], 1, 2)
        place = np.tile(np.eye(4), (len(view), 1, 1))
        place[:, :3, :3] = rotation
        place[:, :3, 3] = -np.einsum("tab,tb->ta", rotation, view[:, :3, 3])
        return self._scaled(place)

    @cached_property
    def file_clipping(self) -> tuple[float, float]:
        """Near and far planes that hold the refined character with room to spare, file units."""
        camera = self.camera
        if camera.frame_count == 1:
            camera = camera.at(np.zeros(self.frame_count, dtype=int))
        box = np.stack([self.cache.points.min(1), self.cache.points.max(1)], axis=1)  # [T, 2, 3]
        corners = box[:, [[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], [0, 1, 2]]
        _, depth = project(camera, corners)
        far = 4.0 * max(float(depth.max()), self.character.diagonal)
        near = min(max(0.25 * float(depth.min()), 1e-3 * self.character.diagonal), 0.1 * far)
        return near * self.units_per_metre, far * self.units_per_metre


def strongest_influences(weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` strongest joints of each vertex and their renormalised weights.

    Args:
        weights: [V, J] float, rows sum to one.
        count: Influences kept; padded with joint 0 and weight 0 where a vertex has fewer.

    Returns:
        joints [V, count] int32 and weights [V, count] float64 with rows that sum to one, strongest first.
    """
    kept = min(count, weights.shape[1])
    order = np.argsort(-weights, axis=1, kind="stable")[:, :kept]
    values = np.take_along_axis(weights.astype(np.float64), order, axis=1)
    joints = np.where(values > 0.0, order, 0).astype(np.int32)
    values /= values.sum(1, keepdims=True)
    # What float32 would drop must not stay as a joint without a weight.
    values = np.where(values < 1e-7, 0.0, values)
    joints = np.where(values > 0.0, joints, 0).astype(np.int32)
    values /= values.sum(1, keepdims=True)
    padding = ((0, 0), (0, count - kept))
    return np.pad(joints, padding), np.pad(values, padding)
