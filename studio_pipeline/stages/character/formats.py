"""Kinds of character files, and which further files each depends on."""

from __future__ import annotations

from pathlib import Path

from studio_pipeline.schema.errors import InputError

__all__ = ["KINDS", "input_files", "kind_of"]

KINDS = {
    ".glb": "gltf",
    ".gltf": "gltf",
    ".obj": "obj",
    ".usd": "usd",
    ".usda": "usd",
    ".usdc": "usd",
    ".usdz": "usd",
}


def kind_of(path: Path) -> str:
    """Reader of a file: "gltf", "obj" or "usd", by its ending.

    Raises:
        InputError: The ending is unknown or there is no such file.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"has the unknown ending {path.suffix!r}", where=path, do=f"give one of {', '.join(KINDS)}")
    try:
        exists, regular = path.exists(), path.is_file()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be opened ({error})", where=path) from error
    if not exists:
        raise InputError("there is no such file", where=path, do="check the path of the character")
    if not regular:
        raise InputError("is not a file", where=path, do="name the character's file itself")
    return kind


def input_files(path: Path) -> list[Path]:
    """The file itself and all files that it draws in (buffers, textures, mtl, layers), each inside its folder.

    Raises:
        InputError: A file is missing, malformed, or lies outside the character's folder.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == "gltf":
        from studio_pipeline.geometry.gltf import open_document

        found = open_document(path).external_files()
    elif kind == "obj":
        from studio_pipeline.stages.character.source_obj import obj_files

        found = obj_files(path)
    else:
        from studio_pipeline.stages.character.source_usd_files import usd_files
        from studio_pipeline.stages.character.usd_preflight import preflight

        preflight(path)
        found = usd_files(path)
    return list(dict.fromkeys([path, *found]))
