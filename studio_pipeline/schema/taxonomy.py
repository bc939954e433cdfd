"""The production taxonomy: closed vocabularies of style, motion, camera and effects (``assets/taxonomy/*.yaml``)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.directives import GROUPS
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.yaml_tree import YamlNode, YamlProblem, parse_yaml, read_text

__all__ = ["AXES", "Tag", "Taxonomy", "TaxonomyField", "TaxonomyFile", "load_taxonomy"]

AXES = ("Style", "Motion", "Camera", "VFX")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tag(_Model):
    """One value of a field."""

    value: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    meaning: str
    appearance: str = ""  # how to recognise it in a picture
    synonyms: tuple[str, ...] = ()  # words of a brief that mean it, English or Japanese


class TaxonomyField(_Model):
    """One field and its closed vocabulary."""

    field: str = Field(pattern=r"^[a-z]+\.[a-z_]+$")
    group: Literal["subjects", "motion", "effects", "style", "camera", "environment"]
    meaning: str
    default: str | None = None
    many: bool = False  # several values may hold at once
    verbs: bool = False  # English synonyms are matched in all their forms
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


class TaxonomyFile(_Model):
    """One file of the taxonomy."""

    version: str
    axis: Literal["Style", "Motion", "Camera", "VFX"]
    fields: tuple[TaxonomyField, ...] = Field(min_length=1)


class Taxonomy(_Model):
    """All axes together."""

    version: str
    fields: tuple[TaxonomyField, ...]

    def field(self, name: str) -> TaxonomyField | None:
        """The field called ``name``."""
        return next((field for field in self.fields if field.field == name), None)

    def problems(self, values: Mapping[str, str]) -> list[str]:
        """What is wrong with explicit values, one clause each; names the nearest valid ones."""
        found = []
        for name, text in values.items():
            field = self.field(name)
            if field is None:
                names = [item.field for item in self.fields]
                near = difflib.get_close_matches(name, names, 3, 0.5) or [n for n in names if n.endswith(f".{name}")]
                found.append(f"unknown directive {name!r}, nearest: {', '.join(near or names)}")
                continue
            parts = split_values(field, text)
            for value in parts:
                if value not in field.values:
                    near = field.nearest(value) or list(field.values)
                    found.append(f"{name} has no value {value!r}, nearest: {', '.join(near)}")
            if not parts:
                found.append(f"{name} is empty, expected one of: {', '.join(field.values)}")
        return found


def split_values(field: TaxonomyField, text: str) -> list[str]:
    """Explicit values of a field; a field that holds several takes them separated by commas."""
    parts = text.split(",") if field.many else [text]
    return [part.strip() for part in parts if part.strip()]


def load_taxonomy(folder: Path | None = None) -> Taxonomy:
    """Read and check every ``*.yaml`` of a taxonomy folder.

    Args:
        folder: Of the asset library when None.

    Raises:
        InputError: A file is unreadable, or fields, values or synonyms are not unique.
    """
    folder = folder or assets_folder() / "taxonomy"
    try:
        files = sorted(folder.glob("*.yaml"))
        stamps = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files)
    except OSError as error:
        raise InputError(f"cannot be read ({error})", where=folder) from None
    if not stamps:
        raise InputError("holds no taxonomy (*.yaml)", where=folder)
    return _load(stamps)


@lru_cache(maxsize=4)
def _load(stamps: tuple[tuple[str, int, int], ...]) -> Taxonomy:
    files = [_read(Path(name)) for name, _, _ in stamps]
    versions = {file.version for file in files}
    if len(versions) > 1:
        raise InputError(f"the files have different versions {sorted(versions)}", where=Path(stamps[0][0]).parent)
    fields = tuple(field for file in files for field in file.fields)
    _must_be_unique((field.field for field in fields), "field", stamps[0][0])
    for field in fields:
        _must_be_unique(field.values, f"value of {field.field}", stamps[0][0])
        if field.default is not None and field.default not in field.values:
            raise InputError(f"{field.field} has the default {field.default!r} which is no value of it")
    words = [word for field in fields for tag in field.tags for word in {w.casefold() for w in tag.synonyms}]
    _must_be_unique(words, "synonym", stamps[0][0])
    assert {field.group for field in fields} <= set(GROUPS)
    return Taxonomy(version=versions.pop(), fields=fields)


def _must_be_unique(words: Iterable[str], what: str, where: str) -> None:
    seen: set[str] = set()
    for word in words:
        if word in seen:
            raise InputError(f"the {what} {word!r} occurs twice", where=Path(where).parent)
        seen.add(word)


def _read(path: Path) -> TaxonomyFile:
    try:
        root, problems = parse_yaml(read_text(path))
        if problems:
            raise problems[0]
        return TaxonomyFile.model_validate(root.value)
    except YamlProblem as problem:
        raise InputError(problem.what, where=f"{path}:{problem.line}") from None
    except ValidationError as error:
        raise InputError(*_first(error, root, path)) from None


def _first(error: ValidationError, root: YamlNode, path: Path) -> tuple[str]:
    item = error.errors(include_url=False)[0]
    name = ".".join(str(step) for step in item["loc"])
    return (f"{path}:{root.line_of(item['loc'])}: {name}: {item['msg']}",)
