"""Taxonomy files read and put together: shipped ones first, then a studio's own; every problem with its line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from studio_pipeline.schema.errors import InputError, one_line
from studio_pipeline.schema.tags import FIELD_PATTERN, Group, Rename, Tag, TagModel, Taxonomy, TaxonomyField
from studio_pipeline.schema.yaml_tree import YamlNode, YamlProblem, parse_yaml, read_text

__all__ = ["AXES", "Merge", "SourceFile", "read_source"]

AXES = ("Style", "Motion", "Camera", "VFX", "Lighting", "Texture")
"""The shipped axes; Lighting and Texture extend AniMatrix's four. A studio's own file may name another."""

_MAX_BYTES = 1 << 20
_MAX_TAGS = 2000


class _ShippedFile(TagModel):
    version: str = Field(pattern=r"^[0-9]+\.[0-9]+$")
    axis: str = Field(pattern=r"^[A-Z][A-Za-z]{1,23}$")
    fields: tuple[TaxonomyField, ...] = Field(min_length=1)
    renamed: tuple[Rename, ...] = ()


class _OwnField(TagModel):
    """New values of a field that exists, or a new field; then group and meaning are needed."""

    field: str = Field(pattern=rf"^{FIELD_PATTERN}$", max_length=48)
    group: Group | None = None
    meaning: str = Field(default="", max_length=400)
    default: str | None = None
    many: bool | None = None
    verbs: bool | None = None
    tags: tuple[Tag, ...] = Field(min_length=1)


class _OwnFile(TagModel):
    studio: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=32)
    version: str = Field(pattern=r"^[0-9]+\.[0-9]+$")
    extends: str = Field(pattern=r"^[0-9]+\.[0-9]+$")  # version of the taxonomy that it was written for
    axis: str = Field(default="Studio", pattern=r"^[A-Z][A-Za-z]{1,23}$")  # of its new fields
    fields: tuple[_OwnField, ...] = ()
    words: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # more synonyms, by field=value
    renamed: tuple[Rename, ...] = ()


@dataclass(frozen=True)
class SourceFile:
    """One file, parsed."""

    path: Path
    root: YamlNode
    content: Any  # _ShippedFile or _OwnFile

    @property
    def own(self) -> bool:
        """Whether it is a studio's own."""
        return isinstance(self.content, _OwnFile)

    def at(self, *steps: str | int) -> str:
        """The place of a value as ``file:line``."""
        return f"{self.path}:{self.root.line_of(steps)}"


def read_source(path: Path, *, shipped: bool = True) -> tuple[SourceFile | None, list[str]]:
    """One file, or None and what is wrong with it, a line each; ``shipped``: it may be one of the shipped ones."""
    try:
        root, found = parse_yaml(read_text(path, limit=_MAX_BYTES))
    except YamlProblem as problem:
        return None, [f"{path}:{problem.line}: {problem}"]
    except InputError as error:
        return None, [str(error)]
    if found:
        return None, [f"{path}:{problem.line}: {problem}" for problem in found]
    if not isinstance(root.value, dict):
        return None, [f"{path}:{root.line}: expected a mapping with 'version' and 'fields'"]
    if not shipped and "studio" not in root.value:
        return None, [f"{path}:{root.line}: lacks the field 'studio': a studio's own file says whose it is"]
    model: type[BaseModel] = _OwnFile if "studio" in root.value else _ShippedFile
    try:
        return SourceFile(path, root, model.model_validate(root.value)), []
    except ValidationError as error:
        items = error.errors(include_url=False)
        # A list whose entries are all wrong counts as empty too: the entries' own problems say enough.
        inner = [item for item in items if item["type"] != "too_short" or not _holds(item["loc"], items)]
        return None, [_located(item, root, path) for item in inner]


def _holds(place: tuple[Any, ...], items: Sequence[Any]) -> bool:
    return any(len(item["loc"]) > len(place) and item["loc"][: len(place)] == place for item in items)


def _located(item: Any, root: YamlNode, path: Path) -> str:
    name = ".".join(str(step) for step in item["loc"])
    what = str(item["msg"]).removeprefix("Value error, ")
    given = item["input"]
    shown = f", given {one_line(repr(given))[:60]}" if isinstance(given, str | int | float | bool | None) else ""
    return f"{path}:{root.line_of(item['loc'])}: {name}: {what[:1].lower()}{what[1:]}{shown}"


@dataclass
class _Draft:
    """A field that grows while files are read."""

    head: TaxonomyField
    place: str
    tags: dict[str, Tag] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)  # of each value


class Merge:
    """All files together; ``problems`` tells what doesn't fit, a line each."""

    def __init__(self, sources: Sequence[SourceFile]) -> None:
        self.problems: list[str] = []
        self.drafts: dict[str, _Draft] = {}
        self.renamed: dict[str, tuple[Rename, str]] = {}
        self._words: dict[str, str] = {}  # synonym -> "field=value"
        shipped = [source for source in sources if not source.own]
        studios = [source for source in sources if source.own]
        self.version = self._version(shipped, studios)
        for source in (*shipped, *studios):
            self._add(source)
        for source in studios:
            self._add_words(source)
        self._against = self._contradictions()
        self._check_defaults()
        self._check_renamed()
        if sum(len(draft.tags) for draft in self.drafts.values()) > _MAX_TAGS:
            self.problems.append(f"the taxonomy grows beyond {_MAX_TAGS} tags")

    def taxonomy(self) -> Taxonomy:
        """What the files say together; only when there are no problems."""
        fields = []
        for name, draft in self.drafts.items():
            tags = tuple(
                tag.model_copy(update={"contradicts": tuple(self._against.get(f"{name}={tag.value}", ()))})
                for tag in draft.tags.values()
            )
            fields.append(draft.head.model_copy(update={"tags": tags}))
        notes = tuple(note for note, _ in self.renamed.values())
        return Taxonomy(version=self.version, fields=tuple(fields), renamed=notes)

    def _version(self, shipped: Sequence[SourceFile], studios: Sequence[SourceFile]) -> str:
        versions = sorted({source.content.version for source in shipped})
        if not versions:
            self.problems.append("the asset library holds no shipped taxonomy: set STUDIO_ASSETS to a whole one")
            return "0.0"
        if len(versions) > 1:
            self.problems.append(f"{shipped[0].path.parent}: the files have different versions {versions}")
        for source in studios:
            if source.content.extends.split(".")[0] != versions[-1].split(".")[0]:
                self.problems.append(
                    f"{source.at('extends')}: extends taxonomy {source.content.extends}, this is {versions[-1]} - "
                    "check its fields against `studio taxonomy list`, then set extends"
                )
        return "+".join([versions[-1], *(f"{s.content.studio}-{s.content.version}" for s in studios)])

    def _add(self, source: SourceFile) -> None:
        for index, item in enumerate(source.content.fields):
            place = source.at("fields", index)
            draft = self.drafts.get(item.field)
            if draft is None:
                draft = self._new_field(source, item, place)
                if draft is None:
                    continue
                self.drafts[item.field] = draft
            elif not source.own:
                self.problems.append(f"{place}: the field {item.field!r} occurs twice, first at {draft.place}")
                continue
            elif wrong := _disagrees(item, draft.head):
                self.problems.append(f"{place}: {wrong}")
                continue
            for number, tag in enumerate(item.tags):
                self._add_tag(draft, tag, source.at("fields", index, "tags", number))
        for index, note in enumerate(source.content.renamed):
            place = source.at("renamed", index)
            if note.old in self.renamed:
                self.problems.append(f"{place}: {note.old} is renamed twice, first at {self.renamed[note.old][1]}")
            else:
                self.renamed[note.old] = (note, place)

    def _new_field(self, source: SourceFile, item: Any, place: str) -> _Draft | None:
        if source.own and (item.group is None or not item.meaning):
            known = ", ".join(Taxonomy(version="", fields=self._heads()).nearest_fields(item.field))
            hint = f", or did you mean {known}?" if known else ""
            self.problems.append(f"{place}: the new field {item.field!r} needs 'group' and 'meaning'{hint}")
            return None
        values = {**item.model_dump(exclude={"tags", "axis"}, exclude_none=True), "tags": item.tags}
        head = TaxonomyField.model_validate({**values, "axis": source.content.axis})
        return _Draft(head, place)

    def _heads(self) -> tuple[TaxonomyField, ...]:
        return tuple(draft.head for draft in self.drafts.values())

    def _add_tag(self, draft: _Draft, tag: Tag, place: str) -> None:
        name = f"{draft.head.field}={tag.value}"
        if tag.value in draft.tags:
            first = draft.places[tag.value]
            self.problems.append(
                f"{place}: the value {tag.value!r} of {draft.head.field} occurs twice, first at {first}"
            )
            return
        draft.tags[tag.value], draft.places[tag.value] = tag, place
        self._claim(name, tag.synonyms, place)

    def _claim(self, name: str, words: Sequence[str], place: str) -> None:
        for word in dict.fromkeys(word.casefold() for word in words):
            taken = self._words.setdefault(word, name)
            if taken != name:
                self.problems.append(f"{place}: the synonym {word!r} occurs twice, it means {taken} already")

    def _add_words(self, source: SourceFile) -> None:
        for name, words in source.content.words.items():
            place = source.at("words", name)
            field_name, _, value = name.partition("=")
            draft = self.drafts.get(field_name)
            if draft is None or value not in draft.tags:
                self.problems.append(f"{place}: no tag is called {name!r}, expected field=value of the taxonomy")
                continue
            tag = draft.tags[value]
            try:
                grown = Tag.model_validate(
                    {**tag.model_dump(), "synonyms": tuple(dict.fromkeys((*tag.synonyms, *words)))}
                )
            except ValidationError as error:
                self.problems.append(f"{place}: {error.errors()[0]['msg'].removeprefix('Value error, ')}")
                continue
            draft.tags[value] = grown
            self._claim(name, words, place)

    def _each(self) -> Iterator[tuple[str, _Draft, Tag]]:
        for name, draft in self.drafts.items():
            for tag in draft.tags.values():
                yield f"{name}={tag.value}", draft, tag

    def _contradictions(self) -> dict[str, list[str]]:
        """Both sides of every contradiction; what names no tag, itself or a rival in its own field is a problem."""
        known = {name for name, _, _ in self._each()}
        against: dict[str, list[str]] = {}
        for name, draft, tag in self._each():
            for other in tag.contradicts:
                place = draft.places[tag.value]
                same_field = other.partition("=")[0] == draft.head.field
                if other not in known:
                    self.problems.append(f"{place}: {name} contradicts {other!r}, which is no tag")
                elif other == name or (same_field and not draft.head.many):
                    what = "itself" if other == name else f"{other}, but values of one field exclude each other anyway"
                    self.problems.append(f"{place}: {name} contradicts {what}")
                else:
                    for one, two in ((name, other), (other, name)):
                        row = against.setdefault(one, [])
                        row += [two] if two not in row else []
        return against

    def _check_defaults(self) -> None:
        defaults = {}
        for name, draft in self.drafts.items():
            default = draft.head.default
            if default is not None and default not in draft.tags:
                self.problems.append(f"{draft.place}: {name} has the default {default!r} which is no value of it")
            elif default is not None:
                defaults[f"{name}={default}"] = draft.place
        for name, place in defaults.items():
            for other in self._against.get(name, ()):
                if other in defaults and name < other:
                    self.problems.append(f"{place}: the defaults {name} and {other} contradict each other")

    def _check_renamed(self) -> None:
        known = {*self.drafts, *(name for name, _, _ in self._each())}
        for note, place in self.renamed.values():
            if note.old in known:
                self.problems.append(f"{place}: {note.old} is noted as renamed but still exists")
            if note.new not in known:
                self.problems.append(f"{place}: {note.old} is renamed to {note.new}, which is nothing of this taxonomy")
            if ("=" in note.old) != ("=" in note.new):
                self.problems.append(f"{place}: {note.old} and {note.new} must both be fields, or both values")


def _disagrees(item: Any, head: TaxonomyField) -> str:
    """In what a studio's own file contradicts the field that it extends; empty when in nothing."""
    for name in ("group", "default", "many", "verbs"):
        given, there = getattr(item, name), getattr(head, name)
        if given is not None and given != there:
            return f"{item.field} has {name} {there!r}, not {given!r}: delete '{name}', give only new tags"
    if item.meaning and item.meaning != head.meaning:
        return f"{item.field} means {head.meaning!r} already: delete 'meaning', give only new tags"
    return ""
