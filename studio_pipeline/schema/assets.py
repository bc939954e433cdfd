"""Where the asset library lies: taxonomy, shipped characters, motions, shots and weights."""

from __future__ import annotations

import os
import sysconfig
from functools import cache
from pathlib import Path

from studio_pipeline.schema.errors import InputError

__all__ = ["assets_folder"]


@cache
def _usual() -> tuple[Path, Path]:
    """Of a checkout, and of an installation; asked for several times a shot."""
    installed = Path(sysconfig.get_path("data")) / "share" / "studio_pipeline" / "assets"
    return Path(__file__).resolve().parents[2] / "assets", installed


def assets_folder() -> Path:
    """The folder of the asset library.

    ``STUDIO_ASSETS`` wins, then ``assets/`` of the source checkout, then what an installed wheel brought
    (``share/studio_pipeline/assets`` below the environment's data path).

    Raises:
        InputError: There is none.
    """
    named = os.environ.get("STUDIO_ASSETS")
    if named:
        folder = Path(named).expanduser()
        if folder.is_dir():
            return folder.resolve()
        raise InputError(f"no such folder: {named}", where="STUDIO_ASSETS", do="name the folder of the asset library")
    for folder in _usual():
        if folder.is_dir():
            return folder
    raise InputError("the asset library is not installed", do="set STUDIO_ASSETS to a folder that holds it")
