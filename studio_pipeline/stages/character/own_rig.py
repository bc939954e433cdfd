"""The skeleton that a file brings along, as a `Rig` in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.schema.errors import InputError, one_line
from studio_pipeline.schema.records import Rig
from studio_pipeline.stages.character.model import MAX_JOINTS, Model

__all__ = ["RigPlan", "build_rig", "plan_rig", "rigid_part"]

MAX_INFLUENCES = 8
MAX_WEIGHTS = 400_000_000  # entries of the weight matrix


@dataclass(frozen=True)
class RigPlan:
    """Which nodes of a file are joints. J joints."""

    nodes: list[int]  # [J] node of each joint, -1 for a root that the file doesn't have
    parents: np.ndarray  # [J] int32
    owners: list[int | None]  # per part: joint that carries it rigidly, None when it is skinned


def plan_rig(model: Model) -> RigPlan | None:
    """Choose the joints: those of skins, and animated nodes that carry unskinned meshes.

    Returns None for a file that nothing moves: without a skin it takes two moving nodes to make a rig.
    """
    skinned = {int(j) for part in model.parts if part.binding is not None for j in part.binding.joints}
    carriers = skinned | model.moving
    owner_nodes = [None if p.binding is not None else _nearest(model, p.node, carriers) for p in model.parts]
    owning = {node for node in owner_nodes if node is not None}
    if not skinned and len(owning) < 2:
        return None
    chosen = skinned | owning
    for node in list(chosen):
        parent = int(model.parents[node])
        while parent >= 0:
            if parent in model.moving:
                chosen.add(parent)
            parent = int(model.parents[parent])
    nodes = [node for node in model.order if node in chosen]
    above = {node: _nearest(model, int(model.parents[node]), chosen) for node in nodes}
    loose = any(p.binding is None and o is None for p, o in zip(model.parts, owner_nodes, strict=True))
    if loose or sum(1 for node in nodes if above[node] is None) != 1:
        nodes.insert(0, -1)
    if len(nodes) > MAX_JOINTS:
        raise InputError(f"has {len(nodes)} joints, at most {MAX_JOINTS}", where=model.path, do="reduce the skeleton")
    joint = {node: index for index, node in enumerate(nodes)}
    parents = [-1 if node == -1 else _joint_or_root(joint, above[node], nodes[0]) for node in nodes]
    owners = [
        None if part.binding is not None else _joint_or_root(joint, owner, nodes[0])
        for part, owner in zip(model.parts, owner_nodes, strict=True)
    ]
    return RigPlan(nodes, np.array(parents, dtype=np.int32), owners)


def _joint_or_root(joint: dict[int, int], node: int | None, first: int) -> int:
    if node is not None:
        return joint[node]
    return 0 if first == -1 else -1


def _nearest(model: Model, node: int, among: set[int]) -> int | None:
    """The nearest of ``among`` at or above ``node``."""
    while node >= 0:
        if node in among:
            return node
        node = int(model.parents[node])
    return None


def rigid_part(matrices: np.ndarray) -> np.ndarray:
    """Nearest rotations of linear maps [..., 3, 3]; a mirrored map gives the rotation of its negative."""
    u, _, vt = np.linalg.svd(matrices)
    rotation = u @ vt
    return rotation * np.sign(np.linalg.det(rotation))[..., None, None]


def build_rig(model: Model, plan: RigPlan, vertices: np.ndarray, scale: float) -> Rig:
    """The rig of a plan on ``vertices`` [V, 3] in metres; ``scale`` is metres a file unit.

    Raises:
        InputError: Joints times vertices exceed what the pipeline holds.
    """
    if len(plan.nodes) * len(vertices) > MAX_WEIGHTS:
        raise InputError("has too many joints for so many vertices", where=model.path, do="reduce the mesh")
    rest = _rest_frames(model, plan, vertices, scale)
    weights = _weights(model, plan, len(vertices))
    return Rig(
        names=_names(model, plan),
        parents=plan.parents,
        rest_world=rest,
        tails=_tails(plan.parents, rest[:, :3, 3], weights, vertices).astype(np.float32),
        weights=weights,
        backend="file",
        stiffness=_stiffness(model, plan),
    )


def _stiffness(model: Model, plan: RigPlan) -> np.ndarray | None:
    """Factors that the file paints on joints [J] float32, NaN elsewhere; None when it paints none."""
    factors = np.array([model.stiffness.get(node, np.nan) for node in plan.nodes], dtype=np.float32)
    return factors if np.isfinite(factors).any() else None


def _rest_frames(model: Model, plan: RigPlan, vertices: np.ndarray, scale: float) -> np.ndarray:
    world = model.world()
    rest = np.tile(np.eye(4), (len(plan.nodes), 1, 1))
    for joint, node in enumerate(plan.nodes):
        if node >= 0:
            rest[joint, :3, :3] = rigid_part(world[node, :3, :3])
            rest[joint, :3, 3] = world[node, :3, 3] * scale
    if plan.nodes[0] == -1:
        # A root that the file lacks stands where its children begin.
        rest[0, :3, 3] = rest[plan.parents == 0, :3, 3].mean(0) if (plan.parents == 0).any() else vertices.mean(0)
    return rest


def _names(model: Model, plan: RigPlan) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for node in plan.nodes:
        base = one_line(model.names[node])[:64] if node >= 0 else "root"
        base = base or f"joint_{node}"
        name, number = base, 2
        while name in names:
            name, number = f"{base}_{number}", number + 1
        names[name] = None
    return tuple(names)


def _weights(model: Model, plan: RigPlan, count: int) -> np.ndarray:
    joint = {node: index for index, node in enumerate(plan.nodes)}
    weights = np.zeros((count, len(plan.nodes)), dtype=np.float32)
    start = 0
    for part, owner in zip(model.parts, plan.owners, strict=True):
        rows = np.arange(start, start + len(part.positions))
        start += len(rows)
        if part.binding is None:
            weights[rows, owner] = 1.0
            continue
        columns = np.array([joint[int(node)] for node in part.binding.joints])
        for slot in range(part.binding.indices.shape[1]):
            np.add.at(weights, (rows, columns[part.binding.indices[:, slot]]), part.binding.weights[:, slot])
    if weights.shape[1] > MAX_INFLUENCES:
        crowded = np.flatnonzero((weights > 0.0).sum(1) > MAX_INFLUENCES)
        if len(crowded):
            least = np.argsort(-weights[crowded], axis=1, kind="stable")[:, MAX_INFLUENCES:]
            weights[crowded[:, None], least] = 0.0
    return weights / weights.sum(1, keepdims=True)


def _tails(parents: np.ndarray, heads: np.ndarray, weights: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Ends of bones [J, 3]: at the children, and for a leaf as far as the vertices that it moves reach."""
    tails = heads.copy()
    extent = float(np.ptp(vertices, axis=0).max())
    for joint in range(len(parents)):
        below = np.flatnonzero(parents == joint)
        if len(below):
            tails[joint] = heads[below].mean(0)
        else:
            moved = np.flatnonzero(weights[:, joint] > 0.5)
            if len(moved):
                tails[joint] = heads[joint] + 2.0 * (vertices[moved].mean(0) - heads[joint])
        if np.linalg.norm(tails[joint] - heads[joint]) < 1e-3 * extent:
            along = heads[joint] - heads[parents[joint]] if parents[joint] >= 0 else np.array([0.0, 1.0, 0.0])
            length = np.linalg.norm(along)
            along = along / length if length > 1e-6 * extent else np.array([0.0, 1.0, 0.0])
            tails[joint] = heads[joint] + along * max(0.3 * length, 0.02 * extent)
    return tails
