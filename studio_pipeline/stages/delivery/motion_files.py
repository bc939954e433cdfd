"""A rigged character with one motion as a GLB that a viewer plays, in the source file's own units."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio_pipeline import __version__
from studio_pipeline.geometry.skinning import delta_matrices
from studio_pipeline.schema.errors import InputError, StorageError
from studio_pipeline.schema.records import Character, Motion, Rig
from studio_pipeline.stages.delivery.glb_body import quaternions, skinned_body
from studio_pipeline.stages.delivery.gltf import GlbBuilder
from studio_pipeline.stages.delivery.rig_files import EXCHANGE_INFLUENCES
from studio_pipeline.stages.delivery.scene import RigScene

__all__ = ["write_motion_glb"]

_STILL = 1e-6  # a joint that moves by less has no channel


def write_motion_glb(character: Character, rig: Rig, motion: Motion, path: Path, *, name: str) -> None:
    """Write surface, skin, joints at rest and one animation called ``name``; joints that don't move get no channel.

    Raises:
        InputError: The motion is for another rig.
        StorageError: The file can't be written.
    """
    if motion.rotations.shape[1] != rig.joint_count:
        raise InputError(f"moves {motion.rotations.shape[1]} joints, the rig has {rig.joint_count}", where=name)
    scene = RigScene(character=character, rig=rig)
    extras = {"metres_per_unit": character.unit_scale, "rig": rig.backend, "fps": str(motion.fps), "motion": name}
    builder = GlbBuilder(f"studio_pipeline {__version__}", extras)
    joints, body = skinned_body(builder, scene, influences=EXCHANGE_INFLUENCES)
    times = (np.arange(motion.frame_count) / float(motion.fps)).astype(np.float32)
    clock = builder.accessor(times, bounds=True)
    deltas = delta_matrices(motion.rotations, motion.translations * scene.units_per_metre)
    local = scene.file_rest_local @ deltas
    samplers, channels = [], []
    moves = np.abs(motion.translations).max(axis=(0, 2)) > _STILL
    turns = np.abs(deltas[..., :3, :3] - np.eye(3)).max(axis=(0, 2, 3)) > _STILL
    turns[0] |= not (moves.any() or turns.any())  # an animation needs a channel
    for joint, node in enumerate(joints):
        for path_name, used, values in (
            ("translation", moves[joint], local[:, joint, :3, 3]),
            ("rotation", turns[joint], quaternions(local[:, joint, :3, :3])),
        ):
            if used:
                output = builder.accessor(values.astype(np.float32))
                samplers.append({"input": clock, "output": output, "interpolation": "LINEAR"})
                channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": path_name}})
    builder.add("animations", {"name": name, "samplers": samplers, "channels": channels})
    builder.document["scene"] = builder.add("scenes", {"name": character.name, "nodes": [joints[0], body]})
    fresh = path.with_name(f".{path.name}.part")
    try:
        builder.write(fresh)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StorageError(f"{path} can't be written ({error.strerror})", do="free space, then run again") from error
