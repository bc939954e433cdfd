"""Where the surface runs on between parts that the skeleton does not join: feet on IK controls, jaws, loose bodies.

Many production rigs hang a foot on a control at the root, so that the foot's *translation* carries it, and only the
animator keeps it at the ankle. Here the surface keeps it: a joint whose skin does not touch its parent's may move
freely, and the places where its skin meets that of others are held together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.schema.records import Character, Rig

__all__ = ["Seams", "find_seams"]

LEAST = 2e-4  # share of the mesh's edges that makes two skins neighbours


@dataclass(frozen=True)
class Seams:
    """Loose joints, and pairs of joints whose skins meet."""

    loose: np.ndarray  # [J] bool
    first: np.ndarray  # [S, J, 4] moments of the meeting points when the first joint carries them
    second: np.ndarray  # [S, J, 4] the same for the second joint
    partners: np.ndarray  # [J] the joint whose skin a loose joint touches most, -1 for none


def find_seams(character: Character, rig: Rig) -> Seams:
    """Find loose joints and what they are held by; the root is never loose."""
    near, centre = _neighbours(character, np.asarray(rig.weights, np.float64))
    joints = rig.joint_count
    own = np.diag(near).copy()
    below = np.eye(joints, dtype=bool)
    for joint in range(joints - 1, 0, -1):
        below[rig.parents[joint]] |= below[joint]
    np.fill_diagonal(near, 0.0)
    loose = np.zeros(joints, bool)
    for joint in range(1, joints):
        parent = int(rig.parents[joint])
        while parent > 0 and own[parent] < LEAST:  # a helper without skin: whatever carries it
            parent = int(rig.parents[parent])
        touching = near[joint] > LEAST
        touching[parent] = False
        held = near[joint, parent] > LEAST or own[joint] == 0.0
        loose[joint] = not held and (bool(touching.any()) or own[parent] < LEAST)
    pairs = []
    partner = np.full(joints, -1)
    for joint in np.flatnonzero(loose):
        strength = np.where(near[joint] > LEAST, near[joint], 0.0)
        strength[below[joint] | below[:, joint]] = 0.0  # those that the skeleton joins
        if strength.any():
            partner[joint] = int(np.argmax(strength))
        partners = np.flatnonzero((strength > 0.0) & (strength >= 0.5 * strength.max()))
        pairs += [(min(joint, p), max(joint, p)) for p in partners]
    pairs = sorted(set(pairs))
    moments = np.zeros((2, len(pairs), joints, 4))
    for index, (a, b) in enumerate(pairs):
        point = np.append(centre[a, b], 1.0)
        moments[0, index, a], moments[1, index, b] = point, point
    return Seams(loose, moments[0], moments[1], partner)


def _neighbours(character: Character, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much the skins of joints meet along the mesh's edges [J, J] (sum 1), and where [J, J, 3]."""
    from studio_pipeline.render.surface import weld

    vertices = np.asarray(character.vertices, np.float64)
    place = weld(vertices, tolerance=max(character.diagonal, 1e-9) * 1e-6)
    _, one = np.unique(place, return_index=True)
    faces = place[character.faces]
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    first, second = weights[one][edges[:, 0]], weights[one][edges[:, 1]]
    middle = 0.5 * (vertices[one][edges[:, 0]] + vertices[one][edges[:, 1]])
    total = first.T @ second
    total = (total + total.T) / 2.0
    moment = np.stack([(first * middle[:, k, None]).T @ second for k in range(3)], axis=-1)
    moment = (moment + np.swapaxes(moment, 0, 1)) / 2.0
    centre = moment / np.maximum(total, 1e-12)[..., None]
    return total / max(float(total.sum()), 1e-12), centre
