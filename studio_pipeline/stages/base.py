"""What a stage is: a named step with typed settings and interchangeable backends.

A stage package holds ``STAGE`` (this module's `Stage`) in its ``__init__`` and imports nothing heavy
there: a backend names its function as ``"module:function"`` and is imported when it runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict

__all__ = [
    "Backend",
    "FileMarker",
    "InputFile",
    "ModelSource",
    "Override",
    "Settings",
    "Stage",
    "StageContext",
    "StageResult",
    "Verdict",
    "silent",
]


@dataclass(frozen=True)
class FileMarker:
    """Marks a settings field whose file's *content*, not its path, belongs to the stage's key."""

    or_name: bool = False  # what names no file here may be a name elsewhere; then the name belongs to the key


InputFile = Annotated[Path, FileMarker()]
"""A file or folder named in a shot's settings; made absolute against the shot file before a stage sees it."""

ModelSource = Annotated[Path | str, FileMarker(or_name=True)]
"""A folder with a model, or its name on a hub, ``owner/name`` or ``owner/name@revision``."""


class Settings(BaseModel):
    """Base of every backend's settings: unknown fields are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def changed(self, **values: Any) -> Self:
        """These settings with other values, validated."""
        return type(self).model_validate({**self.model_dump(exclude_unset=True), **values})

    def distributions(self) -> tuple[str, ...]:
        """Installed distributions that only these settings make the backend use; they belong to the key too."""
        return ()


@dataclass(frozen=True)
class Verdict:
    """What a quality gate says of an artifact; stored with it and shown as a Dagster asset check."""

    name: str
    passed: bool
    message: str  # one line: the figure, the bound, where
    blocking: bool = True  # a failed blocking gate keeps later stages from using the artifact


@dataclass(frozen=True)
class StageResult:
    """What a stage returns beside the files that it wrote."""

    figures: Mapping[str, float | int | str | bool] = field(
        default_factory=dict
    )  # key figures, names with units: "iou_mean"
    previews: tuple[str, ...] = ()  # pictures (png, jpg, gif) in the payload, the best first
    verdicts: tuple[Verdict, ...] = ()


def silent(fraction: float, message: str = "") -> None:
    """Progress sink of work that nobody watches."""


@dataclass(frozen=True)
class StageContext:
    """All that a backend may look at. Nothing else (no environment, no clock, no other file) may change its result."""

    settings: Any  # an instance of the backend's settings class
    inputs: Mapping[str, Path]  # verified payload folder of each upstream asset
    shot: Any  # gives the shot fields that the stage declared, refuses others
    out: Path  # an empty folder for the payload
    progress: Callable[..., None] = silent  # progress(fraction, message)


@dataclass(frozen=True)
class Backend:
    """One way to do a stage."""

    run: str  # "package.module:function", called with a `StageContext`, returns a `StageResult`
    settings: type[Settings] = Settings
    smaller: str = ""  # "module:function", from settings to the next that need less memory, None when there are none
    distributions: tuple[str, ...] = ()  # installed distributions whose versions belong to the key
    assets: tuple[str, ...] = ()  # folders of the asset library whose content belongs to the key, weights for one
    available: str = ""  # "module:function" that returns "" or says what is missing and what to do
    uses_gpu: bool = False  # computes on a CUDA device where there is one: a farm sends its steps to GPU workers

    def load(self) -> Callable[[StageContext], StageResult]:
        """Import and return the backend's function."""
        return _resolve(self.run)

    def missing(self) -> str:
        """Why the backend cannot run here; empty when it can."""
        return _resolve(self.available)() if self.available else ""

    def reduced(self, settings: Settings) -> Settings | None:
        """The next settings that need less memory; None when nothing gets smaller any more."""
        return _resolve(self.smaller)(settings) if self.smaller else None


@dataclass(frozen=True)
class Override:
    """How a hand-made file takes the stage's place in one shot."""

    backend: str  # that uses a file
    setting: str  # of that backend: the file
    check: str = ""  # "module:function", called with the file and the shot's `CharacterRef`, raises `InputError`


@dataclass(frozen=True)
class Stage:
    """One asset of the graph."""

    name: str
    version: int  # raise it when the meaning of the output changes though the code hash might not
    summary: str  # one line for the UI
    inputs: tuple[str, ...]  # upstream assets
    shot_fields: tuple[str, ...]  # fields of the shot that any backend reads; all of them belong to the key
    backends: Mapping[str, Backend]
    default: str  # backend when the shot names none
    checks: tuple[str, ...] = ()  # names of the verdicts that the stage gives, each always present
    assets: tuple[str, ...] = ()  # folders of the asset library whose content belongs to the key
    override: Override | None = None  # None: no hand-made file can take its place
    renamed: Mapping[str, str] = field(default_factory=dict)  # backends by the names that they had before


def _resolve(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
