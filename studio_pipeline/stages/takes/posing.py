"""Turning a body's parts over time: world-axis turns become joint deltas, feet stay on the ground.

All turns are about world axes through a joint, said in the base pose (the rest pose with, for instance, arms lowered);
later turns of the same joint act on top of earlier ones.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.spatial.transform import Rotation

from studio_pipeline.geometry.bodyparts import BodyPlan, Limb
from studio_pipeline.geometry.rotations import axis_angle_to_matrix, matrix_to_sixd, rotation_between
from studio_pipeline.geometry.skinning import pose_vertices, posed_world, rest_local, skinning_transforms
from studio_pipeline.schema.records import Motion, Rig
from studio_pipeline.stages.takes.timing import shaped

__all__ = ["EASE_FRAMES", "Actor", "held", "keyed"]

EASE_FRAMES = 6  # indices 1 to 6 ease out of the rest pose


def keyed(u: np.ndarray, keys: list[tuple[float, float]]) -> np.ndarray:
    """Values through keys (position, value) with slow in and slow out between them."""
    places, values = (np.array(column, dtype=np.float64) for column in zip(*keys, strict=True))
    index = np.clip(np.searchsorted(places, u, side="right") - 1, 0, len(places) - 2)
    share = np.clip((u - places[index]) / (places[index + 1] - places[index]), 0.0, 1.0)
    return values[index] + (values[index + 1] - values[index]) * share * share * (3.0 - 2.0 * share)


class Actor:
    """A rig that is posed over T frames through its body plan."""

    def __init__(
        self, rig: Rig, plan: BodyPlan, seconds: np.ndarray, *, energy: float, tempo: float, seed: int
    ) -> None:
        self.rig, self.plan = rig, plan
        self.seconds = seconds * tempo  # [T] s, performance time
        self.energy = energy
        self.rng = np.random.default_rng(seed)
        count = rig.joint_count
        self.base = np.tile(np.eye(3), (count, 1, 1))
        self.turns = np.tile(np.eye(3), (len(seconds), count, 1, 1))
        self.offset = np.zeros((len(seconds), 3))  # [m], of the whole body
        self.air = np.zeros(len(seconds))  # [m], above the ground
        self.stretch = np.ones(len(seconds))  # of the trunk along up, volume kept
        self.accents: frozenset[str] = frozenset()  # of `timing.CURVES`, that shape all joints' curves

    # -- single joints and parts

    def turn(self, joint: int, axis: np.ndarray, angle: np.ndarray | float) -> None:
        """Turn ``joint`` about a world ``axis`` [3] by ``angle`` [T] rad."""
        angles = np.broadcast_to(np.asarray(angle, dtype=np.float64), self.seconds.shape)
        self.turns[:, joint] = axis_angle_to_matrix(angles[:, None] * axis) @ self.turns[:, joint]

    def spread(
        self,
        joints: tuple[int, ...],
        *,
        pitch: np.ndarray | float = 0.0,
        yaw: np.ndarray | float = 0.0,
        roll: np.ndarray | float = 0.0,
    ) -> None:
        """Share a bend over joints: pitch forward, yaw to the left, roll to the right [rad]."""
        for joint in joints:
            self.turn(joint, self.plan.left, np.asarray(pitch) / len(joints))
            self.turn(joint, self.plan.up, np.asarray(yaw) / len(joints))
            self.turn(joint, self.plan.front, np.asarray(roll) / len(joints))

    def bend(self, **angles: np.ndarray | float) -> None:
        """Bend the spine; a body without one turns whole."""
        self.spread(self.plan.spine or (self.plan.body,), **angles)

    def nod(self, **angles: np.ndarray | float) -> None:
        """Turn the head; a body without one turns as `bend` does."""
        self.spread(self.plan.head or self.plan.spine or (self.plan.body,), **angles)

    def whole(self, **angles: np.ndarray | float) -> None:
        """Turn the whole body."""
        self.spread((self.plan.body,), **angles)

    def wave_along(
        self, joints: tuple[int, ...], axis: np.ndarray, amplitude: float, phase: np.ndarray, *, lag: float = 0.7
    ) -> None:
        """A wave that runs along a chain and grows towards its end."""
        for index, joint in enumerate(joints):
            share = (index + 1.0) / len(joints)
            swing = np.sin(phase - lag * index * 4.0 / max(len(joints), 4))
            self.turn(joint, axis, amplitude * (0.35 + 0.65 * share) * swing * min(1.0, 4.0 / len(joints)))

    # -- legs and arms

    def leg(
        self,
        limb: Limb,
        swing: np.ndarray | float,
        flex: np.ndarray | float,
        *,
        level: float = 0.85,
        lift: float = 0.0,
    ) -> None:
        """Swing a leg forward and flex its knee [rad].

        The foot is kept level by ``level`` of what they turned; the thigh rises by ``lift`` of the flexion, so that
        the foot goes up rather than back.
        """
        hip, knee, foot = leg_joints(limb)
        swing, flex = np.asarray(swing, dtype=np.float64), np.asarray(flex, dtype=np.float64)
        way = _knee_way(limb, knee, self.plan) if knee >= 0 else 1.0
        total = swing + lift * way * flex
        self.turn(limb.joints[hip], -self.plan.left, total)
        if knee >= 0:
            self.turn(limb.joints[knee], self.plan.left, way * flex)
            total = total - way * flex
            middle = range(knee + 1, foot if foot > 0 else knee + 1)
            for joint in middle:  # a hock folds the other way
                self.turn(limb.joints[joint], -self.plan.left, 0.5 * way * flex / len(middle))
                total = total + 0.5 * way * flex / len(middle)
        if foot > 0:
            self.turn(limb.joints[foot], self.plan.left, level * total)

    def crouch(self, depth: np.ndarray | float) -> None:
        """Bend all knees by ``depth`` [rad at the hip] and fold the body over them."""
        depth = np.asarray(depth, dtype=np.float64)
        for pair in self.plan.legs:
            for limb in pair:
                knee = leg_joints(limb)[1]
                way = _knee_way(limb, knee, self.plan) if knee >= 0 else 1.0
                self.leg(limb, way * depth if knee >= 0 else 0.0 * depth, 2.0 * depth, level=1.0)
        if not self.plan.legs:
            self.stretch = self.stretch * (1.0 - 0.22 * np.clip(depth, -0.6, 0.8))

    def lower_arms(self, *, amount: float = 1.0) -> None:
        """Base pose: arms hang beside the body, no nearer than the body's own width allows."""
        for pair in self.plan.arms:
            for limb in pair:
                self._aim(limb, self._hanging(limb), amount)

    def spread_arms(self, rise: float) -> None:
        """Base pose: arms point sideways, ``rise`` rad above the horizontal."""
        for pair in self.plan.arms:
            for limb in pair:
                aim = np.cos(rise) * limb.side * self.plan.left + np.sin(rise) * self.plan.up
                self._aim(limb, aim, 1.0)

    def _hanging(self, limb: Limb) -> np.ndarray:
        shoulder, direction = limb.points[upper_joint(limb)], self._direction(limb)
        away = limb.side * float(shoulder @ self.plan.left - self.middle @ self.plan.left)
        room = self.half_width + 0.03 * self.plan.height - away
        reach = max(limb.length, 1e-6)
        out = np.clip(np.arcsin(np.clip(room / reach, 0.0, 0.95)), 0.3, 1.2)
        present = np.arctan2(limb.side * float(direction @ self.plan.left), -float(direction @ self.plan.up))
        out = min(out, present) if present > 0.0 else out  # never lift an arm that hangs lower already
        return np.sin(out) * limb.side * self.plan.left - np.cos(out) * self.plan.up + 0.06 * self.plan.front

    def _direction(self, limb: Limb) -> np.ndarray:
        along = limb.points[-1] - limb.points[upper_joint(limb)]
        return along / max(float(np.linalg.norm(along)), 1e-9)

    def _aim(self, limb: Limb, aim: np.ndarray, amount: float) -> None:
        joint = limb.joints[upper_joint(limb)]
        turn = Rotation.from_matrix(rotation_between(self._direction(limb), aim)).as_rotvec() * amount
        self.base[joint] = Rotation.from_rotvec(turn).as_matrix() @ self.base[joint]

    def arm(
        self,
        limb: Limb,
        *,
        swing: np.ndarray | float = 0.0,
        rise: np.ndarray | float = 0.0,
        elbow: np.ndarray | float = 0.0,
    ) -> None:
        """Swing an arm forward, raise it sideways, bend its elbow forward [rad]."""
        upper = upper_joint(limb)
        self.turn(limb.joints[upper], self.plan.front, limb.side * np.asarray(rise))
        self.turn(limb.joints[upper], -self.plan.left, swing)
        fore = limb.joint_at(0.5, after=upper)
        if fore > upper:
            self.turn(limb.joints[fore], -self.plan.left, elbow)

    # -- the whole

    def prepare(self, vertices: np.ndarray) -> None:
        """Measure the trunk, so that arms keep clear of it. vertices [V, 3]"""
        limbs = [limb for pair in (*self.plan.arms, *self.plan.legs, *self.plan.wings) for limb in pair]
        members = sorted({joint for limb in limbs for joint in limb.members})
        trunk = vertices[self.rig.weights[:, members].sum(1) < 0.3] if members else vertices
        self.middle = vertices.mean(0).astype(np.float64)
        self.half_width = 0.0
        if self.plan.arms and len(trunk):
            top = max(float(limb.points[0, 1]) for pair in self.plan.arms for limb in pair)
            band = trunk[(trunk[:, 1] < top) & (trunk[:, 1] > top - max(p[0].length for p in self.plan.arms))]
            if len(band):
                self.half_width = float(np.percentile(np.abs((band - self.middle) @ self.plan.left), 97))

    def motion(self, vertices: np.ndarray, fps: Fraction, first_frame: int, *, hold: int = 1) -> Motion:
        """The motion: eased out of the rest pose, held on ``hold`` frames, its lowest point on the ground."""
        local = self._local()
        ease = np.clip(np.arange(len(local)) / (EASE_FRAMES + 1.0), 0.0, 1.0)
        ease = ease * ease * (3.0 - 2.0 * ease)
        vectors = Rotation.from_matrix(local.reshape(-1, 3, 3)).as_rotvec().reshape(*local.shape[:2], 3)
        vectors = shaped(vectors * ease[:, None, None], self.plan, self.accents, float(fps))
        vectors[0] = 0.0
        local = axis_angle_to_matrix(vectors)
        frames = self.rig.rest_world[:, :3, :3]
        rotations = matrix_to_sixd(np.einsum("jba,tjbc,jcd->tjad", frames, local, frames))
        translations = np.einsum("jba,tjb->tja", frames, self._stretched(ease))
        place = frames[0].T @ np.eye(3)
        translations[:, 0] += (ease[:, None] * self.offset) @ place.T
        shown = held(len(local), hold)
        motion = Motion(
            rotations=rotations[shown].astype(np.float32),
            translations=translations[shown].astype(np.float32),
            fps=fps,
            first_frame=first_frame,
        )
        if self.plan.followers:
            self._follow(motion)
        lift = self._lift(vertices, motion) + (ease * self.air)[shown]
        lift[0] = 0.0
        motion.translations[:, 0] += (lift[:, None] * (place @ self.plan.up)).astype(np.float32)
        return motion

    def _follow(self, motion: Motion) -> None:
        """Take along the pieces that hang on the root though they belong to a limb's end; feet stay level."""
        rest = self.rig.rest_world
        posed = posed_world(self.rig, motion.rotations, motion.translations)
        moved = posed @ np.linalg.inv(rest)
        local = rest_local(self.rig.parents, rest)
        for joint, leader, foot in self.plan.followers:
            goal = np.tile(np.eye(4), (len(posed), 1, 1))
            goal[:, :3, :3] = moved[:, self.plan.body if foot else leader, :3, :3] @ rest[joint, :3, :3]
            goal[:, :3, 3] = (moved[:, leader] @ rest[joint, :, 3])[:, :3]
            delta = np.linalg.solve(posed[:, self.rig.parents[joint]] @ local[joint], goal)
            motion.rotations[:, joint] = matrix_to_sixd(delta[:, :3, :3])
            motion.translations[:, joint] = delta[:, :3, 3]

    def _local(self) -> np.ndarray:
        """Each joint's turn said at rest: what the base pose of its parents did is undone. [T, J, 3, 3]"""
        local = np.empty_like(self.turns)
        carried = np.empty_like(self.base)
        for joint, parent in enumerate(self.rig.parents):
            above = np.eye(3) if parent < 0 else carried[parent]
            carried[joint] = above @ self.base[joint]
            local[:, joint] = above.T @ self.turns[:, joint] @ above @ self.base[joint]
        return local

    def _stretched(self, ease: np.ndarray) -> np.ndarray:
        """World translations [T, J, 3] that lengthen the trunk's bones along up and thin it sideways."""
        moves = np.zeros((len(ease), self.rig.joint_count, 3))
        amount = 1.0 + ease * (self.stretch - 1.0)
        if np.allclose(amount, 1.0):
            return moves
        scale = np.stack([amount**-0.5, amount, amount**-0.5], axis=-1)
        for joint, parent in enumerate(self.rig.parents):
            if parent >= 0:
                moves[:, joint] = (scale - 1.0) * (self.rig.heads[joint] - self.rig.heads[parent])
        return moves

    def _lift(self, vertices: np.ndarray, motion: Motion) -> np.ndarray:
        """By how much the body must rise for its lowest vertex to stay at the rest's lowest height. [T]"""
        posed = pose_vertices(vertices, self.rig.weights, skinning_transforms(self.rig, motion))
        return float(vertices[:, 1].min()) - posed[..., 1].min(1).astype(np.float64)


def held(count: int, hold: int) -> np.ndarray:
    """Index of the pose shown at each index; index 0 keeps its own."""
    index = np.arange(count)
    return np.where(index == 0, 0, np.minimum(1 + (index - 1) // hold * hold, count - 1))


def upper_joint(limb: Limb) -> int:
    """Index of the joint that swings a limb: a short first bone (collar, hip plate) is passed over."""
    steps = np.linalg.norm(np.diff(limb.points, axis=0), axis=1)
    return 1 if len(limb.joints) > 2 and steps[0] < 0.22 * steps.sum() and steps[0] < 0.7 * steps[1] else 0


def leg_joints(limb: Limb) -> tuple[int, int, int]:
    """Indices of hip, knee (-1: none) and foot (-1: none) in a leg's joints."""
    hip = upper_joint(limb)
    steps = np.linalg.norm(np.diff(limb.points, axis=0), axis=1)
    where = np.concatenate([[0.0], np.cumsum(steps)[:-1]]) / max(steps.sum(), 1e-9)
    knees = [k for k in range(hip + 1, len(limb.joints)) if 0.25 < where[k] < 0.7]
    knee = min(knees, key=lambda k: abs(where[k] - 0.47)) if knees else -1
    feet = [k for k in range(max(hip, knee) + 1, len(limb.joints)) if where[k] > 0.6]
    return hip, knee, feet[0] if feet else -1


def _knee_way(limb: Limb, knee: int, plan: BodyPlan) -> float:
    """+1 when the shin folds backwards, -1 forwards: the way the knee is bent already, else backwards."""
    above = limb.points[knee] - limb.points[upper_joint(limb)]
    below = limb.points[min(knee + 1, len(limb.points) - 1)] - limb.points[knee]
    turn = float(np.cross(above, below) @ plan.left)
    scale = float(np.linalg.norm(above) * np.linalg.norm(below))
    return -1.0 if turn < -0.2 * scale else 1.0
