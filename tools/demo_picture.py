"""The README's picture, from the results of `make demo`: ``python -m tools.demo_picture out docs/images/demo.png``."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from studio_pipeline.media.reading import read_clip

INDEX, WIDTH = 14, 900


def main(out: Path, target: Path) -> None:
    """One row a shot: clip, lift and refinement at one frame, from the review's side-by-side video."""
    rows = []
    for shot in sorted(out.glob("demo_park_*/side_by_side.mp4")):
        frame = read_clip(shot).frames[INDEX]
        rows.append(cv2.resize(frame, (WIDTH, WIDTH * frame.shape[0] // frame.shape[1]), interpolation=cv2.INTER_AREA))
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet = np.concatenate(rows)[..., ::-1]
    if not cv2.imwrite(str(target), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise OSError(f"could not write {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
