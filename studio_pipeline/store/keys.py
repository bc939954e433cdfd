"""Keys: what an artifact was made from, as a dictionary that can be compared, and its hash."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any

from studio_pipeline.schema.errors import InputError

__all__ = [
    "Change",
    "canonical_json",
    "content_hash",
    "diff_ingredients",
    "digest_file",
    "digest_folder",
    "digest_path",
    "distribution_versions",
    "key_of",
    "make_ingredients",
    "plain",
]

CHUNK = 1 << 20


@dataclass(frozen=True)
class Change:
    """One ingredient that differs, named by its path, e.g. ``settings.substeps`` or ``inputs.rig``."""

    ingredient: str
    old: Any  # None when it was not there
    new: Any  # None when it is gone

    def __str__(self) -> str:
        return f"{self.ingredient}: {_short(self.old)} -> {_short(self.new)}"


def plain(value: Any) -> Any:
    """``value`` as JSON values: NumPy scalars, fractions, paths and tuples become numbers, text and lists.

    Numbers that JSON has no word for (NaN, infinities) become None.
    """
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, Fraction | PurePath):
        return str(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no place in a key or a manifest")


def canonical_json(value: Any) -> bytes:
    """One byte sequence per value: sorted names, no spaces, UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=plain
    ).encode("utf-8", errors="surrogatepass")


def make_ingredients(
    *,
    stage: str,
    version: int,
    code: str,
    backend: str,
    distributions: Mapping[str, str] | None = None,
    plugins: Mapping[str, str] | None = None,
    weights: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    shot: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Everything that decides an artifact's bytes. Device, host, priority and output folder have no place here.

    Args:
        stage: Name of the stage.
        version: Its version.
        code: Digest of the code it runs (`codehash.code_digest`), or a policy's word for it.
        backend: Name of the backend.
        distributions: Versions of installed packages (`distribution_versions`).
        plugins: Digest by plugin.
        weights: Digest by file of weights.
        settings: The backend's settings; a file in them stands as its content's digest.
        shot: The fields of the shot that the stage reads.
        inputs: Content hash by upstream asset.
    """
    return {
        "stage": stage,
        "version": version,
        "code": code,
        "backend": backend,
        "distributions": dict(distributions or {}),
        "plugins": dict(plugins or {}),
        "weights": dict(weights or {}),
        "settings": plain(settings or {}),
        "shot": plain(shot or {}),
        "inputs": dict(inputs or {}),
    }


def key_of(ingredients: Mapping[str, Any]) -> str:
    """The key: SHA-256 of the ingredients' canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(ingredients)).hexdigest()


def diff_ingredients(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Which ingredients differ, by path; empty when the keys are equal."""
    before, after = dict(_flat(plain(old))), dict(_flat(plain(new)))
    return [
        Change(name, before.get(name), after.get(name))
        for name in sorted({**before, **after})
        if (name in before) != (name in after) or canonical_json(before.get(name)) != canonical_json(after.get(name))
    ]


def _flat(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _flat(item, f"{path}.{name}" if path else name)
    elif path and value != {}:
        yield path, value


def _short(value: Any) -> str:
    text = "(none)" if value is None else value if isinstance(value, str) else canonical_json(value).decode()
    is_digest = len(text) == 64 and all(c in "0123456789abcdef" for c in text)
    return text[:12] if is_digest else text if len(text) <= 60 else text[:57] + "..."


def distribution_versions(names: Iterable[str]) -> dict[str, str]:
    """Version by installed distribution, "absent" for those that are not there.

    The local part ("+cpu", "+cu124") is left out: the device is provenance, not part of a key.
    """
    versions = {}
    for name in sorted(set(names)):
        try:
            versions[name] = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hex.

    Raises:
        InputError: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", where=path) from error
    return digest.hexdigest()


def content_hash(digests: Mapping[str, str]) -> str:
    """One hash for files: of the sorted relative names, each with its SHA-256."""
    return hashlib.sha256(canonical_json(sorted(digests.items()))).hexdigest()


def digest_folder(path: Path) -> str:
    """`content_hash` of all files below a folder; equal to the content hash of an artifact with the same files.

    Raises:
        InputError: It is no folder or a file in it cannot be read.
    """
    if not path.is_dir():
        raise InputError("is no folder", where=path)
    files = sorted(item for item in path.rglob("*") if item.is_file())
    return content_hash({item.relative_to(path).as_posix(): digest_file(item) for item in files})


def digest_path(path: Path) -> str:
    """`digest_folder` or `digest_file`, whichever fits."""
    return digest_folder(path) if path.is_dir() else digest_file(path)
