"""Characters made of round parts, with a skeleton and a solid of their own: known geometry that no file brings.

A part is a tapered capsule; a body is their smooth union, its skin the zero level of the distance to it. The solid is
a grid of cubes of six tetrahedra each; weights fall off with the distance to the joints' parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from studio_pipeline.geometry.tetmesh import embed_points
from studio_pipeline.schema.records import Character, Rig, Solid
from studio_pipeline.stages.solid.binding import bind_tets, carry_weights

__all__ = ["Creature", "Part", "arm", "pouncer"]

_BLEND = 0.04  # [m], radius of the smooth union
_SPREAD = 0.05  # [m], over which weights fall off away from a part
_SKIN_CELL = 0.018  # [m], of the grid that the skin is read off


@dataclass(frozen=True)
class Part:
    """A tapered capsule that one joint moves."""

    joint: str
    start: tuple[float, float, float]  # [m]
    stop: tuple[float, float, float]  # [m]
    radius: float  # at the start [m]
    radius_end: float | None = None  # at the stop [m]; None: the same
    color: tuple[float, float, float] = (0.8, 0.55, 0.35)  # linear


@dataclass(frozen=True)
class Creature:
    """A made character, rigged and filled."""

    character: Character
    rig: Rig
    solid: Solid
    tips: dict[str, int]  # named places: a vertex of the skin each


@dataclass(frozen=True)
class _Bone:
    name: str
    parent: int
    head: tuple[float, float, float]
    tail: tuple[float, float, float]


def pouncer(cell: float = 0.044) -> Creature:
    """A four-legged creature that looks along +x: tail, ears and belly are flesh beyond the ends of its bones.

    Args:
        cell: Side of the solid's cubes [m].
    """
    fur, pale, dark = (0.78, 0.42, 0.20), (0.90, 0.72, 0.52), (0.32, 0.20, 0.16)
    parts = [
        Part("body", (-0.22, 0.42, 0.0), (0.20, 0.44, 0.0), 0.135, 0.125, fur),
        Part("body", (-0.04, 0.29, 0.0), (0.05, 0.28, 0.0), 0.165, None, pale),
        Part("head", (0.20, 0.46, 0.0), (0.34, 0.62, 0.0), 0.090, 0.120, fur),
        Part("head", (0.38, 0.60, 0.0), (0.47, 0.57, 0.0), 0.060, 0.050, pale),
        Part("tail", (-0.30, 0.46, 0.0), (-0.52, 0.86, 0.0), 0.055, 0.070, fur),
        Part("tail", (-0.49, 0.80, 0.0), (-0.52, 0.86, 0.0), 0.072, None, pale),
    ]
    bones = [
        _Bone("body", -1, (-0.24, 0.44, 0.0), (0.20, 0.45, 0.0)),
        _Bone("head", 0, (0.20, 0.46, 0.0), (0.34, 0.62, 0.0)),
        _Bone("tail", 0, (-0.28, 0.44, 0.0), (-0.33, 0.52, 0.0)),
    ]
    for side, z in (("left", 0.075), ("right", -0.075)):
        parts.append(Part(f"{side}_ear", (0.30, 0.70, z), (0.20, 1.00, 1.5 * z), 0.050, 0.038, dark))
        bones.append(_Bone(f"{side}_ear", 1, (0.31, 0.67, z), (0.29, 0.73, z)))
        for end, x in (("front", 0.18), ("back", -0.20)):
            parts.append(Part(f"{side}_{end}_leg", (x, 0.36, z), (x, 0.06, 1.1 * z), 0.062, 0.056, dark))
            bones.append(_Bone(f"{side}_{end}_leg", 0, (x, 0.36, z), (x, 0.05, 1.1 * z)))
    tips = {"tail": (-0.55, 0.93, 0.0), "ear": (0.19, 1.04, 0.11), "belly": (0.01, 0.115, 0.0)}
    return _build("pouncer", parts, bones, cell, tips)


def arm() -> Creature:
    """A straight arm along x, two bones that meet at the origin."""
    parts = [
        Part("upper", (-0.5, 0.0, 0.0), (0.0, 0.0, 0.0), 0.10, None, (0.85, 0.60, 0.45)),
        Part("lower", (0.0, 0.0, 0.0), (0.5, 0.0, 0.0), 0.10, None, (0.85, 0.60, 0.45)),
    ]
    bones = [_Bone("upper", -1, (-0.5, 0.0, 0.0), (0.0, 0.0, 0.0)), _Bone("lower", 0, (0.0, 0.0, 0.0), (0.5, 0.0, 0.0))]
    return _build("arm", parts, bones, 0.035, {}, blend=0.002)


def _distances(parts: Sequence[Part], points: np.ndarray) -> np.ndarray:
    """Signed distance of points [N, 3] to each part, negative inside. [N, K]"""
    columns = []
    for part in parts:
        start, along = np.array(part.start), np.subtract(part.stop, part.start)
        share = np.clip((points - start) @ along / max(float(along @ along), 1e-12), 0.0, 1.0)
        end = part.radius if part.radius_end is None else part.radius_end
        reach = np.linalg.norm(points - start - share[:, None] * along, axis=1)
        columns.append(reach - part.radius - share * (end - part.radius))
    return np.stack(columns, axis=1)


def _union(parts: Sequence[Part], points: np.ndarray, blend: float) -> np.ndarray:
    """Smooth minimum of the parts' distances. [N]"""
    from scipy.special import logsumexp

    sharp = 4.0 / blend
    return -np.asarray(logsumexp(-sharp * _distances(parts, points), axis=1)) / sharp


def _grid(parts: Sequence[Part], cell: float, blend: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the body on a grid around it [X, Y, Z], and the grid's first point. Symmetric in z."""
    ends = np.array([[part.start, part.stop] for part in parts])
    room = max(max(part.radius, part.radius_end or 0.0) for part in parts) + _BLEND + 2.0 * cell
    low, high = ends.min((0, 1)) - room, ends.max((0, 1)) + room
    count = np.ceil((high - low) / cell).astype(int) + 1
    middle = 0.5 * (low + high)
    axes = [middle[k] + cell * (np.arange(count[k]) - 0.5 * (count[k] - 1)) for k in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return _union(parts, points.reshape(-1, 3), blend).reshape(count), points[0, 0, 0]


def _skin(parts: Sequence[Part], blend: float) -> tuple[np.ndarray, np.ndarray]:
    """The zero level: vertices [V, 3] and outward faces [F, 3]."""
    from skimage.measure import marching_cubes

    field, origin = _grid(parts, _SKIN_CELL, blend)
    vertices, faces = marching_cubes(field, 0.0, spacing=(_SKIN_CELL,) * 3, gradient_direction="ascent")[:2]
    vertices = vertices + origin
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    if np.einsum("fa,fa->", a, np.cross(b, c)) < 0.0:
        faces = faces[:, ::-1]
    return vertices, np.ascontiguousarray(faces)


def _cubes(parts: Sequence[Part], cell: float, blend: float) -> tuple[np.ndarray, np.ndarray]:
    """Cubes with their middle in the body, cut into six tetrahedra each: vertices [P, 3], tets [E, 4]."""
    field, origin = _grid(parts, cell, blend)
    full = np.argwhere(field < 0.25 * cell)
    tets = []
    for order in permutations(range(3)):
        steps = np.concatenate([np.zeros((1, 3), int), np.cumsum(np.eye(3, dtype=int)[list(order)], axis=0)])
        odd = np.linalg.det(np.eye(3)[list(order)]) < 0
        tets.append(full[:, None] + steps[[0, 2, 1, 3] if odd else [0, 1, 2, 3]])
    corners, index = np.unique(np.concatenate(tets).reshape(-1, 3), axis=0, return_inverse=True)
    return origin + cell * (corners - 0.5), index.reshape(-1, 4)


def _build(
    name: str,
    parts: Sequence[Part],
    bones: Sequence[_Bone],
    cell: float,
    tips: dict[str, tuple[float, ...]],
    *,
    blend: float = _BLEND,
) -> Creature:
    vertices, faces = _skin(parts, blend)
    rest = np.tile(np.eye(4), (len(bones), 1, 1))
    rest[:, :3, 3] = [bone.head for bone in bones]
    near = _distances(parts, vertices)
    share = np.exp(-((np.maximum(near - near.min(1, keepdims=True), 0.0) / _SPREAD) ** 2))
    names = [bone.name for bone in bones]
    weights = np.zeros((len(vertices), len(bones)))
    for column, part in enumerate(parts):
        joint = names.index(part.joint)
        weights[:, joint] = np.maximum(weights[:, joint], share[:, column])
    weights /= weights.sum(1, keepdims=True)
    rig = Rig(
        names=tuple(names),
        parents=np.array([bone.parent for bone in bones], dtype=np.int32),
        rest_world=rest,
        tails=np.array([bone.tail for bone in bones], dtype=np.float32),
        weights=weights.astype(np.float32),
        backend="made",
    )
    colors = np.array([part.color for part in parts])
    character = Character(
        name=name,
        vertices=vertices.astype(np.float32),
        normals=_normals(vertices, faces),
        faces=faces.astype(np.int32),
        uv=np.zeros((len(vertices), 2), dtype=np.float32),
        atlas=np.full((2, 2, 4), 255, dtype=np.uint8),
        vertex_colors=(share @ colors / share.sum(1, keepdims=True)).astype(np.float32),
        height_m=float(np.ptp(vertices, axis=0).max()),
        unit_scale=1.0,
    )
    places = {tip: int(np.argmin(np.linalg.norm(vertices - place, axis=1))) for tip, place in tips.items()}
    return Creature(character, rig, _solid(character, rig, *_cubes(parts, cell, blend)), places)


def _solid(character: Character, rig: Rig, vertices: np.ndarray, tets: np.ndarray) -> Solid:
    vertices = vertices.astype(np.float32).astype(np.float64)  # as it is kept
    carrier, shares, _ = embed_points(vertices, tets, character.vertices)
    weights = carry_weights(vertices, tets, character.vertices, character.faces, rig.weights)
    return Solid(
        vertices=vertices.astype(np.float32),
        tets=tets.astype(np.int32),
        surface_tets=carrier.astype(np.int32),
        surface_barycentrics=shares.astype(np.float32),
        tet_joints=bind_tets(vertices, tets, weights, rig.heads, rig.tails.astype(np.float64), rig.parents),
        vertex_weights=weights,
    )


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals of vertices, weighted by area. [V, 3] float32"""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], np.cross(b - a, c - a))
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)).astype(np.float32)
