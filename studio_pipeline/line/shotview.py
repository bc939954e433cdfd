"""What a stage may see of its shot: the fields that it declared, nothing else."""

from __future__ import annotations

from typing import Any

from studio_pipeline.schema.shot import Shot

__all__ = ["ShotView"]

_DERIVED = {
    "id": {"id"},
    "first_frame": {"frames", "handles"},
    "frame_count": {"frames", "handles"},
    "frame_numbers": {"frames", "handles"},
}


class ShotView:
    """A shot restricted to ``fields``; what follows from declared fields alone is visible too.

    Reading anything else is a programming error: it would change the result without changing the key.
    """

    def __init__(self, shot: Shot, fields: tuple[str, ...]) -> None:
        self._shot, self._fields = shot, frozenset(fields)

    def __getattr__(self, name: str) -> Any:
        needed = _DERIVED.get(name, {name})
        if name.startswith("_") or not needed <= self._fields:
            raise AttributeError(f"the stage reads the shot's {name!r} but does not declare it in shot_fields")
        return getattr(self._shot, name)
