"""Skin weights carried from one mesh to another of the same shape, whatever order its vertices have."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from studio_pipeline.geometry.heat import keep_largest
from studio_pipeline.schema.records import Character

__all__ = ["carry_weights", "shape_difference"]

_SAME = 1e-4  # of the diagonal within which a place is the same place
_NORMAL = 0.01  # of the diagonal: what a normal turned by a radian counts as


def shape_difference(target: Character, source: Character) -> tuple[float, int, bool]:
    """How far the two surfaces are apart, both ways.

    Returns:
        The largest distance from a vertex of one to the surface of the other as a share of the target's diagonal, that
        vertex, and whether it is the source's.
    """
    found = []
    for here, there in ((target, source), (source, target)):
        distance = _closest(here.vertices, there)[0]
        worst = int(np.argmax(distance))
        found.append((float(distance[worst]) / target.diagonal, worst, here is source))
    return max(found)


def carry_weights(target: Character, source: Character, weights: np.ndarray) -> np.ndarray:
    """Weights on the target's vertices.

    A vertex takes those of the source's vertex at its place. Where several lie there (seams, shells that touch) it is
    the one with the same faces around it, then with the same normal; what can't be told apart is averaged. Places
    where the source has no vertex take what its surface has there.

    Args:
        target: Whose vertices [V, 3] get weights.
        source: The same shape, with other vertices or the same in another order.
        weights: Of the source's vertices. [U, J]

    Returns:
        [V, J] float32, rows sum to one, at most 8 influences.
    """
    size = target.diagonal
    mine, theirs = (_features(character, size) for character in (target, source))
    count = min(4, len(theirs))
    distance, match = cKDTree(theirs).query(mine, k=count)
    distance, match = distance.reshape(-1, count), match.reshape(-1, count)
    tied = distance <= distance[:, :1] + 1e-6 * size
    same = np.linalg.norm(mine[:, :6] - theirs[match[:, 0], :6], axis=1) <= 2.0 * _SAME * size
    share = (tied / tied.sum(1, keepdims=True)).astype(np.float32)
    carried = np.zeros((len(mine), weights.shape[1]), dtype=np.float32)
    for column in range(count):
        carried += share[:, column, None] * weights[match[:, column]]
    rest = np.flatnonzero(~same)
    if len(rest):
        carried[rest] = _at_places(target.vertices[rest], source, weights, _SAME * size)
    return keep_largest(carried, least=1e-6)


def _features(character: Character, size: float) -> np.ndarray:
    """What tells a vertex from others at its place: position, middle of the faces around it, normal. [V, 9]"""
    vertices = character.vertices.astype(np.float64)
    middles = vertices[character.faces].mean(1)
    total, number = np.zeros_like(vertices), np.zeros(len(vertices))
    for corner in range(3):
        np.add.at(total, character.faces[:, corner], middles)
        np.add.at(number, character.faces[:, corner], 1.0)
    around = np.where(number[:, None] > 0.0, total / np.maximum(number, 1.0)[:, None], vertices)
    return np.concatenate([vertices, around, _NORMAL * size * character.normals.astype(np.float64)], axis=1)


def _at_places(places: np.ndarray, source: Character, weights: np.ndarray, same: float) -> np.ndarray:
    """Weights [n, J] at places [n, 3]: the mean of the vertices that lie there, else the surface's."""
    _, face, share = _closest(places, source)
    found = np.einsum("nk,nkj->nj", share, weights[source.faces[face]].astype(np.float64))
    for row, near in enumerate(cKDTree(source.vertices).query_ball_point(places.astype(np.float64), same)):
        if near:
            found[row] = weights[near].mean(0)
    return found


def _closest(places: np.ndarray, surface: Character) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance [n], face [n] and barycentric coordinates [n, 3] of a surface's points closest to places [n, 3]."""
    import igl

    vertices = np.ascontiguousarray(surface.vertices, dtype=np.float64)
    faces = np.ascontiguousarray(surface.faces, dtype=np.int64)
    places = np.ascontiguousarray(places, dtype=np.float64)
    squared, face, closest = igl.point_mesh_squared_distance(places, vertices, faces)
    corners = vertices[faces[face]]
    share = np.asarray(igl.barycentric_coordinates(closest, *(np.ascontiguousarray(corners[:, k]) for k in range(3))))
    flat = ~np.isfinite(share).all(1)  # a face without area: its nearest corner
    share[flat] = np.eye(3)[np.argmin(np.linalg.norm(corners[flat] - closest[flat, None], axis=2), axis=1)]
    share = np.clip(share, 0.0, 1.0)
    return np.sqrt(np.maximum(np.asarray(squared).ravel(), 0.0)), face, share / share.sum(1, keepdims=True)
