"""Limbs that were lost: try turns that the slope of the residuals does not point to, keep what explains the frame."""

from __future__ import annotations

import cv2
import numpy as np

from studio_pipeline.geometry.skinning import pose_vertices
from studio_pipeline.stages.lifted_motion.appearance import Appearance
from studio_pipeline.stages.lifted_motion.kinematics import Pose, Skeleton

__all__ = ["Probe", "best_turn", "limb_joints", "turned"]

SIDE = 128  # pictures are compared at about this many rows
TURNS = (-1.2, -0.7, -0.35, 0.35, 0.7, 1.2)  # [rad]


def limb_joints(skeleton: Skeleton, weights: np.ndarray, most: int = 12) -> list[int]:
    """Joints that carry a part of the body worth finding again, larger parts first.

    weights [V, J]; a part is 1 to 35 % of the vertices, and less than its parent's part by some.
    """
    own = np.asarray(weights).sum(0) / len(weights)
    part = skeleton.below @ own
    chosen = []
    for joint in np.argsort(-part, kind="stable"):
        parent = skeleton.parents[joint]
        if parent < 0 or not 0.01 <= part[joint] <= 0.35:
            continue
        if part[joint] < 0.95 * part[parent] or not 0.01 <= part[parent] <= 0.35:
            chosen.append(int(joint))
    return chosen[:most]


def turned(skeleton: Skeleton, pose: Pose, joint: int, axis: np.ndarray, angle: float) -> Pose:
    """The pose with one joint turned about a world axis [3] by an angle [rad]."""
    world, _ = skeleton.posed(pose)
    step = np.zeros((2, skeleton.count, 3))
    step[0, joint] = world[joint, :3, :3].T @ axis * angle
    return pose.moved(step.ravel())


class Probe:
    """Says how badly a pose explains a frame, on small pictures."""

    def __init__(self, appearance: Appearance, masks: np.ndarray, images: np.ndarray, backgrounds: list[np.ndarray]):
        """Args: masks [T, H, W] uint8, images [T, H, W, 3] uint8 and backgrounds [H, W, 3] of the clip."""
        height, width = masks.shape[1:]
        shrink = max(1, round(min(height, width) / SIDE))
        size = width // shrink, height // shrink
        self.appearance = appearance.at_size(*size)
        self.masks = [cv2.resize(mask, size, interpolation=cv2.INTER_AREA) / 255.0 for mask in masks]
        self.images = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
        self.backgrounds = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in backgrounds]

    def cost(self, vertices: np.ndarray, frame: int) -> tuple[float, float]:
        """Mismatch of silhouette and colour, and the unexplained part of the mask, both per mask area."""
        seen = self.appearance.render(vertices, frame, self.backgrounds[frame])
        mask = self.masks[frame]
        area = max(float(mask.sum()), 1.0)
        colour = np.abs(seen.image.astype(np.float32) - self.images[frame]).mean(-1) / 255.0
        inside = np.maximum(mask, seen.coverage)
        mismatch = np.abs(mask - seen.coverage).sum() + 2.0 * (np.minimum(colour, 0.3) * inside).sum()
        return float(mismatch / area), float(np.maximum(mask - seen.coverage, 0.0).sum() / area)


def best_turn(
    probe: Probe, skeleton: Skeleton, rest: np.ndarray, weights: np.ndarray, pose: Pose, frame: int, axis: np.ndarray
) -> tuple[Pose, float]:
    """The turn of one limb about the view axis [3] that explains the frame best, and its cost."""
    best, least = pose, np.inf
    for joint in limb_joints(skeleton, weights):
        for angle in TURNS:
            tried = turned(skeleton, pose, joint, axis, angle)
            cost, _ = probe.cost(pose_vertices(rest, weights, skeleton.transforms(tried)[None])[0], frame)
            if cost < least:
                best, least = tried, cost
    return best, least
