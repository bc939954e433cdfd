"""What a moving surface and the solid under it are worth, with or without physics."""

from __future__ import annotations

from typing import Any

import numpy as np

from studio_pipeline.evaluation.pictures import ssim, union_box
from studio_pipeline.evaluation.plates import Plate, draw
from studio_pipeline.evaluation.scores import FIRST, Judge
from studio_pipeline.evaluation.surfaces import to_srgb
from studio_pipeline.geometry.tetmesh import tet_volumes
from studio_pipeline.physics.intersections import SelfIntersections
from studio_pipeline.schema.records import Character, Solid

__all__ = ["CLIP_VIEW", "ImageFit", "jerk_percent", "new_intersections", "surface_volume", "volume_figures"]

CLIP_VIEW = "clip"  # the view that the lift saw; beside `scores.VIEWS`


def jerk_percent(points: np.ndarray, areas: np.ndarray, diagonal: float) -> float:
    """Mean length of the third differences over time from index `FIRST` on, in percent of the diagonal a frame cubed.

    Args:
        points: Surface over time [m]. [T, V, 3]
        areas: Share of the surface that each vertex stands for. [V]
        diagonal: Of the rest box [m].
    """
    third = np.linalg.norm(np.diff(points[FIRST:].astype(np.float64), n=3, axis=0), axis=-1)
    return 100.0 * float((third @ areas).mean()) / diagonal if len(third) else 0.0


def volume_figures(solid: Solid, positions: np.ndarray) -> dict[str, float | int]:
    """Volume of a solid and of its tetrahedra against the rest.

    Args:
        solid: At rest.
        positions: Its vertices over time [m]. [T, P, 3]

    Returns:
        ``volume_worst_percent`` and ``volume_mean_percent`` (change of the whole, of all frames),
        ``flesh_percent`` (mean change of a tetrahedron, either way, weighted by rest volume), ``min_det_f``,
        ``inverted`` (tetrahedra, worst frame).
    """
    rest = tet_volumes(solid.vertices, solid.tets)
    now = np.stack([tet_volumes(x, solid.tets) for x in positions])
    change = 100.0 * np.abs(now.sum(1) / rest.sum() - 1.0)
    return {
        "volume_worst_percent": float(change.max()),
        "volume_mean_percent": float(change.mean()),
        "flesh_percent": 100.0 * float(np.abs(now - rest).sum(1).mean() / rest.sum()),
        "min_det_f": float((now / rest).min()),
        "inverted": int((now <= 0.0).sum(1).max()),
    }


def surface_volume(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Volume inside a closed surface, [T, V, 3] -> [T] [m^3]; where it passes through itself it counts as wound."""
    a, b, c = (points[:, faces[:, k]].astype(np.float64) for k in range(3))
    return np.einsum("tfa,tfa->t", a, np.cross(b, c)) / 6.0


def new_intersections(character: Character, points: np.ndarray) -> dict[str, float | int]:
    """Crossing pairs of triangles over the rest pose's: ``worst_pairs`` and ``mean_pairs`` of all frames [T, V, 3]."""
    counter = SelfIntersections(character.vertices, character.faces)
    rest = counter.count(character.vertices)
    more = [max(counter.count(frame) - rest, 0) for frame in points]
    return {"worst_pairs": max(more), "mean_pairs": float(np.mean(more))}


class ImageFit:
    """A filmed clip, ready to say how well a surface fits it: at the clip's view and at 45 degrees to both sides."""

    def __init__(self, judge: Judge, plate: Plate) -> None:
        """Args:
        judge: The truth and its novel views.
        plate: The clip, the reference of its own view.
        """
        self.judge = judge
        self.cameras = {CLIP_VIEW: judge.camera, **judge.views}
        self.references = {CLIP_VIEW: (plate.clip.frames[FIRST:], plate.masks[FIRST:]), **judge.pictures}

    def render(self, view: str, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A view of the indices from `FIRST` on [T, V, 3]: frames [T', H, W, 3] uint8 and silhouettes [T', H, W]."""
        shots = [
            draw(self.judge.surface, posed, self.cameras[view], t, self.judge.stage)
            for t, posed in enumerate(points[FIRST:])
        ]
        return np.stack([to_srgb(shot.linear) for shot in shots]), np.stack([shot.mask for shot in shots])

    def measure(self, points: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        """Mean ``iou`` and ``ssim`` by view of a surface [T, V, 3], and the pictures at the clip's view."""
        figures: dict[str, Any] = {}
        kept = np.zeros(0)
        for view, (true, silhouettes) in self.references.items():
            frames, masks = self.render(view, points)
            union = np.maximum((masks | silhouettes).sum((1, 2)), 1)
            alike = []
            for a, b, first, second in zip(true, frames, silhouettes, masks, strict=True):
                box = union_box(first, second)
                alike.append(ssim(a[box], b[box]))
            iou = (masks & silhouettes).sum((1, 2)) / union
            figures[view] = {"iou": float(iou.mean()), "iou_min": float(iou.min()), "ssim": float(np.mean(alike))}
            if view == CLIP_VIEW:
                kept = frames
        return figures, kept
