"""From a shot as written to a shot that can be run: files found, backends chosen, settings validated."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from studio_pipeline.line.digests import digest_input
from studio_pipeline.line.graph import backend_of, graph, stage_named
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.shot import CharacterRef, Shot, resolve_path
from studio_pipeline.schema.shotlist import ShotListErrors
from studio_pipeline.stages.base import Backend, FileMarker, Settings
from studio_pipeline.stages.character.library import library_names, resolve_character

__all__ = ["ResolvedShot", "StageSetup", "from_record", "resolve", "to_record"]

Where = Callable[[str], str]


@dataclass(frozen=True)
class StageSetup:
    """How one stage of one shot is done."""

    backend: str
    settings: Settings
    file_fields: tuple[str, ...]  # settings that name files
    reduced: str = ""  # what was made smaller after the stage ran out of memory, in words
    full: Settings | None = None  # the shot's own settings where that is so


@dataclass(frozen=True)
class ResolvedShot:
    """A shot with absolute paths and validated settings for every stage."""

    shot: Shot
    setups: Mapping[str, StageSetup]
    source: str = ""  # the shot list that it came from
    warnings: tuple[str, ...] = ()  # what still works but should be written otherwise, one line each

    @property
    def id(self) -> str:
        """The shot's id, the partition key."""
        return self.shot.id

    def backend(self, stage: str) -> Backend:
        """The chosen backend of ``stage``."""
        return graph()[stage].backends[self.setups[stage].backend]


def resolve(shot: Shot, folder: Path, *, where: Where | None = None, source: str = "") -> ResolvedShot:
    """Check everything about a shot that can be known before any work starts.

    Args:
        shot: The shot as read from its file.
        folder: What relative paths are relative to.
        where: Gives the text that locates a field, such as ``shots.yaml:12: stages.rig``.
        source: Path of the shot list.

    Raises:
        InputError: A file is missing, a stage, backend, setting or directive is unknown; several problems of a shot are
            told together (`ShotListErrors`).
    """
    at = where or (lambda name: f"{shot.id}: {name}")
    problems: list[InputError] = []
    updates: dict[str, Any] = {}
    setups: dict[str, StageSetup] = {}
    blocks: dict[str, dict[str, Any]] = {}
    assert shot.character is not None
    with _noting(problems):
        file = _character_file(shot.character.file, folder, at)
        digest_input(file, where=at("character"))
        updates["character"] = CharacterRef(file=str(file), height_m=shot.character.height_m, seed=shot.character.seed)
    with _noting(problems):
        blocks = _with_clip_block(shot, at)
    for name in graph():
        with _noting(problems):
            setups[name] = _setup(name, blocks.get(name, {}), folder, at)
    _show_plate(setups)
    warnings = _old_backends(blocks, at)
    with _noting(problems):
        updates["directives"], told = _directives(shot, setups, at)
        warnings += told
    with _noting(problems):
        if shot.reference:
            updates["reference"] = str(_path(shot.reference, folder, at("reference")))
            digest_input(Path(updates["reference"]), where=at("reference"))
    if problems:
        raise problems[0] if len(problems) == 1 else ShotListErrors([str(problem) for problem in problems])
    updates["stages"] = {name: _written(setups[name]) for name in blocks}
    resolved = shot.model_copy(update=updates)
    return ResolvedShot(shot=resolved, setups=setups, source=source, warnings=tuple(warnings))


@contextmanager
def _noting(problems: list[InputError]) -> Iterator[None]:
    """Keep a problem and go on: a shot's problems are told together."""
    try:
        yield
    except InputError as error:
        problems.append(error)


def to_record(resolved: ResolvedShot) -> dict[str, Any]:
    """The shot as JSON for the store; `from_record` reads it back."""
    return {"shot": resolved.shot.model_dump(mode="json"), "source": resolved.source}


def from_record(record: Mapping[str, Any]) -> ResolvedShot:
    """A resolved shot from its record in the store.

    Raises:
        InputError: A file that the shot names has gone, or this installation lacks a backend.
    """
    shot = Shot.model_validate(record["shot"])
    return resolve(shot, Path("/"), source=str(record.get("source", "")))


def _directives(shot: Shot, setups: Mapping[str, StageSetup], at: Where) -> tuple[dict[str, str], list[str]]:
    """The shot's explicit directives under their present names, a line for each older name there or in the brief."""
    own = getattr(setups["directives"].settings, "taxonomy", None) if "directives" in setups else None
    if not shot.directives and own is None and "=" not in shot.brief:
        return {}, []  # the taxonomy is read only for shots that name values of it
    from studio_pipeline.stages.directives import load_taxonomy, validate_directives
    from studio_pipeline.stages.directives.words import renamed_in

    taxonomy = load_taxonomy(own=[own] if own else ())
    if problems := validate_directives(shot.directives, taxonomy):
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InputError("; ".join(problems[:3]) + more, where=at("directives"))
    values, told = taxonomy.migrate(shot.directives)
    told = [f"{at('directives')}: {line}" for line in told]
    return values, told + [f"{at('brief')}: {line}" for line in renamed_in(shot.brief, taxonomy)]


def _show_plate(setups: dict[str, StageSetup]) -> None:
    """Let `directives` see the plate where the takes are one: it says what the shot will show."""
    takes, directives = setups.get("takes"), setups.get("directives")
    if takes is None or directives is None or takes.backend != "plate":
        return
    if "plate" in type(directives.settings).model_fields and directives.settings.model_dump()["plate"] is None:
        settings = directives.settings.model_copy(update={"plate": takes.settings.model_dump()["file"]})
        setups["directives"] = replace(directives, settings=settings)


def _old_backends(blocks: Mapping[str, Mapping[str, Any]], at: Where) -> list[str]:
    found = []
    for name, block in blocks.items():
        old = str(block.get("backend", ""))
        if new := graph()[name].renamed.get(old):
            where = at(f"stages.{name}.backend")
            found.append(f"{where}: the backend {old!r} of {name} is called {new!r} now: write {new}")
    return found


def _character_file(written: str, folder: Path, at: Where) -> Path:
    """A name in the asset library wins over a file of that name beside the shot list."""
    library = assets_folder() / "characters"
    if written not in library_names(library):
        path = _path(written, folder, at("character"))
        if path.is_file():
            return path
    try:
        return resolve_character(written, library)
    except InputError as error:
        raise InputError(error.what, where=at("character"), do=error.do) from None


def _path(written: str, folder: Path, where: str) -> Path:
    try:
        return resolve_path(written, folder)
    except InputError as error:
        raise InputError(f"{error.where} {error.what}", where=where, do=error.do) from None


def _with_clip_block(shot: Shot, at: Where) -> dict[str, dict[str, Any]]:
    """The shot's stage blocks; a block that belongs to takes may be written under reference_clip."""
    blocks = {name: dict(block) for name, block in shot.stages.items()}
    for name in blocks:
        stage_named(name, where=at(f"stages.{name}"))
    clip = blocks.get("reference_clip", {})
    if "backend" in clip and clip["backend"] not in graph()["reference_clip"].backends:
        backend_of(graph()["takes"], str(clip["backend"]), where=at("stages.reference_clip.backend"))
        if "takes" in blocks:
            raise InputError(
                "gives the clip twice, here and under takes", where=at("stages.reference_clip"), do="keep one"
            )
        blocks["takes"] = blocks.pop("reference_clip")
    return blocks


def _setup(name: str, block: Mapping[str, Any], folder: Path, at: Where) -> StageSetup:
    stage = graph()[name]
    values = dict(block)
    backend_name = backend_of(stage, str(values.pop("backend", stage.default)), where=at(f"stages.{name}.backend"))
    backend = stage.backends[backend_name]
    markers = _file_fields(backend.settings)
    fields = tuple(name for name, marker in markers.items() if not _is_name(marker, values.get(name), folder))
    for field in fields:
        if isinstance(values.get(field), str):
            values[field] = _path(values[field], folder, at(f"stages.{name}.{field}"))
            digest_input(values[field], where=at(f"stages.{name}.{field}"))
    try:
        settings = backend.settings.model_validate(values)
    except ValidationError as error:
        raise InputError(_explain(error, backend), where=at(f"stages.{name}")) from None
    if missing := backend.missing():
        raise InputError(f"backend {backend_name} can't run here: {missing}", where=at(f"stages.{name}.backend"))
    return StageSetup(backend=backend_name, settings=settings, file_fields=fields)


def _explain(error: ValidationError, backend: Backend) -> str:
    parts = []
    for item in error.errors(include_url=False):
        field = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            known = ", ".join(["backend", *backend.settings.model_fields])
            parts.append(f"setting {field!r} is unknown here (known: {known})")
        elif item["type"] == "value_error":  # what the settings' own validators say is a sentence already
            said = str(item.get("ctx", {}).get("error", item["msg"]))
            parts.append(f"setting {field!r}: {said}" if field else said)
        else:
            given = (
                item["input"] if isinstance(item["input"], str | int | float | bool) else type(item["input"]).__name__
            )
            parts.append(f"setting {field!r}: {item['msg']}, given {given!r}")
    return "; ".join(parts)


def _written(setup: StageSetup) -> dict[str, Any]:
    """A stage block that says the same with absolute paths."""
    given = setup.settings.model_dump(mode="json", exclude_unset=True)
    return {"backend": setup.backend, **given}


def _is_name(marker: FileMarker, value: Any, folder: Path) -> bool:
    """Whether a value that may be a name elsewhere is one: it doesn't look like a path, and no file is there."""
    if not marker.or_name or not isinstance(value, str) or value.startswith((".", "/", "~")):
        return False
    try:
        return not resolve_path(value, folder).exists()
    except InputError:
        return False  # what is wrong with it as a path is told where it is read


_fields_known: dict[type, dict[str, FileMarker]] = {}


def _file_fields(settings: type[Settings]) -> dict[str, FileMarker]:
    if settings not in _fields_known:
        hints = typing.get_type_hints(settings, include_extras=True)
        found = {name: _marker(hints[name]) for name in settings.model_fields}
        _fields_known[settings] = {name: marker for name, marker in found.items() if marker is not None}
    return _fields_known[settings]


def _marker(hint: Any) -> FileMarker | None:
    candidates = [item for item in getattr(hint, "__metadata__", ()) if isinstance(item, FileMarker)]
    candidates += [marker for a in typing.get_args(hint) if (marker := _marker(a)) is not None]
    return candidates[0] if candidates else None
