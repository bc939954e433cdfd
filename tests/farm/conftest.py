"""What the farm's tests share."""

from __future__ import annotations

from support.s3server import s3_server

__all__ = ["s3_server"]
