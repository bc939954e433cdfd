"""Dense flow against known shifts, in pictures of any shape: OpenCV's own dies of flat ones (a lying snake)."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from studio_pipeline.media.flow import DenseFlow


def texture(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 256, (height, width)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.0), None, 0, 255, cv2.NORM_MINMAX)  # pyright: ignore


@pytest.mark.parametrize("size", [(30, 112), (24, 300), (112, 24), (20, 20), (64, 96)])
def test_a_known_shift_is_found_in_pictures_of_any_shape(size: tuple[int, int]) -> None:
    height, width = size
    whole = texture(height + 8, width + 8)
    before, after = whole[4 : 4 + height, 4 : 4 + width], whole[4 : 4 + height, 2 : 2 + width]
    flow = DenseFlow("medium").between(np.ascontiguousarray(before), np.ascontiguousarray(after))
    assert flow.shape == (height, width, 2)
    inner = flow[6:-6, 6:-6].reshape(-1, 2)
    assert np.abs(np.median(inner, axis=0) - [2.0, 0.0]).max() < 0.2


def test_no_shape_of_picture_ends_the_process() -> None:
    """In a process of its own: what it guards against is a crash."""
    code = (
        "import numpy as np\nfrom studio_pipeline.media.flow import DenseFlow\n"
        "for h in (1, 2, 7, 8, 15, 24, 30, 31, 33):\n"
        "    for w in (1, 8, 30, 64, 96, 112, 300, 600):\n"
        "        for preset in ('fast', 'medium'):\n"
        "            for size in ((h, w), (w, h)):\n"
        "                a, b = np.random.default_rng(h * w).integers(0, 255, (2, *size)).astype(np.uint8)\n"
        "                flow = DenseFlow(preset).between(a, b, np.zeros((*size, 2), np.float32))\n"
        "                assert flow.shape == (*size, 2) and np.isfinite(flow).all(), (size, preset)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
