"""Clips filmed, read and kept as rows: what was true, what the measures said, the network, and both together."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from studio_pipeline.caption.describe import measured_words
from studio_pipeline.caption.evidence import gather
from studio_pipeline.caption.looking import Looked, look
from studio_pipeline.caption.readings import LEAST_SURE
from studio_pipeline.evaluation.processes import Row, Tell, work_through
from studio_pipeline.models.caption import CaptionReader, load_reader
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import StudioError, one_line

__all__ = ["WAYS", "Film", "Work", "evaluate"]

WAYS = ("measured", "network", "both")
"""Whose word a row holds."""


class _Filmed(Protocol):
    @property
    def clip(self) -> Clip: ...
    @property
    def truth(self) -> Mapping[str, tuple[str, ...] | None]: ...


class Film(Protocol):
    """Makes the clip of a work; picklable."""

    def __call__(self) -> _Filmed:
        """The clip and what is true of it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Work:
    """One clip to be read."""

    name: str  # unique
    actor: str
    identity: str  # all that the clip depends on, but code
    film: Film
    weights: Path | None  # of the network; None: the measures alone
    alpha: bool  # whether the clip's own alpha may be looked at
    out: Path | None = None


def evaluate(works: Sequence[Work], *, jobs: int = 1, tell: Tell = lambda row, kept: None) -> list[Row]:
    """Read every clip, or take what an earlier run kept where clip, code and weights are the same.

    Raises:
        StudioError: A process died.
    """
    rows = work_through(
        works, cached=_cached, unfinished=lambda work: bool(work.name), run=_run, jobs=jobs, tell=tell
    )  # fmt: skip
    return [row for found in rows for row in found]


@functools.cache
def _code() -> str:
    from studio_pipeline.store.codehash import code_digest

    targets = (
        f"{__name__}:_read", "studio_pipeline.stages.takes.previz:make_previz",
        "studio_pipeline.models.caption.reader:load_reader",
    )  # fmt: skip
    return "".join(code_digest(target) for target in targets)


@functools.cache
def _file(path: Path | None) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None else ""


@functools.cache
def _reader(path: Path | None) -> CaptionReader | None:
    return None if path is None else load_reader(path)


def _place(work: Work) -> Path | None:
    if work.out is None:
        return None
    key = hashlib.sha256(json.dumps([work.identity, work.alpha, _code(), _file(work.weights)]).encode()).hexdigest()
    return work.out / "clips" / f"{work.name}-{key[:16]}.json"


def _cached(work: Work) -> tuple[list[Row], Work]:
    place = _place(work)
    try:
        row = json.loads(place.read_text(encoding="utf-8")) if place is not None else None
    except (OSError, ValueError):
        row = None
    nothing = Work(name="", actor="", identity="", film=work.film, weights=None, alpha=False)
    return ([], work) if row is None else ([row], nothing)


def _run(work: Work, tell: Callable[[Row], None] = lambda row: None) -> list[Row]:
    row: Row = {"name": work.name, "actor": work.actor}
    try:
        filmed = work.film()
        row["truth"] = {name: None if v is None else list(v) for name, v in filmed.truth.items()}
        row |= _read(filmed.clip, _reader(work.weights), alpha=work.alpha)
    except Exception as error:  # the other clips go on
        row["error"] = ("" if isinstance(error, StudioError) else f"{type(error).__name__}: ") + one_line(error)
    place = _place(work)
    if place is not None and "error" not in row:
        _keep(place, row)
    tell(row)
    return [row]


def _keep(place: Path, row: Row) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_suffix(f".{os.getpid()}.part")
    scratch.write_text(json.dumps(row) + "\n", encoding="utf-8")
    scratch.replace(place)


def _read(clip: Clip, reader: CaptionReader | None, *, alpha: bool) -> Row:
    """What each of `WAYS` says: values with confidences, by field."""
    looked = look(clip.frames, clip.fps, alpha=clip.alpha if alpha else None)
    words = measured_words(looked.readings)
    said: dict[str, Any] = {"measured": {name: _sure(values) for name, values in words.items()}}
    if reader is not None:
        said |= _by_network(looked, reader, words)
    return {"said": said}


def _sure(values: Mapping[str, float]) -> dict[str, float]:
    return {value: confidence for value, confidence in values.items() if confidence >= LEAST_SURE}


def _by_network(looked: Looked, reader: CaptionReader, words: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    evidence = gather(looked)
    chances = reader.chances(evidence.thumbs, evidence.details, evidence.signals, evidence.measures)
    alone = {}
    for name, values, many in reader.net.config["fields"]:
        if many:
            alone[name] = {v: round(float(p), 4) for v, p in zip(values, chances[name], strict=True) if p >= 0.5}
        else:
            best = int(np.argmax(chances[name]))
            alone[name] = {values[best]: round(float(chances[name][best]), 4)}
    fused = {name: dict(found) for name, (found, _) in reader.weigh(chances, words).items()}
    both = {name: _sure(values) for name, values in words.items()} | fused
    return {"network": alone, "both": both}
