"""Arrays and small JSON at rest: deterministic bytes, never pickled."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.schema.errors import InputError

__all__ = ["load_arrays", "load_json", "save_arrays", "save_json"]

# Every record this project writes is far below this; a file that declares more is hostile or broken.
MAX_MEMBER_BYTES = 4 << 30


def save_arrays(path: Path, **arrays: np.ndarray | None) -> None:
    """Write named arrays as an uncompressed ``.npz`` whose bytes depend on the arrays only.

    ``None`` values are left out. Object arrays are refused.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            value = arrays[name]
            if value is None:
                continue
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(value), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue())


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what `save_arrays` wrote.

    Raises:
        InputError: The file is no such archive, holds pickled objects, or declares absurd sizes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.file_size > MAX_MEMBER_BYTES:
                    raise InputError(f"declares an array of {info.file_size} bytes", where=path)
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise InputError(f"is not a readable array file ({error})", where=path) from error


def save_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys and no trailing variation, so equal values give equal bytes."""
    path.write_text(json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: It is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"is not a readable JSON file ({error})", where=path) from error
