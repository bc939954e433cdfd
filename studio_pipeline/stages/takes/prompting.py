"""The text that a video model is given: the director's words, then tags in the order that such models are trained on.

Subject, camera, motion, effects, environment. The same directives give the same text; what doesn't fit is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio_pipeline.schema.arrays import load_json
from studio_pipeline.schema.directives import Directives, DirectiveValue
from studio_pipeline.schema.taxonomy import Taxonomy
from studio_pipeline.stages.directives.narrative import narrate

__all__ = ["Prompt", "compose", "excluded_tags", "in_words"]

_PARTS = (
    ("Subject", ("subjects", "style")),
    ("Camera", ("camera",)),
    ("Motion", ("motion",)),
    ("Effects", ("effects",)),
    ("Environment", ("environment",)),
)
_FEW_WORDS = 24  # of the narrative, kept for as long as a tag can go instead


@dataclass(frozen=True)
class Prompt:
    """What a model is asked for and what it is told to avoid."""

    positive: str
    negative: str
    dropped: tuple[str, ...] = ()  # tags ("field=value") and "narrative" that are not, or not wholly, in the text
    length: int = 0  # of the positive text, in the model's own count
    limit: int = 0  # most that the model reads, in the same count


def compose(
    directives: Directives,
    taxonomy: Taxonomy,
    *,
    excluded: Sequence[tuple[str, str]] = (),
    avoid: str = "",
    count: Callable[[str], int],
    limit: int,
) -> Prompt:
    """Text for a model that reads at most ``limit`` tokens.

    What is too much goes in this order: tags that nobody asked for (the taxonomy's defaults), explanations of the
    least certain tags first, words of the narrative from its end down to a few, tags with the least certain first,
    the rest of the narrative.

    Args:
        directives: Narrative and tags.
        taxonomy: Explains the tags.
        excluded: Field and value of tags that the brief excludes; they make the negative text.
        avoid: What else the negative text names.
        count: Length of a text as the model counts it.
        limit: Most that it reads, in that count.
    """
    draft = _Draft(directives, taxonomy)
    steps = draft.shorten()
    while count(text := draft.text()) > limit and next(steps, None) is not None:
        pass
    unwanted = [in_words(field, value, taxonomy) for field, value in excluded] + ([avoid] if avoid else [])
    while unwanted and count(", ".join(unwanted)) > limit:
        unwanted.pop()
    return Prompt(text, ", ".join(unwanted), draft.dropped(), count(text), limit)


def excluded_tags(folder: Path, directives: Directives) -> tuple[tuple[str, str], ...]:
    """Tags that the brief excludes and nobody asks for, from a payload of the stage `directives`."""
    path = folder / "matches.json"
    if not path.is_file():
        return ()
    asked = {(value.field, value.value) for value in directives.values()}
    denied = {(match["field"], match["value"]): None for match in load_json(path)["words"] if match["negated"]}
    return tuple(tag for tag in denied if tag not in asked)


def in_words(field: str, value: str, taxonomy: Taxonomy) -> str:
    """A tag by itself as a person would say it: "camera move pan left", "weather rain"; effects by name alone."""
    known = taxonomy.field(field)
    axis, _, kind = field.partition(".")
    group = known.group if known else axis
    return ({"camera": f"camera {kind} ", "effects": ""}.get(group, f"{kind} ") + value).replace("_", " ")


def _own_words(directives: Directives, taxonomy: Taxonomy) -> str:
    """The narrative without the tags in words at its end: a draft says them itself, and can leave them out singly."""
    if all(taxonomy.field(value.field) for value in directives.values()):
        try:
            return directives.narrative.removesuffix(narrate("", directives, taxonomy))
        except KeyError:  # a studio's own value
            pass
    return re.split(r"(?:^|(?<=[.!?。] ))(?:Subject|Camera|Motion|Effects): ", directives.narrative, maxsplit=1)[0]


class _Draft:
    """A text that can be made shorter step by step."""

    def __init__(self, directives: Directives, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.tags = [value for _, groups in _PARTS for group in groups for value in getattr(directives, group)]
        self.kept = [True] * len(self.tags)
        self.explained = [value.origin != "default" for value in self.tags]
        self.words = _own_words(directives, taxonomy).split()
        self.whole = len(self.words)

    def text(self) -> str:
        """The text as it stands."""
        words = " ".join(self.words)
        if words and len(self.words) < self.whole:
            words = words.rstrip(".,;:!?") + "."
        parts = [words]
        for title, groups in _PARTS:
            said = [self._said(i) for i, value in enumerate(self.tags) if self.kept[i] and self._group(value) in groups]
            parts += [f"{title}: {', '.join(said)}."] if said else []
        return " ".join(part for part in parts if part)

    def dropped(self) -> tuple[str, ...]:
        """What the text doesn't say."""
        gone = [f"{v.field}={v.value}" for v, kept in zip(self.tags, self.kept, strict=True) if not kept]
        return (*gone, "narrative") if len(self.words) < self.whole else tuple(gone)

    def shorten(self) -> Iterator[bool]:
        """One step shorter at each call, until nothing is left."""
        order = sorted(range(len(self.tags)), key=lambda i: (self.tags[i].confidence, -i))
        for index in reversed(range(len(self.tags))):
            if self.tags[index].origin == "default":
                self.kept[index] = False
                yield True
        for index in order:
            if self.kept[index] and self.explained[index]:
                self.explained[index] = False
                yield True
        yield from self._fewer_words(_FEW_WORDS)
        for index in order:
            if self.kept[index]:
                self.kept[index] = False
                yield True
        yield from self._fewer_words(0)

    def _fewer_words(self, least: int) -> Iterator[bool]:
        while len(self.words) > least:
            self.words.pop()
            yield True

    def _said(self, index: int) -> str:
        value = self.tags[index]
        field = self.taxonomy.field(value.field)
        said = in_words(value.field, value.value, self.taxonomy).removeprefix("camera ")  # the sentence's title says it
        if not (self.explained[index] and field and value.value in field.values):
            return said
        meaning = field.tag(value.value).meaning
        return f"{said} ({meaning[0].lower()}{meaning[1:]})"

    def _group(self, value: DirectiveValue) -> str:
        field = self.taxonomy.field(value.field)
        return field.group if field else value.field.partition(".")[0]
