"""Doing one thing to many objects, several at a time where the place answers slowly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["each"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(function: Callable[[Item], Result], items: Iterable[Item], *, width: int) -> list[Result]:
    """``function`` of every item, in their order; the first error ends it once those under way have ended.

    Args:
        function: What to do; with ``width`` above 1 it is called in threads.
        items: To what.
        width: How many at a time.
    """
    wanted = list(items)
    if width <= 1 or len(wanted) <= 1:
        return [function(item) for item in wanted]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(width, len(wanted)), thread_name_prefix="store") as pool:
        return list(pool.map(function, wanted))
