"""A BVH motion on another biped: roles of joints, aligned rest poses, hips by leg length, feet held on the ground.

The result is a `Motion` on the target's rig: rotations of its joints, the translation of its body, and of feet that
hang on the root of an IK rig.
"""

from studio_pipeline.geometry.retarget.retarget import Retargeted, retarget
from studio_pipeline.geometry.retarget.source import motion_fps

__all__ = ["Retargeted", "motion_fps", "retarget"]
