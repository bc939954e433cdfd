"""H.264 out through PyAV: yuv420p, tagged BT.709, the same bytes for the same frames."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

__all__ = ["stream_mp4", "write_mp4"]


def write_mp4(path: Path, frames: np.ndarray, fps: Fraction, *, crf: int = 18) -> None:
    """Write ``frames`` [T, H, W, 3] uint8 sRGB, H and W even, as an MP4 that starts playing at once.

    One encoder thread, and no macroblock tree, keep the bytes the same from run to run.
    """
    stream_mp4(path, frames, fps, size=(frames.shape[2], frames.shape[1]), crf=crf)


def stream_mp4(
    path: Path, frames: Iterable[np.ndarray], fps: Fraction, *, size: tuple[int, int], crf: int = 18
) -> None:
    """`write_mp4` of pictures that come one by one, each [H, W, 3] uint8 sRGB of ``size`` (W, H), even."""
    import av
    from av.video.reformatter import ColorRange, Colorspace

    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        container.flags |= 0x400  # AVFMT_FLAG_BITEXACT: no encoder version or clock in the file
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        # x264's macroblock tree reads memory that nobody wrote (seen at 96 px width): bytes differed from run to run.
        stream.options = {"crf": str(crf), "preset": "medium", "threads": "1", "x264-params": "mbtree=0"}
        context = stream.codec_context
        context.thread_count = 1
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
        context.color_range = int(ColorRange.MPEG)
        for image in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame = frame.reformat(
                format="yuv420p",
                src_colorspace=Colorspace.ITU709,
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
