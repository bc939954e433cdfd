"""Times as they are shown: UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["timestamp"]


def timestamp(seconds: float) -> str:
    """ISO 8601 of a store's time [s since the epoch], such as ``2026-03-01T18:04:05+00:00``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
