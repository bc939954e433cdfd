"""Single pictures and numbered picture folders in: capped from their headers, complete or refused."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np

from studio_pipeline.schema.errors import InputError

__all__ = ["MAX_SIDE", "numbered_pictures", "picture_size", "read_image"]

MAX_SIDE = 4096  # [px]
MAX_FILE_BYTES = 256 << 20
_ENDINGS = (".png", ".jpg", ".jpeg")
_FORMATS = ("PNG", "JPEG")


def picture_size(path: Path, *, max_pixels: int = MAX_SIDE) -> tuple[int, int]:
    """Width and height of a picture from its header alone.

    Raises:
        InputError: It is no PNG or JPEG, or larger than allowed.
    """
    from PIL import Image

    _check_file(path)
    try:
        with Image.open(path, formats=_FORMATS) as image:
            size = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"is no readable picture ({error})", where=path, do="give a PNG or JPEG") from None
    if max(size) > max_pixels or min(size) < 1:
        raise InputError(f"is {size[0]} x {size[1]} pixels, at most {max_pixels} a side are allowed", where=path)
    return size


def _check_file(path: Path) -> None:
    if path.suffix.lower() == ".exr":
        raise InputError("EXR is not supported", where=path, do="convert it to PNG, sRGB, 8 or 16 bits")
    if path.suffix.lower() not in _ENDINGS:
        raise InputError(f"has the ending {path.suffix!r}, expected .png, .jpg or .jpeg", where=path)
    try:
        if not path.is_file():
            raise InputError("no such file", where=path)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"is larger than {MAX_FILE_BYTES >> 20} MB", where=path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=path) from None


def read_image(path: Path, *, max_pixels: int = MAX_SIDE) -> tuple[np.ndarray, np.ndarray | None]:
    """A PNG or JPEG of 8 or 16 bits as sRGB [H, W, 3] uint8 and its straight alpha [H, W] uint8, if it has one.

    Raises:
        InputError: It is missing, too large, truncated or corrupt.
    """
    from PIL import Image

    picture_size(path, max_pixels=max_pixels)
    try:
        with Image.open(path, formats=_FORMATS) as image:
            image.load()  # refuses truncated and damaged data, which OpenCV would fill in
            transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            deep = image.mode.startswith("I") or _is_deep_png(path)
            pixels = None if deep else np.asarray(image.convert("RGBA" if transparent else "RGB"))
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        raise InputError(f"is truncated or corrupt ({error})", where=path, do="export the picture again") from None
    if pixels is None:
        pixels = _read_deep(path)
    if pixels.shape[-1] == 4:
        return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])
    return np.ascontiguousarray(pixels), None


def _is_deep_png(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(26)
    return head[:4] == b"\x89PNG" and head[24] == 16


def _read_deep(path: Path) -> np.ndarray:
    """A 16-bit PNG, which Pillow would cut off instead of rounding. [H, W, 3 or 4] uint8"""
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16:
        raise InputError("is truncated or corrupt", where=path, do="export the picture again")
    image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    order = [2, 1, 0, 3] if image.shape[-1] == 4 else [2, 1, 0]
    return image[..., order]


def numbered_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers at the end of their names, none missing.

    Raises:
        InputError: There are none, several kinds or sequences, or a number is missing or occurs twice.
    """
    try:
        names = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError as error:
        raise InputError(f"cannot be read ({error})", where=folder) from None
    if any(path.suffix.lower() == ".exr" for path in names):
        raise InputError("holds EXR pictures, which are not supported", where=folder, do="convert them to PNG")
    pictures = [path for path in names if path.suffix.lower() in _ENDINGS]
    if not pictures:
        raise InputError("holds no PNG or JPEG pictures", where=folder)
    if len(kinds := {path.suffix.lower() for path in pictures}) > 1:
        raise InputError(f"mixes pictures of different kinds ({', '.join(sorted(kinds))})", where=folder)
    numbers: dict[int, Path] = {}
    prefixes: set[str] = set()
    for path in sorted(pictures):
        found = re.fullmatch(r"(.*?)(\d{1,9})", path.stem, re.ASCII)
        if not found:
            raise InputError("has no frame number at the end of its name", where=path, do="name it like walk_0001.png")
        if int(found[2]) in numbers:
            raise InputError(f"has the same frame number as {numbers[int(found[2])].name}", where=path)
        prefixes.add(found[1])
        numbers[int(found[2])] = path
    if len(prefixes) > 1:
        shown = ", ".join(repr(prefix) for prefix in sorted(prefixes)[:3])
        raise InputError(f"holds several sequences ({shown})", where=folder, do="keep one sequence in a folder")
    order = sorted(numbers)
    for before, after in itertools.pairwise(order):
        if after != before + 1:
            raise InputError(f"frame {before + 1} is missing between {before} and {after}", where=folder)
    return [numbers[number] for number in order]
