"""How much memory a process of these tests really had."""

from __future__ import annotations

import resource
from pathlib import Path

__all__ = ["own_peak"]


def own_peak() -> int:
    """The most memory that this process had [kB]. Not ``ru_maxrss``: that begins with what its parent had."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
