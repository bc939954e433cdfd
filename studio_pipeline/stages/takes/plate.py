"""Backend `plate`: a clip that somebody else made, checked against the shot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio_pipeline.media.reading import ClipPixels, read_clip
from studio_pipeline.media.srgb import linear_to_srgb, srgb_to_linear
from studio_pipeline.schema.arrays import load_arrays
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.takes.checks import judge
from studio_pipeline.stages.takes.writing import load_directives, write_take

__all__ = ["fitted", "run"]

_WIDEST = 8  # bytes of a depth
_HEADERS = 1 << 16


def run(context: StageContext) -> StageResult:
    """Read the plate, fit it to the shot's resolution, judge its pixels."""
    shot, settings = context.shot, context.settings
    directives = load_directives(context.inputs["directives"])
    pixels = read_clip(settings.file, expect_frames=shot.frame_count)
    if pixels.fps is not None and abs(float(pixels.fps / shot.fps) - 1.0) > 2e-3:
        raise InputError(
            f"plays at {pixels.fps} frames a second, the shot at {shot.fps}",
            where=settings.file,
            do="change the shot's fps or the clip",
        )
    pixels, scale = fitted(pixels, tuple(shot.resolution), where=str(settings.file))
    clip = Clip(
        frames=_over(pixels, settings.background),
        alpha=pixels.alpha,
        depth=_depth_pass(settings.depth, pixels.frames.shape[:3], settings.depth_kind) if settings.depth else None,
        depth_kind=settings.depth_kind,
        fps=shot.fps,
        first_frame=shot.first_frame,
        source="plate",
    )
    context.progress(0.7, "writing")
    preview = write_take(context.out, clip, {"file": settings.file.name, "scaled": scale})
    figures, verdicts = judge(clip, directives)
    figures |= {"scaled": scale, "obeyed": 0, "not_obeyed": ""}
    return StageResult(figures=figures, previews=(preview,), verdicts=verdicts)


def fitted(pixels: ClipPixels, size: tuple[int, int], *, where: str = "") -> tuple[ClipPixels, float]:
    """The clip at ``size`` (width, height) and the factor it was scaled by; only a larger clip of the same shape fits.

    Raises:
        InputError: It is smaller, or of another shape.
    """
    import cv2

    height, width = pixels.frames.shape[1:3]
    if (width, height) == size:
        return pixels, 1.0
    if width < size[0] or height < size[1] or abs(width * size[1] - height * size[0]) > max(size):
        raise InputError(
            f"is {width} x {height} pixels, the shot {size[0]} x {size[1]}",
            where=where,
            do=f"set resolution: [{width}, {height}], or give a larger clip of the same shape",
        )
    frames = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in pixels.frames])
    alpha = pixels.alpha
    if alpha is not None:
        alpha = np.stack([cv2.resize(cover, size, interpolation=cv2.INTER_AREA) for cover in alpha])
    return ClipPixels(frames, alpha, pixels.fps), round(size[0] / width, 6)


def _depth_pass(path: Path, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """The plate's z pass [T, h, w] float32, at the clip's size ``shape`` [T, H, W] or smaller.

    Raises:
        InputError: The file is no such array, or its shape isn't the clip's.
    """
    most = _WIDEST * int(np.prod(shape)) + _HEADERS  # what a z pass of the clip's size may unpack to
    depth = load_arrays(path, unpacked=most).get("depth")
    if depth is None or not _fits(depth.shape, shape) or not np.issubdtype(depth.dtype, np.floating):
        found = "no array 'depth'" if depth is None else f"'depth' {depth.shape} of {depth.dtype}"
        raise InputError(
            f"holds {found}", where=path, do=f"give floats of shape {shape}: frames, height, width; or smaller pictures"
        )
    known = np.isfinite(depth)
    if kind == "metric" and (depth[known] <= 0.0).any():
        raise InputError(
            "holds depths that are not in front of the camera",
            where=path,
            do="give metres, NaN where unknown, or set depth_kind to affine or inverse",
        )
    return np.where(known, depth, np.nan).astype(np.float32)


def _fits(depth: tuple[int, ...], clip: tuple[int, ...]) -> bool:
    """Whether a z pass belongs to a clip: as many frames, pictures of the same shape, not larger."""
    if len(depth) != 3 or depth[0] != clip[0] or min(depth[1:]) < 1:
        return False
    same = abs(depth[1] * clip[2] - depth[2] * clip[1]) <= max(clip[1:])
    return same and depth[1] <= clip[1] and depth[2] <= clip[2]


def _over(pixels: ClipPixels, background: tuple[int, int, int]) -> np.ndarray:
    """The frames as they are seen: transparent ones over a colour, in linear light. [T, H, W, 3] uint8"""
    if pixels.alpha is None:
        return pixels.frames
    linear = srgb_to_linear(np.arange(256) / 255.0, np.float64).astype(np.float32)
    result = np.empty_like(pixels.frames)
    for index, (frame, cover) in enumerate(zip(pixels.frames, pixels.alpha, strict=True)):
        share = (cover.astype(np.float32) / 255.0)[..., None]
        mixed = linear[frame] * share + linear[np.array(background)] * (1.0 - share)
        result[index] = np.round(linear_to_srgb(mixed) * 255.0).astype(np.uint8)
    return result
