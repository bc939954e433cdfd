"""Which take is followed, and why, in one sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio_pipeline.schema.arrays import load_json
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.shot import CharacterRef

__all__ = ["Chosen", "PinnedChoice", "check_choice", "choose", "read_choice", "take_digest"]


class PinnedChoice(BaseModel):
    """What `studio select` pins: a take by its index, and what it looked like then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    take: int = Field(ge=0, le=9999)
    digest: str = ""  # of the take's frames (`take_digest`); empty: not said


@dataclass(frozen=True)
class Chosen:
    """The choice and its account."""

    take: int
    by: str  # "score", "only", "shot list" or "artist"
    reason: str  # one plain sentence
    accepted: bool  # the take passed, or a person chose it
    current: bool  # a pinned choice was made among these takes


def read_choice(path: Path) -> PinnedChoice:
    """The pinned choice in a file.

    Raises:
        InputError: It is none.
    """
    try:
        return PinnedChoice.model_validate(load_json(path))
    except ValidationError as error:
        said = error.errors(include_url=False)[0]
        name = ".".join(str(step) for step in said["loc"])
        raise InputError(
            f"is no choice of a take ({name}: {said['msg']})", where=path, do="studio select SHOT TAKE"
        ) from None


def check_choice(file: Path, character: CharacterRef) -> None:
    """Refuse a file that is no pinned choice; the character doesn't matter."""
    read_choice(file)


def take_digest(folder: Path) -> str:
    """Digest of a take's frames, to tell whether a take that was chosen is still the same."""
    digest = hashlib.sha256()
    for path in sorted((folder / "frames").glob("*.png")):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def choose(
    report: Mapping[str, Any],
    *,
    take: int | None = None,
    pinned: PinnedChoice | None = None,
    digests: Sequence[str] = (),
) -> Chosen:
    """Choose among reported takes.

    Args:
        report: `take_report`'s ``report.json``.
        take: The shot list's choice.
        pinned: The artist's; wins.
        digests: Of the takes as they are now (`take_digest`).

    Raises:
        InputError: The chosen take isn't there.
    """
    takes, order = report["takes"], report["ranking"]
    asked = pinned.take if pinned else take
    if asked is None:
        best = takes[order[0]]
        by = "only" if len(takes) == 1 else "score"
        return Chosen(order[0], by, _why_best(takes, order), bool(best["passed"]), True)
    if asked >= len(takes):
        there = "is only take 0" if len(takes) == 1 else f"are takes 0 to {len(takes) - 1}"
        raise InputError(
            f"take {asked} was chosen, there {there}",
            where="reference_clip",
            do="studio takes SHOT lists them; studio select SHOT TAKE or --auto" if pinned else "change take",
        )
    current = not (pinned and pinned.digest) or asked >= len(digests) or digests[asked] == pinned.digest
    by = "artist" if pinned else "shot list"
    return Chosen(asked, by, _why_asked(takes, order, asked, by, current), True, current)


def _why_best(takes: Sequence[Mapping[str, Any]], order: Sequence[int]) -> str:
    best = takes[order[0]]
    if not best["passed"]:
        what = "the only take" if len(takes) == 1 else f"the least bad of {len(takes)} takes, none of which passed"
        return f"Take {best['take']} is {what}, and it failed: {best['reasons'][0]}."
    if len(takes) == 1:
        return f"Take {best['take']} is the only take ({_figures(best)})."
    out = [str(item["take"]) for item in takes if not item["passed"]]
    failed = f"; {_list(out)} failed" if out else ""
    others = [takes[i] for i in order[1:] if takes[i]["passed"]]
    if not others:
        return f"Take {best['take']} is the only one of {len(takes)} takes that passed ({_figures(best)}){failed}."
    second = others[0]
    if abs(best["composite"] - second["composite"]) < 5e-4:
        return (
            f"Take {best['take']} and take {second['take']} score the same, {best['composite']:.3f}; "
            f"the first is followed ({_figures(best)}){failed}."
        )
    return (
        f"Take {best['take']} scores {best['composite']:.3f}, ahead of take {second['take']} with "
        f"{second['composite']:.3f}, mostly by {_difference(best, second)}{failed}."
    )


def _why_asked(takes: Sequence[Mapping[str, Any]], order: Sequence[int], asked: int, by: str, current: bool) -> str:
    chosen, best = takes[asked], takes[order[0]]
    who = "an artist chose it" if by == "artist" else "the shot list names it"
    text = f"Take {asked}: {who} ({_figures(chosen)})"
    if not chosen["passed"]:
        text += f", although it failed: {chosen['reasons'][0]}"
    elif order[0] != asked:
        text += f"; by score it would be take {best['take']} with {best['composite']:.3f}"
    if not current:
        text += "; the takes were made anew since"
    return text + "."


def _figures(take: Mapping[str, Any]) -> str:
    parts = [f"score {take['composite']:.3f}"]
    if take["lowest"] is not None:
        parts.append(f"lowest head {take['lowest_head']} {take['lowest']:.1f} of 5")
    if take["fidelity"] is not None:
        parts.append(f"fidelity {take['fidelity']:.2f}")
    return ", ".join(parts)


def _difference(best: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """What makes most of the difference between two takes' scores, in words."""
    gains = {}
    if best["lowest"] is not None and second["lowest"] is not None:
        gains[f"its lowest head ({best['lowest']:.1f} of 5 against {second['lowest']:.1f})"] = (
            best["lowest"] - second["lowest"]
        ) / 4.0
    if best["fidelity"] is not None and second["fidelity"] is not None:
        gains[f"doing what was asked (fidelity {best['fidelity']:.2f} against {second['fidelity']:.2f})"] = (
            best["fidelity"] - second["fidelity"]
        )
    missed = [sum(not one["passed"] for one in take["filters"]) for take in (best, second)]
    gains[f"filters passed ({missed[1] - missed[0]} more)"] = float(missed[1] - missed[0])
    name = max(gains, key=lambda key: gains[key])
    return name if gains[name] > 0.0 else "small differences"


def _list(words: Sequence[str]) -> str:
    """ "take 1", "takes 1 and 3", "takes 1, 2 and 3"."""
    if len(words) == 1:
        return f"take {words[0]}"
    return f"takes {', '.join(words[:-1])} and {words[-1]}"
