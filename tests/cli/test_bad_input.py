"""Bad input on the real graph: one clear line, a non-zero exit, nothing kept."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.command import Command

SHOT = "- show: bad\n  sequence: a\n  shot: '0010'\n  frames: [1001, 1004]\n  resolution: [64, 64]\n"


def glb(document: dict, payload: bytes) -> bytes:
    """A GLB by hand."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    payload += b"\0" * (-len(payload) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(payload), b"BIN\0") + payload
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def triangle(positions: np.ndarray, **changes: object) -> tuple[dict, bytes]:
    """A document with one triangle."""
    data = positions.astype("<f4").tobytes()
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": len(positions),
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [1, 1, 1],
            }
        ],
        "bufferViews": [{"buffer": 0, "byteLength": len(data)}],
        "buffers": [{"byteLength": len(data)}],
    }
    document.update(changes)
    return document, data


GOOD = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
NAN = np.array([[0, 0, 0], [1, np.nan, 0], [0, 1, 0]], float)


@pytest.fixture
def studio(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """The command in a home of its own; gives its exit code and all that it prints."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str]:
        code, out, err = command(*words)
        return code, err + out

    return call


def kept(tmp_path: Path) -> list[str]:
    """Manifests of committed artifacts."""
    return [str(path) for path in (tmp_path / "home").rglob("manifest.json")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SHOT + "  character: nobody\n", ["shots.yaml:6", "no character 'nobody'", "pip"]),
        (SHOT + "  character: pip\n  directives: {motion.performance: wlak}\n", ["motion.performance", "wlak", "walk"]),
        (SHOT + "  character: pip\n" + SHOT + "  character: pip\n", ["bad_a_0010", "already"]),
        (SHOT.replace("'0010'", "a/b") + "  character: pip\n", ["shots.yaml:3", "shot"]),
        (SHOT.replace("'0010'", "'..'") + "  character: pip\n", ["shots.yaml:3", "shot"]),
        (SHOT.replace("'0010'", '"a\\x07"') + "  character: pip\n", ["shots.yaml:3", "shot"]),
        (
            SHOT + "  character: pip\n  stages: {rig: {backend: magic}}\n",
            ["stage rig has no backend 'magic'", "geometric"],
        ),
        (
            SHOT + "  character: pip\n  stages: {rig: {backend: unirig}}\n",
            ["shots.yaml:7", "'stages.rig': unirig needs checkout", "github.com/VAST-AI-Research/UniRig"],
        ),
        (
            SHOT + "  character: pip\n  stages: {rig: {backend: unirig, checkout: nowhere}}\n",
            ["stages.rig.checkout", "no such file", "nowhere"],
        ),
        (SHOT + "  character: pip\n  stages: {takes: {backend: plate, file: none.mp4}}\n", ["no such file"]),
        (SHOT + "  character: pip\n  cast: [a, b]\n", ["cast"]),
        ("- !!python/object/apply:os.system ['touch ran']\n", ["shots.yaml:1"]),
    ],
)
def test_a_wrong_shot_list_stops_before_any_work(studio, tmp_path: Path, text: str, said: list[str]) -> None:
    (tmp_path / "shots.yaml").write_text(text)
    code, told = studio("run", "shots.yaml")
    assert code == 2 and len(told.strip().splitlines()) <= 2
    assert all(word in told for word in said), told
    assert kept(tmp_path) == [] and not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: glb(*triangle(GOOD))[:-20], "hero.glb"),
        (lambda: glb(*triangle(NAN)), "hero.glb"),
        (lambda: glb(*triangle(GOOD, meshes=[{"primitives": []}])), "hero.glb"),
        (lambda: glb(*triangle(GOOD, buffers=[{"byteLength": 36, "uri": "../../../etc/passwd"}])), "hero.glb"),
        (lambda: glb(*triangle(GOOD, buffers=[{"byteLength": 1 << 40}])), "hero.glb"),
        (lambda: b"PK\x03\x04 not a mesh", "hero.glb"),
    ],
)
def test_a_hostile_character_is_refused(studio, tmp_path: Path, data: Callable[[], bytes], said: str) -> None:
    (tmp_path / "hero.glb").write_bytes(data())
    (tmp_path / "shots.yaml").write_text(SHOT + "  character: hero.glb\n")
    code, told = studio("run", "shots.yaml", "--stage", "character")
    assert code != 0 and said in told
    assert kept(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["count", "size", "corrupt"])
def test_a_wrong_plate_is_refused(studio, tmp_path: Path, fault: str) -> None:
    plate = tmp_path / "plate"
    plate.mkdir()
    size = (50, 80) if fault == "size" else (64, 64)
    for index in range(3 if fault == "count" else 4):
        cv2.imwrite(str(plate / f"p.{1001 + index}.png"), np.full((*size, 3), 90, np.uint8))
    if fault == "corrupt":
        (plate / "p.1002.png").write_bytes((plate / "p.1002.png").read_bytes()[:40])
    (tmp_path / "shots.yaml").write_text(SHOT + "  character: pip\n  stages: {takes: {backend: plate, file: plate}}\n")
    code, told = studio("run", "shots.yaml", "--stage", "takes")
    assert code != 0 and "takes" in told and ("plate" in told)
    assert not any('"stage": "takes"' in Path(path).read_text() for path in kept(tmp_path))


def test_an_unwritable_output_is_said_first(studio, tmp_path: Path) -> None:
    (tmp_path / "shots.yaml").write_text(SHOT + "  character: pip\n")
    (tmp_path / "taken").write_text("a file")
    code, told = studio("run", "shots.yaml", "--out", "taken")
    assert code == 4 and "output folder taken can't be written" in told
    assert not (tmp_path / "home").exists()


def test_help_imports_nothing_heavy() -> None:
    import subprocess

    script = (
        "import sys; sys.argv=['studio','--help']\n"
        "from studio_pipeline.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'warp', 'dagster', 'cv2', 'trimesh', 'open3d', 'pxr', 'scipy', 'igl'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout
