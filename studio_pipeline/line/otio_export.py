"""The delivered timeline: every clip refers to what lies beside it in the delivery's folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from studio_pipeline.line.deliverable import Deliverable
from studio_pipeline.line.otio_import import code_of, cut_range, named_clips
from studio_pipeline.line.scrub import scrub
from studio_pipeline.line.timelines import METADATA, read_timeline
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError, StudioError
from studio_pipeline.schema.shotlist import ShotListErrors

__all__ = ["timeline_extra"]


def timeline_extra(name: str, edit: Path | None) -> Callable[[Sequence[Deliverable]], Mapping[str, bytes]]:
    """Gives ``<name>.otio`` of what is delivered: ``edit`` with our media, or without one the shots in their order.

    Paths, machines' names and secrets that other programs left in the edit are taken out; clips that aren't delivered
    lose their media's address.

    Raises:
        InputError: The edit can't be read, or doesn't fit what is delivered.
    """

    def extra(chosen: Sequence[Deliverable]) -> dict[str, bytes]:
        timeline = _conformed(read_timeline(edit), chosen) if edit else _in_order(name, chosen)
        text, _ = scrub(json.loads(timeline.to_json_string()))
        return {f"{name}.otio": (json.dumps(text, indent=1, ensure_ascii=False) + "\n").encode()}

    return extra


def _in_order(name: str, chosen: Sequence[Deliverable]) -> Any:
    import opentimelineio as otio

    timeline = otio.schema.Timeline(name)
    track = otio.schema.Track("V1", kind=otio.schema.TrackKind.Video)
    timeline.tracks.append(track)
    for item in chosen:
        clip = otio.schema.Clip(item.shot.shot.shot)
        _refer(clip, item, *_cut(item))
        track.append(clip)
    return timeline


def _conformed(timeline: Any, chosen: Sequence[Deliverable]) -> Any:
    """The edit as it is, with our media where a clip's shot is delivered."""
    used: set[str] = set()
    problems: list[str] = []
    for where, _, clip in named_clips(timeline):
        item = _delivered(clip, chosen)
        if item is None:
            continue
        used.add(item.shot.id)
        try:
            _refer(clip, item, *_fitted(clip, item))
        except StudioError as error:
            problems.append(f"{where}: {error}")
    if lost := [item.shot.id for item in chosen if item.shot.id not in used]:
        problems.append(f"the edit has no clip of {', '.join(lost)}")
    if problems:
        raise ShotListErrors(problems)
    for clip in timeline.find_clips():
        _forget(clip, keep=clip.metadata.get(METADATA, {}).get("delivered") is not None)
    return timeline


def _delivered(clip: Any, chosen: Sequence[Deliverable]) -> Deliverable | None:
    """The delivery of the shot that a clip shows."""
    said = clip.metadata.get(METADATA) or {}
    code = code_of(clip)
    fitting = [
        item
        for item in chosen
        if (shot := item.shot.shot) is not None
        and (code == item.shot.id or code == shot.shot)
        and said.get("show", shot.show) == shot.show
        and said.get("sequence", shot.sequence) == shot.sequence
    ]
    if len(fitting) > 1:
        names = ", ".join(item.shot.id for item in fitting)
        raise InputError(f"clip {code} may be any of {names}", do="name the clip by the whole id")
    return fitting[0] if fitting else None


def _cut(item: Deliverable) -> tuple[int, int, Fraction]:
    """First frame, number of frames and rate of a delivered cut."""
    frames, fps = item.facts.get("frames") or item.shot.shot.frames, item.facts.get("fps") or item.shot.shot.fps
    return int(frames[0]), int(frames[1]) - int(frames[0]) + 1, Fraction(str(fps))


def _handles(item: Deliverable) -> int:
    return int(item.facts.get("handles", item.shot.shot.handles))


def _fitted(clip: Any, item: Deliverable) -> tuple[int, int, Fraction]:
    """What the edit shows, in the delivered frames' numbers.

    Raises:
        InputError: It shows other frames than were delivered.
    """
    first, count, fps = cut_range(clip)
    start, length, made_at = _cut(item)
    if fps != made_at:
        raise InputError(f"runs at {fps} in the edit, {item.shot.id} was made at {made_at}")
    if count == length:
        return start, length, fps  # the same cut, numbered by the edit or by the shot
    handles = _handles(item)
    if start - handles <= first and first + count <= start + length + handles:
        return first, count, fps  # trimmed within what was delivered
    raise InputError(
        f"shows {count} frames from {first} on, {item.shot.id} was delivered with {length} from {start} on",
        do="import the edit again and run the shot",
    )


def _refer(clip: Any, item: Deliverable, first: int, count: int, fps: Fraction) -> None:
    """Let a clip show the delivered movie, and the numbered pictures as a second choice."""
    import opentimelineio as otio

    time, span = otio.opentime.RationalTime, otio.opentime.TimeRange
    rate, shot = float(fps), item.shot.id
    start, length, _ = _cut(item)
    handles = _handles(item)
    available = span(time(start - handles, rate), time(length + 2 * handles, rate))
    clip.source_range = span(time(first, rate), time(count, rate))
    movie = otio.schema.ExternalReference(f"{shot}/{shot}.mp4", available_range=available)
    pictures = otio.schema.ImageSequenceReference(
        target_url_base=f"{shot}/frames/",
        name_prefix=f"{shot}.",
        name_suffix=".png",
        start_frame=start - handles,
        frame_step=1,
        rate=rate,
        frame_zero_padding=4,
        available_range=available,
    )
    clip.set_media_references({clip.DEFAULT_MEDIA_KEY: movie, "frames": pictures}, clip.DEFAULT_MEDIA_KEY)
    clip.metadata[METADATA] = {**dict(_described(item, handles)), "delivered": _version(item)}


def _described(item: Deliverable, handles: int) -> Iterator[tuple[str, Any]]:
    """What an import of the delivered timeline needs to give the same shot again."""
    shot = item.shot.shot
    yield from (("show", shot.show), ("sequence", shot.sequence), ("shot", shot.shot), ("handles", handles))
    yield from (("seed", shot.seed), ("resolution", list(item.facts.get("resolution") or shot.resolution)))
    if shot.brief:
        yield "brief", shot.brief
    if shot.directives:
        yield "directives", dict(shot.directives)
    file = Path(shot.character.file) if shot.character else None
    if file and file.parent.resolve() == (assets_folder() / "characters").resolve():
        yield "character", file.stem


def _version(item: Deliverable) -> dict[str, Any]:
    version = item.version
    return {
        "version": version.label,
        "key": version.key,
        "generation": version.generation,
        "content_hash": version.content_hash,
    }


def _forget(clip: Any, *, keep: bool) -> None:
    """Take a clip's addresses away unless they are ours: they name places of another house."""
    import opentimelineio as otio

    if keep:
        return
    found = {}
    for name, reference in clip.media_references().items():
        addressed = isinstance(reference, otio.schema.ExternalReference | otio.schema.ImageSequenceReference)
        if addressed:
            reference = otio.schema.MissingReference(name=reference.name, available_range=reference.available_range)
        found[name] = reference
    clip.set_media_references(found, clip.active_media_reference_key)
