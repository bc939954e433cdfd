"""Opening USD without letting it reach out of its folder."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from studio_pipeline.geometry.gltf.files import MAX_FILE_BYTES, MissingFileError, folder_file, read_capped
from studio_pipeline.schema.errors import InputError

__all__ = ["asset_bytes", "open_stage", "readable", "usd_files"]

MAX_LAYERS = 64
_DO = "copy the file into the character's own folder and refer to it relatively"


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what pxr raises on broken files, often only when a value is asked for, into one clear error.

    Raises:
        InputError: The block failed inside pxr or on values that it decoded.
    """
    from pxr import Tf

    try:
        yield
    except (Tf.ErrorException, RuntimeError, TypeError, ValueError) as error:
        # pxr says where in its own sources it was; what went wrong comes after.
        lines = [line for line in str(error).splitlines() if line.strip(" '")]
        what = (lines or [""])[-1].split(" : '")[-1].strip(" '")[:200]
        raise InputError(
            f"is no readable USD file ({what or type(error).__name__})", where=path, do="export the character again"
        ) from error


def _layer(path: Path) -> Any:
    """One layer, nothing that it refers to."""
    from pxr import Sdf

    layer = Sdf.Layer.Find(str(path))
    if layer is not None:
        # OpenUSD keeps layers as long as anything refers to them, and tells nobody that the file has changed.
        layer.Reload(force=True)
    else:
        layer = Sdf.Layer.FindOrOpen(str(path))
    if layer is None:
        raise InputError("is no readable USD file", where=path, do="export the character again")
    return layer


def _check_size(path: Path) -> None:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"has more than {MAX_FILE_BYTES >> 20} MB", where=path, do="reduce the character")
    if path.suffix.lower() == ".usdz":
        try:
            with zipfile.ZipFile(path) as package:
                for info in package.infolist():
                    name = PurePosixPath(info.filename)
                    if info.file_size > MAX_FILE_BYTES or info.compress_type != zipfile.ZIP_STORED:
                        raise InputError(f"packs {str(name)[:80]!r} unlike USDZ", where=path, do="export it again")
                    if name.is_absolute() or ".." in name.parts:
                        raise InputError(f"packs {str(name)[:80]!r} outside itself", where=path, do="export it again")
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"is no readable USDZ ({error})", where=path, do="export it again") from error


def _asset_names(layer: Any) -> list[str]:
    """Asset paths that attributes of one layer hold."""
    from pxr import Sdf

    found: list[str] = []

    def visit(path: Any) -> None:
        if path.IsPropertyPath():
            value: Any = getattr(layer.GetPropertyAtPath(path), "default", None)
            if isinstance(value, Sdf.AssetPath) and value.path:
                found.append(value.path)

    layer.Traverse(Sdf.Path.absoluteRootPath, visit)
    return found


def usd_files(path: Path) -> list[Path]:
    """The layers and textures that a USD file draws in, each checked to lie inside its folder.

    Raises:
        InputError: One lies elsewhere, a layer is missing, or the file is unreadable.
    """
    with readable(Path(path)):
        return _walk(Path(path))


def _walk(path: Path) -> list[Path]:
    _check_size(path)
    root, packed = path.parent, path.suffix.lower() == ".usdz"
    layers: list[Path] = [path]
    pictures: list[Path] = []
    for current in layers:
        if len(layers) > MAX_LAYERS:
            raise InputError(f"composes more than {MAX_LAYERS} layers", where=path, do="flatten the character")
        layer = _layer(current)
        for name in layer.GetCompositionAssetDependencies():
            target = _inside(root, current, name, packed)
            if target is not None and target not in layers:
                _check_size(target)
                layers.append(target)
        for name in _asset_names(layer):
            try:
                target = _inside(root, current, name, packed)
            except MissingFileError:
                continue
            if target is not None:
                pictures.append(target)
    return list(dict.fromkeys([*layers, *pictures]))


def _inside(root: Path, layer: Path, name: str, packed: bool) -> Path | None:
    """The file that ``layer`` calls ``name``; None for what lies in the package itself.

    Raises:
        InputError: It leads out of ``root``.
    """
    name = str(name)
    if packed:
        plain = PurePosixPath(name.replace("\\", "/"))
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", name) or plain.is_absolute() or ".." in plain.parts:
            raise InputError(f"refers to {name[:120]!r} outside its package", where=layer, do=_DO)
        return None
    name = name.replace("\\", "/")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", name) or name.startswith("/"):
        raise InputError(f"refers to {name[:120]!r}, which is no relative path", where=layer, do=_DO)
    prefix = layer.parent.resolve().relative_to(root.resolve()).as_posix()
    return folder_file(root, f"{prefix}/{name}", where=layer, quoted=False)


def open_stage(path: Path) -> Any:
    """The composed stage, after every file that it draws in was checked.

    Raises:
        InputError: As `usd_files`, or the stage doesn't compose.
    """
    from pxr import Usd

    usd_files(path)
    stage = Usd.Stage.Open(_layer(path))
    if stage is None:
        raise InputError("does not compose", where=path, do="export the character again")
    return stage


def asset_bytes(path: Path, asset: Any, layer: Any, where: str) -> bytes:
    """The bytes of a texture named by an attribute of ``layer``.

    Raises:
        InputError: It is missing or lies outside the character's folder.
    """
    inside = re.search(r"\[([^\[\]]+)\]$", asset.resolvedPath or "")
    if path.suffix.lower() == ".usdz":
        name = inside.group(1) if inside else asset.path.removeprefix("./")
        try:
            with zipfile.ZipFile(path) as package:
                return package.read(name)
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            raise MissingFileError(f"refers to {name[:120]!r}, which is not there", where=where) from error
    source = Path(layer.realPath) if layer is not None and layer.realPath else path
    target = _inside(path.parent, source, asset.path, packed=False)
    assert target is not None
    return read_capped(target)
