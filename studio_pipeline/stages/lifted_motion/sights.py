"""What a camera saw, made ready for the gradients' loss, for whoever compares vertices with a clip."""

from __future__ import annotations

import numpy as np

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations
from studio_pipeline.stages.lifted_motion.appearance import Appearance
from studio_pipeline.stages.lifted_motion.footage import background_of
from studio_pipeline.stages.lifted_motion.losses import Sight

__all__ = ["sight_of"]


def sight_of(character: Character, camera: CameraPath, clip: Clip, observations: Observations) -> Sight:
    """Light read off index 0, which shows the rest pose, and what lies behind the character in every frame."""
    masks = observations.masks
    return Sight(
        camera=camera,
        clip=clip,
        observations=observations,
        backgrounds=np.stack([background_of(frame, mask) for frame, mask in zip(clip.frames, masks, strict=True)]),
        light=Appearance(character, camera, clip.frames[0], masks[0] > 127).light,
    )
