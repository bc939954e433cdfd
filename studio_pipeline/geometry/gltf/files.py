"""Which files beside a character may be opened, and how much of them."""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from pathlib import Path

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.files import regular_bytes

__all__ = ["MAX_FILE_BYTES", "MissingFileError", "decode_data_uri", "folder_file", "read_capped"]

MAX_FILE_BYTES = 512 << 20


class MissingFileError(InputError):
    """A file that a character refers to is not there; a reader may do without a picture, never without a buffer."""


def folder_file(folder: Path, name: str, *, where: object, quoted: bool = True) -> Path:
    """The file that a character file calls ``name``, which must lie inside ``folder``.

    Args:
        folder: The character file's own folder.
        name: A relative path as written in the file, with percent escapes when ``quoted``.
        where: File and field, for the error.
        quoted: Whether ``name`` is a URI reference (glTF) or a plain path (OBJ, USD).

    Raises:
        InputError: It is a URL, an absolute path, leads out of the folder (also through a link), or is missing.
    """
    do = "copy the file into the character's own folder and name it relatively"
    text = urllib.parse.unquote(name) if quoted else name
    text = text.replace("\\", "/")
    if not text or "\x00" in text or len(text) > 1024:
        raise InputError("names an external file by an empty or absurd name", where=where, do=do)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) or text.startswith(("/", "~")):
        raise InputError(f"refers to {text[:120]!r}, which is no relative path", where=where, do=do)
    try:
        root = folder.resolve()
        path = (root / text).resolve()
        inside = path.is_relative_to(root)
        exists = inside and path.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"refers to {text[:120]!r}, which cannot be opened ({error})", where=where, do=do) from error
    if not inside:
        raise InputError(f"refers to {text[:120]!r}, which lies outside its folder", where=where, do=do)
    if not exists:
        raise MissingFileError(
            f"refers to {text[:120]!r}, which is not there", where=where, do="put that file beside it or export as GLB"
        )
    return path


def read_capped(path: Path, *, where: object = "", limit: int = MAX_FILE_BYTES) -> bytes:
    """All bytes of a regular file of at most ``limit`` bytes.

    Raises:
        InputError: It is missing, unreadable, no regular file or too large.
    """
    return regular_bytes(path, limit=limit, where=where, do="reduce the character")


def decode_data_uri(uri: str, *, where: object) -> bytes:
    """The bytes of a base64 or plain ``data:`` URI; its size is bounded by that of the file that holds it.

    Raises:
        InputError: It is malformed.
    """
    head, comma, body = uri.partition(",")
    if not comma:
        raise InputError("holds a data: URI without data", where=where, do="export the character again")
    if not head.endswith(";base64"):
        return urllib.parse.unquote_to_bytes(body)
    try:
        return base64.b64decode(urllib.parse.unquote_to_bytes(body), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(
            f"holds a broken base64 data: URI ({error})", where=where, do="export the character again"
        ) from error
