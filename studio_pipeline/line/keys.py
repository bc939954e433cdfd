"""What a stage's result depends on, spelled out; its digest is the key under which the result is kept."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from studio_pipeline.line.digests import digest_input
from studio_pipeline.line.graph import graph
from studio_pipeline.line.resolve import ResolvedShot, StageSetup
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.store.codehash import code_digest, code_units

__all__ = ["BY_VERSION", "code_parts", "ingredients", "settings_of", "shot_fields_of"]

BY_VERSION = "version"
"""What stands for the code of shots whose ``code_policy`` is ``version``: only the stage's version counts."""


def ingredients(resolved: ResolvedShot, name: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """The ingredients of stage ``name`` of a shot, JSON-able.

    Args:
        resolved: The shot.
        name: The stage.
        inputs: Content hash of each upstream artifact.
    """
    stage, setup, backend = graph()[name], resolved.setups[name], resolved.backend(name)
    by_version = resolved.shot.code_policy == BY_VERSION
    return {
        "stage": name,
        "stage_version": stage.version,
        "backend": setup.backend,
        "code": BY_VERSION if by_version else code_digest(backend.run),
        "distributions": {dist: _version(dist) for dist in (*backend.distributions, *setup.settings.distributions())},
        "settings": settings_of(setup),
        "shot": shot_fields_of(resolved, name),
        "inputs": dict(inputs),
        "assets": {folder: _asset(folder) for folder in (*stage.assets, *backend.assets)},
    }


def code_parts(resolved: ResolvedShot, name: str) -> dict[str, str]:
    """Short digest of every definition that stage ``name`` runs, to tell which one changed."""
    return {unit: digest[:12] for unit, digest in code_units(resolved.backend(name).run).items()}


def _asset(folder: str) -> str:
    """Digest of a folder of the asset library; a backend whose weights aren't there says so itself."""
    path = assets_folder() / folder
    return digest_input(path) if path.exists() else "absent"


def shot_fields_of(resolved: ResolvedShot, name: str) -> dict[str, Any]:
    """The shot's fields that stage ``name`` reads, files by content."""
    return {field: _shot_field(resolved, field) for field in graph()[name].shot_fields}


def settings_of(setup: StageSetup) -> dict[str, Any]:
    """A stage's settings, JSON-able, files by content."""
    values = setup.settings.model_dump(mode="json")
    for field in setup.file_fields:
        if values.get(field) is not None:
            values[field] = {"content": digest_input(Path(values[field]))}
    return values


def _shot_field(resolved: ResolvedShot, field: str) -> Any:
    shot = resolved.shot
    if field == "id":
        return shot.id
    if field == "character":
        assert shot.character is not None
        path = Path(shot.character.file)
        # The file's base name is shown in the result; its folder is not.
        return {
            "name": path.name,
            "content": digest_input(path),
            "height_m": shot.character.height_m,
            "seed": shot.character.seed,
        }
    if field == "reference":
        return {"content": digest_input(Path(shot.reference))} if shot.reference else None
    return shot.model_dump(mode="json", include={field})[field]


@cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"
