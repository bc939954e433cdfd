"""Ports for servers of tests: below the range that the system gives to clients, so that a restart finds them free."""

from __future__ import annotations

import os
import random
import socket

__all__ = ["free_ports"]


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nothing listens on now."""
    found: list[int] = []
    draw = random.Random(os.urandom(8))
    while len(found) < count:
        port = draw.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
