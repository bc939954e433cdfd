"""Measuring backends on subjects. Every result is kept as one JSON file, its picture beside it."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.evaluation.rigs.backends import RigBackend
from studio_pipeline.evaluation.rigs.motions import followed_joints, motion_figures
from studio_pipeline.evaluation.rigs.pictures import backend_tile, truth_tile
from studio_pipeline.evaluation.rigs.skeletons import Skeleton, chamfer_figures
from studio_pipeline.evaluation.rigs.skins import skin_figures
from studio_pipeline.evaluation.rigs.sources import Source
from studio_pipeline.evaluation.rigs.subjects import Subject
from studio_pipeline.schema.errors import InputError, StudioError, one_line
from studio_pipeline.schema.records import Rig

__all__ = ["Work", "cached", "measure", "run_work", "truth_picture"]

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Work:
    """One subject and the backends that are measured on it."""

    source: Source
    backends: tuple[tuple[str, RigBackend], ...]
    out: Path | None = None  # where results and pictures go


@functools.cache
def _code(target: str) -> str:
    from studio_pipeline.store.codehash import code_digest

    return code_digest(target)


def _key(*given: Any) -> str:
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]


def _place(work: Work, name: str, backend: RigBackend) -> Path | None:
    """Where a result is kept, without its ending: by the subject, the measure's code, and the backend's."""
    if work.out is None:
        return None
    files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in backend.paths()]
    key = _key(
        [work.source.name, work.source.group, work.source.digest(), _code(f"{__name__}:measure"), asdict(backend)],
        [_code(backend.rig), _code(backend.skin), files],
    )
    return work.out / "cases" / f"{_plain(work.source.name)}-{name}-{key}"


def truth_picture(work: Work) -> Path | None:
    """Where the picture of the truth is kept."""
    if work.out is None:
        return None
    key = _key(work.source.digest(), _code(f"{truth_tile.__module__}:truth_tile"))
    return work.out / "cases" / f"{_plain(work.source.name)}-truth-{key}.png"


def _plain(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)


def cached(work: Work) -> tuple[list[dict[str, Any]], Work]:
    """Results of an earlier run that still hold, and what is left to do."""
    rows, left = [], []
    truth = truth_picture(work)
    for name, backend in work.backends:
        place = _place(work, name, backend)
        try:
            found = place is not None and truth is not None and truth.is_file() and place.with_suffix(".png").is_file()
            row = json.loads(place.with_suffix(".json").read_text(encoding="utf-8")) if found and place else None
        except (OSError, ValueError):
            row = None
        if row is None:
            left.append((name, backend))
        else:
            rows.append(row)
    return rows, replace(work, backends=tuple(left))


def run_work(work: Work, tell: Callable[[dict[str, Any]], None] = lambda row: None) -> list[dict[str, Any]]:
    """Measure the backends on one subject. What fails gives a row with an ``error``, or says why it was ``skipped``.

    Args:
        work: Which.
        tell: Told every row as soon as it is there.
    """
    rows = []
    try:
        subject = work.source.open()
    except Exception as error:  # a truth that can't be had says nothing about a backend
        told = str(error) if isinstance(error, InputError) else f"{work.source.name}: {_told(error)}"
        for name, _ in work.backends:
            rows.append(_named(work, name) | {"skipped": told})
            tell(rows[-1])
        return rows
    truth = truth_picture(work)
    if truth is not None:
        _keep(truth, truth_tile(subject))
    for name, backend in work.backends:
        figures, rig = measure(subject, backend)
        row = _named(work, name) | {"truth_picture": truth.name if truth else None} | figures
        place = _place(work, name, backend)
        if place is not None and rig is not None and "error" not in row:
            row["picture"] = place.with_suffix(".png").name
            _keep(place.with_suffix(".png"), backend_tile(subject, rig, followed_joints(subject, rig)))
            _keep(place.with_suffix(".json"), (json.dumps(row, indent=1) + "\n").encode())
        rows.append(row)
        tell(row)
    return rows


def _named(work: Work, backend: str) -> dict[str, Any]:
    return {"character": work.source.name, "group": work.source.group, "backend": backend}


def _keep(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_suffix(f"{place.suffix}.{os.getpid()}.part")
    scratch.write_bytes(content)
    scratch.replace(place)  # an interrupted run leaves no half a result


def measure(subject: Subject, backend: RigBackend) -> tuple[dict[str, Any], Rig | None]:
    """All figures of one backend on one subject, and the rig that it made.

    Whatever goes wrong is the result of this backend on this subject: an ``error`` beside the figures before it.
    """
    from studio_pipeline.stages.rig.checks import check_rig

    character, truth = subject.character, subject.truth
    row: dict[str, Any] = {"vertices": len(character.vertices), "faces": len(character.faces)}
    rig: Rig | None = None
    try:
        _warm_up(backend)
        start, busy = time.perf_counter(), time.process_time()
        made = backend.make_rig(character.vertices, character.faces)
        row["seconds"] = {"wall": time.perf_counter() - start, "processor": time.process_time() - busy}
        _check(made, len(character.vertices))
        rig = made
        row["joints"] = {"truth": len(truth.parents), "rig": made.joint_count}
        guess = Skeleton(joints=made.heads.astype(np.float64), parents=np.asarray(made.parents))
        row["skeleton"] = chamfer_figures(truth.skeleton, guess, character.vertices)
        row["motion"] = motion_figures(subject, made)
        row["refused"] = [gate.name for gate in check_rig(character, made) if gate.blocking and not gate.passed]
        weights = backend.make_skin(character.vertices, character.faces, truth.joints, truth.tails, truth.parents)
        _check_weights(weights, truth.weights.shape)
        row["skin"] = skin_figures(truth.weights, weights)
    except Exception as error:  # the other backends and subjects go on
        row["error"] = _told(error)
    return row, rig


def _told(error: Exception) -> str:
    return ("" if isinstance(error, StudioError) else f"{type(error).__name__}: ") + one_line(error)


@functools.cache
def _warm_up(backend: RigBackend) -> None:
    """Make the rig of a box first, so that imports and loaded weights aren't counted with one character."""
    corners = np.array(np.meshgrid([-0.2, 0.2], [0.0, 1.0], [-0.2, 0.2], indexing="ij")).reshape(3, -1).T
    sides = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = [[a, *pair] for a, b, c, d in sides for pair in ((b, c), (c, d))]
    try:
        backend.make_rig(corners.astype(np.float32), np.array(faces, dtype=np.int32))
    except Exception:  # a box may be beyond it; what matters fails again on the character
        return


def _check(rig: Rig, count: int) -> None:
    """Refuse what is no rig of ``count`` vertices.

    Raises:
        StudioError: It isn't.
    """
    from studio_pipeline.stages.rig.checks import is_whole

    if lack := is_whole(rig):
        raise StudioError(f"gave {lack}")
    _check_weights(rig.weights, (count, rig.joint_count))


def _check_weights(weights: np.ndarray, shape: tuple[int, ...]) -> None:
    if weights.shape != shape:
        raise StudioError(f"gave weights of shape {weights.shape}, not {shape}")
    if not np.isfinite(weights).all() or np.abs(weights.sum(1) - 1.0).max(initial=0.0) > _SUM_TOLERANCE:
        raise StudioError("gave weights that don't sum to one")
