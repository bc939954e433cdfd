"""OpenTimelineIO files in: checked before the library sees them, every problem one line."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from studio_pipeline.schema.apart import run_apart
from studio_pipeline.schema.errors import InputError, one_line
from studio_pipeline.schema.files import json_value, regular_bytes

__all__ = ["METADATA", "frame_number", "rate_fraction", "read_timeline", "written_again"]

METADATA = "studio_pipeline"
"""Under this name timelines and clips hold what the pipeline reads and writes."""

MAX_BYTES = 64 << 20
MAX_DEPTH = 64
MAX_VALUES = 2_000_000
_SLACK = 1e-3  # [frames] how far from a whole number a frame number may lie (rates are written as rounded decimals)


def read_timeline(path: Path) -> Any:
    """The ``opentimelineio`` Timeline of an ``.otio`` file.

    The library parses in C++ and trusts what it reads: size, depth, numbers and references are checked before, and the
    file itself is parsed in a process of its own (`written_again`). Here it meets its own writing only.

    Raises:
        InputError: It can't be read, isn't such a file, or is no timeline.
    """
    if path.suffix.lower() != ".otio":
        raise InputError(f"has the ending {path.suffix!r}, expected .otio", where=path, do="export the edit as .otio")
    text = _parsed_apart(json.dumps(_checked(path)), path)
    import opentimelineio as otio

    return otio.core.deserialize_json_from_string(text)


def _parsed_apart(text: str, path: Path) -> str:
    """What the library makes of a file's text, in its own writing."""
    redo = "export the edit again"
    return run_apart(written_again, where=path, reader="the timeline's reader", do=redo, data=text.encode()).decode()


def written_again(_arguments: list[str], given: BinaryIO, out: BinaryIO) -> None:
    """In a process of its own: read a timeline's JSON, write what OpenTimelineIO made of it.

    The library's parser corrupts its own memory on some wrong files (seen with 0.18.1: a crash some files later), so it
    meets a file from elsewhere in a process that has nothing to lose; what comes out is the library's own writing.

    Raises:
        InputError: It is no timeline.
    """
    import opentimelineio as otio

    try:
        timeline = otio.core.deserialize_json_from_string(given.read().decode("utf-8"))
        if not isinstance(timeline, otio.schema.Timeline) or not isinstance(timeline.tracks, otio.schema.Stack):
            raise ValueError("it holds no timeline with tracks")
        text = timeline.to_json_string(indent=0)
    except Exception as error:  # whatever the library's parser says
        raise InputError(f"is no timeline ({one_line(error)[:200]})") from None
    out.write(text.encode())


def _checked(path: Path) -> Any:
    data = regular_bytes(path, limit=MAX_BYTES, do="split the edit")
    value = json_value(data, where=path, do="export the edit again", max_values=MAX_VALUES)
    if not isinstance(value, dict) or not str(value.get("OTIO_SCHEMA", "")).startswith("Timeline."):
        raise InputError("holds no timeline", where=path, do="export the edit as one timeline")
    if problem := _problem(value):
        raise InputError(problem, where=path, do="export the edit again")
    return value


def _problem(root: Any) -> str:
    """What the library must not be given."""
    pending, seen = [(root, 0)], 0
    while pending:
        value, depth = pending.pop()
        seen += 1
        if depth > MAX_DEPTH:
            return f"is nested deeper than {MAX_DEPTH} levels"
        if seen > MAX_VALUES:
            return f"holds more than {MAX_VALUES} values"
        if isinstance(value, dict):
            if "OTIO_REF_ID" in value or value.get("OTIO_SCHEMA") == "SerializableObjectRef.1":
                return "holds references between its objects"
            pending += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            pending += [(item, depth + 1) for item in value]
        elif isinstance(value, float) and not math.isfinite(value):
            return "holds a number that is not finite"
        elif isinstance(value, int) and abs(value) >= 1 << 63:
            return "holds a number that is too large"
        elif isinstance(value, str) and value.encode("utf-8", "ignore").decode() != value:
            return "holds text that is not valid"
    return ""


def rate_fraction(rate: float) -> Fraction | None:
    """A rate as a fraction: whole numbers, and NTSC's however they were rounded; None when it is neither.

    23.976, 23.98 and 23.976023976 are 24000/1001.
    """
    if not math.isfinite(rate) or not 1.0 <= rate <= 240.0:
        return None
    whole = round(rate)
    if abs(rate - whole) < 1e-6:
        return Fraction(whole)
    ntsc = round(rate * 1.001)
    return Fraction(ntsc * 1000, 1001) if abs(rate * 1.001 - ntsc) < 0.006 else None


def frame_number(value: float) -> int | None:
    """A frame number, or None for a place between two frames."""
    whole = round(value)
    return whole if abs(value - whole) <= _SLACK else None
