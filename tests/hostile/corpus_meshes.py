"""Hostile characters: glTF, OBJ and what is no file. Every generator writes its file and what it refers to, and gives the file."""

# ruff: noqa: E501 - a line a case
from __future__ import annotations

import base64
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Maker = Callable[[Path, str, Path], Path]
"""Writes into a folder; is told the address of a listener and the folder that is nobody's business."""

TETRA = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "<f4")
FACES = np.array([0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3], "<u2")
UV = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], "<f4")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, rows: bytes | None = None, extra: bytes = b"") -> bytes:
    """A PNG of that size by its header; its pixels are ``rows``, deflated, or few."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(100) if rows is None else rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zeros_deflated(size: int) -> bytes:
    """``size`` zero bytes, deflated: a thousand times smaller."""
    squeezer = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(squeezer.compress(block) for _ in range(size >> 20)) + squeezer.flush()


def png_bomb(width: int, height: int) -> bytes:
    """A whole, honest PNG that is small on disk."""
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    data = zeros_deflated(height * (1 + 4 * width) + (1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg_header(width: int, height: int) -> bytes:
    return (b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3)
            + b"\x01\x11\x00\x02\x11\x00\x03\x11\x00\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00" + bytes(64))  # fmt: skip


def document(**changes: Any) -> tuple[dict[str, Any], bytes]:
    """A tetrahedron with a textured material, as glTF."""
    data = TETRA.tobytes() + FACES.tobytes() + UV.tobytes()
    value: dict[str, Any] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "body"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 1, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [1, 1, 1, 1]}}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR"},
            {"bufferView": 2, "componentType": 5126, "count": 4, "type": "VEC2"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": 48},
            {"buffer": 0, "byteOffset": 48, "byteLength": 24},
            {"buffer": 0, "byteOffset": 72, "byteLength": 32},
        ],
        "buffers": [{"byteLength": len(data)}],
    }
    value.update(changes)
    return value, data


def textured(image: dict[str, Any]) -> dict[str, Any]:
    return {
        "images": [image],
        "textures": [{"source": 0}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
    }


def glb(value: Any, data: bytes = b"") -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    text += b" " * (-len(text) % 4)
    data += bytes(-len(data) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def saved(name: str, make: Callable[[], bytes]) -> Maker:
    def write(folder: Path, _url: str, _outside: Path) -> Path:
        (folder / name).write_bytes(make())
        return folder / name

    return write


def _glb(change: Callable[[dict[str, Any]], None]) -> Maker:
    def make() -> bytes:
        value, data = document()
        change(value)
        return glb(value, data)

    return saved("hero.glb", make)


def _gltf_uri(kind: str, uri: Callable[[Path, str, Path], str]) -> Maker:
    """A glTF whose buffer or picture is somewhere else."""

    def write(folder: Path, url: str, outside: Path) -> Path:
        value, data = document()
        where = uri(folder, url, outside)
        if kind == "buffer":
            value["buffers"] = [{"byteLength": 104, "uri": where}]
        else:
            value.update(textured({"uri": where}))
            value["buffers"][0]["uri"] = "data:;base64," + base64.b64encode(data).decode()
        (folder / "hero.gltf").write_text(json.dumps(value))
        return folder / "hero.gltf"

    return write


def _link(folder: Path, _url: str, outside: Path) -> str:
    (folder / "link.bin").symlink_to(outside / "secret.bin")
    return "link.bin"


def _folder_link(folder: Path, _url: str, outside: Path) -> str:
    (folder / "there").symlink_to(outside, target_is_directory=True)
    return "there/secret.bin"


def _pipe(folder: Path, _url: str, _outside: Path) -> str:
    os.mkfifo(folder / "pipe.bin")
    return "pipe.bin"


def _zero(folder: Path, _url: str, _outside: Path) -> str:
    (folder / "zero.bin").symlink_to("/dev/zero")
    return "zero.bin"


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    *steps, last, new = path

    def change(value: dict[str, Any]) -> None:
        target: Any = value
        for step in steps:
            target = target[step]
        target[last] = new

    return change


def _cycle(value: dict[str, Any]) -> None:
    value["nodes"] = [{"children": [1]}, {"children": [2]}, {"children": [0], "mesh": 0}]


def _deep(value: dict[str, Any]) -> None:
    value["nodes"] = [{"children": [index + 1]} for index in range(19_998)] + [{"mesh": 0}]


def _wide(value: dict[str, Any]) -> None:
    """One large mesh drawn by very many nodes."""
    value["nodes"] = [{"mesh": 0} for _ in range(19_999)]
    value["scenes"] = [{"nodes": list(range(19_999))}]
    value["accessors"][1] = {"componentType": 5125, "count": 3_000_000, "type": "SCALAR"}


def _many_accessors(value: dict[str, Any]) -> None:
    """Attributes without bytes, sixteen million elements each."""
    value["accessors"][0]["count"] = 4
    extra = [{"componentType": 5126, "count": 16_000_000, "type": "MAT4"} for _ in range(200)]
    value["accessors"] += extra
    value["skins"] = [{"joints": [0], "inverseBindMatrices": 3 + index} for index in range(200)]
    value["nodes"] = [{"mesh": 0, "skin": index} for index in range(200)]
    value["scenes"] = [{"nodes": list(range(200))}]
    primitive = value["meshes"][0]["primitives"][0]["attributes"]
    value["accessors"] += [{"componentType": 5123, "count": 4, "type": "VEC4"},
                           {"componentType": 5126, "count": 4, "type": "VEC4"}]  # fmt: skip
    primitive["JOINTS_0"], primitive["WEIGHTS_0"] = 203, 204


def _many_morphs(value: dict[str, Any]) -> None:
    value["accessors"] += [{"componentType": 5126, "count": 4, "type": "VEC3"}]
    value["meshes"][0]["primitives"][0]["targets"] = [{"POSITION": 3}] * 2_000_000


def _overlapping(value: dict[str, Any]) -> None:
    """Views over one another, a stride that walks over the same bytes."""
    value["bufferViews"] = [{"buffer": 0, "byteLength": 104, "byteStride": 1}] * 3


def _obj(text: Callable[[Path], str], name: str = "hero.obj") -> Maker:
    def write(folder: Path, _url: str, outside: Path) -> Path:
        (folder / name).write_text(text(outside))
        return folder / name

    return write


_OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


def _mtl(line: Callable[[Path], str]) -> Maker:
    def write(folder: Path, _url: str, outside: Path) -> Path:
        (folder / "hero.mtl").write_text("newmtl skin\n" + line(outside))
        (folder / "hero.obj").write_text("mtllib hero.mtl\nusemtl skin\n" + _OBJ)
        return folder / "hero.obj"

    return write


def _special(name: str, target: str) -> Maker:
    """A device or a pipe under a character's name."""

    def write(folder: Path, _url: str, _outside: Path) -> Path:
        if target:
            (folder / name).symlink_to(target)
        else:
            os.mkfifo(folder / name)
        return folder / name

    return write


GLTF: dict[str, Maker] = {
    "a pickle": saved("hero.glb", lambda: b"cos\nsystem\n(S'touch ../outside/ran'\ntR."),
    "no bytes": saved("hero.glb", lambda: b""),
    "cut off": saved("hero.glb", lambda: glb(*document())[:-30]),
    "chunk lies": saved("hero.glb", lambda: glb(*document())[:12] + b"\xff\xff\xff\x7fJSON{}"),
    "deep JSON": saved("hero.glb", lambda: glb(b"[" * 3_000_000)),
    "deep objects": saved("hero.glb", lambda: glb(b'{"a":' * 2_000_000)),
    "JSON of millions": saved("hero.glb", lambda: glb(b'{"asset":{"version":"2.0"},"x":[' + b"[],{}," * 12_000_000 + b"[]]}")),
    "number of a million digits": saved("hero.glb", lambda: glb(b'{"asset":{"version":"2.0"},"x":' + b"9" * 1_000_000 + b"}")),
    "count of 2^40": _glb(_set("accessors", 0, "count", 1 << 40)),
    "count below zero": _glb(_set("accessors", 0, "count", -4)),
    "count is NaN": saved("hero.glb", lambda: glb(b'{"asset":{"version":"2.0"},"accessors":[{"count":NaN}]}')),
    "count of 1e308": _glb(_set("accessors", 0, "count", 1e308)),
    "offset below zero": _glb(_set("bufferViews", 0, "byteOffset", -48)),
    "view of 2^50": _glb(_set("bufferViews", 0, "byteLength", 1 << 50)),
    "buffer of 2^50": _glb(_set("buffers", 0, "byteLength", 1 << 50)),
    "index is a float": _glb(_set("meshes", 0, "primitives", 0, "attributes", "POSITION", 0.5)),
    "nodes in a circle": _glb(_cycle),
    "a million times the mesh": _glb(_wide),
    "accessors without bytes": _glb(_many_accessors),
    "two million morph targets": _glb(_many_morphs),
    "scale beyond numbers": _glb(_set("nodes", 0, "scale", [1e30, 1e30, 1e30])),
    "overlapping views": _glb(_overlapping),
    "draco": _glb(_set("extensionsRequired", ["KHR_draco_mesh_compression"])),
    "picture 60000 x 60000": _glb(lambda value: value.update(textured({"uri": "data:image/png;base64," + base64.b64encode(png(60000, 60000)).decode()}))),
    "picture 2^31": _glb(lambda value: value.update(textured({"uri": "data:image/png;base64," + base64.b64encode(png(2**31 - 1, 2**31 - 1)).decode()}))),
    "jpeg 65535 x 65535": _glb(lambda value: value.update(textured({"uri": "data:image/jpeg;base64," + base64.b64encode(jpeg_header(65535, 65535)).decode()}))),
    "buffer up": _gltf_uri("buffer", lambda *_: "../outside/secret.bin"),
    "buffer up, escaped": _gltf_uri("buffer", lambda *_: "%2e%2e/outside/secret.bin"),
    "buffer up, backslashes": _gltf_uri("buffer", lambda *_: "a\\..\\..\\outside\\secret.bin"),
    "buffer absolute": _gltf_uri("buffer", lambda _f, _u, outside: str(outside / "secret.bin")),
    "buffer by file:": _gltf_uri("buffer", lambda _f, _u, outside: f"file://{outside}/secret.bin"),
    "buffer by http:": _gltf_uri("buffer", lambda _f, url, _o: f"{url}/secret.bin"),
    "buffer by link": _gltf_uri("buffer", _link),
    "buffer by a linked folder": _gltf_uri("buffer", _folder_link),
    "buffer is a pipe": _gltf_uri("buffer", _pipe),
    "buffer is /dev/zero": _gltf_uri("buffer", _zero),
    "buffer of control characters": _gltf_uri("buffer", lambda *_: "a\x00b\nc\x1b[2J"),
    "buffer of a long name": _gltf_uri("buffer", lambda *_: "a" * 5000),
    "buffer broken base64": _gltf_uri("buffer", lambda *_: "data:;base64,@@@@"),
    "picture up": _gltf_uri("picture", lambda *_: "../outside/secret.bin"),
    "picture by http:": _gltf_uri("picture", lambda _f, url, _o: f"{url}/secret.png"),
    "picture by link": _gltf_uri("picture", _link),
    "picture is a pipe": _gltf_uri("picture", _pipe),
}  # fmt: skip

OBJ: dict[str, Maker] = {
    "mtl up": _obj(lambda _o: "mtllib ../outside/secret.txt\n" + _OBJ),
    "mtl absolute": _obj(lambda outside: f"mtllib {outside}/secret.txt\n" + _OBJ),
    "picture up": _mtl(lambda _o: "map_Kd ../outside/secret.bin\n"),
    "picture absolute": _mtl(lambda outside: f"map_Kd -bm 1 {outside}/secret.bin\n"),
    "index beyond": _obj(lambda _o: _OBJ + "f 1 2 99999999999999999999\n"),
    "index below": _obj(lambda _o: _OBJ + "f -1 -2 -99\n"),
    "numbers of text": _obj(lambda _o: "v a b c\n" + _OBJ),
    "NaN": _obj(lambda _o: _OBJ.replace("v 1 0 0", "v nan inf 0")),
    "a face of a million corners": _obj(lambda _o: _OBJ + "f" + " 1" * 9_000_000 + "\n"),
    "lines of nothing": _obj(lambda _o: "v 0 0 0\n" * 12_000_000),
    "only words": _obj(lambda _o: "a " * 30_000_000),
    "binary": saved("hero.obj", lambda: bytes(range(256)) * 4000),
}

SPECIAL: dict[str, Maker] = {
    "pipe.glb": _special("hero.glb", ""),
    "zero.glb": _special("hero.glb", "/dev/zero"),
    "pipe.usda": _special("hero.usda", ""),
    "zero.usdz": _special("hero.usdz", "/dev/zero"),
    "pipe.obj": _special("hero.obj", ""),
    "random.obj": _special("hero.obj", "/dev/urandom"),
    "environ.obj": _special("hero.obj", "/proc/self/environ"),
    "kmsg.glb": _special("hero.glb", "/proc/kmsg"),
    "mem.glb": _special("hero.glb", "/proc/self/mem"),
    "loop.glb": _special("hero.glb", "hero.glb"),
    "stdin.glb": _special("hero.glb", "/dev/stdin"),
}
