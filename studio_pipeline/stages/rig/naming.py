"""Names of joints that tell where they are."""

from __future__ import annotations

import numpy as np

from studio_pipeline.stages.rig.joints import Skeleton

__all__ = ["joint_names"]


def joint_names(skeleton: Skeleton, points: np.ndarray, *, mirrored: bool) -> tuple[str, ...]:
    """Unique names: root, spine_01 ..., tail_01 ..., leg_l_01_01 ..., limb_r_02_01 ... .

    ``l`` is the character's left, +x when it faces +z. Legs end near the floor.

    Args:
        skeleton: Joints, in the frame whose x = 0 is the mirror plane when there is one.
        points: Points of the body in the same frame [N, 3].
        mirrored: Whether left and right come in pairs.
    """
    diagonal = float(np.linalg.norm(np.ptp(points, axis=0)))
    middle = 0.0 if mirrored else float(skeleton.heads[0][0])
    floor = float(points[:, 1].min()) + 0.08 * diagonal
    chains = np.array(skeleton.chains)
    groups: dict[str, list[tuple[tuple[float, ...], int]]] = {}
    for chain in np.unique(chains[chains > 0]):
        joints = np.flatnonzero(chains == chain)
        start, tip = skeleton.heads[joints[0]], skeleton.tails[joints[-1]]
        offset = float(tip[0]) - middle
        side = "" if abs(offset) < 0.02 * diagonal else ("_l" if offset > 0.0 else "_r")
        leaf = not np.isin(skeleton.parents, joints[-1]).any()
        kind = "leg" if leaf and tip[1] < floor else "limb"
        if not side and kind == "limb":
            kind = "tail" if leaf and skeleton.parents[joints[0]] == 0 else "crest"
        order = (round(float(start[1]) / diagonal, 4), round(float(start[2]) / diagonal, 4), abs(offset))
        groups.setdefault(kind + side, []).append((order, int(chain)))
    names = [""] * len(chains)
    for index, joint in enumerate(np.flatnonzero(chains == 0)):
        names[joint] = "root" if index == 0 else f"spine_{index:02d}"
    for kind, members in groups.items():
        several = len(members) > 1 or kind not in ("tail", "crest")
        for number, (_, chain) in enumerate(sorted(members), start=1):
            for index, joint in enumerate(np.flatnonzero(chains == chain), start=1):
                names[joint] = f"{kind}_{number:02d}_{index:02d}" if several else f"{kind}_{index:02d}"
    return tuple(names)
