"""Arrays and small JSON at rest: deterministic bytes, never pickled."""

from __future__ import annotations

import io
import json
import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.schema.errors import InputError, one_line
from studio_pipeline.schema.files import json_value, regular_bytes

__all__ = ["load_arrays", "load_json", "save_arrays", "save_json"]

# Every record this project writes is far below this; a file that declares more is hostile or broken.
MAX_MEMBER_BYTES = 4 << 30
MAX_JSON_BYTES = 256 << 20
MAX_RECORD_VALUES = 20_000_000


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


def load_arrays(path: Path, *, unpacked: int = 0) -> dict[str, np.ndarray]:
    """Read what `save_arrays` wrote, or another program's ``np.savez``.

    Args:
        path: The file.
        unpacked: Bytes up to which compressed arrays are unpacked; by default none is.

    Raises:
        InputError: The file is no such archive, holds pickled objects, or declares absurd sizes.
    """
    try:
        if not path.is_file():
            raise InputError("is not a readable array file (no such file)", where=path)
        with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy tells of headers that old versions wrote
            members = archive.infolist()
            # What isn't compressed can't be more than the file, unless members share their bytes.
            if sum(info.file_size for info in members) > max(path.stat().st_size, unpacked):
                what = f"unpacks to more than {unpacked >> 20} MB" if unpacked else "holds compressed arrays"
                raise InputError(f"{what}, overlapping ones, or is cut off", where=path)
            return {_stem(info.filename): _read_member(archive, info, path, unpacked) for info in members}
    except InputError:
        raise
    except Exception as error:  # zipfile's and NumPy's parsers raise many kinds on a hostile file
        said = one_line(error)[:200] or type(error).__name__
        raise InputError(f"is not a readable array file ({said})", where=path) from error


def _stem(name: str) -> str:
    return name.removesuffix(".npy")


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, unpacked: int) -> np.ndarray:
    # The header's shape is checked against the bytes that are really there; no more of them are unpacked than declared.
    ways = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if unpacked else (zipfile.ZIP_STORED,)
    if info.compress_type not in ways or info.file_size > MAX_MEMBER_BYTES:
        raise InputError(f"holds a compressed or oversized array {info.filename!r}", where=path)
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        if dtype.hasobject:
            raise InputError(f"holds pickled objects in {info.filename!r}", where=path)
        count = math.prod(shape)
        data = stream.read()
    if len(data) != count * dtype.itemsize:
        raise InputError(f"declares {count} elements in {info.filename!r} but holds {len(data)} bytes", where=path)
    return np.frombuffer(bytearray(data), dtype=dtype).reshape(shape, order="F" if fortran else "C")


def save_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys and no trailing variation, so equal values give equal bytes."""
    path.write_text(json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: It is missing or not JSON.
    """
    data = regular_bytes(path, limit=MAX_JSON_BYTES)
    return json_value(data, where=path, do="", max_values=MAX_RECORD_VALUES, what="is not a readable JSON file")
