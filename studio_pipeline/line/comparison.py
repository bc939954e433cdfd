"""Two versions of a stage side by side: figures, verdicts, ingredients, files, pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from studio_pipeline.line.accept import edited
from studio_pipeline.line.chain import chain_of
from studio_pipeline.line.reviews import version_of
from studio_pipeline.line.timestamps import timestamp
from studio_pipeline.media.reading import read_clip, read_image
from studio_pipeline.media.wipe import Footage
from studio_pipeline.schema.errors import InputError
from studio_pipeline.store import Artifact, Published, Store, diff_ingredients
from studio_pipeline.store.reviews import ReviewBook

__all__ = ["Side", "footage_of", "load_side", "tables"]

_TAKE = re.compile(r"take_(\d+)\.mp4")
_FRAME = re.compile(r"frames/.*?(\d+)\.png")


@dataclass(frozen=True)
class Side:
    """One of the two versions, every byte of it checked."""

    published: Published
    artifact: Artifact
    folder: Path  # its payload; read only
    status: str

    @property
    def label(self) -> str:
        """The version as people write it."""
        return self.published.label

    def fps(self, shot_fps: Fraction) -> Fraction:
        """Frames a second: the stage's own, or the shot's where the stage doesn't read it."""
        return Fraction(str(self.artifact.ingredients.get("shot", {}).get("fps", shot_fps)))


def load_side(store: Store, shot_id: str, stage: str, version: str) -> Side:
    """One version with its payload.

    Raises:
        InputError: There is no such version.
        Corrupt: Its bytes have changed since the commit.
        StorageError: It is no longer in the store.
    """
    published = version_of(store, shot_id, stage, version)
    artifact = store.get(published.key, published.generation)
    standing = ReviewBook(store.primitive).standing(shot_id, stage, published.version)
    return Side(published, artifact, store.checkout(artifact), standing.status)


def footage_of(side: Side, shot_first: int, *, take: int | None = None) -> tuple[str, Footage] | None:
    """The name of the moving picture that a version shows, and its numbered frames; None when it shows none.

    Args:
        side: The version.
        shot_first: Number of the first frame where neither file names nor the stage's own fields tell it.
        take: Which of several takes; the first when None.

    Raises:
        InputError: The version has no such take.
    """
    names = [file.name for file in side.artifact.files]
    if take is not None:
        names = _of_take(names, take, side)
    frames = {int(match[1]): side.folder / name for name in names if (match := _FRAME.fullmatch(name))}
    if frames:
        first = read_image(frames[min(frames)])[0]
        size = (first.shape[1], first.shape[0])
        return "frames/", Footage(sorted(frames), size, lambda number: read_image(frames[number])[0])
    if (name := _movie(names, side.published.shot_id)) is None:
        return None
    pixels = read_clip(side.folder / name).frames
    facts = side.artifact.ingredients.get("shot", {})
    start = facts["frames"][0] - facts.get("handles", 0) if facts.get("frames") else shot_first
    numbers = range(start, start + len(pixels))
    return name, Footage(numbers, (pixels.shape[2], pixels.shape[1]), lambda number: pixels[number - start])


def _of_take(names: Sequence[str], take: int, side: Side) -> list[str]:
    there = sorted(int(match[1]) for name in names if (match := _TAKE.fullmatch(name)))
    if take not in there:
        takes = ", ".join(map(str, there))
        raise InputError(
            f"{side.published.stage} {side.label} has no take {take}",
            where=side.published.shot_id,
            do=f"its takes: {takes}" if takes else "leave --take out",
        )
    return [f"take_{take:03d}.mp4"]


def _movie(names: Sequence[str], shot_id: str) -> str | None:
    movies = [name for name in names if name.endswith(".mp4") and "/" not in name]
    preferred = [f"{shot_id}.mp4", "clip.mp4", "overlay.mp4", "side_by_side.mp4"]
    return next((name for name in preferred if name in movies), movies[0] if movies else None)


def tables(store: Store, before: Side, after: Side) -> dict[str, Any]:
    """All that differs but pictures, JSON-able.

    ``ingredients`` are the stage's own, ``upstream`` those of the stages behind it: what the difference comes from.
    """
    old, new = before.artifact, after.artifact
    return {
        "shot": before.published.shot_id,
        "stage": before.published.stage,
        "versions": [_version(side) for side in (before, after)],
        "figures": _rows(old.figures, new.figures),
        "verdicts": _verdicts(old, new),
        "ingredients": list(_changes(old, new)),
        "upstream": list(_upstream(store, old, new)),
        "code": list(edited(old.manifest.get("code_parts", {}), new.manifest.get("code_parts", {}))),
        "files": _files(old, new),
    }


def _changes(old: Artifact, new: Artifact) -> Iterator[dict[str, Any]]:
    for change in diff_ingredients(old.ingredients, new.ingredients):
        yield {"stage": new.stage, "ingredient": change.ingredient, "before": change.old, "after": change.new}


def _upstream(store: Store, old: Artifact, new: Artifact) -> Iterator[dict[str, Any]]:
    """What changed in the stages behind, but for contents that follow from what changed further up."""
    a, b = ({item.stage: item for item in chain_of(store, [one]).values()} for one in (old, new))
    for stage in b:
        if stage in a and stage != new.stage:
            yield from (row for row in _changes(a[stage], b[stage]) if not row["ingredient"].startswith("inputs."))


def _version(side: Side) -> dict[str, Any]:
    return {
        "version": side.label,
        "published": timestamp(side.published.time),
        "status": side.status,
        "backend": side.artifact.ingredients.get("backend", ""),
        "content_hash": side.artifact.content_hash,
        "seconds": side.artifact.provenance.get("seconds"),
    }


def _rows(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name in sorted({*old, *new}):
        a, b = old.get(name), new.get(name)
        rows.append({"name": name, "before": a, "after": b, "change": _change(a, b), "same": a == b})
    return rows


def _change(old: Any, new: Any) -> float | None:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new))
    return new - old if numbers else None


def _verdicts(old: Artifact, new: Artifact) -> list[dict[str, Any]]:
    a, b = ({said["name"]: said for said in artifact.verdicts} for artifact in (old, new))
    shown = ("passed", "message")
    return [
        {
            "name": name,
            "before": {key: a[name][key] for key in shown} if name in a else None,
            "after": {key: b[name][key] for key in shown} if name in b else None,
        }
        for name in sorted({*a, *b})
    ]


def _files(old: Artifact, new: Artifact) -> dict[str, Any]:
    a, b = ({file.name: file.sha256 for file in artifact.files} for artifact in (old, new))
    return {
        "same": sum(a[name] == b[name] for name in a if name in b),
        "changed": sorted(name for name in a if name in b and a[name] != b[name]),
        "added": sorted(set(b) - set(a)),
        "removed": sorted(set(a) - set(b)),
    }
