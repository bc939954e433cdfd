"""How many cores a network's small steps take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch works on one core inside.

    For networks of many small steps: threads that wait for each other cost more than they save, many times more on a
    machine that does other things too, and sums that are cut by the number of threads differ in their last bits.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
