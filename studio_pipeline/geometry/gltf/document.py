"""A glTF file opened: its JSON, its buffers, and its accessors as arrays."""

from __future__ import annotations

import struct
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.geometry.gltf.files import MissingFileError, decode_data_uri, folder_file, read_capped
from studio_pipeline.geometry.gltf.json_view import JsonObject
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.files import json_value

__all__ = ["Document", "open_document", "parse_container"]

MAX_JSON_BYTES = 128 << 20
MAX_ELEMENTS = 16_000_000  # of one accessor
MAX_VALUES = 300_000_000  # numbers that all accessors of a file may decode to
MAX_ZEROS = 32_000_000  # of these those that no byte of the file stands for
MAX_OBJECTS = 100_000  # of any top-level list

_REDO = "export the character again"
_COMPONENTS: dict[int, Any] = {
    5120: np.dtype("<i1"),
    5121: np.dtype("<u1"),
    5122: np.dtype("<i2"),
    5123: np.dtype("<u2"),
    5125: np.dtype("<u4"),
    5126: np.dtype("<f4"),
}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_SUPPORTED = {
    "EXT_texture_webp",
    "KHR_lights_punctual",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "KHR_xmp_json_ld",
}


def parse_container(data: bytes, where: object) -> tuple[dict[str, Any], bytes | None]:
    """Split a GLB (or a plain glTF JSON) into its JSON and its binary chunk.

    Raises:
        InputError: It is neither, is truncated, or its chunks don't add up.
    """
    chunk: bytes | None = None
    text = data
    if data[:4] == b"glTF":
        text, chunk = _split_glb(data, where)
    elif data[:1] not in (b"{", b" ", b"\n", b"\r", b"\t", b"\xef"):
        raise InputError("is neither GLB nor glTF", where=where, do="export the character as glTF 2.0 (.glb)")
    if len(text) > MAX_JSON_BYTES:
        raise InputError(f"has {len(text) >> 20} MB of JSON", where=where, do="export as binary GLB")
    value = json_value(text, where=where, do=_REDO, constants=False, what="holds broken JSON")
    if not isinstance(value, dict):
        raise InputError("holds JSON that is no object", where=where, do=_REDO)
    return value, chunk


def _split_glb(data: bytes, where: object) -> tuple[bytes, bytes | None]:
    if len(data) < 20:
        raise InputError(f"is a truncated GLB of {len(data)} bytes", where=where, do="copy or export it again")
    version, total = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise InputError(f"is GLB version {version}, expected 2", where=where, do="export as glTF 2.0")
    if total > len(data):
        raise InputError(
            f"is truncated: it declares {total} bytes and has {len(data)}", where=where, do="copy or export it again"
        )
    chunks: dict[int, bytes] = {}
    offset = 12
    while offset + 8 <= total:
        size, kind = struct.unpack_from("<II", data, offset)
        offset += 8
        if size > total - offset:
            raise InputError(
                f"is truncated: a chunk declares {size} bytes, {total - offset} are left",
                where=where,
                do="copy or export it again",
            )
        chunks.setdefault(kind, data[offset : offset + size])
        offset += size
    if 0x4E4F534A not in chunks:
        raise InputError("is a GLB without a JSON chunk", where=where, do=_REDO)
    return chunks[0x4E4F534A], chunks.get(0x004E4942)


def open_document(path: Path) -> Document:
    """Open a GLB or glTF file; buffers and images are read when asked for.

    Raises:
        InputError: It is missing, malformed, not glTF 2.0, or needs an extension that is not supported.
    """
    value, chunk = parse_container(read_capped(path), path)
    return Document(path, value, chunk)


class Document:
    """A glTF file. All accessors' values are checked against the bytes that are really there."""

    def __init__(self, path: Path, value: dict[str, Any], chunk: bytes | None) -> None:
        self.path = path
        self.root = JsonObject(value, f"{path}:")
        self.chunk = chunk
        self._values_left, self._zeros_left = MAX_VALUES, MAX_ZEROS
        self._buffers: dict[int, bytes] = {}
        self._floats: dict[int, np.ndarray] = {}
        self._lists: dict[str, list[JsonObject]] = {}
        version = self.root.object("asset").text("version", "2.0")
        if not version.startswith("2."):
            raise InputError(f"is glTF {version[:20]}, expected 2.0", where=path, do="export as glTF 2.0")
        for name in self.root.items("extensionsRequired"):
            if not isinstance(name, str) or not (name in _SUPPORTED or name.startswith("KHR_materials_")):
                raise InputError(
                    f"requires the extension {str(name)[:60]}, which is not supported",
                    where=path,
                    do="export without it (uncompressed geometry, PNG or JPEG textures)",
                )

    def list(self, key: str) -> list[JsonObject]:
        """A top-level list of objects, e.g. ``meshes``."""
        if key not in self._lists:
            if len(self.root.items(key)) > MAX_OBJECTS:
                raise self.root.error(f"has more than {MAX_OBJECTS} entries", key)
            self._lists[key] = self.root.objects(key)
        return self._lists[key]

    @cached_property
    def accessor_count(self) -> int:
        """Number of accessors."""
        return len(self.list("accessors"))

    def external_files(self) -> list[Path]:
        """The buffers and images that lie beside the file, each checked to be inside its folder.

        A picture that is not there is left out: the character loads without it, and differently once it is there.
        """
        found = []
        for key in ("buffers", "images"):
            for item in self.list(key):
                uri = item.text("uri", "")
                if not uri or uri.startswith("data:"):
                    continue
                try:
                    found.append(folder_file(self.path.parent, uri, where=item.place("uri")))
                except MissingFileError:
                    if key == "buffers":
                        raise
        return found

    def _uri_bytes(self, item: JsonObject) -> bytes:
        uri = item.text("uri")
        if uri.startswith("data:"):
            return decode_data_uri(uri, where=item.place("uri"))
        return read_capped(folder_file(self.path.parent, uri, where=item.place("uri")))

    def buffer(self, index: int) -> bytes:
        """The bytes of one buffer, at least as many as it declares."""
        if index not in self._buffers:
            item = self.list("buffers")[index]
            declared = item.integer("byteLength", low=0)
            if "uri" in item:
                data = self._uri_bytes(item)
            elif index == 0 and self.chunk is not None:
                data = self.chunk
            else:
                raise item.error("has no data in the file")
            if declared > len(data):
                raise item.error(f"declares {declared} bytes, {len(data)} are there", "byteLength")
            self._buffers[index] = data
        return self._buffers[index]

    def view(self, index: int) -> tuple[memoryview, int]:
        """The bytes of a buffer view and its stride (0 when tightly packed)."""
        item = self.list("bufferViews")[index]
        data = self.buffer(item.index("buffer", len(self.list("buffers"))))
        offset, length = item.integer("byteOffset", 0), item.integer("byteLength", low=0)
        if offset + length > len(data):
            raise item.error(f"reaches to byte {offset + length} of a buffer of {len(data)}")
        stride = item.integer("byteStride", 0, low=0, high=252)
        return memoryview(data)[offset : offset + length], stride

    def _raw(self, item: JsonObject, *, count: int, dtype: np.dtype, width: int, key: str = "bufferView") -> np.ndarray:
        view, stride = self.view(item.index(key, len(self.list("bufferViews"))))
        offset, size = item.integer("byteOffset", 0), dtype.itemsize * width
        stride = stride or size
        if stride < size:
            raise item.error(f"has elements of {size} bytes in a view with a stride of {stride}")
        if offset + stride * (count - 1) + size > len(view):
            raise item.error(
                f"declares {count} elements of {size} bytes, more than the {len(view)} bytes of its buffer view"
            )
        strides = (stride, dtype.itemsize)
        return np.ndarray((count, width), dtype=dtype, buffer=view, offset=offset, strides=strides)

    def accessor(self, index: int, kinds: tuple[str, ...]) -> tuple[np.ndarray, bool]:
        """The elements [count, width] of an accessor in their stored type, and whether they are normalised integers.

        Raises:
            InputError: It is none of ``kinds``, or is not backed by bytes of the file.
        """
        item = self.list("accessors")[index]
        kind = item.text("type")
        if kind not in kinds or kind not in _WIDTHS:
            raise item.error(f"is {kind[:20]!r}, expected {' or '.join(kinds)}", "type")
        dtype = _COMPONENTS.get(item.integer("componentType"))
        if dtype is None or (kind == "MAT4" and dtype != np.dtype("<f4")):
            raise item.error("is no known component type", "componentType")
        width = _WIDTHS[kind]
        count = item.integer("count", low=1, high=MAX_ELEMENTS)
        self._values_left -= count * width
        if self._values_left < 0:
            raise item.error(f"brings the file to more than {MAX_VALUES} numbers", "count", do="reduce the character")
        if "bufferView" in item:
            values = self._raw(item, count=count, dtype=dtype, width=width)
        else:
            self._zeros_left -= count * width
            if self._zeros_left < 0:
                raise item.error(f"brings the file to more than {MAX_ZEROS} numbers without bytes", "count")
            values = np.zeros((count, width), dtype=dtype)
        if "sparse" in item:
            values = self._substitute(item.object("sparse"), np.array(values), dtype)
        return values, item.flag("normalized")

    def _substitute(self, sparse: JsonObject, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        count = sparse.integer("count", low=1, high=len(values))
        where = sparse.object("indices")
        kind = _COMPONENTS.get(where.integer("componentType"))
        if kind is None or kind.kind != "u":
            raise where.error("is no unsigned integer type", "componentType")
        rows = self._raw(where, count=count, dtype=kind, width=1)[:, 0].astype(np.int64)
        if rows.max() >= len(values):
            raise where.error(f"names element {rows.max()} of {len(values)}")
        values[rows] = self._raw(sparse.object("values"), count=count, dtype=dtype, width=values.shape[1])
        return values

    def floats(self, index: int, *kinds: str) -> np.ndarray:
        """An accessor as float64 [count, width], normalised integers decoded. Not checked to be finite."""
        if index not in self._floats:
            values, normalized = self.accessor(index, kinds)
            result = values.astype(np.float64)
            if normalized and values.dtype.kind in "iu":
                result = np.maximum(result / np.iinfo(values.dtype).max, -1.0)
            self._floats[index] = result
        elif self.list("accessors")[index].text("type") not in kinds:
            raise self.list("accessors")[index].error(f"is not {' or '.join(kinds)}", "type")
        return self._floats[index]

    def integers(self, index: int, *kinds: str) -> np.ndarray:
        """An accessor of unsigned integers as int64 [count, width]."""
        values, _ = self.accessor(index, kinds)
        # Some exporters store joint numbers as floats; whole ones are harmless.
        if values.dtype.kind == "f" and not (np.abs(values) < 2**31).all():
            raise self.list("accessors")[index].error("holds no whole numbers")
        if values.dtype.kind == "f" and (values != np.floor(values)).any():
            raise self.list("accessors")[index].error("holds no whole numbers")
        result = values.astype(np.int64)
        if (result < 0).any():
            raise self.list("accessors")[index].error("holds negative indices")
        return result

    def image_bytes(self, index: int) -> bytes:
        """The encoded bytes of an image."""
        item = self.list("images")[index]
        if "bufferView" in item:
            view, _ = self.view(item.index("bufferView", len(self.list("bufferViews"))))
            return bytes(view)
        if "uri" not in item:
            raise item.error("has neither a uri nor a bufferView")
        return self._uri_bytes(item)
