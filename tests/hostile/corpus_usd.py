"""Hostile characters in USD; see `corpus_meshes`."""

# ruff: noqa: E501 - a line a case
from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from corpus_meshes import Maker, png, saved


def usdz(members: dict[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
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
    data = bytearray(usdz({"hero.usda": MESH % b"", "a.png": png(8, 8)}))
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


USD: dict[str, Maker] = {
    "text, no USD": saved("hero.usda", lambda: b"this is no layer\n" * 10),
    "a pickle": saved("hero.usdc", lambda: b"cos\nsystem\n(S'touch ../outside/ran'\ntR."),
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
    "crate of noise 1": saved("hero.usdc", lambda: usdc_broken(1)),
    "crate of noise 2": saved("hero.usdc", lambda: usdc_broken(2)),
    "crate: contents of 2^60": crate(_huge_toc),
    "crate: section of 2^50": crate(_lying_section),
    "crate: tokens lie": crate(_lying_tokens),
    "crate cut off": crate(lambda data: data.__delitem__(slice(len(data) // 2, None))),
    "package: count": saved("hero.usdz", lambda: _corrupt_directory("count")),
    "package: offset": saved("hero.usdz", lambda: _corrupt_directory("offset")),
    "package: size": saved("hero.usdz", lambda: _corrupt_directory("size")),
    "package: local header": saved("hero.usdz", lambda: _corrupt_directory("local")),
    "package: cut": saved("hero.usdz", lambda: _corrupt_directory("cut")),
    "package: deflated bomb": saved("hero.usdz", lambda: usdz({"hero.usda": bytes(300 << 20)}, method=zipfile.ZIP_DEFLATED)),
    "package: member up": saved("hero.usdz", lambda: usdz({"../../outside/ran": MESH % b"", "hero.usda": MESH % b""})),
    "package: member absolute": saved("hero.usdz", lambda: usdz({"/tmp/ran.usda": MESH % b""})),
    "package: layer outside": saved("hero.usdz", lambda: usdz({"hero.usda": MESH % b"subLayers = [@../outside/mesh.usda@]"})),
    "package in a package": saved("hero.usdz", lambda: usdz({"hero.usdz": usdz({"hero.usdz": usdz({"x.txt": b"x"})})})),
    "package of nothing": saved("hero.usdz", lambda: usdz({})),
}  # fmt: skip
