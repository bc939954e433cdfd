"""The BVH reader and writer against closed forms, and against files that mean harm."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from studio_pipeline.geometry import bvh as module
from studio_pipeline.geometry.bvh import Bvh, read_bvh, write_bvh
from studio_pipeline.schema.errors import InputError

ARM = """HIERARCHY
ROOT Hips
{
  OFFSET 1 2 3
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT left arm
  {
    OFFSET 10 0 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    JOINT Hand {
      OFFSET 0 5 0
      CHANNELS 0
      End Site
      {
        OFFSET 0 0 2
      }
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.04
0 0 0 0 0 0 0 0 0
4 5 6 90 0 0 0 90 0
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "motion.bvh"
    path.write_text(text)
    return path


def test_positions_are_what_the_angles_say(tmp_path: Path) -> None:
    bvh = read_bvh(write(tmp_path, ARM))
    assert bvh.names == ("Hips", "left arm", "Hand") and bvh.parents.tolist() == [-1, 0, 1]
    assert bvh.frame_time == 0.04 and np.array_equal(bvh.ends[2], [0, 0, 2]) and np.isnan(bvh.ends[:2]).all()
    turns, places = bvh.world()
    assert np.allclose(places[0], [[0, 0, 0], [10, 0, 0], [10, 5, 0]])
    # A quarter turn about Z takes the arm to +Y and the hand's offset to -X; one about Y leaves that offset alone.
    assert np.allclose(places[1], [[4, 5, 6], [4, 15, 6], [-1, 15, 6]])
    assert np.allclose(turns[1, 2] @ [0, 0, 2], Rotation.from_euler("ZY", [90, 90], degrees=True).apply([0, 0, 2]))


@pytest.mark.parametrize("order", ["XYZ", "ZXY", "ZYX", "YXZ"])
def test_any_order_of_angles(tmp_path: Path, order: str) -> None:
    angles = (31.0, -52.0, 77.0)
    channels = " ".join(f"{axis}rotation" for axis in order)
    values = " ".join(f"{a}" for a in angles)
    text = (
        f"HIERARCHY\nROOT a\n{{\nOFFSET 0 0 0\nCHANNELS 3 {channels}\n}}\nMOTION\nFrames: 1\nFrame Time: .1\n{values}\n"
    )
    expected = Rotation.from_euler(order, angles, degrees=True).as_matrix()
    assert np.allclose(read_bvh(write(tmp_path, text)).rotations[0, 0], expected)


def random_bvh(seed: int, frames: int = 7) -> Bvh:
    """A branching skeleton, depth first, with any rotations; the root and one joint move."""
    rng = np.random.default_rng(seed)
    parents = np.array([-1, 0, 1, 1, 0, 4, 5], np.int32)
    offsets = rng.normal(size=(7, 3)) * (parents >= 0)[:, None]
    positions = np.repeat(offsets[None], frames, axis=0)
    positions[:, [0, 4]] += rng.normal(size=(frames, 2, 3))
    ends = np.full((7, 3), np.nan)
    ends[[2, 3, 6]] = rng.normal(size=(3, 3))
    turns = Rotation.random(frames * 7, random_state=seed).as_matrix().reshape(frames, 7, 3, 3)
    return Bvh(
        names=tuple("abcdefg"), parents=parents, offsets=offsets, ends=ends, rotations=turns, positions=positions,
        frame_time=1 / 30,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_what_is_written_comes_back(tmp_path: Path, seed: int) -> None:
    one = random_bvh(seed)
    write_bvh(one, tmp_path / "a.bvh")
    two = read_bvh(tmp_path / "a.bvh")
    assert two.names == one.names and np.array_equal(two.parents, one.parents)
    assert np.allclose(two.world()[1], one.world()[1], atol=1e-4) and np.allclose(
        two.rotations, one.rotations, atol=1e-6
    )
    assert np.allclose(two.ends, one.ends, atol=1e-5, equal_nan=True) and abs(two.frame_time - one.frame_time) < 1e-8
    write_bvh(one, tmp_path / "b.bvh")
    assert (tmp_path / "a.bvh").read_bytes() == (tmp_path / "b.bvh").read_bytes()


def test_positions_agree_with_a_plain_recursion(shared_data: Path) -> None:
    # A second implementation that shares nothing: recursive descent, SciPy's Euler angles.
    path = shared_data / "motion" / "ad_cmu1_jumping_jacks.bvh"
    tokens = re.findall(r"[{}]|[^\s{}]+", path.read_text())
    row = [float(v) for v in path.read_text().split("Frame Time:")[1].split("\n")[31].split()]
    bvh = read_bvh(path)
    found: dict[str, np.ndarray] = {}

    def joint(at: int, turn: Rotation, place: np.ndarray) -> int:
        name, at = tokens[at], at + 5
        offset, at = np.array(tokens[at - 2 : at + 1], float), at + 2
        count = int(tokens[at])
        channels, at = tokens[at + 1 : at + 1 + count], at + 1 + count
        own = [row.pop(0) for _ in channels]
        moved = offset if count == 3 else np.array(own[:3])
        place = place + turn.apply(moved)
        order = "".join(c[0] for c in channels[-3:])
        turn = turn * Rotation.from_euler(order, own[-3:], degrees=True)
        found[name] = place
        while tokens[at] != "}":
            at = at + 8 if tokens[at] == "End" else joint(at + 1, turn, place)
        return at + 1

    joint(2, Rotation.identity(), np.zeros(3))
    places = bvh.world()[1][30]
    assert set(found) == set(bvh.names)
    assert max(np.abs(places[i] - found[name]).max() for i, name in enumerate(bvh.names)) < 1e-6


def deep(count: int) -> str:
    body = "".join(f"JOINT j{i}\n{{\nOFFSET 0 1 0\nCHANNELS 0\n" for i in range(count)) + "}\n" * count
    root = "HIERARCHY\nROOT r\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n"
    return f"{root}{body}}}\nMOTION\nFrames: 1\nFrame Time: .1\n0 0 0\n"


HOSTILE = {
    "empty": "",
    "no bvh": "solid thing\nfacet\n",
    "hierarchy only": ARM.split("MOTION")[0],
    "truncated tree": ARM[:140] + "\nMOTION\nFrames: 1\nFrame Time: .1\n0\n",
    "truncated motion": ARM[:-8],
    "more values than frames": ARM + "1 2 3\n",
    "nan": ARM.replace("4 5 6", "4 nan 6"),
    "infinite": ARM.replace("4 5 6", "4 1e999 6"),
    "words for numbers": ARM.replace("4 5 6", "4 five 6"),
    "nan offset": ARM.replace("OFFSET 10 0 0", "OFFSET nan 0 0"),
    "huge offset": ARM.replace("OFFSET 10 0 0", "OFFSET 1e30 0 0"),
    "short offset": ARM.replace("OFFSET 10 0 0", "OFFSET 10 0"),
    "huge frame count": ARM.replace("Frames: 2", "Frames: 999999999"),
    "no frames": ARM.replace("Frames: 2", "Frames: 0"),
    "frame count of a million digits": ARM.replace("Frames: 2", "Frames: " + "9" * 1_000_000),
    "negative frame time": ARM.replace("0.04", "-0.04"),
    "zero frame time": ARM.replace("0.04", "0"),
    "nan frame time": ARM.replace("0.04", "nan"),
    "unknown channel": ARM.replace("Zrotation Yrotation Xrotation", "Wrotation Yrotation Xrotation"),
    "wrong channel count": ARM.replace("CHANNELS 3", "CHANNELS 4"),
    "huge channel count": ARM.replace("CHANNELS 3", "CHANNELS 99999999999"),
    "two roots": ARM.replace("JOINT left arm", "ROOT left arm"),
    "joint outside": ARM.replace("MOTION", "JOINT x\n{\nOFFSET 0 0 0\n}\nMOTION"),
    "unbalanced": ARM.replace("}\nMOTION", "MOTION"),
    "too many braces": ARM.replace("MOTION", "}\nMOTION"),
    "no offset": ARM.replace("    OFFSET 10 0 0\n", ""),
    "joint in an end site": ARM.replace("OFFSET 0 0 2", "JOINT x"),
    "10000 deep": deep(10_000),
    "control characters": ARM.replace("CHANNELS 3", "\x1b[31mCHANNELS 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_one_clear_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        read_bvh(write(tmp_path, HOSTILE[name]))
    line = str(caught.value)
    assert "\n" not in line and "motion.bvh" in line and len(line) < 400 and line.isprintable()


def test_deep_but_allowed_chains_are_read(tmp_path: Path) -> None:
    assert len(read_bvh(write(tmp_path, deep(900))).names) == 901


def test_a_missing_and_an_oversized_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_bvh(tmp_path / "none.bvh")
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="is larger than 100 bytes - cut the motion"):
        read_bvh(write(tmp_path, ARM))


def test_names_are_made_unique_and_printable(tmp_path: Path) -> None:
    bvh = read_bvh(write(tmp_path, ARM.replace("Hand", "left arm").replace("Hips", "H\x07ips")))
    assert len(set(bvh.names)) == 3 and all(name.isprintable() for name in bvh.names)
