"""Made scenes with known geometry: a jointed bar with flesh around its bones. For tests and benchmarks."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np

from studio_pipeline.geometry.rotations import axis_angle_to_matrix, matrix_to_sixd
from studio_pipeline.schema.records import Character, Motion, Rig, Solid

__all__ = ["bar_character", "bar_rig", "bar_solid", "box", "swing"]


def box(cells: tuple[int, int, int], size: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A box from the origin, cut into cubes of six tetrahedra each: vertices [P, 3] float64 [m], tets [E, 4] int32."""
    axes = [np.linspace(0.0, length, count + 1) for count, length in zip(cells, size, strict=True)]
    vertices = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    index = np.arange(len(vertices)).reshape([count + 1 for count in cells])
    i, j, k = np.meshgrid(*(np.arange(count) for count in cells), indexing="ij")
    tets = []
    for order in permutations(range(3)):
        corner = [i, j, k]
        corners = [index[i, j, k]]
        for axis in order:
            corner[axis] = corner[axis] + 1
            corners.append(index[tuple(corner)])
        tet = np.stack(corners, axis=-1).reshape(-1, 4)
        odd = np.linalg.det(np.eye(3)[list(order)]) < 0
        tets.append(tet[:, [0, 2, 1, 3]] if odd else tet)
    return vertices, np.concatenate(tets).astype(np.int32)


def bar_rig(joints: int, surface: np.ndarray) -> Rig:
    """A chain of ``joints`` bones up the y axis from 0 to 1 m, with linear weights for ``surface`` [V, 3]."""
    length = 1.0 / joints
    heads = np.stack([np.zeros(joints), np.arange(joints) * length, np.zeros(joints)], axis=1)
    rest = np.tile(np.eye(4), (joints, 1, 1))
    rest[:, :3, 3] = heads
    return Rig(
        names=tuple(f"bone{i}" for i in range(joints)),
        parents=np.arange(-1, joints - 1, dtype=np.int32),
        rest_world=rest,
        tails=(heads + np.array([0.0, length, 0.0])).astype(np.float32),
        weights=_bar_weights(joints, surface).astype(np.float32),
        backend="made",
    )


def _bar_weights(joints: int, points: np.ndarray) -> np.ndarray:
    middle = (np.arange(joints) + 0.5) / joints
    weights = np.maximum(0.0, 1.0 - joints * np.abs(points[:, 1:2] - middle))
    return weights / weights.sum(1, keepdims=True)


def bar_solid(cells: int, joints: int = 4, *, along: int | None = None, core: float = 0.07) -> Solid:
    """A bar 0.25 x 1 x 0.25 m about the y axis; tets within ``core`` [m] of the axis belong to the bones.

    ``cells`` cubes lie across it and ``along`` (four times as many unless given) along it, six tetrahedra each. Its
    surface is the bar's own boundary, as `bar_character` gives it.
    """
    vertices, tets = box((cells, along or 4 * cells, cells), (0.25, 1.0, 0.25))
    vertices = vertices - [0.125, 0.0, 0.125]
    centres = vertices[tets].mean(1)
    bone = np.clip((centres[:, 1] * joints).astype(np.int32), 0, joints - 1)
    near = np.hypot(centres[:, 0], centres[:, 2]) < core
    surface = np.unique(_boundary(tets))
    carrier = np.zeros(len(vertices), dtype=np.int32)
    carrier[tets.reshape(-1)] = np.repeat(np.arange(len(tets), dtype=np.int32), 4)
    return Solid(
        vertices=vertices.astype(np.float32),
        tets=tets,
        surface_tets=carrier[surface],
        surface_barycentrics=(tets[carrier[surface]] == surface[:, None]).astype(np.float32),
        tet_joints=np.where(near, bone, -1).astype(np.int32),
        vertex_weights=_bar_weights(joints, vertices).astype(np.float32),
    )


def _boundary(tets: np.ndarray) -> np.ndarray:
    """Outward faces that belong to one tetrahedron only. [F, 3]"""
    faces = tets[:, [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]].reshape(-1, 3)
    _, first, counts = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    return faces[np.sort(first[counts == 1])]


def bar_character(solid: Solid) -> Character:
    """The bar's boundary as a character: grey, one vertex a corner."""
    faces = _boundary(solid.tets)
    surface = np.unique(faces)
    vertices = solid.vertices[surface]
    outward = vertices - [0.0, 0.5, 0.0]
    return Character(
        name="bar",
        vertices=vertices,
        normals=(outward / np.linalg.norm(outward, axis=1, keepdims=True)).astype(np.float32),
        faces=np.searchsorted(surface, faces).astype(np.int32),
        uv=np.zeros((len(vertices), 2), dtype=np.float32),
        atlas=np.full((2, 2, 4), 255, dtype=np.uint8),
        vertex_colors=np.full((len(vertices), 3), 0.6, dtype=np.float32),
        height_m=1.0,
        unit_scale=1.0,
    )


def swing(frames: int, joints: int = 4, *, degrees: float = 25.0, rate: float = 1.5, travel: float = 0.3) -> Motion:
    """Every bone turns ``degrees`` about z to and fro ``rate`` times a second while the root slides along x."""
    time = np.arange(frames) / 24.0
    vectors = np.zeros((frames, joints, 3))
    vectors[:, :, 2] = np.radians(degrees) * np.sin(2.0 * np.pi * rate * time)[:, None]
    translations = np.zeros((frames, joints, 3), dtype=np.float32)
    translations[:, 0, 0] = travel * np.sin(2.0 * np.pi * time)
    return Motion(
        rotations=matrix_to_sixd(axis_angle_to_matrix(vectors)).astype(np.float32),
        translations=translations,
        fps=Fraction(24),
        first_frame=1001,
    )
