"""Lets the tests of the observations import what they share."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def turning() -> tuple:
    """A patterned ball that turns and slides: character, camera, clip, true vertices, true raster."""
    from ball_scene import filmed, patterned_ball, turned

    ball = patterned_ball()
    vertices = turned(ball, frames=10, turn=0.8)
    camera, clip, raster = filmed(ball, vertices)
    assert clip.fps == Fraction(24) and np.isfinite(vertices).all()
    return ball, camera, clip, vertices, raster
