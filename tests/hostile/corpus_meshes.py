"""Hostile characters: glTF, OBJ, USD. Every generator writes its file and what it refers to, and gives the file."""

# ruff: noqa: E501 - a line a case
from __future__ import annotations

import base64
import io
import json
import os
import struct
import zipfile
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


def _saved(name: str, make: Callable[[], bytes]) -> Maker:
    def write(folder: Path, _url: str, _outside: Path) -> Path:
        (folder / name).write_bytes(make())
        return folder / name

    return write


def _glb(change: Callable[[dict[str, Any]], None]) -> Maker:
    def make() -> bytes:
        value, data = document()
        change(value)
        return glb(value, data)

    return _saved("hero.glb", make)


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


def _usdz(members: dict[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return buffer.getvalue()


MESH = b"""#usda 1.0
(
    defaultPrim = "a"
    %s
)
def Mesh "a" {
    int[] faceVertexCounts = [3, 3, 3, 3]
    int[] faceVertexIndices = [0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3]
    point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
}
"""


def _usda(text: Callable[[Path, str, Path], str]) -> Maker:
    def write(folder: Path, url: str, outside: Path) -> Path:
        (folder / "hero.usda").write_text(text(folder, url, outside))
        return folder / "hero.usda"

    return write


def _layers(word: str) -> Maker:
    """A mesh whose layer stack reaches somewhere else."""

    def text(_folder: Path, url: str, outside: Path) -> str:
        where = word.replace("URL", url).replace("OUT", str(outside))
        return MESH.decode() % f"subLayers = [@{where}@]"

    return _usda(text)


def _referring(kind: str, word: str) -> Maker:
    def text(_folder: Path, url: str, outside: Path) -> str:
        where = word.replace("URL", url).replace("OUT", str(outside))
        return MESH.decode() % "" + f'def Xform "b" (prepend {kind} = @{where}@) {{}}\n'

    return _usda(text)


def usdc_broken(seed: int) -> bytes:
    """A crate whose table of contents and sections are noise behind an honest head."""
    noise = np.random.default_rng(seed)
    head = b"PXR-USDC" + bytes([0, 8, 0, 0, 0, 0, 0, 0]) + struct.pack("<Q", 88) + bytes(64)
    names = (b"TOKENS", b"STRINGS", b"FIELDS", b"FIELDSETS", b"PATHS", b"SPECS")
    body = struct.pack("<Q", len(names))
    for name in names:
        body += name.ljust(16, b"\0") + struct.pack("<QQ", *(int(n) for n in noise.integers(0, 1 << 40, 2)))
    return head + body + noise.bytes(256)


def crate(change: Callable[[bytearray], None]) -> Maker:
    def write(folder: Path, _url: str, _outside: Path) -> Path:
        from pxr import Sdf

        layer = Sdf.Layer.CreateAnonymous(".usda")
        layer.ImportFromString(MESH.decode() % "")
        layer.Export(str(folder / "hero.usdc"))
        data = bytearray((folder / "hero.usdc").read_bytes())
        change(data)
        (folder / "hero.usdc").write_bytes(bytes(data))
        return folder / "hero.usdc"

    return write


def _huge_toc(data: bytearray) -> None:
    (start,) = struct.unpack_from("<Q", data, 16)
    struct.pack_into("<Q", data, start, 1 << 60)


def _lying_section(data: bytearray) -> None:
    (start,) = struct.unpack_from("<Q", data, 16)
    struct.pack_into("<QQ", data, start + 8 + 16, 8, 1 << 50)


def _lying_tokens(data: bytearray) -> None:
    (start,) = struct.unpack_from("<Q", data, 16)
    (offset,) = struct.unpack_from("<Q", data, start + 8 + 16)
    struct.pack_into("<QQQ", data, offset, 1 << 33, 1 << 36, 100)


def _corrupt_directory(kind: str) -> bytes:
    data = bytearray(_usdz({"hero.usda": MESH % b"", "a.png": png(8, 8)}))
    end = data.rindex(b"PK\x05\x06")
    if kind == "count":
        struct.pack_into("<HH", data, end + 8, 0xFFFF, 0xFFFF)
    elif kind == "offset":
        struct.pack_into("<I", data, end + 16, 0xFFFFFFF0)
    elif kind == "size":
        central = data.index(b"PK\x01\x02")
        struct.pack_into("<II", data, central + 20, 0xFFFFFFF0, 0xFFFFFFF0)
    elif kind == "local":
        struct.pack_into("<I", data, 18, 0x7FFFFFFF)
        struct.pack_into("<I", data, 22, 0x7FFFFFFF)
    elif kind == "cut":
        return bytes(data[:end])
    return bytes(data)


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
    "a pickle": _saved("hero.glb", lambda: b"cos\nsystem\n(S'touch ../outside/ran'\ntR."),
    "no bytes": _saved("hero.glb", lambda: b""),
    "cut off": _saved("hero.glb", lambda: glb(*document())[:-30]),
    "chunk lies": _saved("hero.glb", lambda: glb(*document())[:12] + b"\xff\xff\xff\x7fJSON{}"),
    "deep JSON": _saved("hero.glb", lambda: glb(b"[" * 3_000_000)),
    "deep objects": _saved("hero.glb", lambda: glb(b'{"a":' * 2_000_000)),
    "JSON of millions": _saved("hero.glb", lambda: glb(b'{"asset":{"version":"2.0"},"x":[' + b"[],{}," * 12_000_000 + b"[]]}")),
    "number of a million digits": _saved("hero.glb", lambda: glb(b'{"asset":{"version":"2.0"},"x":' + b"9" * 1_000_000 + b"}")),
    "count of 2^40": _glb(_set("accessors", 0, "count", 1 << 40)),
    "count below zero": _glb(_set("accessors", 0, "count", -4)),
    "count is NaN": _saved("hero.glb", lambda: glb(b'{"asset":{"version":"2.0"},"accessors":[{"count":NaN}]}')),
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

USD: dict[str, Maker] = {
    "text, no USD": _saved("hero.usda", lambda: b"this is no layer\n" * 10),
    "a pickle": _saved("hero.usdc", lambda: b"cos\nsystem\n(S'touch ../outside/ran'\ntR."),
    "layer up": _layers("../outside/mesh.usda"),
    "layer absolute": _layers("OUT/mesh.usda"),
    "layer by http:": _layers("URL/mesh.usda"),
    "layer by file:": _layers("file://OUT/mesh.usda"),
    "layer is itself in a package": _layers("hero.usdz[../mesh.usda]"),
    "reference up": _referring("references", "../outside/mesh.usda"),
    "payload absolute": _referring("payload", "OUT/mesh.usda"),
    "payload by http:": _referring("payload", "URL/mesh.usda"),
    "layers in variants": _usda(
        lambda _f, _u, outside: MESH.decode() % "" + 'def Xform "b" (variants = {string v = "x"} prepend variantSets = "v")'
        f' {{ variantSet "v" = {{ "x" (prepend references = @{outside}/mesh.usda@) {{}} }} }}\n'
    ),
    "clips elsewhere": _usda(
        lambda _f, url, _o: MESH.decode() % ""
        + f'def Xform "b" (clips = {{ dictionary default = {{ asset[] assetPaths = [@{url}/a.usd@] '
        f'asset manifestAssetPath = @{url}/m.usd@ string primPath = "/a" double2[] active = [(0,0)] double2[] times = [(0,0)] }} }}) {{}}\n'
    ),
    "faces of points that aren't there": _usda(lambda *_: (MESH.decode() % "").replace("1, 2, 3]", "1, 2, 2147483647]")),
    "counts below zero": _usda(lambda *_: (MESH.decode() % "").replace("[3, 3, 3, 3]", "[-3, 3, 3, 9]")),
    "deep prims": _usda(lambda *_: "#usda 1.0\n" + 'def Xform "a" {\n' * 20_000 + "}\n" * 20_000),
    "array of a billion": _usda(lambda *_: '#usda 1.0\ndef Mesh "a" {\nint[] faceVertexCounts = [' + "3," * 3_000_000 + "3]\n}\n"),
    "NaN everywhere": _usda(lambda *_: (MESH.decode() % "").replace("(1, 0, 0)", "(nan, 0, 0)")),
    "crate of noise 1": _saved("hero.usdc", lambda: usdc_broken(1)),
    "crate of noise 2": _saved("hero.usdc", lambda: usdc_broken(2)),
    "crate: contents of 2^60": crate(_huge_toc),
    "crate: section of 2^50": crate(_lying_section),
    "crate: tokens lie": crate(_lying_tokens),
    "crate cut off": crate(lambda data: data.__delitem__(slice(len(data) // 2, None))),
    "package: count": _saved("hero.usdz", lambda: _corrupt_directory("count")),
    "package: offset": _saved("hero.usdz", lambda: _corrupt_directory("offset")),
    "package: size": _saved("hero.usdz", lambda: _corrupt_directory("size")),
    "package: local header": _saved("hero.usdz", lambda: _corrupt_directory("local")),
    "package: cut": _saved("hero.usdz", lambda: _corrupt_directory("cut")),
    "package: deflated bomb": _saved("hero.usdz", lambda: _usdz({"hero.usda": bytes(300 << 20)}, method=zipfile.ZIP_DEFLATED)),
    "package: member up": _saved("hero.usdz", lambda: _usdz({"../../outside/ran": MESH % b"", "hero.usda": MESH % b""})),
    "package: member absolute": _saved("hero.usdz", lambda: _usdz({"/tmp/ran.usda": MESH % b""})),
    "package: layer outside": _saved("hero.usdz", lambda: _usdz({"hero.usda": MESH % b"subLayers = [@../outside/mesh.usda@]"})),
    "package in a package": _saved("hero.usdz", lambda: _usdz({"hero.usdz": _usdz({"hero.usdz": _usdz({"x.txt": b"x"})})})),
    "package of nothing": _saved("hero.usdz", lambda: _usdz({})),
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
    "binary": _saved("hero.obj", lambda: bytes(range(256)) * 4000),
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
