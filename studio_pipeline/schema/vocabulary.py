"""The taxonomy for people: found by words, as records, and as a page of the documentation."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from studio_pipeline.schema.tags import Tag, Taxonomy, TaxonomyField
from studio_pipeline.schema.taxonomy_merge import AXES

__all__ = ["Hit", "find_tags", "page", "sorted_axes", "tag_record"]

_NEAR = 0.72  # similarity of two words that may be the same, misspelt


@dataclass(frozen=True)
class Hit:
    """A tag that words may mean."""

    field: TaxonomyField
    tag: Tag
    score: float  # 1 is the very word
    why: str


def find_tags(words: str, taxonomy: Taxonomy) -> list[Hit]:
    """Tags by how well ``words`` name them, the best first: exact terms, parts of terms, near terms, descriptions."""
    wanted = _plain(words)
    if not wanted:
        return []
    hits = []
    for field, tag in taxonomy.tags():
        score, why = max(_scores(wanted, field, tag), default=(0.0, ""))
        if score > 0.0:
            hits.append(Hit(field, tag, score, why))
    return sorted(hits, key=lambda hit: -hit.score)


def tag_record(field: TaxonomyField, tag: Tag) -> dict[str, Any]:
    """A tag with what its field says, JSON-able."""
    return {
        "tag": f"{field.field}={tag.value}",
        **tag.model_dump(mode="json"),
        "field": field.field,
        "axis": field.axis,
        "group": field.group,
        "is_default": tag.value == field.default,
    }


@lru_cache(maxsize=8192)
def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[\W_]+", " ", folded).split())


def _scores(wanted: str, field: TaxonomyField, tag: Tag) -> Iterator[tuple[float, str]]:
    terms = {_plain(tag.value): "its value", _plain(f"{field.field}={tag.value}"): "its name"}
    terms |= {_plain(word): f"means {word}" for word in tag.synonyms}
    for term, why in terms.items():
        if term == wanted:
            yield 1.0, why
        elif _holds(wanted, term):
            yield 0.6 + 0.3 * len(term) / len(wanted), why
        elif _holds(term, wanted):
            yield 0.5 + 0.3 * len(wanted) / len(term), why
        elif min(len(term), len(wanted)) > 3:
            likeness = _likeness(wanted, term)
            if likeness >= _NEAR:
                yield 0.7 * likeness, f"near {term!r}"
    for text, what, weight in ((tag.meaning, "its meaning", 0.4), (tag.appearance, "its appearance", 0.35)):
        said = _plain(text)
        content = [word for word in wanted.split() if len(word) > 2] or [wanted]
        share = sum(_holds(said, word) for word in content) / len(content)
        if _holds(said, wanted):
            yield 0.6, f"in {what}"
        elif share == 1.0 or (share >= 0.5 and len(content) > 2):
            yield weight * share, f"in {what}"


def _likeness(one: str, two: str) -> float:
    """0..1; 0 where two words are far from alike."""
    matcher = difflib.SequenceMatcher(None, one, two)
    near = matcher.real_quick_ratio() >= _NEAR and matcher.quick_ratio() >= _NEAR
    return matcher.ratio() if near else 0.0


def _holds(text: str, part: str) -> bool:
    """Whether ``part`` stands in ``text``: as whole words in English, anywhere in Japanese."""
    return f" {part} " in f" {text} " if part.isascii() else part in text


def sorted_axes(taxonomy: Taxonomy) -> list[str]:
    """The axes in their usual order, a studio's own last."""
    order = {axis: number for number, axis in enumerate(AXES)}
    return sorted({field.axis for field in taxonomy.fields}, key=lambda axis: (order.get(axis, len(order)), axis))


def page(taxonomy: Taxonomy) -> str:
    """The vocabulary as Markdown."""
    axes = sorted_axes(taxonomy)
    total = sum(len(field.tags) for field in taxonomy.fields)
    lines = [
        "# The production taxonomy",
        "",
        "<!-- Made by `studio taxonomy docs --out docs/taxonomy.md` from assets/taxonomy/*.yaml: change those. -->",
        "",
        f"Version {taxonomy.version}: {total} tags in {len(taxonomy.fields)} fields on {len(axes)} axes.",
        "",
        "A director writes `field: value` in a shot's `directives`, or words in its brief, English or Japanese;",
        "there a tag may also be spelt out, as `camera.move=pan_left`.",
        "",
        *_INTRODUCTION,
        "",
        "| axis | fields | tags |",
        "|---|---|---|",
    ]
    for axis in axes:
        inside = [field for field in taxonomy.fields if field.axis == axis]
        names = ", ".join(f"[{field.field}](#{_anchor(field.field)})" for field in inside)
        lines.append(f"| {axis} | {names} | {sum(len(field.tags) for field in inside)} |")
    if taxonomy.renamed:
        lines += ["", "## Renamed", "", "Old names go on working; `studio check` tells the new one.", ""]
        lines += ["| was | is | since | why |", "|---|---|---|---|"]
        lines += [f"| `{n.old}` | `{n.new}` | {n.since} | {n.note} |" for n in taxonomy.renamed]
    for axis in axes:
        lines += ["", f"## {axis}"]
        for field in (field for field in taxonomy.fields if field.axis == axis):
            lines += _field_section(field)
    return "\n".join(lines) + "\n"


_INTRODUCTION = (
    "## How it is used",
    "",
    "- Who wins: the artist's explicit value, then the brief, then what is measured in the shot's reference or plate,",
    "  then a model, then the default. Values of other fields that contradict the winner are left out and told.",
    '- "Read by" names what reads a tag back from pictures: a measure of the captioner (its file in',
    "  `studio_pipeline/caption`), or `network`. Where it is empty nothing here reads the tag.",
    "- A contradiction is written at one tag and holds for both; both tables show it.",
    "- `studio taxonomy search 集中線` finds a tag by any of its words, `studio taxonomy explain camera.move=pan_left`",
    "  tells all about one.",
    "",
    "## A studio's own vocabulary",
    "",
    "A file beside the shipped ones in the asset library's `taxonomy` folder holds for every shot; one that a shot",
    "names (`stages: {directives: {taxonomy: ours.yaml}}`) holds for that shot. Its content belongs to the key of the",
    "directives. `studio taxonomy validate ours.yaml` checks it, a line a problem.",
    "",
    "```yaml",
    "studio: kumo              # whose it is",
    'version: "1.0"            # its own',
    'extends: "2.0"            # the taxonomy that it was written for; another major version is refused',
    "axis: Props               # of its new fields; Studio when absent",
    "fields:",
    "  - field: camera.move    # exists: only new values",
    "    tags:",
    "      - value: spiral",
    "        meaning: The camera circles and rises",
    "        appearance: The character turns in the picture while its feet sink towards the lower edge.",
    "        synonyms: [spiral shot, 螺旋カメラ]",
    "        contradicts: [camera.lens=fisheye]",
    "  - field: prop.lantern   # new: needs group and meaning",
    "    group: subjects",
    "    meaning: The lantern that the character carries",
    "    tags:",
    "      - {value: lit, meaning: It burns, appearance: A warm spot in the hand., synonyms: [lit lantern]}",
    "words:                    # more synonyms of tags that exist",
    "  camera.move=fix: [据え置き]",
    "renamed:                  # what the studio itself called differently before",
    '  - {old: prop.lamp, new: prop.lantern, since: "1.0"}',
    "```",
    "",
    "## Axes",
)


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9_ -]", "", name.casefold()).replace(" ", "-")


def _field_section(field: TaxonomyField) -> list[str]:
    notes = [f"group {field.group}"]
    notes += [f"default `{field.default}`"] if field.default else []
    notes += ["several at once"] if field.many else []
    lines = ["", f"### {field.field}", "", f"{field.meaning} ({', '.join(notes)}).", ""]
    lines += ["| value | meaning | what one sees | words | read by | contradicts |", "|---|---|---|---|---|---|"]
    for tag in field.tags:
        against = ", ".join(f"`{name}`" for name in tag.contradicts)
        cells = (f"`{tag.value}`", tag.meaning, tag.appearance, ", ".join(tag.synonyms), tag.measured_by, against)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines
