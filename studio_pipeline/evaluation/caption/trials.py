"""Clips filmed and looked at once, kept as files; what each reader says of them is quick and made anew."""

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
from studio_pipeline.caption.looking import look
from studio_pipeline.caption.readings import LEAST_SURE
from studio_pipeline.evaluation.processes import Row, Tell, work_through
from studio_pipeline.models.caption import CaptionReader
from studio_pipeline.schema.arrays import load_arrays, save_arrays
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError, StudioError, one_line
from studio_pipeline.schema.evidence import Evidence

__all__ = ["WAYS", "Film", "Work", "evaluate", "film_all"]

WAYS = ("measured", "network", "both")
"""Whose word a row holds."""
_EVIDENCE = ("thumbs", "actors", "details", "signals", "measures")


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
    """One clip to be filmed and looked at."""

    name: str  # unique
    actor: str
    identity: str  # all that the clip depends on, but code
    film: Film
    alpha: bool  # whether the clip's own alpha may be looked at
    out: Path
    done: bool = False


def evaluate(
    works: Sequence[Work],
    reader: CaptionReader | None,
    *,
    jobs: int = 1,
    tell: Tell = lambda row, kept: None,
) -> list[Row]:
    """Film every clip (see `film_all`) and read it by measures and, if there is one, by ``reader``.

    Returns:
        Rows with ``name``, ``actor`` and: ``truth`` and ``said`` by each of `WAYS`, or ``error``, or ``skipped``.
    """
    rows = film_all(works, jobs=jobs, tell=tell)
    return [row if {"error", "skipped"} & set(row) else _read(row, reader) for row in rows]


def film_all(works: Sequence[Work], *, jobs: int = 1, tell: Tell = lambda row, kept: None) -> list[Row]:
    """Film and look at every clip, or take what an earlier run kept where clip and code are the same.

    Raises:
        StudioError: A process died.
    """
    rows = work_through(works, cached=_cached, unfinished=lambda work: not work.done, run=_run, jobs=jobs, tell=tell)
    return [row for found in rows for row in found]


@functools.cache
def _code() -> str:
    from studio_pipeline.store.codehash import code_digest

    targets = (f"{__name__}:_looked_at", "studio_pipeline.stages.takes.previz:make_previz")
    return "".join(code_digest(target) for target in targets)


def _place(work: Work) -> Path:
    key = hashlib.sha256(json.dumps([work.identity, work.alpha, _code()]).encode()).hexdigest()
    return work.out / "clips" / f"{work.name}-{key[:16]}.npz"


def _cached(work: Work) -> tuple[list[Row], Work]:
    place = _place(work)
    done = Work(**{**vars(work), "done": True})
    return ([_row(work, place)], done) if place.is_file() else ([], work)


def _row(work: Work, place: Path) -> Row:
    return {"name": work.name, "actor": work.actor, "file": str(place)}


def _run(work: Work, tell: Callable[[Row], None] = lambda row: None) -> list[Row]:
    place = _place(work)
    row = _row(work, place)
    try:
        filmed = work.film()
        arrays, told = _looked_at(filmed.clip, alpha=work.alpha)
        told["truth"] = {name: None if v is None else list(v) for name, v in filmed.truth.items()}
        _keep(place, arrays, told)
    except InputError as error:  # an actor that can't be had says nothing about a reader
        row["skipped"] = one_line(error)
    except Exception as error:  # the other clips go on
        row["error"] = ("" if isinstance(error, StudioError) else f"{type(error).__name__}: ") + one_line(error)
    tell(row)
    return [row]


def _looked_at(clip: Clip, *, alpha: bool) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Evidence for a network, and the measures' words."""
    looked = look(clip.frames, clip.fps, alpha=clip.alpha if alpha else None)
    evidence = gather(looked)
    return {name: getattr(evidence, name) for name in _EVIDENCE}, {"words": measured_words(looked.readings)}


def _keep(place: Path, arrays: Mapping[str, np.ndarray], told: Mapping[str, Any]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_suffix(f".{os.getpid()}.part")
    save_arrays(scratch, told=np.frombuffer(json.dumps(told).encode(), np.uint8), **arrays)
    scratch.replace(place)  # an interrupted run leaves no half a result


def _read(row: Row, reader: CaptionReader | None) -> Row:
    """What each of `WAYS` says: values with confidences, by field."""
    try:
        arrays = load_arrays(Path(row["file"]))
        told = json.loads(arrays["told"].tobytes().decode())
    except (InputError, KeyError, ValueError) as error:
        return {**row, "error": one_line(error)}
    words: dict[str, dict[str, float]] = told["words"]
    said: dict[str, Any] = {"measured": {name: _sure(values) for name, values in words.items()}}
    if reader is not None:
        chances = reader.chances(Evidence(**{name: arrays[name] for name in _EVIDENCE}), words)
        fused = {name: dict(found) for name, (found, _) in reader.weigh(chances, words).items()}
        said |= {"network": _alone(reader, chances), "both": said["measured"] | fused}
    return {"name": row["name"], "actor": row["actor"], "truth": told["truth"], "said": said}


def _sure(values: Mapping[str, float]) -> dict[str, float]:
    return {value: confidence for value, confidence in values.items() if confidence >= LEAST_SURE}


def _alone(reader: CaptionReader, chances: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """The network's own word, never silent."""
    alone = {}
    for name, values, many in reader.net.config["fields"]:
        row = chances[name]
        chosen = np.flatnonzero(row >= 0.5) if many else [int(np.argmax(row))]
        alone[name] = {values[k]: round(float(row[k]), 4) for k in chosen}
    return alone
