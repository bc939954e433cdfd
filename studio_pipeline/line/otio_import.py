"""A timeline's clips as shots: names become codes, source ranges frames; what isn't made is told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from studio_pipeline.line.timelines import METADATA, frame_number, rate_fraction
from studio_pipeline.schema.errors import InputError, StudioError, one_line
from studio_pipeline.schema.shot import Shot
from studio_pipeline.schema.shotlist import ShotListErrors

__all__ = ["Wanted", "code_of", "cut_range", "named_clips", "shots_of"]

TAKEN = ("brief", "directives", "handles", "resolution", "seed", "priority", "show", "sequence", "shot", "character")
"""Fields that a clip's metadata may hold. Nothing that names files or commands: a timeline comes from elsewhere."""
MAX_HANDLES = 200


@dataclass(frozen=True)
class Wanted:
    """What the user says about all clips."""

    characters: Mapping[str, str] = field(default_factory=dict)  # by clip's code; "" for all others
    show: str = ""
    sequence: str = ""
    handles: int | None = None
    first_frame: int | None = None  # the first frame of every cut gets this number
    resolution: tuple[int, int] | None = None


def shots_of(timeline: Any, wanted: Wanted) -> tuple[list[dict[str, Any]], list[str]]:
    """Shots as a shot list has them, in the order of the edit, and what is told about the rest of the timeline.

    Raises:
        InputError: A clip can't become a shot; all problems are told together.
    """
    told = list(_about_tracks(timeline))
    shots: list[dict[str, Any]] = []
    problems: list[str] = []
    places: dict[tuple[str, ...], str] = {}
    for where, track, clip in named_clips(timeline):
        try:
            if reason := _skipped(clip):
                told.append(f"{where} is not made: {reason}")
                continue
            shot, lines = _shot(timeline, track, clip, wanted, where)
            code = (shot["show"], shot["sequence"], shot["shot"])
            if code in places:
                raise InputError(f"becomes shot {shot['shot']} as {places[code]} does", do="give it another name")
            places[code] = where
            shots.append(shot)
            told += lines
        except StudioError as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise ShotListErrors(problems)
    if not shots:
        raise InputError("has no clip that becomes a shot", where="the timeline")
    return shots, told


def named_clips(timeline: Any) -> Iterator[tuple[str, Any, Any]]:
    """What to call it, its track, and every clip of the video tracks, in order."""
    for number, track in enumerate(timeline.video_tracks(), 1):
        label = one_line(track.name)[:40] or f"video track {number}"
        for index, clip in enumerate(track.find_clips(), 1):
            name = one_line(clip.name or "")[:60]
            yield f"{label}, clip {index}" + (f" {name!r}" if name else ""), track, clip


def code_of(clip: Any) -> str:
    """The shot code that a clip's metadata or name gives; empty when neither does."""
    said = _said(clip).get("shot")
    return str(said) if said else _slug(re.sub(r"\.[A-Za-z0-9]{1,4}$", "", clip.name or ""))


def cut_range(clip: Any) -> tuple[int, int, Fraction]:
    """First frame, number of frames and rate of what the edit shows of a clip.

    Raises:
        InputError: It has no range, an unusable rate, or begins or ends between two frames.
    """
    try:
        shown = clip.trimmed_range()
    except Exception:  # the library says so in many ways
        raise InputError("has no source range, nor media that gives one") from None
    start, length = shown.start_time, shown.duration
    fps = rate_fraction(length.rate)
    if fps is None or rate_fraction(start.rate) is None:
        raise InputError(f"has the rate {length.rate:g}", do="use a whole rate from 1 to 240, or an NTSC one")
    first, count = frame_number(start.rescaled_to(length.rate).value), frame_number(length.value)
    if first is None or count is None:
        raise InputError("begins or ends between two frames", do="conform the edit to whole frames")
    if count < 1:
        raise InputError(f"is {count} frames long")
    return first, count, fps


def _said(clip: Any) -> dict[str, Any]:
    """What the clip's metadata holds for the pipeline."""
    said = clip.metadata.get(METADATA)
    return {str(name): _plain(value) for name, value in said.items()} if hasattr(said, "items") else {}


def _plain(value: Any) -> Any:
    if hasattr(value, "items"):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return value
    return [_plain(item) for item in value]


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:64]


def _skipped(clip: Any) -> str:
    import opentimelineio as otio

    if not clip.enabled:
        return "it is disabled"
    if isinstance(clip.media_reference, otio.schema.GeneratorReference):
        return f"it is generated ({one_line(clip.media_reference.generator_kind)[:40]})"
    return ""


def _shot(timeline: Any, track: Any, clip: Any, wanted: Wanted, where: str) -> tuple[dict[str, Any], list[str]]:
    said, told = _said(clip), []
    first, count, fps = cut_range(clip)
    code = code_of(clip)
    if not code:
        raise InputError("has no name that could be a shot's code", do="name it")
    show = wanted.show or str(said.get("show") or "") or _slug(timeline.name or "")
    sequence = wanted.sequence or str(said.get("sequence") or "") or _slug(track.name or "") or "main"
    code = code.removeprefix(f"{show}_{sequence}_")
    if not said.get("shot") and code != clip.name:
        told.append(f"{where} becomes shot {code}")
    if other := sorted(set(said) - {*TAKEN, "delivered"}):
        told.append(f"{where}: {', '.join(other)} is not taken from a timeline - write it into the shot list")
    if not show:
        raise InputError("belongs to no show", do="name it with --show, or name the timeline")
    handles, why = _handles(clip, said, wanted, first, count)
    told += [f"{where}: {line}" for line in why]
    told += [f"{where}: its {kind} is not made, it stays in the timeline" for kind in _effects(clip)]
    start = first if wanted.first_frame is None else wanted.first_frame
    values: dict[str, Any] = {
        "show": show,
        "sequence": sequence,
        "shot": code,
        "character": _character(said, code, wanted),
        **{name: said[name] for name in ("brief", "directives", "seed", "priority", "resolution") if name in said},
        "fps": str(fps),
        "frames": [start, start + count - 1],
        "handles": handles,
    }
    if wanted.resolution is not None:
        values["resolution"] = list(wanted.resolution)
    _check(values)
    return values, told


def _character(said: Mapping[str, Any], code: str, wanted: Wanted) -> str:
    given = wanted.characters.get(code) or wanted.characters.get("") or ""
    named = said.get("character")
    if given or not isinstance(named, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", named):
        if not given:
            raise InputError("has no character", do="give one for all clips with --character NAME, or for this one "
                             f"with --character {code}=NAME")  # fmt: skip
        return given
    return named


def _check(values: Mapping[str, Any]) -> None:
    try:
        Shot.model_validate(dict(values))
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        name = ".".join(str(step) for step in item["loc"] if not str(step).startswith("function-"))
        what = item["msg"].removeprefix("Value error, ")
        hint = "--first-frame 1001 numbers all cuts from there" if "before frame 0" in what else ""
        raise InputError(f"{name}: {what}" if name else what, do=hint) from None


def _handles(clip: Any, said: Mapping[str, Any], wanted: Wanted, first: int, count: int) -> tuple[int, list[str]]:
    """Frames beyond both ends of the cut: as wanted, as the media has, at least what transitions show."""
    told: list[str] = []
    if wanted.handles is not None:
        handles = wanted.handles
    elif type(said.get("handles")) is int:
        handles = said["handles"]
    else:
        handles = _spare(clip, first, count)
    need = max(_overlaps(clip), default=0)
    if need > handles:
        told.append(f"a transition shows {need} frames beyond the cut, so its handles are {need}")
        handles = need
    return handles, told


def _spare(clip: Any, first: int, count: int) -> int:
    """Frames that the media has at both ends of the cut."""
    available = getattr(clip.media_reference, "available_range", None)
    if available is None or available.duration.value <= 0:
        return 0
    rate = available.duration.rate
    start = frame_number(available.start_time.rescaled_to(rate).value)
    length = frame_number(available.duration.value)
    if start is None or length is None or rate_fraction(rate) != cut_range(clip)[2]:
        return 0
    return max(0, min(first - start, start + length - first - count, MAX_HANDLES))


def _overlaps(clip: Any) -> Iterator[int]:
    """Frames beyond the cut that the transitions beside a clip show."""
    import opentimelineio as otio

    parent = clip.parent()
    if not isinstance(parent, otio.schema.Track):
        return
    siblings = list(parent)
    at = next(index for index, item in enumerate(siblings) if item is clip)
    for step, name in ((-1, "in_offset"), (1, "out_offset")):
        beside = siblings[at + step] if 0 <= at + step < len(siblings) else None
        if isinstance(beside, otio.schema.Transition):
            # Before the clip: its head is needed for as long as the transition lies before the cut, and so on.
            yield max(0, round(getattr(beside, name).rescaled_to(clip.trimmed_range().duration.rate).value))


def _effects(clip: Any) -> list[str]:
    import opentimelineio as otio

    return [
        "change of speed" if isinstance(effect, otio.schema.TimeEffect) else f"effect {one_line(effect.name)[:40]!r}"
        for effect in clip.effects
    ]


def _about_tracks(timeline: Any) -> Iterator[str]:
    import opentimelineio as otio

    def many(count: int, what: str) -> str:
        return f"{count} {what}{'s' if count != 1 else ''}"

    if others := [item for item in timeline.tracks if getattr(item, "kind", "") != otio.schema.TrackKind.Video]:
        yield f"{many(len(others), 'track')} without pictures stay in the timeline"
    tracks: Sequence[Any] = timeline.video_tracks()
    gaps = sum(len(track.find_children(descended_from_type=otio.schema.Gap)) for track in tracks)
    passages = sum(len(track.find_children(descended_from_type=otio.schema.Transition)) for track in tracks)
    if gaps:
        yield f"{many(gaps, 'gap')} stay in the timeline"
    if passages:
        yield f"{many(passages, 'transition')} stay in the timeline, the shots get the handles that they show"
