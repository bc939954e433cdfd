"""The asset library: which characters there are, and which file a shot means."""

from __future__ import annotations

import difflib
from pathlib import Path

from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character.formats import KINDS

__all__ = ["library_names", "resolve_character"]


def library_names(folder: Path) -> dict[str, Path]:
    """Characters of the library ``folder`` by name, sorted; a GLB wins over other kinds of the same name."""
    found: dict[str, Path] = {}
    if folder.is_dir():
        order = {ending: rank for rank, ending in enumerate(KINDS)}
        files = [p for p in folder.iterdir() if p.suffix.lower() in KINDS and p.is_file()]
        for path in sorted(files, key=lambda p: (p.stem, order[p.suffix.lower()])):
            found.setdefault(path.stem, path)
    return found


def resolve_character(name_or_path: str, folder: Path) -> Path:
    """The file that a shot's ``character`` means: a name in the library ``folder``, else a path.

    Args:
        name_or_path: As written, or already made absolute against the shot file.
        folder: The library.

    Raises:
        InputError: Neither the library nor the file system has it; the nearest name is suggested.
    """
    names = library_names(folder)
    if name_or_path in names:
        return names[name_or_path]
    path = Path(name_or_path).expanduser()
    try:
        if path.is_file():
            return path.resolve()
    except (OSError, ValueError):
        pass
    wanted = path.stem if path.suffix.lower() in KINDS else path.name
    near = difflib.get_close_matches(wanted.lower(), names, n=1, cutoff=0.5)
    listed = ", ".join(names) or "empty"
    raise InputError(
        f"no character {name_or_path!r} in the asset library ({listed}) and no such file",
        do=f"did you mean {near[0]!r}?"
        if near
        else "give a name of the library or the path of a GLB, glTF, OBJ or USD",
    )
