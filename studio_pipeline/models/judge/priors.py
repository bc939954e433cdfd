"""Strong cheap priors: maps of what a collapse upsets, frame by frame, from flow and from patches seen before.

A drawing that is only moved, turned, squashed or hidden can be found again: in the frame before, in the frame after, in
the first frame. A collapsed one can't.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from studio_pipeline.media.flow import DenseFlow
from studio_pipeline.models.judge.footage import Footage

__all__ = [
    "Flows", "Patches", "fetched", "flows_of", "novelty", "patch_map", "patches_of", "strain", "warp_errors",
]  # fmt: skip

_PATCH = 7  # side of a patch [px] at half the judge's size
_STEP = 2  # pixels between patches
_FARTHEST = 3  # frames between two that are compared
_TURNS = (-50, -25, 0, 25, 50)  # degrees by which the first frame is turned


@dataclass(frozen=True)
class Flows:
    """Optical flow between neighbours, in pixels (x, y)."""

    back: np.ndarray  # where a pixel of frame t + 1 was in frame t. [T - 1, H, W, 2] float32
    ahead: np.ndarray  # where a pixel of frame t goes in frame t + 1. [T - 1, H, W, 2] float32


def flows_of(frames: np.ndarray) -> Flows:
    """Dense flow both ways (DIS, Kroeger et al. 2016) of frames [T, H, W, 3] uint8."""
    import cv2

    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    finder = DenseFlow()
    pairs = list(itertools.pairwise(grays))
    blank = np.zeros((*grays[0].shape, 2), np.float32)
    back = [finder.between(after, before, blank) for before, after in pairs]
    ahead = [finder.between(before, after, blank) for before, after in pairs]
    return Flows(np.stack(back), np.stack(ahead))


def fetched(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The picture [H, W, ...] as it is seen when every pixel comes from where the flow [H, W, 2] (x, y) points."""
    import cv2

    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(
        picture, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def warp_errors(footage: Footage, flows: Flows) -> dict[str, np.ndarray]:
    """How badly neighbours explain a frame, and how badly the two flows agree. Each [T, H, W] float32.

    Returns:
        ``before``, ``after``: colour difference [levels / 255] to the frame before and after, brought here by flow;
        ``either``: the smaller of the two; ``loop``: there-and-back error of the flow [shares of the extent].
    """
    frames = footage.frames.astype(np.float32) / 255.0
    count, shape = len(frames), frames.shape[1:3]
    before, after, loop = (np.zeros((count, *shape), np.float32) for _ in range(3))
    for index in range(count - 1):
        back, ahead = flows.back[index], flows.ahead[index]
        before[index + 1] = np.abs(fetched(frames[index], back) - frames[index + 1]).mean(-1)
        after[index] = np.abs(fetched(frames[index + 1], ahead) - frames[index]).mean(-1)
        loop[index + 1] = np.linalg.norm(back + fetched(ahead, back), axis=-1) / footage.extent
    either = np.minimum(before, after)
    either[0], either[-1] = after[0], before[-1]
    before[0], after[-1] = after[0], before[-1]
    return {"before": before, "after": after, "either": either, "loop": loop}


def strain(flows: Flows, footage: Footage) -> np.ndarray:
    """How unevenly the flow moves neighbouring pixels; rigid parts have none inside. [T, H, W] float32"""
    import cv2

    result = np.zeros(footage.masks.shape, np.float32)
    for index, flow in enumerate(flows.back):
        dx = cv2.Sobel(flow, cv2.CV_32F, 1, 0, ksize=3) / 8.0
        dy = cv2.Sobel(flow, cv2.CV_32F, 0, 1, ksize=3) / 8.0
        stretch, shear = dx[..., 0] - dy[..., 1], dx[..., 1] + dy[..., 0]
        grow = dx[..., 0] + dy[..., 1]
        result[index + 1] = np.sqrt(stretch**2 + shear**2 + grow**2)
    return result


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Patches of the subject in every frame, at half the judge's size, and how far they are from those of others."""

    masks: list[np.ndarray]  # which places of the grid have a patch. T x [h, w] bool
    inside: list[np.ndarray]  # which patches lie inside the subject, not at its rim. T x [N_t] bool
    first: list[np.ndarray]  # distance to the first frame turned by up to 50 degrees. T x [N_t] float32
    between: dict[tuple[int, int], np.ndarray]  # (frame, other): distance to the nearest of the other's. [N_frame]

    def nearest(self, index: int, lags: tuple[int, ...]) -> np.ndarray:
        """Distance of every patch of a frame to the nearest in the frames so far away; 0 where there is none. [N_t]"""
        near = [self.between[index, index + lag] for lag in lags if (index, index + lag) in self.between]
        return np.min(near, axis=0) if near else np.zeros(len(self.inside[index]), np.float32)


def patches_of(footage: Footage) -> Patches:
    """Compare the patches of all frames up to three apart, and of all with the first frame."""
    import cv2

    size = (footage.frames.shape[2] // 2, footage.frames.shape[1] // 2)
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in footage.frames]
    inner = [cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) for mask in footage.masks]
    square = np.ones((3, 3), np.uint8)
    masks = [cv2.dilate(mask, square) for mask in inner]
    cores = [cv2.erode(mask, square, iterations=2) for mask in inner]
    patches = [_patches(frame, mask) for frame, mask in zip(small, masks, strict=True)]
    norms = [(rows**2).sum(1) for rows in patches]
    turned = np.concatenate([_patches(*_turned(small[0], masks[0], turn)) for turn in _TURNS])
    turned_norm = (turned**2).sum(1)
    between: dict[tuple[int, int], np.ndarray] = {(0, 0): np.zeros(len(patches[0]), np.float32)}
    for index in range(len(patches)):
        for other in sorted({0, *range(max(0, index - _FARTHEST), index)} - {index}):
            table = _squares(patches[index], norms[index], patches[other], norms[other])
            between[index, other], between[other, index] = _root(table.min(1)), _root(table.min(0))
    return Patches(
        masks=[mask[::_STEP, ::_STEP] > 0 for mask in masks],
        inside=[_sampled(core, mask) for core, mask in zip(cores, masks, strict=True)],
        first=[_root(_squares(rows, norm, turned, turned_norm).min(1))
               for rows, norm in zip(patches, norms, strict=True)],
        between=between,
    )  # fmt: skip


def novelty(patches: Patches) -> dict[str, list[np.ndarray]]:
    """How far patches of the subject are from any patch seen elsewhere. Lists of T arrays [N_t] float32.

    Each for patches inside the subject (name + ``_in``) and at its rim (``_rim``).

    Returns:
        ``first``: of a frame, from the first frame turned by up to 50 degrees;
        ``others``: of a frame, from its two neighbours; ``apart``: from the frames two and three away;
        ``gone``: of the first frame, from a frame; ``come``: of a frame, from the one before; ``lost``: of the frame
        before, from a frame.
    """
    inside, found = patches.inside, {}
    for index in range(len(inside)):
        previous = max(index - 1, 0)
        values = {
            "first": (index, patches.first[index]),
            "others": (index, patches.nearest(index, (-1, 1))),
            "apart": (index, patches.nearest(index, (-3, -2, 2, 3))),
            "gone": (0, patches.between[0, index]),
            "come": (index, patches.nearest(index, (-1,))),
            "lost": (previous, patches.nearest(previous, (index - previous,))),
        }
        for name, (whose, distances) in values.items():
            found.setdefault(f"{name}_in", []).append(distances[inside[whose]])
            found.setdefault(f"{name}_rim", []).append(distances[~inside[whose]])
    return found


def patch_map(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A value a patch put where the patches lie, 0 elsewhere. [h, w] float32"""
    result = np.zeros(mask.shape, np.float32)
    if mask.any():
        result[mask] = values
    return result


def _turned(picture: np.ndarray, mask: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    import cv2

    if degrees == 0:
        return picture, mask
    height, width = mask.shape
    turn = cv2.getRotationMatrix2D((width / 2.0, height / 2.0), degrees, 1.0)
    side = int(np.hypot(height, width)) + 2
    turn[:, 2] += (side - width) / 2.0, (side - height) / 2.0
    there = cv2.warpAffine(picture, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return there, cv2.warpAffine(mask, turn, (side, side), flags=cv2.INTER_NEAREST)


def _patches(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Patches about every second masked pixel. [N, 3 x _PATCH x _PATCH] float32, 0-1; one gray patch when none."""
    half = _PATCH // 2
    wide = np.pad(picture, ((half, half), (half, half), (0, 0)), mode="edge").astype(np.float32) / 255.0
    windows = np.lib.stride_tricks.sliding_window_view(wide, (_PATCH, _PATCH), axis=(0, 1))
    rows, columns = np.nonzero(mask[::_STEP, ::_STEP])
    if not len(rows):
        return np.full((1, 3 * _PATCH * _PATCH), 0.5, np.float32)
    return windows[rows * _STEP, columns * _STEP].reshape(len(rows), -1)


def _sampled(core: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Which patches of `_patches` lie in ``core``. [N] bool"""
    chosen = mask[::_STEP, ::_STEP] > 0
    return core[::_STEP, ::_STEP][chosen] > 0 if chosen.any() else np.ones(1, bool)


def _squares(query: np.ndarray, query_norm: np.ndarray, bank: np.ndarray, bank_norm: np.ndarray) -> np.ndarray:
    """Mean squared differences of patches. [N, M] float32"""
    return (query_norm[:, None] + bank_norm[None] - 2.0 * (query @ bank.T)) / query.shape[1]


def _root(squares: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(squares, 0.0))
