# ruff: noqa: E501 - a line a parser
"""Valid files, damaged at random: what reads them gives a result or the clear error, never a crash, a hang or memory.

Seeded mutations of one or many valid files, read in a child under limits that dies with its parser where it crashes.
`make test` does a few of each; `make soak` ten minutes in all.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import corpus_clips as clips
import corpus_files as files
import corpus_meshes as meshes
import corpus_usd as usd
import pytest
from cell import HERE, ROOT

import studio_pipeline.schema.apart as apart
from studio_pipeline.stages.character.usd_preflight import MAX_BYTES

pytestmark = pytest.mark.slow

Seeds = Callable[[Path], bytes]


def _shots(_: Path) -> bytes:
    return (ROOT / "assets/shots/demo.yaml").read_bytes()


def _timeline(_: Path) -> bytes:
    return files._timeline(files._STACK % files._clip("24")).encode()


def _npz(folder: Path) -> bytes:
    import numpy as np

    from studio_pipeline.schema.arrays import save_arrays

    save_arrays(folder / "seed.npz", depth=np.arange(24, dtype=np.float32).reshape(2, 3, 4), names=np.array(["a", "b"]))
    return (folder / "seed.npz").read_bytes()


def _usd(ending: str) -> Seeds:
    def make(folder: Path) -> bytes:
        if ending == "usdz":
            return usd.usdz({"hero.usda": usd.MESH % b"", "a.png": meshes.png(8, 8)})
        if ending == "usda":
            return usd.MESH % b""
        return usd.crate(lambda _: None)(folder, "", folder).read_bytes()

    return make


def _gif(folder: Path) -> bytes:
    import numpy as np
    from PIL import Image

    frames = [Image.fromarray(np.full((32, 32, 3), 40 * index, np.uint8)) for index in range(3)]
    frames[0].save(folder / "seed.gif", save_all=True, append_images=frames[1:], duration=40)
    return (folder / "seed.gif").read_bytes()


def _picture(folder: Path) -> bytes:
    import numpy as np
    from PIL import Image

    Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)).save(folder / "seed.jpg")
    return (folder / "seed.jpg").read_bytes()


def _skin(_: Path) -> bytes:
    return (ROOT / "assets/weights/rig/skin.safetensors").read_bytes()[:20_000]


PARSERS: dict[str, tuple[str, str, Seeds]] = {
    "glb": ("character", "hero.glb", lambda _: meshes.glb(*meshes.document(**meshes.textured({"uri": "data:image/png;base64,"})))),
    "gltf": ("character", "hero.gltf", lambda _: json.dumps(meshes.document()[0]).encode()),
    "obj": ("character", "hero.obj", lambda _: meshes._OBJ.encode() + b"vt 0 1\nvn 0 0 1\nf 1/1/1 2/1/1 3/1/1\n"),
    "usda": ("character", "hero.usda", _usd("usda")),
    "usdc": ("character", "hero.usdc", _usd("usdc")),
    "usdz": ("character", "hero.usdz", _usd("usdz")),
    "mp4": ("clip", "clip.mp4", lambda _: clips.video(3, (32, 32))),
    "webm": ("clip", "clip.webm", lambda _: clips.video(3, (32, 32), "webm")),
    "gif": ("clip", "clip.gif", _gif),
    "jpg": ("picture", "a.jpg", _picture),
    "png": ("picture", "a.png", lambda _: meshes.png(16, 16, rows=bytes(16 * 49))),
    "bvh": ("bvh", "walk.bvh", lambda _: (ROOT / "assets/motions/wave.bvh").read_bytes()[:6000]),
    "otio": ("timeline", "edit.otio", _timeline),
    "yaml": ("shots", "shots.yaml", _shots),
    "vocabulary": ("vocabulary", "own.yaml", lambda _: (ROOT / "assets/taxonomy/camera.yaml").read_bytes()[:5000]),
    "npz": ("arrays", "depth.npz", _npz),
    "safetensors": ("weights", "skin.safetensors", _skin),
    "json": ("json", "a.json", lambda _: json.dumps({"a": [1, 2.5, None, {"b": "text"}] * 3}).encode()),
}  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, blocks moved, doubled or cut out, numbers made extreme, ends cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(changed) + 1)
        size = min(rng.choice((1, 2, 4, 8, 64)), len(changed) - at)
        kind = rng.randrange(8)
        if kind < 2:
            changed[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            changed[at : at + size] = rng.choice((b"\xff", b"\0", b"\x7f", b"\x80")) * size
        elif kind == 3:
            changed[at : at + size] = b""
        elif kind == 4:
            changed[at:at] = changed[at : at + size] * rng.choice((1, 3, 200))
        elif kind == 5:
            changed[at : at + size] = rng.choice(
                (b"nan", b"-1", b"1e999", b"99999999999999999999", b"0", b'"', b"]", b"{", b"\n")
            )
        elif kind == 6 and len(changed) > 1:
            start = rng.randrange(len(changed))
            changed[at : at + size] = changed[start : start + size]
        else:
            del changed[rng.randrange(len(changed) + 1) :]
        if not changed:
            changed = bytearray(b"x")
    return bytes(changed[: 1 << 20])


APART = ("usda", "usdc", "usdz", "mp4", "webm", "gif", "otio")
"""Each file of these costs a process; a parser that hangs in it is ended after its minutes."""
MOST_MB = dict.fromkeys(APART, apart.MEMORY >> 20) | dict.fromkeys(("usda", "usdc", "usdz"), MAX_BYTES >> 20)
"""What those processes may take, which a damaged file makes some native parsers try; all others stay small."""


def limits() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def fuzz(name: str, folder: Path, *, first: int, count: int, seconds: float) -> int:
    """Read so many mutations, many a child; returns how many were read. What breaks a child is told by its seed."""
    done = 0
    began = time.monotonic()
    while done < count and time.monotonic() - began < seconds:
        block = min(count - done, 10 if name in APART else 100)
        child = subprocess.run(
            [sys.executable, "-P", str(HERE / "fuzz_child.py"), name, str(folder), str(first + done), str(block)],
            env={"PYTHONPATH": f"{ROOT}:{HERE}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(folder)},
            capture_output=True, text=True, preexec_fn=limits, timeout=3600,
        )  # fmt: skip
        assert child.returncode == 0, f"{name}: {child.stdout[-300:]} {child.stderr[-1500:]} ({child.returncode})"
        told = json.loads(child.stdout.splitlines()[-1])
        assert told["resident_mb"] < MOST_MB.get(name, 1500), f"{name} from seed {first + done}: {told}"
        done += block
    return done


@pytest.mark.parametrize("name", PARSERS)
def test_some_damaged_files(name: str, tmp_path: Path) -> None:
    assert fuzz(name, tmp_path, first=1, count=3 if name in APART else 30, seconds=60)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", PARSERS)
def test_ten_minutes_of_damaged_files(name: str, tmp_path: Path) -> None:
    seconds = 600 / len(PARSERS)
    print(f"soak: {name}: {fuzz(name, tmp_path, first=10_000, count=1_000_000, seconds=seconds)} damaged files")
    shutil.rmtree(tmp_path, ignore_errors=True)
