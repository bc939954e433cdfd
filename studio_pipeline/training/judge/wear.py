"""What clips suffer on their way and are still good: re-compression, noise, another size."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np

__all__ = ["add_noise", "through_h264", "worn"]


def through_h264(frames: np.ndarray, crf: int, fps: Fraction = Fraction(24)) -> np.ndarray:
    """Frames [T, H, W, 3] uint8 encoded by x264 at a constant rate factor and decoded again; sides must be even."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=fps, options={"crf": str(crf), "preset": "medium", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"  # pyright: ignore
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))  # pyright: ignore
        container.mux(stream.encode())  # pyright: ignore
    buffer.seek(0)
    with av.open(buffer) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def add_noise(frames: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of ``sigma`` 8-bit levels, new in every frame."""
    noisy = frames + rng.normal(0.0, sigma, frames.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def worn(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of: nothing, H.264 at crf 18 to 32, noise, both."""
    how = int(rng.integers(0, 4))
    if how in (2, 3):
        frames = add_noise(frames, rng.uniform(1.0, 6.0), rng)
    if how in (1, 3):
        frames = through_h264(frames, int(rng.integers(18, 33)))
    return frames
