"""Curves over a shot's frames that tell where the lift and the refinement went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.rotations import sixd_to_matrix
from studio_pipeline.stages.review.material import Material

__all__ = ["Measures", "measure", "silhouette_iou"]


@dataclass(frozen=True)
class Measures:
    """One value a frame."""

    iou_lift: np.ndarray  # [T] silhouette of the lift against the observed mask
    iou_refined: np.ndarray  # [T]
    displacement_mean: np.ndarray  # [T] distance of the refined from the lifted surface [m]
    displacement_max: np.ndarray  # [T]
    joint_speed: np.ndarray  # [T] fastest joint's turn since the frame before [deg]


def measure(material: Material) -> Measures:
    """All curves of a shot."""
    distance = np.linalg.norm(material.cache.points - material.lifted, axis=2)
    turns = sixd_to_matrix(material.motion.rotations)
    between = np.einsum("tjab,tjac->tjbc", turns[:-1], turns[1:])
    cosine = np.clip((np.trace(between, axis1=2, axis2=3) - 1.0) / 2.0, -1.0, 1.0)
    speed = np.degrees(np.arccos(cosine)).max(axis=1)
    return Measures(
        iou_lift=_ious(material, material.lifted),
        iou_refined=_ious(material, material.cache.points),
        displacement_mean=distance.mean(1),
        displacement_max=distance.max(1),
        joint_speed=np.concatenate([[0.0], speed]),
    )


def silhouette_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boolean masks [T, H, W] frame by frame; 1 where both are empty. [T]"""
    both = (a & b).sum(axis=(1, 2))
    either = (a | b).sum(axis=(1, 2))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def _ious(material: Material, points: np.ndarray) -> np.ndarray:
    from studio_pipeline.render.raster import rasterize

    result = []
    for part in material.parts():
        seen = rasterize(points[part], material.character.faces, material.camera.at(part)).face_ids >= 0
        result.append(silhouette_iou(seen, material.observations.masks[part] >= 128))
    return np.concatenate(result)
