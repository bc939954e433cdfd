"""Scores of a lift against the truth: indices `FIRST` and later only, all vertices, seen or not.

Silhouettes and novel views are ray cast (`evaluation.plates`), for truth and guess alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from studio_pipeline.evaluation.framing import AZIMUTH, motion_camera
from studio_pipeline.evaluation.pictures import compare
from studio_pipeline.evaluation.plates import Set, draw
from studio_pipeline.evaluation.rays import camera_points, silhouettes
from studio_pipeline.evaluation.surfaces import Surface, to_srgb
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Observations

__all__ = ["FIRST", "VIEWS", "Judge", "foot_slide", "in_plane", "projected", "track_errors", "vertex_areas"]

FIRST = 7  # indices before it ease into the clip
VIEWS = {"plus45": np.radians(45.0), "minus45": np.radians(-45.0)}  # turned from the clip's camera
DIVERGED_PERCENT, DIVERGED_IOU = 5.0, 0.8  # a frame beyond either makes the lift diverged
PLANTED_HEIGHT = 0.02  # a contact vertex lies this near the ground, of the diagonal
PLANTED_STEP = 0.0005  # and moves less than this in a frame, of the diagonal
PLANTED_RUN = 3  # for as many steps at least


def vertex_areas(character: Character) -> np.ndarray:
    """Share of the rest surface's area that each vertex stands for. [V], sums to one"""
    corners = character.vertices[character.faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    total = np.bincount(character.faces.ravel(), np.repeat(area, 3), len(character.vertices))
    return total / total.sum()


def in_plane(camera: CameraPath, truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Length of the error's component in the image plane, the camera's x and y. [T, V, 3] twice -> [T, V] m"""
    axes = camera.world_to_camera[:, :2, :3]
    return np.linalg.norm(np.einsum("tab,tvb->tva", axes, guess.astype(np.float64) - truth), axis=-1)


def projected(camera: CameraPath, truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Distance of the two projections, at the true vertex's distance. [T, V, 3] twice -> [T, V] m

    Unlike `in_plane` it is blind to an error along the line of sight off the picture's centre.
    """
    gaps = []
    for frame, (a, b) in enumerate(zip(truth, guess, strict=True)):
        first, second = camera_points(camera, frame, a), camera_points(camera, frame, b)
        scaled = second[:, :2] * (first[:, 2:] / np.minimum(second[:, 2:], -1e-6))
        gaps.append(np.linalg.norm(scaled - first[:, :2], axis=1))
    return np.stack(gaps)


def track_errors(
    camera: CameraPath, character: Character, observations: Observations, truth: np.ndarray, guess: np.ndarray | None
) -> dict[str, float | None]:
    """How far tracked surface points lie from their true place [px], where the tracks say they are seen.

    Args:
        camera: The clip's.
        character: Whose faces carry the tracks.
        observations: Tracks bound to faces; late ones are left out.
        truth: [T, V, 3]
        guess: The lift, or None.

    Returns:
        ``observed``: mean error of the tracks themselves; ``lifted``: of the lifted surface at the same points.
    """
    seen = observations.visibility[FIRST:]
    if not seen.any():
        return {"observed": None, "lifted": None}

    def pixels(vertices: np.ndarray) -> np.ndarray:
        carried = (
            vertices[FIRST:, character.faces[observations.track_faces]] * observations.track_barycentrics[..., None]
        )
        places = []
        for frame, points in enumerate(carried.sum(2), FIRST):
            own = camera_points(camera, frame, points)
            plane = own[:, :2] / -own[:, 2:] * camera.focal[frame]
            places.append(plane * (1.0, -1.0) + (camera.width / 2.0, camera.height / 2.0))
        return np.stack(places)

    true = pixels(truth)
    gap = np.linalg.norm(observations.tracks[FIRST:] - true, axis=-1)[seen]
    lifted = None if guess is None else float(np.linalg.norm(pixels(guess) - true, axis=-1)[seen].mean())
    return {"observed": float(gap.mean()), "lifted": lifted}


def foot_slide(truth: np.ndarray, guess: np.ndarray, diagonal: float) -> dict[str, float | None]:
    """Horizontal steps of the vertices that are truly planted, in percent of the diagonal a frame.

    A vertex is planted between two frames when it is near the lowest point that the motion reaches and hardly moves.
    Clips that walk on the spot have no planted feet: None.

    Args:
        truth: [T, V, 3] [m], Y up
        guess: The same.
        diagonal: Of the rest box [m].

    Returns:
        Mean of the ``lift``, of the ``truth``, and how many vertex steps were ``planted``.
    """
    low = truth[..., 1] < float(truth[..., 1].min()) + PLANTED_HEIGHT * diagonal
    steps = np.linalg.norm(np.diff(truth.astype(np.float64), axis=0), axis=-1)
    quiet = low[:-1] & low[1:] & (steps < PLANTED_STEP * diagonal)
    planted = np.zeros_like(quiet)
    for run in range(PLANTED_RUN):  # only what stays for a while: a swinging tip rests for one frame at its turn
        end = len(quiet) - PLANTED_RUN + 1
        planted[run : run + end] |= np.all([quiet[k : k + end] for k in range(PLANTED_RUN)], axis=0)
    count = int(planted.sum())
    if not count:
        return {"lift": None, "truth": None, "planted": 0}
    across = [np.linalg.norm(np.diff(v[..., ::2].astype(np.float64), axis=0), axis=-1)[planted] for v in (guess, truth)]
    lift, true = (100.0 * float(step.mean()) / diagonal for step in across)
    return {"lift": lift, "truth": true, "planted": count}


class Judge:
    """The truth of one case, ready to score guesses of it."""

    def __init__(
        self,
        character: Character,
        camera: CameraPath,
        truth: np.ndarray,
        stage: Set,
        *,
        azimuth: float = float(AZIMUTH),
        lpips: Callable[[np.ndarray, np.ndarray], float] | None = None,
    ) -> None:
        """Args:
        character: Who moves.
        camera: The clip's.
        truth: True vertices. [T, V, 3] [m]
        stage: Lights and backdrop of the plate, used for the novel views too.
        azimuth: The clip camera's [rad].
        lpips: See `pictures.compare`.
        """
        if len(truth) <= FIRST:
            raise InputError(f"{len(truth)} frames: scores begin at index {FIRST}", do="evaluate more frames")
        self.character, self.stage, self.lpips = character, stage, lpips
        self.surface = Surface(character)
        self.areas = vertex_areas(character)
        self.camera = camera.at(slice(FIRST, None))
        self.truth = truth[FIRST:]
        self.masks = silhouettes(self.truth, character.faces, self.camera)
        size = camera.height
        self.views = {
            name: motion_camera(self.truth, size=size, azimuth=azimuth + turn) for name, turn in VIEWS.items()
        }
        self.pictures = {name: self.render(name, self.truth) for name in self.views}

    def render(self, view: str, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A novel view of vertices [T, V, 3]: frames [T, H, W, 3] uint8 and silhouettes [T, H, W]."""
        frames = [draw(self.surface, v, self.views[view], t, self.stage) for t, v in enumerate(vertices)]
        return np.stack([to_srgb(frame.linear) for frame in frames]), np.stack([frame.mask for frame in frames])

    def score(self, guess: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Figures of guessed vertices of all frames [T, V, 3], and the novel views they are made from.

        Returns:
            ``iou_mean``, ``iou_min``, ``in_plane_percent``, ``in_plane_worst_percent`` (worst frame),
            ``projected_percent``, ``spatial_percent``, ``plus45`` and ``minus45`` (see `pictures.compare`) and their
            means, ``foot_slide``, ``diverged``; the pictures by view. Percent are of the rest box's diagonal.
        """
        if not np.isfinite(guess).all():
            raise InputError("the lift's vertices are not finite")
        guess = guess[FIRST:]
        masks = silhouettes(guess, self.character.faces, self.camera)
        union = np.maximum((masks | self.masks).sum((1, 2)), 1)
        iou = (masks & self.masks).sum((1, 2)) / union
        percent = 100.0 / self.character.diagonal
        flat = in_plane(self.camera, self.truth, guess) @ self.areas * percent
        figures: dict[str, Any] = {
            "iou_mean": float(iou.mean()),
            "iou_min": float(iou.min()),
            "in_plane_percent": float(flat.mean()),
            "in_plane_worst_percent": float(flat.max()),
            "projected_percent": float((projected(self.camera, self.truth, guess) @ self.areas).mean() * percent),
            "spatial_percent": float(
                (np.linalg.norm(guess.astype(np.float64) - self.truth, axis=-1) @ self.areas).mean() * percent
            ),
        }
        pictures = {}
        for view in self.views:
            pictures[view], shown = self.render(view, guess)
            true, silhouette = self.pictures[view]
            figures[view] = compare(true, pictures[view], (silhouette, shown), self.lpips)
        figures |= _means(figures)
        figures["foot_slide"] = foot_slide(self.truth, guess, self.character.diagonal)
        figures["diverged"] = bool((flat > DIVERGED_PERCENT).any() or (iou < DIVERGED_IOU).any())
        return figures, pictures


def _means(figures: Mapping[str, Any]) -> dict[str, float]:
    """Means over the novel views."""
    first, second = (figures[view] for view in VIEWS)
    return {name: (first[name] + second[name]) / 2.0 for name in first}
