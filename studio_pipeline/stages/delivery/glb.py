"""The two GLB files of a shot: joints on a skin, and the refined surface as morph targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline import __version__
from studio_pipeline.stages.delivery.glb_body import free_name, placement, quaternions, skinned_body, surface_primitive
from studio_pipeline.stages.delivery.gltf import ARRAY_BUFFER, GlbBuilder
from studio_pipeline.stages.delivery.normals import moving_normals, unit_normals
from studio_pipeline.stages.delivery.scene import DeliveryScene

__all__ = ["GLB_INFLUENCES", "morph_indices", "write_refined_glb", "write_skinned_glb"]

GLB_INFLUENCES = 4  # many viewers read only the first set of joints and weights


def write_skinned_glb(scene: DeliveryScene, path: Path) -> None:
    """Write the joints' motion: skin, translation and rotation of every joint at every frame, shot camera."""
    builder = _start(scene, "skinned")
    joint_nodes, body = skinned_body(builder, scene, influences=GLB_INFLUENCES)
    animation = _Animation(builder, scene.times)
    for joint, node in enumerate(joint_nodes):
        animation.place(node, scene.file_joint_local[:, joint])
    camera = _camera(builder, scene, animation)
    _finish(builder, scene, animation, [joint_nodes[0], body, camera], path)


def write_refined_glb(scene: DeliveryScene, path: Path, *, limit: int) -> None:
    """Write the refined surface: one morph target (positions and normals) for each of `morph_indices`' frames.

    The mesh itself is the rest pose. At the time of a kept frame its target alone weighs one; between two of them
    the weights, and so the points, go straight from one to the other.
    """
    builder = _start(scene, "refined")
    kept = morph_indices(scene.frame_count, limit)
    primitive = surface_primitive(builder, scene)
    base, base_normals = scene.file_vertices, unit_normals(scene.character.normals)
    normals = moving_normals(scene.character, scene.cache.points[kept])
    primitive["targets"] = [
        {
            "POSITION": builder.accessor(scene.file_points[index] - base, target=ARRAY_BUFFER, bounds=True),
            "NORMAL": builder.accessor(normals[row] - base_normals, target=ARRAY_BUFFER),
        }
        for row, index in enumerate(kept)
    ]
    names = [f"frame_{scene.first_frame + int(index):04d}" for index in kept]
    mesh = builder.add(
        "meshes", {"name": scene.character.name, "primitives": [primitive], "extras": {"targetNames": names}}
    )
    body = builder.add("nodes", {"name": "Body", "mesh": mesh})
    animation = _Animation(builder, scene.times[kept])
    animation.channel(body, "weights", np.eye(len(kept), dtype=np.float32).reshape(-1))
    moving = _Animation(builder, scene.times, animation)
    camera = _camera(builder, scene, moving)
    _finish(builder, scene, animation, [body, camera], path)


def morph_indices(frame_count: int, limit: int) -> np.ndarray:
    """The frames that become morph targets: all, or evenly spaced ones with the last when there are over ``limit``."""
    if frame_count <= limit:
        return np.arange(frame_count)
    step = -(-(frame_count - 1) // (limit - 1))
    return np.unique(np.append(np.arange(0, frame_count, step), frame_count - 1))


class _Animation:
    """Channels over one list of times; a second list of times may add to the same animation (``into``)."""

    def __init__(self, builder: GlbBuilder, times: np.ndarray, into: _Animation | None = None) -> None:
        self._builder, self._times, self._input = builder, times, -1
        self.samplers: list[dict[str, Any]] = into.samplers if into else []
        self.channels: list[dict[str, Any]] = into.channels if into else []

    def channel(self, node: int, path: str, values: np.ndarray) -> None:
        if self._input < 0:
            self._input = self._builder.accessor(self._times, bounds=True)
        output = self._builder.accessor(values.astype(np.float32))
        self.samplers.append({"input": self._input, "output": output, "interpolation": "LINEAR"})
        self.channels.append({"sampler": len(self.samplers) - 1, "target": {"node": node, "path": path}})

    def place(self, node: int, matrices: np.ndarray) -> None:
        """Translation and rotation of ``node`` from rigid matrices [T, 4, 4]."""
        self.channel(node, "translation", matrices[:, :3, 3])
        self.channel(node, "rotation", quaternions(matrices[:, :3, :3]))


def _start(scene: DeliveryScene, motion: str) -> GlbBuilder:
    return GlbBuilder(
        f"studio_pipeline {__version__}",
        {
            "shot": scene.shot_id,
            "motion": motion,
            "fps": str(scene.fps),
            "first_frame": scene.first_frame,
            "last_frame": scene.last_frame,
            "handles": scene.handles,
            "metres_per_unit": scene.character.unit_scale,
        },
    )


def _finish(builder: GlbBuilder, scene: DeliveryScene, animation: _Animation, roots: list[int], path: Path) -> None:
    builder.add("animations", {"name": scene.shot_id, "samplers": animation.samplers, "channels": animation.channels})
    builder.document["scene"] = builder.add("scenes", {"name": scene.shot_id, "nodes": roots})
    builder.write(path)


def _camera(builder: GlbBuilder, scene: DeliveryScene, animation: _Animation) -> int:
    # Core glTF has no animated lens: a zoom keeps the first frame's here and is complete in the USD.
    camera, (near, far) = scene.camera, scene.file_clipping
    lens = {
        "aspectRatio": camera.width / camera.height,
        "yfov": float(2.0 * np.arctan(camera.height / 2.0 / camera.focal[0])),
        "znear": near,
        "zfar": far,
    }
    index = builder.add("cameras", {"name": "shot_camera", "type": "perspective", "perspective": lens})
    entry = {"name": free_name(scene, "shot_camera"), "camera": index, **placement(scene.file_camera[0])}
    node = builder.add("nodes", entry)
    if scene.camera_moves:
        animation.place(node, scene.file_camera)
    return node
