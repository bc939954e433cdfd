"""What the production taxonomy is made of: tags, fields with closed vocabularies, and notes on what was renamed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["FIELD_PATTERN", "Group", "Rename", "Tag", "TagModel", "Taxonomy", "TaxonomyField", "split_values"]

Group = Literal["subjects", "motion", "effects", "style", "camera", "environment"]

FIELD_PATTERN = r"[a-z][a-z0-9]*\.[a-z][a-z0-9_]*"
_VALUE = r"[a-z0-9][a-z0-9_]*"
_TAG = rf"^{FIELD_PATTERN}={_VALUE}$"


class TagModel(BaseModel):
    """Base of what a taxonomy file holds: unknown fields are errors, nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tag(TagModel):
    """One value of a field."""

    value: str = Field(pattern=rf"^{_VALUE}$", max_length=48)
    meaning: str = Field(min_length=1, max_length=400)
    appearance: str = Field(min_length=1, max_length=800)  # what one sees in the picture
    synonyms: tuple[str, ...] = ()  # words of a brief that mean it, English or Japanese
    measured_by: str = Field(default="", max_length=80)  # the captioner's measure that reads it; empty: none does
    contradicts: tuple[str, ...] = ()  # "field=value"; written on one side, it holds on both

    @field_validator("synonyms")
    @classmethod
    def _are_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            if word != word.strip() or not word or len(word) > 80:
                raise ValueError(f"the synonym {word!r} must be 1 to 80 characters without spaces around them")
            if word.isascii() and (len(word) < 2 or not re.search(r"[A-Za-z0-9]", word)):
                raise ValueError(f"the synonym {word!r} is no word")
        return words

    @field_validator("contradicts")
    @classmethod
    def _are_tags(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(_TAG, name):
                raise ValueError(f"{name!r} is no tag, expected field=value such as camera.move=fix")
        return names


class TaxonomyField(TagModel):
    """One field and its closed vocabulary."""

    field: str = Field(pattern=rf"^{FIELD_PATTERN}$", max_length=48)
    group: Group
    meaning: str = Field(min_length=1, max_length=400)
    default: str | None = None
    many: bool = False  # several values may hold at once
    verbs: bool = False  # English synonyms are matched in all their forms
    axis: str = ""  # the file's
    tags: tuple[Tag, ...] = Field(min_length=1)

    @property
    def values(self) -> tuple[str, ...]:
        """All values."""
        return tuple(tag.value for tag in self.tags)

    def tag(self, value: str) -> Tag:
        """The tag called ``value``; KeyError when there is none."""
        found = next((tag for tag in self.tags if tag.value == value), None)
        if found is None:
            raise KeyError(value)
        return found

    def nearest(self, value: str, count: int = 3) -> list[str]:
        """Valid values nearest to ``value``, by their own name or by a synonym."""
        words = {word.casefold(): tag.value for tag in self.tags for word in (tag.value, *tag.synonyms)}
        close = difflib.get_close_matches(value.casefold().replace("-", "_"), words, 3 * count, 0.45)
        return list(dict.fromkeys(words[word] for word in close))[:count]


class Rename(TagModel):
    """What an older version called differently: a whole field, or one value."""

    old: str = Field(pattern=rf"^{FIELD_PATTERN}(={_VALUE})?$")
    new: str = Field(pattern=rf"^{FIELD_PATTERN}(={_VALUE})?$")
    since: str = Field(min_length=1, max_length=40)  # version of the taxonomy that renamed it
    note: str = Field(default="", max_length=400)


class Taxonomy(TagModel):
    """All axes together, a studio's own files included; contradictions are listed on both sides."""

    version: str
    fields: tuple[TaxonomyField, ...]
    renamed: tuple[Rename, ...] = ()

    def field(self, name: str) -> TaxonomyField | None:
        """The field called ``name``."""
        return next((field for field in self.fields if field.field == name), None)

    def tags(self) -> Iterator[tuple[TaxonomyField, Tag]]:
        """Every tag with its field."""
        return ((field, tag) for field in self.fields for tag in field.tags)

    def tag(self, name: str) -> Tag | None:
        """The tag called ``field=value``."""
        field_name, _, value = name.partition("=")
        field = self.field(field_name)
        return field.tag(value) if field is not None and value in field.values else None

    def nearest_fields(self, name: str, count: int = 3) -> list[str]:
        """Fields nearest to ``name``; ``move`` is near ``camera.move``."""
        names = [item.field for item in self.fields]
        return difflib.get_close_matches(name, names, count, 0.5) or [n for n in names if n.endswith(f".{name}")]

    def problems(self, values: Mapping[str, str]) -> list[str]:
        """What is wrong with explicit values, one clause each; names the nearest valid ones.

        Names of older versions are valid (see `migrate`).
        """
        found = []
        for name, text in self.migrate(values)[0].items():
            field = self.field(name)
            if field is None:
                near = self.nearest_fields(name) or [item.field for item in self.fields]
                found.append(f"unknown directive {name!r}, nearest: {', '.join(near)}")
                continue
            parts = split_values(field, text)
            for value in parts:
                if value not in field.values:
                    near = field.nearest(value) or list(field.values)
                    found.append(f"{name} has no value {value!r}, nearest: {', '.join(near)}")
            if not parts:
                found.append(f"{name} is empty, expected one of: {', '.join(field.values)}")
        return found

    def migrate(self, values: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
        """Explicit values under their present names, and a line for each that was renamed.

        Where the old and the new name of a field are both given, the new one holds.
        """
        result: dict[str, str] = {}
        told: list[str] = []
        for name, text in values.items():
            for field, value, note in self._present(name, text):
                elsewhere = note is not None and field != name and field in values
                if note is not None:
                    what = "which is given as well and holds" if elsewhere else f"write {note.new}"
                    told.append(f"{note.old} is called {note.new} since taxonomy {note.since}: {what}")
                if not elsewhere:
                    result[field] = f"{result[field]}, {value}" if field in result else value
        return result, told

    def _present(self, name: str, text: str) -> list[tuple[str, str, Rename | None]]:
        """A field and its text as (field, text, note) under present names; a text with nothing renamed stays whole."""
        moved = {item.old: item for item in self.renamed}
        whole = moved.get(name)
        field = name if whole is None else whole.new
        parts = [(part, moved.get(f"{field}={part}")) for part in (piece.strip() for piece in text.split(","))]
        if all(note is None for _, note in parts):
            return [(field, text, whole)]
        found: list[tuple[str, str, Rename | None]] = []
        for part, note in parts:
            target, _, value = note.new.partition("=") if note else (field, "", part)
            found.append((target, value, note or whole))
        return found


def split_values(field: TaxonomyField, text: str) -> list[str]:
    """Explicit values of a field; a field that holds several takes them separated by commas."""
    parts = text.split(",") if field.many else [text]
    return [part.strip() for part in parts if part.strip()]
