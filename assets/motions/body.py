"""The skeleton that the studio's motions are made on, and what puts it together: hips, feet and turns over time.

Metres, +Y up, facing +Z, left is +X. Rest is a T-pose; all rest frames are the world's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from studio_pipeline.geometry.bvh import Bvh
from studio_pipeline.geometry.rotations import axis_angle_to_matrix

FPS = 30
X, Y, Z = np.eye(3)
HIP_HEIGHT = 0.945  # of the hips joint at rest
ANKLE = 0.085  # height of the ankle of a flat foot
THIGH, SHIN = 0.42, 0.40
BALL = np.array([0.0, -0.06, 0.13])  # from the ankle
HEEL = np.array([0.0, -ANKLE, -0.05])

_SPINE = [
    ("hips", "", (0.0, HIP_HEIGHT, 0.0)),
    ("spine_01", "hips", (0.0, 0.09, 0.0)),
    ("spine_02", "spine_01", (0.0, 0.13, -0.01)),
    ("chest", "spine_02", (0.0, 0.13, 0.0)),
    ("neck_01", "chest", (0.0, 0.21, 0.01)),
    ("head", "neck_01", (0.0, 0.09, 0.02)),
]
_LIMB = [
    ("clavicle", "chest", (0.035, 0.15, 0.01)),
    ("upper_arm", "clavicle", (0.135, 0.0, -0.01)),
    ("forearm", "upper_arm", (0.275, 0.0, 0.0)),
    ("hand", "forearm", (0.25, 0.0, 0.0)),
    ("thigh", "hips", (0.09, -0.04, 0.0)),
    ("shin", "thigh", (0.0, -THIGH, 0.0)),
    ("foot", "shin", (0.0, -SHIN, 0.0)),
    ("toe", "foot", tuple(BALL)),
]
_ENDS = {"head": (0.0, 0.19, 0.0), "hand": (0.17, 0.0, 0.0), "toe": (0.0, 0.0, 0.07)}
MIRROR = np.array([-1.0, 1.0, 1.0])


def _joints() -> list[tuple[str, str, np.ndarray]]:
    rows = [(name, parent, np.array(offset)) for name, parent, offset in _SPINE]
    for end, flip in ((".L", np.ones(3)), (".R", MIRROR)):
        for name, parent, offset in _LIMB:
            above = parent if parent in ("chest", "hips") else parent + end
            rows.append((name + end, above, np.array(offset) * flip))
    return rows


JOINTS = _joints()
NAMES = tuple(name for name, _, _ in JOINTS)
PARENTS = np.array([NAMES.index(parent) if parent else -1 for _, parent, _ in JOINTS], dtype=np.int32)
OFFSETS = np.array([offset for _, _, offset in JOINTS])


def about(axis: np.ndarray, degrees: np.ndarray | float) -> np.ndarray:
    """Rotations [..., 3, 3] about an axis by angles in degrees."""
    return axis_angle_to_matrix(np.radians(np.asarray(degrees, dtype=np.float64))[..., None] * axis)


def turned(
    *, pitch: np.ndarray | float = 0.0, yaw: np.ndarray | float = 0.0, roll: np.ndarray | float = 0.0
) -> np.ndarray:
    """Yaw to the left, then pitch forward, then roll to the right [deg]. [..., 3, 3]"""
    return about(Y, yaw) @ about(X, pitch) @ about(Z, roll)


@dataclass
class Foot:
    """Where a foot is: its ankle [T, 3] and its turns [T, 3, 3] in the world; its toes turn by themselves."""

    ankle: np.ndarray
    turn: np.ndarray
    toe: np.ndarray


@dataclass
class Act:
    """A motion while it is made. World turns of the joints that are set; the others follow their parents."""

    frames: int
    hips: np.ndarray  # [T, 3]
    turns: dict[str, np.ndarray] = field(default_factory=dict)  # world [T, 3, 3]
    local: dict[str, np.ndarray] = field(default_factory=dict)  # in the parent's frame [T, 3, 3]
    feet: dict[str, Foot] = field(default_factory=dict)

    def bvh(self) -> Bvh:
        """The motion as a file has it."""
        world = np.tile(np.eye(3), (self.frames, len(NAMES), 1, 1))
        places = np.zeros((self.frames, len(NAMES), 3))
        for joint, name in enumerate(NAMES):
            parent = PARENTS[joint]
            above = world[:, parent] if parent >= 0 else np.eye(3)
            places[:, joint] = places[:, parent] + above @ OFFSETS[joint] if parent >= 0 else self.hips
            if name.startswith("thigh"):
                self._leg(name[-2:], places[:, joint], world[:, parent])
            world[:, joint] = self.turns[name] if name in self.turns else above @ self.local.get(name, np.eye(3))
        above = np.where(PARENTS[:, None, None] >= 0, world[:, PARENTS], np.eye(3))
        ends = np.full((len(NAMES), 3), np.nan)
        for joint, name in enumerate(NAMES):
            if (stem := name.partition(".")[0]) in _ENDS:
                ends[joint] = np.array(_ENDS[stem]) * (MIRROR if name.endswith(".R") else 1.0)
        positions = np.repeat(OFFSETS[None], self.frames, axis=0)
        positions[:, 0] = self.hips
        return Bvh(
            names=NAMES,
            parents=PARENTS,
            offsets=OFFSETS * (PARENTS[:, None] >= 0),
            ends=ends,
            rotations=np.swapaxes(above, -1, -2) @ world,
            positions=positions,
            frame_time=1.0 / FPS,
        )

    def _leg(self, end: str, hip: np.ndarray, pelvis: np.ndarray) -> None:
        """Thigh and shin that bring the ankle to its place; knees point where the foot and the pelvis point."""
        foot = self.feet[end]
        way = foot.ankle - hip
        distance = np.linalg.norm(way, axis=1, keepdims=True)
        over = float((distance / (THIGH + SHIN)).max())
        if over > 0.9995:
            raise ValueError(f"leg {end} is {over:.3f} of its length away from its foot")
        way = way / distance
        left = 0.5 * (foot.turn + pelvis) @ X
        left = left - (left * way).sum(1, keepdims=True) * way
        left /= np.linalg.norm(left, axis=1, keepdims=True)
        along = (distance**2 + THIGH**2 - SHIN**2) / (2.0 * distance)
        ahead = np.cross(way, left)
        knee = hip + along * way + np.sqrt(THIGH**2 - along**2) * ahead
        self.turns["thigh" + end] = _hanging(knee - hip, left)
        self.turns["shin" + end] = _hanging(foot.ankle - knee, left)
        self.turns["foot" + end] = foot.turn
        self.turns["toe" + end] = foot.toe


def _hanging(bone: np.ndarray, left: np.ndarray) -> np.ndarray:
    """World turns of a bone that hangs down at rest and shall point along ``bone``, its hinge along ``left``."""
    up = -bone / np.linalg.norm(bone, axis=1, keepdims=True)
    return np.stack([left, up, np.cross(left, up)], axis=-1)


def arms(
    act: Act,
    end: str,
    *,
    lower: np.ndarray | float,
    swing: np.ndarray | float = 0.0,
    elbow: np.ndarray | float = 0.0,
    twist: np.ndarray | float = 0.0,
    shrug: np.ndarray | float = 0.0,
    wrist: np.ndarray | float = 0.0,
) -> None:
    """Pose an arm in the chest's frame [deg]: lowered from the T-pose, swung forward, elbow bent, twisted inwards."""
    side = 1.0 if end == ".L" else -1.0
    ones = np.ones(act.frames)
    act.local["clavicle" + end] = about(Z, side * shrug * ones) @ about(Y, -side * 0.15 * np.asarray(swing) * ones)
    upper = about(X, -np.asarray(swing) * ones) @ about(Z, -side * lower * ones) @ about(X, np.asarray(twist) * ones)
    act.local["upper_arm" + end] = upper
    act.local["forearm" + end] = about(Y, -side * np.asarray(elbow) * ones)
    act.local["hand" + end] = about(Z, -side * np.asarray(wrist) * ones)


def trunk(act: Act, pelvis: dict[str, np.ndarray], chest: dict[str, np.ndarray], head: dict[str, np.ndarray]) -> None:
    """Pelvis, chest and head as world pitch, yaw and roll [deg]; the spine and the neck share what lies between."""

    def mixed(share: float, a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> np.ndarray:
        keys = ("pitch", "yaw", "roll")
        ones = np.ones(act.frames)
        return turned(**{k: ones * ((1.0 - share) * a.get(k, 0.0) + share * b.get(k, 0.0)) for k in keys})

    for name, share in (("hips", 0.0), ("spine_01", 0.3), ("spine_02", 0.65), ("chest", 1.0)):
        act.turns[name] = mixed(share, pelvis, chest)
    for name, share in (("neck_01", 0.5), ("head", 1.0)):
        act.turns[name] = mixed(share, chest, head)
