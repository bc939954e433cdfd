"""Backgrounds with detail, put together from the frames in which each part of them is seen."""

from __future__ import annotations

import cv2
import numpy as np

from studio_pipeline.media.flow import DenseFlow
from studio_pipeline.stages.observations.silhouettes import grown

__all__ = ["background_motion", "uncovered"]

MOST = 9  # frames that a background is put together from
CHANGED, STEADY, LEAST_NOISE = 2.0, 2.5, 2.5  # the first two times the noise, that in 8-bit levels
LEAST_POINTS = 12  # that agree on a movement


def background_motion(frames: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """How the background moves: homographies from each frame to index 0's pixels. [T, 3, 3]

    A turning or zooming camera, and a far or flat background under any camera, move like this; nearby things before
    far ones under a travelling camera don't. Where too little can be followed the background is taken to stand still.

    frames [T, H, W, 3] uint8, masks [T, H, W] bool: what is not background
    """
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    result = [np.eye(3)]
    for index in range(1, len(frames)):
        free = (~grown(masks[index], 3)).astype(np.uint8) * 255
        result.append(result[-1] @ _between(gray[index], gray[index - 1], free))
    return np.stack(result)


def _between(gray: np.ndarray, before: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Homography from one frame's pixels to those of the frame before it."""
    points = cv2.goodFeaturesToTrack(gray, 400, 0.01, 4, mask=free)
    if points is None or len(points) < LEAST_POINTS:
        return np.eye(3)
    dense = DenseFlow().between(gray, before)
    place = points[:, 0].round().astype(int)
    guess = points + dense[place[:, 1], place[:, 0]][:, None]
    how = {"winSize": (13, 13), "maxLevel": 2, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    moved, found, _ = cv2.calcOpticalFlowPyrLK(gray, before, points, guess.copy(), **how)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(before, gray, moved, points.copy(), **how)
    good = (found.ravel() > 0) & (returned.ravel() > 0) & (np.linalg.norm(back - points, axis=-1).ravel() < 0.5)
    if good.sum() < LEAST_POINTS:
        return np.eye(3)
    matrix, agree = cv2.findHomography(points[good], moved[good], cv2.RANSAC, 1.0)
    if matrix is None or agree.sum() < LEAST_POINTS:
        return np.eye(3)
    # Unmoved as far as can be told: don't let noise add up over the clip.
    shift = cv2.perspectiveTransform(points[good], matrix) - points[good]
    return np.eye(3) if np.linalg.norm(shift, axis=-1).max() < 0.15 else matrix


def uncovered(frames: np.ndarray, masks: np.ndarray, motion: np.ndarray, margin: float) -> np.ndarray:
    """Every frame's background as other frames show it: per pixel their median where the mask has left it free.

    frames [T, H, W, 3] uint8, masks [T, H, W] bool, motion as in `background_motion`, margin [px] around the masks.
    Returns [1 or T, H, W, 3] float32, NaN where no frame shows it; one for all when nothing moves.
    """
    hidden = np.stack([grown(mask, margin) for mask in masks])
    hidden &= ~_let_go(frames, hidden, motion)
    still = bool(np.allclose(motion, np.eye(3)))
    result = [_from_others(frames, hidden, motion, index, still) for index in range(1 if still else len(frames))]
    return np.stack(result)


def _let_go(frames: np.ndarray, hidden: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Pixels that a mask drags along though the character has left them. [T, H, W] bool

    They show something else than at index 0, they have texture, and that texture stays with the background from one
    neighbouring frame: on a moving character it would have moved. (What shows in one frame only can't be told.)
    """
    result = np.zeros_like(hidden)
    soft = [cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 0.8) for frame in frames]
    for index in range(2, len(frames)):
        others = [0, index - 1, index + 1 if index + 1 < len(frames) else index - 2]
        gaps = [_gap(soft[index], soft[other], np.linalg.inv(motion[index]) @ motion[other]) for other in others]
        outside = ~hidden[index]
        if not outside.any():
            continue
        noise = max(float(np.median(np.minimum(gaps[1], gaps[2])[outside])), LEAST_NOISE)
        shaken = np.roll(soft[index], 1, axis=0), np.roll(soft[index], 1, axis=1)
        textured = np.minimum(*(_gap(soft[index], other, np.eye(3)) for other in shaken))
        gone = (gaps[0] > CHANGED * noise) & (np.minimum(gaps[1], gaps[2]) < STEADY * noise)
        result[index] = gone & (textured > CHANGED * noise)
    return result


def _gap(first: np.ndarray, second: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """How much two pictures differ around each pixel, the second warped. [H, W]"""
    if not np.allclose(matrix, np.eye(3)):
        second = cv2.warpPerspective(second, matrix, first.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.sqrt(cv2.blur(np.square(first - second).sum(-1), (5, 5)))


def _from_others(frames: np.ndarray, hidden: np.ndarray, motion: np.ndarray, index: int, still: bool) -> np.ndarray:
    height, width = frames.shape[1:3]
    order = np.argsort(np.abs(np.arange(len(frames)) - index), kind="stable")
    # Near frames fit best, far ones show what the near ones hide.
    picked = order[np.unique(np.linspace(0, len(order) - 1, MOST).round().astype(int))]
    stack = np.full((len(picked), height, width, 3), np.nan, np.float32)
    for layer, other in zip(stack, picked, strict=True):
        if still:
            picture, shown = frames[other].astype(np.float32), ~hidden[other]
        else:
            matrix = np.linalg.inv(motion[index]) @ motion[other]
            picture = cv2.warpPerspective(frames[other].astype(np.float32), matrix, (width, height))
            cover = cv2.warpPerspective((~hidden[other]).astype(np.float32), matrix, (width, height))
            shown = cover > 0.99
        layer[shown] = picture[shown]
    order_of = np.sort(stack, axis=0)  # NaN comes last
    count = np.isfinite(stack[..., 0]).sum(0)
    low = np.take_along_axis(order_of, (np.maximum(count - 1, 0) // 2)[None, ..., None], axis=0)[0]
    high = np.take_along_axis(order_of, (count // 2).clip(max=len(picked) - 1)[None, ..., None], axis=0)[0]
    middle = np.where((count == 0)[..., None], np.nan, (low + high) / 2.0)
    # An even count's upper middle is NaN only when the count is nought.
    return middle.astype(np.float32)
