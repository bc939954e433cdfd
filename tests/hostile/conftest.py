from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cell import Cell, Listener, Warden


@pytest.fixture(scope="session")
def warden() -> Iterator[Warden]:
    """One process that forks for every command of these tests."""
    process = Warden()
    try:
        yield process
    finally:
        process.close()


@pytest.fixture(scope="session")
def listener() -> Iterator[Listener]:
    server = Listener()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def cell(tmp_path: Path, warden: Warden, listener: Listener) -> Cell:
    listener.visits.clear()
    return Cell(tmp_path, warden, listener)
