"""Blender as a real client: an interpreter that can ``import bpy``.

Blender's Python module lives in an environment of its own (821 MB, other pinned versions than ours), made once in
the user's cache; STUDIO_BPY_PYTHON names the interpreter of one that exists already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BPY = "bpy==5.0.1"


@pytest.fixture(scope="session")
def blender() -> Path:
    """An interpreter that can ``import bpy``."""
    given = os.environ.get("STUDIO_BPY_PYTHON")
    python = Path(given) if given else Path.home() / ".cache" / "studio_pipeline" / "bpy-venv" / "bin" / "python"
    if not python.exists() and not given:
        if sys.version_info[:2] != (3, 11):
            pytest.skip(f"{BPY} needs Python 3.11: name an environment with STUDIO_BPY_PYTHON")
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True, timeout=120)
    if subprocess.run([python, "-c", "import bpy"], capture_output=True, timeout=120).returncode:
        command = [python, "-m", "pip", "install", "-q", BPY]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=400)
            why = done.stderr.strip()[-200:] if done.returncode else ""
        except subprocess.TimeoutExpired:
            why = "it took too long"
        if why:
            pytest.skip(f"{BPY} could not be installed: {why}")
    return python
