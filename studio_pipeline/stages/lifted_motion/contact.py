"""Feet that are planted in the clip stay where they are.

A limb's lowest points count as planted while they rest on the ground and their picture stays still. A correction over
all frames at once then holds each of them at one place: joints turn as little and as smoothly as they can, and the
surface stays where the cameras see it - what gives way is mostly depth, which one camera hardly sees. Runs of frames
that can't be held without moving the picture are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from studio_pipeline.schema.records import CameraPath, Character, Rig
from studio_pipeline.stages.lifted_motion.kinematics import Pose, Skeleton, Skin, bind_points, project_with_jacobian
from studio_pipeline.stages.lifted_motion.priors import Priors, solve_frames
from studio_pipeline.stages.lifted_motion.seams import Seams

__all__ = ["Contact", "find_contacts", "hold_contacts"]

STILL_PX = 0.7  # a planted point's picture moves less than this a frame
DRIFT_PX = 1.2  # and in all
CREEP_PX, JITTER_PX = 0.1, 0.3  # steady motion a frame, and what the lift's own error may add to it over a run
LEVEL = 0.015  # and it stays this near to the ground, of the diagonal
SHORTEST = 3  # frames
SOLE = 0.02  # vertices this near to the lowest one at rest may touch the ground, of the diagonal
LIMB = 0.15  # a foot carries no more than this share of the surface
DEEPEST = 0.03  # what reaches farther below the ground shows that there is none, of the diagonal
LOWER = 0.05  # how far the clip's ground may lie off the rest pose's, of the diagonal
MOST_PX = 1.0  # that the surface may move in a picture
ROUNDS = 5  # of Gauss-Newton
POINTS = 250  # surface points that hold the picture
PICTURE_PX = 0.25  # how well they hold it
HELD = 3e-4  # how well a planted point is held, of the diagonal
TURN_RAD, ROOT, SHIFT = 0.1, 0.02, 1e-4  # how far joints may turn, the root and other joints shift [diagonals]
COUPLED = np.array([1.0, 4.0, 40.0])  # precision of a change, of its first and of its second differences


@dataclass(frozen=True)
class Contact:
    """A point of a joint's skin that stays at one place over some frames."""

    joint: int
    vertex: int
    first: int
    last: int
    before_m: float = 0.0  # how far apart its places lie at most, before the correction
    after_m: float = 0.0
    held: bool = False  # whether the correction was accepted

    @property
    def frames(self) -> range:
        """The frames in which it is planted."""
        return range(self.first, self.last + 1)


def _soles(character: Character, rig: Rig) -> list[tuple[int, int]]:
    """Joints of limbs that end on the ground, each with vertices that may touch it: pairs of joint and vertex."""
    vertices = np.asarray(character.vertices, np.float64)
    corners = vertices[character.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    share = np.bincount(character.faces.ravel(), np.repeat(areas, 3), len(vertices)) / max(3.0 * areas.sum(), 1e-12)
    hanging = Skeleton(rig).below @ (np.asarray(rig.weights, np.float64).T @ share)
    low = vertices[:, 1] < vertices[:, 1].min() + SOLE * character.diagonal
    owner = np.argmax(rig.weights, axis=1)
    found = []
    for joint in np.flatnonzero(hanging < LIMB):
        own = np.flatnonzero(low & (owner == joint) & (rig.weights[:, joint] > 0.5))
        if not len(own):
            continue
        flat = vertices[own][:, [0, 2]]
        along = (flat - flat.mean(0)) @ np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][0]
        # The lowest point, and the two ends of the sole: heel and ball.
        picked = {int(own[np.argmin(vertices[own, 1])]), int(own[np.argmin(along)]), int(own[np.argmax(along)])}
        found += [(int(joint), vertex) for vertex in sorted(picked)]
    return found


def find_contacts(character: Character, rig: Rig, cameras: Sequence[CameraPath], vertices: np.ndarray) -> list[Contact]:
    """Points that are planted in a motion [T, V, 3], each with the frames in which it is.

    A point is still where cameras see it move by less than `STILL_PX` a frame and `DRIFT_PX` in all, and not
    steadily. The ground is where the lowest still points stand, if that is near the rest pose's lowest point and
    nothing reaches below it; a swimmer has none.
    """
    from studio_pipeline.geometry.cameras import project

    if len(vertices) < SHORTEST:
        return []
    size, found = character.diagonal, []
    for joint, vertex in _soles(character, rig):
        places = [project(camera, vertices[:, vertex : vertex + 1].astype(np.float64))[0][:, 0] for camera in cameras]
        found += [Contact(joint, vertex, first, last) for first, last in _still(np.concatenate(places, axis=1))]
    if not found:
        return []
    ground = min(float(np.median(vertices[c.first : c.last + 1, c.vertex, 1])) for c in found)
    rest = float(character.vertices[:, 1].min())
    if abs(ground - rest) > LOWER * size or vertices[..., 1].min() < ground - DEEPEST * size:
        return []
    return [
        contact
        for contact in found
        if np.abs(vertices[contact.first : contact.last + 1, contact.vertex, 1] - ground).max() < LEVEL * size
    ]


def _still(pixels: np.ndarray) -> list[tuple[int, int]]:
    """Runs of frames, first and last index, in which a path [T, 2 a view] [px] stays at one place."""
    moved = np.linalg.norm(np.diff(pixels, axis=0), axis=1)
    runs, first = [], 0
    while first <= len(pixels) - SHORTEST:
        last = first
        while last + 1 < len(pixels) and moved[last] < STILL_PX and _spread(pixels[first : last + 2]) < DRIFT_PX:
            last += 1
        if last + 1 - first >= SHORTEST:
            if runs and runs[-1][1] + 1 == first and _rests(pixels[runs[-1][0] : last + 1], 2.0 * DRIFT_PX):
                runs[-1] = runs[-1][0], last  # the lift's error only looked like a step
            elif _rests(pixels[first : last + 1], DRIFT_PX):
                runs.append((first, last))
            first = last
        first += 1
    return runs


def _rests(path: np.ndarray, drift: float) -> bool:
    """Whether a path [N, D] [px] stays within ``drift`` and doesn't move steadily, as a foot on a treadmill does."""
    time = np.arange(len(path)) - (len(path) - 1) / 2.0
    creep = float(np.linalg.norm(time @ path) / (time @ time))
    return creep < CREEP_PX + JITTER_PX / (len(path) - 1) and _spread(path) < drift


def _spread(path: np.ndarray) -> float:
    """Largest distance between two of some places [N, 3]."""
    return float(np.linalg.norm(path[:, None] - path[None], axis=-1).max())


class _Holder:
    """The correction: Gauss-Newton over all frames from a given motion."""

    def __init__(
        self, character: Character, rig: Rig, cameras: Sequence[CameraPath], poses: list[Pose], seams: Seams
    ) -> None:
        self.cameras, self.poses, self.seams, self.size = cameras, poses, seams, character.diagonal
        self.skeleton = Skeleton(rig)
        rng = np.random.default_rng(0)
        corners = character.vertices[character.faces].astype(np.float64)
        areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        faces = rng.choice(len(areas), POINTS, p=areas / areas.sum())
        weights = np.asarray(rig.weights)
        shares = rng.dirichlet([1, 1, 1], POINTS)
        self.surface = bind_points(character.vertices, weights, character.faces[faces], shares)
        self.rest, self.weights = np.asarray(character.vertices, np.float64), weights
        self.seen = [[self._pixels(camera, i, pose) for i, pose in enumerate(poses)] for camera in cameras]
        joints = rig.joint_count
        room = np.full((2, joints, 3), TURN_RAD)
        room[1] = SHIFT * self.size
        room[1, seams.loose] = room[1, 0] = ROOT * self.size
        self.precision = 1.0 / np.square(room.ravel())
        free = len(poses) - 1
        first = np.eye(free) - np.eye(free, k=-1)
        second = np.eye(free) - 2.0 * np.eye(free, k=-1) + np.eye(free, k=-2)
        self.coupling = COUPLED[0] * np.eye(free) + COUPLED[1] * first.T @ first + COUPLED[2] * second.T @ second
        self.bands = np.zeros((3, free, 6 * joints))
        for ahead in range(min(3, free)):
            self.bands[ahead, : free - ahead] = np.diagonal(self.coupling, -ahead)[:, None] * self.precision

    def _pixels(self, camera: CameraPath, index: int, pose: Pose) -> np.ndarray:
        return project_with_jacobian(camera, index, Skin(self.skeleton, pose).points(self.surface))[0]

    def moments(self, contact: Contact) -> np.ndarray:
        """What joints move of a planted point [1, J, 4]."""
        corner = np.array([[contact.vertex] * 3])
        return bind_points(self.rest, self.weights, corner, np.array([[1.0, 0.0, 0.0]]))

    def path(self, contact: Contact, poses: list[Pose]) -> np.ndarray:
        """Places of a planted point over its frames [N, 3]."""
        moments = self.moments(contact)
        return np.concatenate([Skin(self.skeleton, poses[i]).points(moments) for i in contact.frames])

    def moved(self, poses: list[Pose]) -> np.ndarray:
        """How far the surface's picture moved from the start, per frame: the 98th percentile [T] [px]."""
        gaps = [
            [np.linalg.norm(self._pixels(camera, i, p) - seen[i], axis=1) for i, p in enumerate(poses)]
            for camera, seen in zip(self.cameras, self.seen, strict=True)
        ]
        return np.percentile(np.asarray(gaps), 98, axis=2).max(0)

    def solved(self, contacts: list[Contact]) -> list[Pose]:
        """Poses that hold ``contacts``; index 0 stays as it is."""
        poses = self.poses
        paths = [self.path(contact, poses) for contact in contacts]
        # A run that begins at index 0 is held where the rest pose has it.
        targets = [path[0] if c.first == 0 else path.mean(0) for c, path in zip(contacts, paths, strict=True)]
        moments = [self.moments(contact) for contact in contacts]
        for _ in range(ROUNDS):
            blocks, value = [], []
            for index in range(1, len(poses)):
                held = [k for k, contact in enumerate(contacts) if index in contact.frames]
                points = [(moments[k], targets[k]) for k in held]
                block, slope = self._frame(index, poses[index], points)
                blocks.append(block)
                value.append(slope)
            change = np.stack([Priors.between(a, b) for a, b in zip(self.poses[1:], poses[1:], strict=True)])
            pull = -(self.coupling @ change) * self.precision
            step = solve_frames(np.stack(blocks), self.bands, np.stack(value) + pull)
            poses = [poses[0], *(pose.moved(s) for pose, s in zip(poses[1:], step, strict=True))]
        return poses

    def _frame(
        self, index: int, pose: Pose, points: list[tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Normal matrix and right-hand side of one frame's step."""
        skin = Skin(self.skeleton, pose)
        rows, gaps = [], []
        surface, by_step = skin.points(self.surface), skin.jacobian(self.surface)
        for camera, seen in zip(self.cameras, self.seen, strict=True):
            pixels, _, by_point, _ = project_with_jacobian(camera, index, surface)
            rows.append(np.matmul(by_point, by_step).reshape(2 * POINTS, -1) / PICTURE_PX)
            gaps.append((seen[index] - pixels).ravel() / PICTURE_PX)
        for moments, target in points:
            rows.append(skin.jacobian(moments)[0] / (HELD * self.size))
            gaps.append((target - skin.points(moments)[0]) / (HELD * self.size))
        if len(self.seams.first):  # loose parts stay where their skins meet others', as they did before
            start = Skin(self.skeleton, self.poses[index])
            kept = start.points(self.seams.second) - start.points(self.seams.first)
            now = skin.points(self.seams.second) - skin.points(self.seams.first)
            slope = skin.jacobian(self.seams.second) - skin.jacobian(self.seams.first)
            rows.append(slope.reshape(-1, slope.shape[2]) / (0.002 * self.size))
            gaps.append((kept - now).ravel() / (0.002 * self.size))
        matrix = np.concatenate(rows).astype(np.float64)
        return matrix.T @ matrix, matrix.T @ np.concatenate(gaps)


def hold_contacts(
    character: Character,
    rig: Rig,
    cameras: Sequence[CameraPath],
    poses: list[Pose],
    seams: Seams,
    contacts: list[Contact],
) -> tuple[list[Pose], list[Contact]]:
    """Hold planted points of a motion.

    Returns:
        The poses, and the contacts with what they slid before and after; those that can't be held without moving a
        picture by more than `MOST_PX` are left as they were.
    """
    if not contacts:
        return poses, []
    holder = _Holder(character, rig, cameras, poses, seams)
    wanted, result = list(contacts), poses
    while wanted:
        result = holder.solved(wanted)
        worst = holder.moved(result)
        bad = [max(float(worst[i]) for i in contact.frames) for contact in wanted]
        if max(bad) <= MOST_PX:
            break
        # The correction reaches beyond a run: leave out the worst third, and try again.
        limit = max(MOST_PX, sorted(bad)[-1 - (sum(value > MOST_PX for value in bad) - 1) // 3])
        wanted = [contact for contact, value in zip(wanted, bad, strict=True) if value < limit]
        result = poses
    told = []
    for contact in contacts:
        before, after = (_spread(holder.path(contact, motion)) for motion in (poses, result))
        told.append(replace(contact, before_m=before, after_m=after, held=contact in wanted and after <= before))
    return result, told
