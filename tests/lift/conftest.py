"""Lets the tests of the lift import the scene they share."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from support.motions import pip

__all__ = ["pip"]
