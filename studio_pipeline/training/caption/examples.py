"""Clips as the network sees them, kept in files: made once, by several processes, and gone on with after a break."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.caption.describe import measured_words
from studio_pipeline.caption.evidence import gather
from studio_pipeline.caption.looking import look
from studio_pipeline.schema.arrays import load_arrays, save_arrays
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import one_line
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.store.codehash import code_digest
from studio_pipeline.training.caption.drawing import Case
from studio_pipeline.training.caption.filming import film

__all__ = ["Examples", "compressed", "example_of", "load_examples", "make_examples"]

_SHARD = 25  # clips a file
_BARE = 0.5  # of the clips come without alpha, as video files do
_CODED = 0.3  # of the clips come through H.264
_ARRAYS = ("thumbs", "actors", "details", "signals", "measures")


@dataclass(frozen=True, kw_only=True)
class Examples:
    """N clips. Arrays as `Evidence` has them, one window each."""

    thumbs: np.ndarray  # [N, F, S, S, 3] uint8
    actors: np.ndarray  # [N, F, S, S, 4] uint8
    details: np.ndarray  # [N, D, Z, Z, 3] uint8
    signals: np.ndarray  # [N, F, C] float32
    measures: np.ndarray  # [N, M] float32
    truths: list[dict[str, Any]]  # see `filming.Filmed`
    said: list[dict[str, dict[str, float]]]  # by the measures: confidences by value, by field

    def __len__(self) -> int:
        return len(self.truths)


def compressed(frames: np.ndarray, fps: Fraction, crf: int) -> np.ndarray:
    """Frames [T, H, W, 3] uint8, H and W even, after H.264."""
    from studio_pipeline.media.reading import read_clip
    from studio_pipeline.media.video import write_mp4

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_mp4(path, frames, fps, crf=crf)
        return read_clip(path).frames


def example_of(clip: Clip, seed: int, *, worn: bool = True) -> dict[str, Any]:
    """Evidence and measured values of a clip; ``worn``: half without alpha, some through H.264, by the seed."""
    rng = np.random.default_rng([seed, 11])
    bare, coded, crf = rng.random() < _BARE, rng.random() < _CODED, int(rng.integers(16, 27))
    frames = compressed(clip.frames, clip.fps, crf) if worn and coded else clip.frames
    looked = look(frames, clip.fps, alpha=None if worn and bare else clip.alpha)
    evidence = gather(looked)
    return {
        "thumbs": evidence.thumbs[0], "actors": evidence.actors[0], "details": evidence.details[0],
        "signals": evidence.signals[0],
        "measures": evidence.measures, "said": measured_words(looked.readings),
    }  # fmt: skip


def make_examples(
    folder: Path,
    cases: Sequence[Case],
    drawable: Mapping[str, tuple[str, ...]],
    *,
    workers: int = 1,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Film the cases that no file in ``folder`` holds yet, look at the clips that the code has not yet looked at so.

    Clips are kept too: a measure that changed is taken anew without filming. Returns the files of examples.
    """
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    (folder / "films").mkdir(parents=True, exist_ok=True)
    code = code_digest(f"{__name__}:example_of")
    works = [
        (folder / f"{start:06d}-{code[:12]}.npz", list(cases[start : start + _SHARD]), dict(drawable))
        for start in range(0, len(cases), _SHARD)
    ]
    left = [work for work in works if not work[0].is_file()]
    if workers == 1:
        for index, work in enumerate(left):
            _shard(*work)
            tell(f"{index + 1} of {len(left)} files of {_SHARD} clips")
    elif left:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            waiting = [pool.submit(_shard, *work) for work in left]
            for index, _ in enumerate(as_completed(waiting)):
                tell(f"{index + 1} of {len(left)} files of {_SHARD} clips")
    return [work[0] for work in works]


def _shard(path: Path, cases: list[Case], drawable: dict[str, tuple[str, ...]]) -> None:
    film_path = path.parent / "films" / f"{path.stem.partition('-')[0]}.npz"
    if not film_path.is_file():
        _film(film_path, cases, drawable)
    filmed = load_arrays(film_path)
    told = json.loads(filmed["text"].tobytes().decode())
    rows = [
        example_of(
            Clip(frames=filmed[f"frames{k}"], alpha=filmed[f"alpha{k}"], fps=Fraction(row["fps"]), first_frame=1),
            row["seed"],
        )
        for k, row in enumerate(told)
    ]  # fmt: skip
    arrays = {name: np.stack([row[name] for row in rows]) for name in _ARRAYS}
    text = json.dumps([{"truth": a["truth"], "said": b["said"]} for a, b in zip(told, rows, strict=True)])
    _keep(path, {**arrays, "text": np.frombuffer(text.encode(), np.uint8)})


def _film(path: Path, cases: Sequence[Case], drawable: Mapping[str, tuple[str, ...]]) -> None:
    taxonomy = load_taxonomy()
    arrays: dict[str, np.ndarray] = {}
    told = []
    for case in cases:
        try:
            filmed = film(case, taxonomy, drawable)
        except Exception as error:  # one clip that previz can't draw doesn't end hours of filming
            sys.stderr.write(f"left out {case}: {type(error).__name__}: {one_line(error)}\n")
            continue
        k, alpha = len(told), filmed.clip.alpha
        arrays[f"frames{k}"] = filmed.clip.frames
        arrays[f"alpha{k}"] = np.full(filmed.clip.frames.shape[:3], 255, np.uint8) if alpha is None else alpha
        told.append({"truth": filmed.truth, "seed": case.seed, "fps": case.fps})
    _keep(path, {**arrays, "text": np.frombuffer(json.dumps(told).encode(), np.uint8)})


def _keep(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    scratch = path.with_name(f"{path.stem}.{os.getpid()}.part")
    save_arrays(scratch, **arrays)
    scratch.replace(path)


def load_examples(paths: Sequence[Path]) -> Examples:
    """All clips of some files."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _ARRAYS}
    rows: list[dict[str, Any]] = []
    for path in paths:
        file = load_arrays(path)
        for name, kept in parts.items():
            kept.append(file[name])
        rows += json.loads(file["text"].tobytes().decode())
    truths = [{f: None if v is None else tuple(v) for f, v in row["truth"].items()} for row in rows]
    return Examples(
        **{name: np.concatenate(kept) for name, kept in parts.items()}, truths=truths,
        said=[row["said"] for row in rows],
    )  # fmt: skip
