"""Hostile clips and folders of pictures; see `corpus_meshes`."""

# ruff: noqa: E501 - a line a case
from __future__ import annotations

import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from corpus_files import Canary, pickled, saved
from corpus_meshes import Maker, chunk, jpeg_header, png, png_bomb, zeros_deflated


def video(frames: int = 4, size: tuple[int, int] = (64, 64), ending: str = "mp4") -> bytes:
    """A small honest clip."""
    import av

    buffer = io.BytesIO()
    form, codec = {"mp4": ("mp4", "libx264"), "webm": ("webm", "libvpx"), "mkv": ("matroska", "libx264")}[ending]
    with av.open(buffer, "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(frames):
            pixels = np.full((size[1], size[0], 3), 10 * index, np.uint8)
            pixels[: size[1] // 2] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def patched(data: bytes, box: bytes, offset: int, value: bytes, nth: int = 0) -> bytes:
    """An MP4 with bytes changed behind the name of one of its boxes."""
    changed, at = bytearray(data), -1
    for _ in range(nth + 1):
        at = data.index(box, at + 1)
    changed[at + 4 + offset : at + 4 + offset + len(value)] = value
    return bytes(changed)


def gif_bomb(side: int, frames: int) -> bytes:
    """A GIF that declares a large screen and many frames in a few bytes each."""
    data = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    for _ in range(frames):
        data += b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x44\x01\x00"
    return data + b"\x3b"


def matroska_element(name: bytes, data: bytes) -> bytes:
    return name + (0x0100000000000000 | len(data)).to_bytes(8, "big") + data


VIDEO: dict[str, Maker] = {
    "a pickle": pickled("clip.mp4"),
    "a playlist": saved("clip.mp4", lambda: "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
    "a list of files": saved("clip.mkv", lambda: "ffconcat version 1.0\nfile ../outside/secret.bin\n"),
    "lies of its width": saved("clip.mp4", lambda: patched(video(), b"avc1", 24, struct.pack(">HH", 65535, 65535))),
    "track of 2^31 pixels": saved("clip.mp4", lambda: patched(video(), b"tkhd", 76, struct.pack(">II", 1 << 31, 1 << 31))),
    "samples of 2^32": saved("clip.mp4", lambda: patched(video(), b"stsz", 4, struct.pack(">II", 64, 0xFFFFFFFF))),
    "sample sizes of 2^31": saved("clip.mp4", lambda: patched(video(), b"stsz", 12, struct.pack(">I", 0x7FFFFFFF) * 4)),
    "times of 2^32": saved("clip.mp4", lambda: patched(video(), b"stts", 8, struct.pack(">II", 0xFFFFFFFF, 1))),
    "chunks of 2^32": saved("clip.mp4", lambda: patched(video(), b"stco", 4, struct.pack(">I", 0xFFFFFFFF))),
    "scale of zero": saved("clip.mp4", lambda: patched(video(), b"mdhd", 12, bytes(4))),
    "codec of nobody": saved("clip.mp4", lambda: patched(video(), b"stsd", 12, b"zzzz")),
    "boxes in boxes": saved("clip.mp4", lambda: b"".join(struct.pack(">I4s", 8 * (20_000 - n), b"moov") for n in range(20_000))),
    "box of 2^63": saved("clip.mp4", lambda: struct.pack(">I4sQ", 1, b"moov", 1 << 63)),
    "cut": saved("clip.mp4", lambda: video(24)[:-200]),
    "gif of 65535": saved("clip.gif", lambda: gif_bomb(65535, 3)),
    "gif of 4000 frames": saved("clip.gif", lambda: gif_bomb(4000, 4000)),
    "gif of nothing": saved("clip.gif", lambda: b"GIF89a"),
    "webm that lies": saved("clip.webm", lambda: video(4, ending="webm").replace(b"\xb0", b"\xb0", 1)[:400] + bytes(2000)),
    "webm element of 2^56": saved("clip.webm", lambda: b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xfe" + bytes(64)),
    "mkv in itself": saved("clip.mkv", lambda: _nested_matroska(3000)),
    "avi of nothing": saved("clip.avi", lambda: b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xffhdrl"),
    "an ending of nobody": saved("clip.exe", lambda: b"MZ"),
    "text": saved("clip.mov", lambda: b"not a film\n" * 1000),
}  # fmt: skip


def _nested_matroska(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = matroska_element(b"\x18\x53\x80\x67", data)
    return matroska_element(b"\x1aE\xdf\xa3", b"") + data


def _pictures(make: Callable[[], bytes], *, ending: str = "png", count: int = 4) -> Maker:
    def write(folder: Path, _url: str, _outside: Path) -> Path:
        data = make()
        (folder / "clip").mkdir()
        for index in range(count):
            (folder / "clip" / f"a.{1001 + index}.{ending}").write_bytes(data)
        return folder / "clip"

    return write


def _picture_links(target: str) -> Maker:
    def write(folder: Path, _url: str, outside: Path) -> Path:
        (folder / "clip").mkdir()
        for index in range(4):
            (folder / "clip" / f"a.{1001 + index}.png").symlink_to(target.replace("OUT", str(outside)))
        return folder / "clip"

    return write


def _pipes(folder: Path, _url: str, _outside: Path) -> Path:
    (folder / "clip").mkdir()
    for index in range(4):
        os.mkfifo(folder / "clip" / f"a.{1001 + index}.png")
    return folder / "clip"


def _endless_numbers(folder: Path, _url: str, _outside: Path) -> Path:
    (folder / "clip").mkdir()
    for name in ("a.999999999999.png", "a.٣.png", "a.1001.png"):
        (folder / "clip" / name).write_bytes(png(64, 64))
    return folder / "clip"


PICTURES: dict[str, Maker] = {
    "a pickle": _pictures(lambda: pickle.dumps(Canary(Path("/tmp/nobody")))),
    "60000 x 60000": _pictures(lambda: png(60000, 60000)),
    "2^31 x 2^31": _pictures(lambda: png(2**31 - 1, 2**31 - 1)),
    "0 x 0": _pictures(lambda: png(0, 0)),
    "jpeg 65535 x 65535": _pictures(lambda: jpeg_header(65535, 65535), ending="jpg"),
    "honest bomb 30000 x 30000": _pictures(lambda: png_bomb(30000, 3000), count=1),
    "text chunk bomb": _pictures(lambda: png(64, 64, extra=chunk(b"zTXt", b"a\0\0" + zeros_deflated(300 << 20)))),
    "profile bomb": _pictures(lambda: png(64, 64, extra=chunk(b"iCCP", b"a\0\0" + zeros_deflated(300 << 20)))),
    "pixels that never come": _pictures(lambda: png(4096, 4096)),
    "pixels without end": _pictures(lambda: png(64, 64, rows=bytes(200 << 20))),
    "chunk of 2^31": _pictures(lambda: b"\x89PNG\r\n\x1a\n\x7f\xff\xff\xffIHDR"),
    "exr": _pictures(lambda: b"\x76\x2f\x31\x01" + bytes(100), ending="exr"),
    "links to secrets": _picture_links("OUT/secret.bin"),
    "links to /dev/zero": _picture_links("/dev/zero"),
    "pipes": _pipes,
    "numbers of nobody": _endless_numbers,
}  # fmt: skip
