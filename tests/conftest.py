"""What all tests share: where the sample data lies and the shipped characters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.postgres import postgres
from support.rabbitmq import rabbitmq

from studio_pipeline.line.threads import fix_threads

__all__ = ["postgres", "rabbitmq", "repository", "shared_data"]

fix_threads()

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("STUDIO_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The sample data made by others; tests that want it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared sample data is not here")
    return SHARED
