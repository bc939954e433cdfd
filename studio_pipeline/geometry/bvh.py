"""BVH motion files (Biovision): a skeleton of offsets and a table of Euler angles, read and written.

A joint's rotation is the product of its channels in the file's order, ``R = R_1 R_2 R_3``. Position channels replace a
joint's offset. Units are the file's own: nothing in a BVH says them. Files are taken for hostile: sizes and numbers are
checked before anything is built on them.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.schema.errors import InputError, one_line
from studio_pipeline.schema.files import regular_bytes

__all__ = ["Bvh", "read_bvh", "write_bvh"]

MAX_BYTES = 64 << 20
MAX_JOINTS = 1000
MAX_FRAMES = 200_000
MAX_POSES = 4_000_000  # frames times joints
MAX_VALUES = 24_000_000
MAX_NUMBER = 1e9  # of an offset or a position, in any unit
_CHANNELS = {f"{axis}{kind}": (kind, index) for index, axis in enumerate("xyz") for kind in ("position", "rotation")}


@dataclass(frozen=True, kw_only=True)
class Bvh:
    """A motion as the file has it: J joints, parents first, T frames, the file's own units and axes."""

    names: tuple[str, ...]  # unique
    parents: np.ndarray  # [J] int32, -1 for the root
    offsets: np.ndarray  # [J, 3] float64, in the parent's frame; all rotations are the identity at rest
    ends: np.ndarray  # [J, 3] float64, the end site of a leaf in its own frame, NaN where there is none
    rotations: np.ndarray  # [T, J, 3, 3] float64, local
    positions: np.ndarray  # [T, J, 3] float64, local: the offset, or what the position channels say
    frame_time: float  # [s]

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return len(self.rotations)

    def rest(self) -> np.ndarray:
        """Joints of the rest pose, where all angles are zero. [J, 3]"""
        places = self.offsets.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                places[joint] += places[parent]
        return places

    def world(self) -> tuple[np.ndarray, np.ndarray]:
        """World rotations [T, J, 3, 3] and places [T, J, 3] of all joints."""
        turns, places = self.rotations.copy(), self.positions.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                turns[:, joint] = turns[:, parent] @ self.rotations[:, joint]
                places[:, joint] = places[:, parent] + np.einsum(
                    "tab,tb->ta", turns[:, parent], self.positions[:, joint]
                )
        return turns, places


@dataclass
class _Hierarchy:
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    ends: list[list[float]] = field(default_factory=list)
    channels: list[list[tuple[str, int]]] = field(default_factory=list)


def read_bvh(path: Path) -> Bvh:
    """Read a BVH file.

    Raises:
        InputError: It is missing, no BVH, truncated, or beyond what this module holds.
    """
    path = Path(path)
    text = regular_bytes(path, limit=MAX_BYTES, do="cut the motion").decode("utf-8", errors="replace")
    parts = re.split(r"(?mi)^[ \t]*MOTION[ \t]*\r?$", text, maxsplit=1)
    if len(parts) != 2 or not re.match(r"\s*HIERARCHY\b", parts[0], re.IGNORECASE):
        raise InputError("is no BVH file: it has no HIERARCHY and MOTION", where=path, do="export the motion as BVH")
    tree = _Reader(path, parts[0]).read()
    values, frame_time = _table(path, parts[1], sum(map(len, tree.channels)))
    return _assemble(path, tree, values, frame_time)


class _Reader:
    """Reads the HIERARCHY line by line, with a stack instead of recursion: files nest as deep as they like."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.tree = path, _Hierarchy()
        self.lines = text.replace("{", "\n{\n").replace("}", "\n}\n").splitlines()
        self.open: list[int] = []  # joints whose braces are open; -1 for an end site
        self.pending: int | None = None  # what the next brace opens

    def read(self) -> _Hierarchy:
        for line in self.lines:
            words = line.split()
            if words:
                self._line(words[0].upper(), words)
        if self.open or self.pending is not None or not self.tree.names:
            raise self._wrong("its HIERARCHY breaks off")
        if any(math.isnan(offset[0]) for offset in self.tree.offsets):
            raise self._wrong("a joint has no OFFSET")
        return self.tree

    def _line(self, word: str, words: list[str]) -> None:
        if word == "HIERARCHY":
            return
        if word in ("ROOT", "JOINT"):
            self._joint(word, " ".join(words[1:]))
        elif word == "END":
            if not self.open or self.open[-1] < 0:
                raise self._wrong("an End Site hangs on nothing")
            self.pending = -1
        elif word == "{":
            if self.pending is None:
                raise self._wrong("a brace opens nothing")
            self.open.append(self.pending)
            self.pending = None
        elif word == "}":
            if not self.open or self.pending is not None:
                raise self._wrong("its braces don't match")
            self.open.pop()
        elif word == "OFFSET" and self.open:
            self._offset(words[1:])
        elif word == "CHANNELS" and self.open and self.open[-1] >= 0:
            self._channels(words[1:])
        else:
            raise self._wrong(f"{one_line(words[0])[:40]!r} has no place in its HIERARCHY")

    def _joint(self, word: str, name: str) -> None:
        tree = self.tree
        if (word == "ROOT") != (not tree.names) or (self.open and self.open[-1] < 0) or self.pending is not None:
            raise self._wrong("it has more than one ROOT, or a JOINT outside of it")
        if word == "JOINT" and not self.open:
            raise self._wrong("a JOINT lies outside of the ROOT")
        if len(tree.names) >= MAX_JOINTS:
            raise InputError(f"has more than {MAX_JOINTS} joints", where=self.path, do="reduce the skeleton")
        base = one_line(name)[:64] or f"joint_{len(tree.names)}"
        unique, number = base, 2
        while unique in tree.names:
            unique, number = f"{base}_{number}", number + 1
        tree.names.append(unique)
        tree.parents.append(self.open[-1] if self.open else -1)
        tree.offsets.append([math.nan] * 3)
        tree.ends.append([math.nan] * 3)
        tree.channels.append([])
        self.pending = len(tree.names) - 1

    def _offset(self, words: list[str]) -> None:
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) != 3 or not all(abs(value) <= MAX_NUMBER for value in values):
            raise self._wrong("an OFFSET is not three finite numbers")
        if self.open[-1] >= 0:
            self.tree.offsets[self.open[-1]] = values
        else:
            self.tree.ends[self.open[-2]] = values

    def _channels(self, words: list[str]) -> None:
        found = [_CHANNELS.get(word.lower()) for word in words[1:]]
        if not words or words[0] != str(len(found)) or None in found or len(found) > 6 or len(set(found)) != len(found):
            raise self._wrong(f"it has CHANNELS that nobody knows: {one_line(' '.join(words))[:60]!r}")
        self.tree.channels[self.open[-1]] = [channel for channel in found if channel is not None]

    def _wrong(self, what: str) -> InputError:
        return InputError(f"is no valid BVH file: {what}", where=self.path, do="export the motion again")


def _table(path: Path, text: str, width: int) -> tuple[np.ndarray, float]:
    """The MOTION's numbers [T, C] and the frame time [s]."""
    head = re.match(r"\s*Frames\s*:\s*(\d{1,9})\s+Frame\s+Time\s*:\s*(\S{1,30})", text, re.IGNORECASE)
    try:
        frames, frame_time = (int(head[1]), float(head[2])) if head else (0, 0.0)
    except ValueError:
        frames, frame_time = 0, 0.0
    if head is None or not 1e-4 <= frame_time <= 10.0 or not 1 <= frames <= MAX_FRAMES:
        raise InputError(
            f"needs 1 to {MAX_FRAMES} Frames and a Frame Time of 0.0001 to 10 s",
            where=path,
            do="export the motion again",
        )
    words = text[head.end() :].split(maxsplit=min(max(frames * width, 0), MAX_VALUES))
    if width == 0 or len(words) != frames * width:
        what = f"declares {frames} frames of {width} values but holds {len(words)} values"
        raise InputError(what, where=path, do="export the motion again")
    try:
        values = np.array(words, dtype=np.float64).reshape(frames, width)
    except ValueError as error:
        raise InputError("has a MOTION that is not all numbers", where=path, do="export the motion again") from error
    if not (np.abs(values) <= MAX_NUMBER).all():
        row = int(np.flatnonzero(~(np.abs(values) <= MAX_NUMBER).all(1))[0])
        raise InputError(f"has numbers that are not finite in frame {row}", where=path, do="export the motion again")
    return values, frame_time


def _assemble(path: Path, tree: _Hierarchy, values: np.ndarray, frame_time: float) -> Bvh:
    frames, count = len(values), len(tree.names)
    if frames * count > MAX_POSES:
        raise InputError(f"has {frames} frames of {count} joints", where=path, do="cut the motion")
    offsets = np.array(tree.offsets)
    rotations = np.tile(np.eye(3), (frames, count, 1, 1))
    positions = np.repeat(offsets[None], frames, axis=0)
    column = 0
    for joint, channels in enumerate(tree.channels):
        for kind, axis in channels:
            if kind == "position":
                positions[:, joint, axis] = values[:, column]
            else:
                turn = np.zeros((frames, 3))
                turn[:, axis] = np.radians(values[:, column])
                rotations[:, joint] = rotations[:, joint] @ axis_angle_to_matrix(turn)
            column += 1
    return Bvh(
        names=tuple(tree.names),
        parents=np.array(tree.parents, dtype=np.int32),
        offsets=offsets,
        ends=np.array(tree.ends),
        rotations=rotations,
        positions=positions,
        frame_time=frame_time,
    )


def write_bvh(bvh: Bvh, path: Path) -> None:
    """Write a motion: positions of the root, and of joints that leave their offset; angles as Z, X, Y [deg]."""
    moves = (np.abs(bvh.positions - bvh.offsets).max(axis=(0, 2)) > 1e-9) | (bvh.parents < 0)
    children: list[list[int]] = [[] for _ in bvh.names]
    for joint, parent in enumerate(bvh.parents):
        if parent >= 0:
            children[parent].append(joint)
    lines, order = ["HIERARCHY"], []
    todo: list[tuple[int, int, bool]] = [(0, 0, False)]
    while todo:
        joint, depth, closing = todo.pop()
        pad = "\t" * depth
        if closing:
            lines.append(pad + "}")
            continue
        order.append(joint)
        lines += [f"{pad}{'JOINT' if depth else 'ROOT'} {bvh.names[joint]}", pad + "{"]
        lines.append(f"{pad}\tOFFSET {_numbers(bvh.offsets[joint])}")
        places = "Xposition Yposition Zposition " if moves[joint] else ""
        lines.append(f"{pad}\tCHANNELS {6 if moves[joint] else 3} {places}Zrotation Xrotation Yrotation")
        if not children[joint] and not np.isnan(bvh.ends[joint]).any():
            lines += [f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET {_numbers(bvh.ends[joint])}", f"{pad}\t}}"]
        todo.append((joint, depth, True))
        todo += [(child, depth + 1, False) for child in reversed(children[joint])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at gimbal lock one of the many right answers is given
        angles = Rotation.from_matrix(bvh.rotations.reshape(-1, 3, 3)).as_euler("ZXY", degrees=True)
    angles = angles.reshape(bvh.frame_count, -1, 3)
    lines += ["MOTION", f"Frames: {bvh.frame_count}", f"Frame Time: {bvh.frame_time:.8f}"]
    for frame in range(bvh.frame_count):
        row = [
            _numbers(v) for j in order for v in ((bvh.positions[frame, j],) if moves[j] else ()) + (angles[frame, j],)
        ]
        lines.append(" ".join(row))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _numbers(values: np.ndarray) -> str:
    # Rounding first, then adding zero: never "-0.00000".
    return " ".join(f"{round(float(value), 5) + 0.0:.5f}" for value in values)
