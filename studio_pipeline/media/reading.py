"""Clips in: video files and folders of numbered pictures, safe on hostile files, complete or refused."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from studio_pipeline.media.images import MAX_SIDE, numbered_pictures, picture_size, read_image
from studio_pipeline.schema.apart import stream_apart
from studio_pipeline.schema.errors import InputError

__all__ = ["ClipPixels", "decoded", "read_clip", "read_image"]

MAX_FRAMES = 2000
MAX_BYTES = 6 << 30  # of decoded pixels
MAX_FILE_BYTES = 8 << 30
# The container is named, never guessed: a playlist called .mp4 must not make FFmpeg open other files.
_CONTAINERS = {
    ".mp4": "mov", ".m4v": "mov", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska", ".gif": "gif", ".avi": "avi",
}  # fmt: skip
_BT601, _BT709 = 5, 1  # swscale's numbers
_HDR_TRANSFERS = {16, 18}  # PQ, HLG
_OPAQUE, _WITH_ALPHA, _END = b"\1", b"\2", b"\0"
_MEMORY = 4 << 30  # [bytes] address space of the decoder: reference pictures of the largest size allowed, not the clip
_SECONDS = 1800  # 2000 frames of 4096 x 4096 take some minutes
_REDO = "export the clip again, or give a folder of PNGs"


class ClipPixels(NamedTuple):
    """Decoded frames."""

    frames: np.ndarray  # [T, H, W, 3] uint8, sRGB
    alpha: np.ndarray | None  # [T, H, W] uint8, straight; None when absent or opaque everywhere
    fps: Fraction | None  # None where the clip doesn't say


def read_clip(
    path: Path,
    *,
    expect_frames: int | None = None,
    expect_size: tuple[int, int] | None = None,
    max_frames: int = MAX_FRAMES,
    max_pixels: int = MAX_SIDE,
) -> ClipPixels:
    """Read a video (mp4, m4v, mov, mkv, webm, gif, avi) or a folder of numbered PNG or JPEG pictures.

    Sizes and counts are checked from headers before anything is decoded.

    Args:
        path: The file or folder.
        expect_frames: Number of frames that it must have.
        expect_size: Width and height [px] that it must have.
        max_frames: Most frames allowed.
        max_pixels: Largest side allowed [px].

    Raises:
        InputError: It is missing, truncated, corrupt, too large, or not what was expected.
    """
    bounds = _Bounds(path, expect_frames, expect_size, max_frames, max_pixels)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=path) from None
    if is_folder:
        return _read_folder(path, bounds)
    if not is_file:
        raise InputError("no such file or folder", where=path)
    return _read_video(path, bounds)


class _Bounds:
    """What a clip must be, checked as soon as it is known."""

    def __init__(
        self, path: Path, frames: int | None, size: tuple[int, int] | None, max_frames: int, max_pixels: int
    ) -> None:
        self.path, self.frames, self.size = path, frames, size
        self.max_frames, self.max_pixels = max_frames, max_pixels

    def check_size(self, width: int, height: int, where: Path | None = None) -> None:
        if not (0 < width <= self.max_pixels and 0 < height <= self.max_pixels):
            raise InputError(
                f"is {width} x {height} pixels, at most {self.max_pixels} a side are allowed", where=where or self.path
            )
        if self.size and (width, height) != tuple(self.size):
            raise InputError(
                f"is {width} x {height} pixels, expected {self.size[0]} x {self.size[1]}",
                where=where or self.path,
                do="change the shot's resolution or the clip",
            )

    def check_count(self, count: int) -> None:
        if self.frames is not None and count != self.frames:
            raise InputError(
                f"has {count} frames, expected {self.frames}",
                where=self.path,
                do="change the shot's frames and handles or the clip",
            )
        if count > self.max_frames:
            raise InputError(f"has {count} frames, at most {self.max_frames} are allowed", where=self.path)
        if count < 1:
            raise InputError("holds no frames", where=self.path)

    def check_bytes(self, count: int, width: int, height: int) -> None:
        if count * width * height * 3 > MAX_BYTES:
            raise InputError(
                f"has {count} frames of {width} x {height}, more than {MAX_BYTES >> 30} GB", where=self.path
            )


def _read_folder(folder: Path, bounds: _Bounds) -> ClipPixels:
    pictures = numbered_pictures(folder)
    bounds.check_count(len(pictures))
    first = picture_size(pictures[0], max_pixels=bounds.max_pixels)
    bounds.check_size(*first)
    bounds.check_bytes(len(pictures), *first)
    for picture in pictures[1:]:
        size = picture_size(picture, max_pixels=bounds.max_pixels)
        if size != first:
            raise InputError(
                f"is {size[0]} x {size[1]} pixels, {pictures[0].name} is {first[0]} x {first[1]}", where=picture
            )
    frames = np.empty((len(pictures), first[1], first[0], 3), np.uint8)
    alpha = np.full(frames.shape[:3], 255, np.uint8)
    for index, picture in enumerate(pictures):
        frames[index], cover = read_image(picture, max_pixels=bounds.max_pixels)
        if cover is not None:
            alpha[index] = cover
    return ClipPixels(frames, _spoken(alpha), None)


def _spoken(alpha: np.ndarray) -> np.ndarray | None:
    return alpha if alpha.min() < 255 else None


def _read_video(path: Path, bounds: _Bounds) -> ClipPixels:
    """Frames as a process of its own decodes them: FFmpeg's parsers meet files from elsewhere there only."""
    if path.suffix.lower() not in _CONTAINERS:
        known = ", ".join(sorted(_CONTAINERS))
        raise InputError(f"has the ending {path.suffix!r}, expected one of {known}, or a folder", where=path)
    # Only a frame is counted by the child: how many make a clip is known here once they have come.
    words = [bounds.frames, bounds.size, bounds.max_frames, bounds.max_pixels]
    frames: list[np.ndarray] = []
    covers: list[np.ndarray | None] = []
    with stream_apart(
        decoded, path, json.dumps(words), where=path, reader="the video decoder", do=_REDO, memory=_MEMORY,
        seconds=_SECONDS,
    ) as stream:  # fmt: skip
        width, height = struct.unpack("<II", _exactly(stream, 8))
        bounds.check_size(width, height)
        while (kind := _exactly(stream, 1)) != _END:
            frames.append(_plane(stream, (height, width, 3)))
            covers.append(_plane(stream, (height, width)) if kind == _WITH_ALPHA else None)
        rate = _exactly(stream, struct.unpack("<I", _exactly(stream, 4))[0]).decode()
    bounds.check_count(len(frames))
    alpha = None
    if any(cover is not None for cover in covers):
        opaque = np.full((height, width), 255, np.uint8)
        alpha = _spoken(np.stack([opaque if cover is None else cover for cover in covers]))
    return ClipPixels(np.stack(frames), alpha, Fraction(rate) if rate else None)


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def _plane(stream: BinaryIO, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(bytearray(_exactly(stream, math.prod(shape))), np.uint8).reshape(shape)


def decoded(arguments: list[str], _given: BinaryIO, out: BinaryIO) -> None:
    """In a process of its own: write a video's frames, whole or not to the end.

    Size (two uint32); per frame a byte, its sRGB [H, W, 3], its alpha [H, W] where the byte says so; a byte that ends
    it; the rate as text behind its length.

    Args:
        arguments: The file, and the bounds as JSON.
        out: Where they go.

    Raises:
        InputError: As `read_clip`.
    """
    import av

    av.logging.set_level(None)  # what FFmpeg has to say of a damaged file is lines and lines
    path = Path(arguments[0])
    frames, size, max_frames, max_pixels = json.loads(arguments[1])
    bounds = _Bounds(path, frames, size, max_frames, max_pixels)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"is larger than {MAX_FILE_BYTES >> 30} GB", where=path)
        form = _CONTAINERS[path.suffix.lower()]
        with path.open("rb") as stream, av.open(stream, "r", format=form) as container:
            _decode(container, bounds, out)
    except (av.FFmpegError, OSError, ValueError, EOFError, IndexError, MemoryError, UnicodeDecodeError) as error:
        raise InputError(f"is truncated or corrupt ({error})", where=path, do=_REDO) from None


def _decode(container: Any, bounds: _Bounds, out: BinaryIO) -> None:
    if not container.streams.video:
        raise InputError("holds no video", where=bounds.path)
    stream = container.streams.video[0]
    context = stream.codec_context
    if context is None:
        raise InputError("holds a video whose codec is unknown here", where=bounds.path, do="export it as H.264")
    bounds.check_size(context.width, context.height)
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        raise InputError(f"has pixels of the shape {aspect}, expected square ones", where=bounds.path)
    if stream.frames:
        bounds.check_count(stream.frames)
        bounds.check_bytes(stream.frames, context.width, context.height)
    context.options = {"err_detect": "explode+crccheck+bitstream+buffer"}
    context.thread_count = 1
    fps = stream.average_rate or stream.guessed_rate
    size = (context.width, context.height)
    out.write(struct.pack("<II", *size))
    count = 0
    for frame in _pictures(container, stream, bounds):
        if (frame.width, frame.height) != size:
            raise InputError(f"changes its size from {size} to {(frame.width, frame.height)}", where=bounds.path)
        rgb, cover = _to_srgb(frame, bounds.path)
        count += 1
        bounds.check_bytes(count, *size)
        out.write(_OPAQUE if cover is None else _WITH_ALPHA)
        out.write(np.ascontiguousarray(rgb).data)
        if cover is not None:
            out.write(cover.data)
    if stream.frames and count != stream.frames:
        raise InputError(
            f"declares {stream.frames} frames but only {count} can be read: the stream is truncated or corrupt",
            where=bounds.path,
            do="export the clip again",
        )
    bounds.check_count(count)
    rate = str(Fraction(fps).limit_denominator(1001)) if fps else ""
    out.write(_END + struct.pack("<I", len(rate)) + rate.encode())


def _pictures(container: Any, stream: Any, bounds: _Bounds) -> Iterator[Any]:
    """Decoded frames; one more than allowed is an error before it is converted."""
    limit = bounds.max_frames if bounds.frames is None else min(bounds.max_frames, bounds.frames)
    for count, frame in enumerate(container.decode(stream)):
        if frame.is_corrupt:
            raise InputError(f"is damaged at index {count}", where=bounds.path, do="export the clip again")
        if count >= limit:
            expected = f"expected {bounds.frames}" if bounds.frames else f"at most {limit} are allowed"
            raise InputError(
                f"has more than {limit} frames, {expected}",
                where=bounds.path,
                do="change the shot's frames and handles or the clip",
            )
        yield frame


def _to_srgb(frame: Any, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A frame as sRGB [H, W, 3] and its alpha [H, W], by its own matrix and range."""
    from av.video.reformatter import ColorRange

    if int(frame.color_trc) in _HDR_TRANSFERS:
        raise InputError("is an HDR clip", where=path, do="export it as BT.709 or sRGB")
    has_alpha = any(component.is_alpha for component in frame.format.components)
    wanted = "rgba" if has_alpha else "rgb24"
    if frame.format.is_rgb:
        pixels = frame.reformat(format=wanted).to_ndarray()
    else:
        matrix = int(frame.colorspace)
        if matrix not in (1, 4, 5, 6, 7, 9, 10):
            matrix = _BT709 if frame.height >= 720 else _BT601  # what players do with an untagged clip
        full = int(frame.color_range) == int(ColorRange.JPEG) or frame.format.name.startswith("yuvj")
        pixels = frame.reformat(
            format=wanted,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        ).to_ndarray()
    if has_alpha:
        return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])
    return pixels, None
