"""Bodies in other poses and turned: joints, primitives and so surface and weights move together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from studio_pipeline.training.rig_data.body import Body

__all__ = ["flip", "pose", "turn"]


def pose(body: Body, rng: np.random.Generator, *, spread: float) -> Body:
    """Turn every joint at random about its head.

    Args:
        body: At rest.
        rng: What is random about it.
        spread: Standard deviation of the angle about each axis [rad]; legs, spine and the root turn less.
    """
    count = body.joint_count
    angles = rng.standard_normal((count, 3)) * spread
    calm = np.array([0.35 if name.startswith(("spine", "neck", "clavicle", "hips")) else 1.0 for name in body.names])
    side = np.array([{".L": 1, ".R": -1}.get(name[-2:], 0) for name in body.names])
    owners = body.shape.owners
    skirts = owners[owners[:, side > 0].any(1) & owners[:, side < 0].any(1)]
    calm[skirts.any(0) & (side != 0)] = 0.0  # legs don't leave the skirt that hangs on both
    calm[0] = 0.0
    if body.grounded:
        calm[1 : 1 + int(body.names[1:2] == ("hips",))] = 0.15
    turns = Rotation.from_rotvec(angles * calm[:, None]).as_matrix()
    world = np.empty((count, 3, 3))
    heads = np.empty((count, 3))
    for joint, parent in enumerate(body.parents):
        if parent < 0:
            world[joint], heads[joint] = turns[joint], body.joints[joint]
        else:
            world[joint] = world[parent] @ turns[joint]
            heads[joint] = heads[parent] + world[parent] @ (body.joints[joint] - body.joints[parent])
    tails = heads + np.einsum("jab,jb->ja", world, body.tails - body.joints)
    driver = body.shape.owners.argmax(1)
    shape = body.shape
    centers = heads[driver] + np.einsum("pab,pb->pa", world[driver], shape.centers - body.joints[driver])
    axes = np.einsum("pka,pba->pkb", shape.axes, world[driver])
    moved = replace(shape, centers=centers.astype(np.float32), axes=axes.astype(np.float32))
    heads, tails = heads.astype(np.float32), tails.astype(np.float32)
    return replace(body, joints=heads, tails=tails, shape=moved, symmetric=False)


def turn(body: Body, rotation: np.ndarray) -> Body:
    """Turn the whole body by ``rotation`` [3, 3] about the origin."""
    rotation = np.asarray(rotation, np.float32)
    shape = replace(body.shape, centers=body.shape.centers @ rotation.T, axes=body.shape.axes @ rotation.T)
    return replace(body, joints=body.joints @ rotation.T, tails=body.tails @ rotation.T, shape=shape, symmetric=False)


def flip(body: Body) -> Body:
    """The mirror image in x, left and right renamed."""
    mirror = np.array([-1.0, 1.0, 1.0], np.float32)
    swap = {".L": ".R", ".R": ".L"}
    names = tuple(n[:-2] + swap.get(n[-2:], n[-2:]) for n in body.names)
    shape = replace(body.shape, centers=body.shape.centers * mirror, axes=body.shape.axes * mirror)
    return replace(body, joints=body.joints * mirror, tails=body.tails * mirror, shape=shape, names=names)
