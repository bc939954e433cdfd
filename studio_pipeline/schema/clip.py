"""A clip: frames as they are seen, kept as PNG files numbered like the shot."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np

from studio_pipeline.schema.arrays import load_arrays, load_json, save_arrays, save_json
from studio_pipeline.schema.errors import InputError

__all__ = ["Clip"]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames of one take, sRGB 8-bit. Index 0 shows the rest pose unless the shot says otherwise."""

    frames: np.ndarray  # [T, H, W, 3] uint8, sRGB
    fps: Fraction
    first_frame: int  # the shot's frame number of index 0
    alpha: np.ndarray | None = None  # [T, H, W] uint8, coverage, when the clip came with one
    depth: np.ndarray | None = None  # [T, h, w] float32, z pass along the view axis, NaN where unknown; may be smaller
    depth_kind: str = "metric"  # of its values d: "metric" z = d [m], "affine" z = a d + b, "inverse" 1/z = a d + b
    source: str = ""  # backend that made it

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height [px]."""
        return self.frames.shape[2], self.frames.shape[1]

    def save(self, folder: Path) -> None:
        """Write ``frames/0001.png ...`` (RGBA when there is alpha), ``clip.json`` and, if given, ``depth.npz``."""
        import cv2

        pictures = folder / "frames"
        pictures.mkdir()
        for index, frame in enumerate(self.frames):
            bgr = frame[..., ::-1]
            if self.alpha is not None:
                bgr = np.concatenate([bgr, self.alpha[index][..., None]], axis=-1)
            path = pictures / f"{self.first_frame + index:04d}.png"
            if not cv2.imwrite(str(path), np.ascontiguousarray(bgr), [cv2.IMWRITE_PNG_COMPRESSION, 3]):
                raise OSError(f"could not write {path}")
        if self.depth is not None:
            save_arrays(folder / "depth.npz", depth=self.depth.astype(np.float32))
        kind = {} if self.depth is None else {"depth_kind": self.depth_kind}
        save_json(
            folder / "clip.json",
            {
                **kind,
                "fps": str(self.fps),
                "first_frame": self.first_frame,
                "frame_count": self.frame_count,
                "size": list(self.size),
                "alpha": self.alpha is not None,
                "source": self.source,
                "colour_space": "sRGB",
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the clip back.

        Raises:
            InputError: A frame is missing or unreadable.
        """
        import cv2

        info = load_json(folder / "clip.json")
        frames, alphas = [], []
        for index in range(info["frame_count"]):
            path = folder / "frames" / f"{info['first_frame'] + index:04d}.png"
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if image is None:
                raise InputError("is missing or no readable picture", where=path)
            frames.append(image[..., 2::-1])
            if info["alpha"]:
                alphas.append(image[..., 3])
        depth_file = folder / "depth.npz"
        return cls(
            frames=np.ascontiguousarray(np.stack(frames)),
            fps=Fraction(info["fps"]),
            first_frame=info["first_frame"],
            alpha=np.stack(alphas) if alphas else None,
            depth=load_arrays(depth_file)["depth"] if depth_file.exists() else None,
            depth_kind=info.get("depth_kind", "metric"),
            source=info["source"],
        )
