"""Hostile shot lists, vocabularies, motions, edits, weights, arrays and names."""

# ruff: noqa: E501 - a line a case
from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from corpus_meshes import Maker

HEAD = "- show: bad\n  sequence: a\n  shot: '0010'\n  frames: [1001, 1004]\n  resolution: [64, 64]\n"
GOOD = HEAD + "  character: pip\n"


class Canary:
    """Unpickled, it leaves a file where nobody may write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def saved(name: str, make: Callable[[], bytes | str]) -> Maker:
    def write(folder: Path, _url: str, _outside: Path) -> Path:
        made = make()
        (folder / name).write_bytes(made.encode() if isinstance(made, str) else made)
        return folder / name

    return write


def _list(text: str | bytes) -> Maker:
    return saved("shots.yaml", lambda: text)


def pickled(name: str) -> Maker:
    def write(folder: Path, _url: str, outside: Path) -> Path:
        (folder / name).write_bytes(pickle.dumps(Canary(outside / "ran")))
        return folder / name

    return write


def laughs(levels: int, each: int = 10) -> str:
    """The billion laughs."""
    lines = ["l0: &l0 [ha, ha]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * each)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


YAML: dict[str, Maker] = {
    "a pickle": pickled("shots.yaml"),
    "billion laughs": _list(laughs(12)),
    "billion laughs, merged": _list(
        "- &a {x: 1}\n" + "".join(f"- &m{n} {{<<: [{', '.join([f'*m{n - 1}' if n else '*a'] * 20)}], k{n}: 1}}\n" for n in range(300))
    ),
    "laughs as keys": _list("- &a " + "x" * 60_000 + "\n" + "".join(f"- {{*a : {n}, ? *a : 2}}\n" for n in range(50_000))),
    "itself": _list("- &a [*a]\n"),
    "python apply": _list("- !!python/object/apply:os.system ['touch ../outside/ran']\n"),
    "python new": _list("- !!python/object/new:os.system ['touch ../outside/ran']\n"),
    "python module": _list("- !!python/module:os ''\n"),
    "python name": _list("- {show: !!python/name:os.system ''}\n"),
    "tag of its own": _list("%TAG ! tag:x,2000:\n---\n- !run {a: 1}\n"),
    "deep list": _list("[" * 200_000),
    "deep mapping": _list("{a: " * 100_000),
    "deep block": _list("".join(" " * n + "-\n" for n in range(3000))),
    "keys twice": _list(GOOD + "  shot: '0020'\n"),
    "huge int": _list(GOOD + "  seed: " + "9" * 6000 + "\n"),
    "huge int in sixty": _list(GOOD + "  seed: " + "1:" * 4000 + "1\n"),
    "huge hex": _list(GOOD + "  seed: 0x" + "f" * 100_000 + "\n"),
    "fps of exponents": _list(GOOD + "  fps: '1e999999999'\n"),
    "fps by zero": _list(GOOD + "  fps: 24/0\n"),
    "NaN": _list(GOOD + "  camera: {eye: [.nan, 0, 1], target: [0, 0, 0]}\n"),
    "endless": _list(GOOD + "  camera: {eye: [.inf, 0, 1], target: [0, 0, 0], fov_y_deg: .inf}\n"),
    "frames of 2^62": _list(GOOD.replace("[1001, 1004]", "[0, 4611686018427387904]")),
    "picture of 2^31": _list(GOOD.replace("[64, 64]", "[2147483648, 2147483648]")),
    "code with slashes": _list(GOOD.replace("'0010'", "'../../outside/ran'")),
    "code of dots": _list(GOOD.replace("'0010'", "'..'")),
    "code with a newline": _list(GOOD.replace("'0010'", '"a\\nb"')),
    "code with an escape": _list(GOOD.replace("'0010'", '"a\\e[2Jb"')),
    "code of look-alikes": _list(GOOD.replace("'0010'", "'\u0455\u04bb\u043e\u202et'")),
    "code of full-width digits": _list(GOOD.replace("'0010'", "'\uff10\uff10\uff11\uff10'")),
    "code of a thousand": _list(GOOD.replace("'0010'", "'" + "a" * 1000 + "'")),
    "character of slashes": _list(HEAD + "  character: ../outside/secret.txt\n"),
    "character of a long name": _list(HEAD + "  character: " + "a" * 5000 + ".glb\n"),
    "character with a null": _list(HEAD + '  character: "a\\0b.glb"\n'),
    "character of nobody": _list(HEAD + "  character: ~nobody-at-all/x.glb\n"),
    "character is /dev/zero": _list(HEAD + "  character: /dev/zero\n"),
    "character is a URL": _list(HEAD + "  character: http://127.0.0.1:1/hero.glb\n"),
    "reference is everything": _list(GOOD + "  reference: /\n"),
    "reference is /proc": _list(GOOD + "  reference: /proc\n"),
    "reference is /dev": _list(GOOD + "  reference: /dev/zero\n"),
    "plate is a pipe of kernel words": _list(GOOD + "  stages: {takes: {backend: plate, file: /dev/kmsg}}\n"),
    "stage up": _list(GOOD + "  stages: {../../x: {backend: y}}\n"),
    "backend is code": _list(GOOD + "  stages: {rig: {backend: 'os:system'}}\n"),
    "setting of a device": _list(GOOD + "  stages: {rig: {backend: network, weights: /dev/zero}}\n"),
    "control characters": _list(GOOD.encode() + b"  brief: a\x00\x1b[2Jb\n"),
    "not UTF-8": _list(GOOD.encode() + b"  brief: \xff\xfe\n"),
    "UTF-16": _list(GOOD.encode("utf-16")),
    "nine megabytes": _list("# " + "x" * (9 << 20)),
    "a million shots": _list("- {}\n" * 1_500_000),
    "two documents": _list(GOOD + "---\n" + GOOD),
    "nothing": _list(""),
    "brief of megabytes": _list(GOOD + "  brief: " + "walks " * 900_000 + "\n"),
    "directives of thousands": _list(GOOD + "  directives: {" + ", ".join(f"a{n}: b" for n in range(50_000)) + "}\n"),
}  # fmt: skip

LATER = ("character ", "reference ", "plate ", "stage ", "backend ", "setting ", "directives ")
"""Of these a list of shots may say what it says; what they name is refused when the shot is resolved."""

VOCABULARY: dict[str, Maker] = {
    "a pickle": pickled("own.yaml"),
    "billion laughs": saved("own.yaml", lambda: "studio: x\nversion: '1'\nfields:\n" + "".join(f"  {line}\n" for line in laughs(12).splitlines())),
    "python apply": saved("own.yaml", lambda: "studio: !!python/object/apply:os.system ['touch ../outside/ran']\n"),
    "a list": saved("own.yaml", lambda: "- 1\n"),
    "deep": saved("own.yaml", lambda: "studio: x\nfields: " + "[" * 100_000),
    "a million fields": saved("own.yaml", lambda: "studio: x\nversion: '1'\nfields:\n" + "- {field: a.b}\n" * 300_000),
    "patterns that never end": saved("own.yaml", lambda: "studio: x\nversion: '1'\nfields: [{field: '(a+)+$', meaning: " + "a" * 50_000 + "!}]\n"),
    "nothing": saved("own.yaml", lambda: ""),
}  # fmt: skip


BVH_HEAD = (
    "HIERARCHY\nROOT hips\n{\nOFFSET 0 0 0\nCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n"
)
BVH: dict[str, Maker] = {
    "a pickle": pickled("walk.bvh"),
    "deep": saved("walk.bvh", lambda: BVH_HEAD + "JOINT a\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n" * 100_000 + "MOTION\n"),
    "a billion frames": saved("walk.bvh", lambda: BVH_HEAD + "}\nMOTION\nFrames: 999999999\nFrame Time: 0.04\n0 0 0 0 0 0\n"),
    "many numbers, one frame": saved("walk.bvh", lambda: BVH_HEAD + "}\nMOTION\nFrames: 1\nFrame Time: 0.04\n" + "1 " * 30_000_000),
    "NaN": saved("walk.bvh", lambda: BVH_HEAD + "}\nMOTION\nFrames: 1\nFrame Time: 0.04\nnan 0 0 0 0 inf\n"),
    "time of NaN": saved("walk.bvh", lambda: BVH_HEAD + "}\nMOTION\nFrames: 1\nFrame Time: nan\n0 0 0 0 0 0\n"),
    "names of escapes": saved("walk.bvh", lambda: BVH_HEAD.replace("hips", "\x1b[2J\u202e" * 50) + "MOTION\n"),
    "nothing": saved("walk.bvh", lambda: ""),
    "large": saved("walk.bvh", lambda: "HIERARCHY\n" + "x" * (70 << 20)),
    "a pipe": lambda folder, _u, _o: (os.mkfifo(folder / "walk.bvh"), folder / "walk.bvh")[1],
    "/dev/zero": lambda folder, _u, _o: ((folder / "walk.bvh").symlink_to("/dev/zero"), folder / "walk.bvh")[1],
    "kernel memory": lambda folder, _u, _o: ((folder / "walk.bvh").symlink_to("/proc/kcore"), folder / "walk.bvh")[1],
}  # fmt: skip


def _timeline(body: str) -> str:
    return '{"OTIO_SCHEMA":"Timeline.1","name":"x","tracks":' + body + "}"


_STACK = '{"OTIO_SCHEMA":"Stack.1","children":[%s]}'
OTIO: dict[str, Maker] = {
    "a pickle": pickled("edit.otio"),
    "no JSON": saved("edit.otio", lambda: "{"),
    "deep": saved("edit.otio", lambda: "[" * 5_000_000),
    "deep stacks": saved("edit.otio", lambda: _timeline('{"OTIO_SCHEMA":"Stack.1","children":[' * 5000 + "]}" * 5000)),
    "values of millions": saved("edit.otio", lambda: _timeline(_STACK % ("[]," * 9_000_000 + "[]"))),
    "text of megabytes": saved("edit.otio", lambda: '{"OTIO_SCHEMA":"' + "x" * (65 << 20) + '"}'),
    "a schema of nobody": saved("edit.otio", lambda: _timeline('{"OTIO_SCHEMA":"os.system.1"}')),
    "a schema by module": saved("edit.otio", lambda: '{"OTIO_SCHEMA":"Timeline.1","tracks":{"OTIO_SCHEMA":"UnknownSchema.1","x":1}}'),
    "a track of itself": saved("edit.otio", lambda: _timeline('{"OTIO_SCHEMA":"SerializableObjectRef.1","id":"Timeline-1"}')),
    "numbers of 2^70": saved("edit.otio", lambda: _timeline('{"OTIO_SCHEMA":"Stack.1","x":' + str(1 << 70) + "}")),
    "endless numbers": saved("edit.otio", lambda: _timeline('{"OTIO_SCHEMA":"Stack.1","x":1e999}')),
    "version of 2^40": saved("edit.otio", lambda: '{"OTIO_SCHEMA":"Timeline.1099511627776"}'),
    "rate of zero": saved("edit.otio", lambda: _timeline(_STACK % _clip("0"))),
    "rate of NaN": saved("edit.otio", lambda: _timeline(_STACK % _clip("NaN"))),
    "duration of 1e300": saved("edit.otio", lambda: _timeline(_STACK % _clip("24", "1e300"))),
    "name of escapes": saved("edit.otio", lambda: _timeline(_STACK % _clip("24", "4", "\\u001b[2J\\u202e../../outside/ran"))),
    "a pipe": lambda folder, _u, _o: (os.mkfifo(folder / "edit.otio"), folder / "edit.otio")[1],
    "/dev/zero": lambda folder, _u, _o: ((folder / "edit.otio").symlink_to("/dev/zero"), folder / "edit.otio")[1],
    "nothing": saved("edit.otio", lambda: ""),
}  # fmt: skip


def _clip(rate: str, duration: str = "4", name: str = "c") -> str:
    moment = '{"OTIO_SCHEMA":"RationalTime.1","rate":%s,"value":%s}'
    return (
        '{"OTIO_SCHEMA":"Track.1","kind":"Video","children":[{"OTIO_SCHEMA":"Clip.1","media_reference":null,"name":"' + name + '","source_range":'
        '{"OTIO_SCHEMA":"TimeRange.1","start_time":' + moment % (rate, "0") + ',"duration":' + moment % (rate, duration) + "}}]}"
    )  # fmt: skip


def safetensors(header: Any, data: bytes = b"", size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


_TENSOR = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
WEIGHTS: dict[str, Callable[[Path], bytes]] = {
    "a pickle": lambda outside: pickle.dumps(Canary(outside / "ran")),
    "torch's zip of a pickle": lambda outside: _torch_zip(outside),
    "header of 2^63": lambda _: safetensors({"a": _TENSOR}, bytes(16), 1 << 63),
    "header of 100 MB": lambda _: safetensors(b"{" + b" " * (101 << 20) + b"}"),
    "offsets beyond": lambda _: safetensors({"a": {**_TENSOR, "data_offsets": [0, 1 << 40]}}, bytes(16)),
    "offsets below": lambda _: safetensors({"a": {**_TENSOR, "data_offsets": [-4, 12]}}, bytes(16)),
    "offsets overlap": lambda _: safetensors({"a": _TENSOR, "b": _TENSOR}, bytes(16)),
    "shape of 2^62": lambda _: safetensors({"a": {**_TENSOR, "shape": [1 << 62, 1 << 62]}}, bytes(16)),
    "shape of nothing": lambda _: safetensors({"a": {"dtype": "F32", "shape": [0, 1 << 60], "data_offsets": [0, 0]}}),
    "type of nobody": lambda _: safetensors({"a": {**_TENSOR, "dtype": "OBJECT"}}, bytes(16)),
    "deep header": lambda _: safetensors(b"[" * 2_000_000),
    "metadata deep": lambda _: safetensors({"__metadata__": {"studio_pipeline": "[" * 200_000}, "a": _TENSOR}, bytes(16)),
    "another network": lambda _: safetensors({"__metadata__": {"studio_pipeline": json.dumps({"kind": "rig.skin", "config": {"width": 1 << 40}})}, "a": _TENSOR}, bytes(16)),
    "no bytes": lambda _: b"",
    "cut": lambda _: safetensors({"a": _TENSOR}, bytes(8)),
}  # fmt: skip


def _torch_zip(outside: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Canary(outside / "ran")))
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def npz(members: dict[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def npy(header: str, data: bytes = b"", *, version: int = 1, size: int | None = None) -> bytes:
    text = header.encode() + b"\n"
    length = len(text) if size is None else size
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", length) + text + data


def overlapping(copies: int, size: int) -> bytes:
    """A zip whose members all are the same bytes: small on disk, as large as one likes when read."""
    body = npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},)}}", bytes(size))
    data = npz({"a0000.npy": body})
    end = data.rindex(b"PK\x05\x06")
    (start,) = struct.unpack_from("<I", data, end + 16)
    entry = data[start:end]
    entries = b"".join(entry.replace(b"a0000", b"a%04d" % n) for n in range(copies))
    tail = bytearray(data[end:])
    struct.pack_into("<HHII", tail, 8, copies, copies, len(entries), start)
    return data[:start] + entries + bytes(tail)


def _object_array(outside: Path) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, depth=np.array([Canary(outside / "ran")], dtype=object), allow_pickle=True)
    return buffer.getvalue()


ARRAYS: dict[str, Callable[[Path], bytes]] = {
    "a pickle": lambda outside: pickle.dumps(Canary(outside / "ran")),
    "objects": _object_array,
    "shape of 2^60": lambda _: npz({"depth.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1152921504606846976,)}")}),
    "shape below zero": lambda _: npz({"depth.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4)}", bytes(16))}),
    "items of nothing": lambda _: npz({"depth.npy": npy("{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000,)}")}),
    "header is code": lambda _: npz({"depth.npy": npy("__import__('os').system('touch ../outside/ran')")}),
    "header deep": lambda _: npz({"depth.npy": npy("(" * 9000 + ")" * 9000, version=2)}),
    "header of 2^32": lambda _: npz({"depth.npy": npy("{}", version=2, size=0xFFFFFFF0)}),
    "header of python 2": lambda _: npz({"depth.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4L,), }\\", bytes(16))}),
    "deflated bomb": lambda _: npz({"depth.npy": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (524288000,)}", bytes(500 << 20))}, method=zipfile.ZIP_DEFLATED),
    "overlapping members": lambda _: overlapping(3000, 8 << 20),
    "names up": lambda _: npz({"../../outside/ran.npy": b"x"}),
    "a zip in a zip": lambda _: npz({"depth.npy": npz({"depth.npy": npz({"depth.npy": b"x"})})}),
    "strings of 2^31": lambda _: npz({"depth.npy": npy("{'descr': '<U2147483647', 'fortran_order': False, 'shape': ()}")}),
    "fields": lambda _: npz({"depth.npy": npy("{'descr': [('a', '<f4'), ('b', '|O')], 'fortran_order': False, 'shape': (1,)}", bytes(16))}),
    "no zip": lambda _: b"PK\x03\x04" + bytes(100),
}  # fmt: skip

NAMES = {
    "up": "../../outside/ran",
    "absolute": "/etc/passwd",
    "dots": "..",
    "slash": "a/b",
    "backslash": "a\\b",
    "newline": "a\nb",
    "escape": "a\x1b[2Jb",
    "right to left": "a\u202eb",
    "look-alike": "toy_\u0430_0010",
    "full width": "\uff54\uff4f\uff59",
    "long": "a" * 100_000,
    "empty": "",
    "percent": "%2e%2e%2f",
    "star": "*",
    "code": "$(touch ran)`touch ran`;touch ran",
    "surrogate": "a\udc80b",
}
