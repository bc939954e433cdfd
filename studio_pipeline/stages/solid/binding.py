"""What ties the solid to the rig: weights of its vertices, and the tetrahedra that a bone holds."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from studio_pipeline.geometry.tetmesh import boundary_faces, pieces
from studio_pipeline.geometry.voxels import winding_inside

__all__ = ["bind_tets", "carry_weights", "nearest_on_segments"]

_CORE = 0.45  # of the local radius: tetrahedra closer to their bone than this are held by it
_RELEASE = (1.25, 0.2)  # of the local radius, of the bone's length: so far from where it meets another it holds nothing
_OWNS = 0.05  # a joint whose largest weight is below this holds nothing


def carry_weights(
    vertices: np.ndarray, tets: np.ndarray, skin: np.ndarray, faces: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Skin weights at the solid's vertices: read off the skin at the boundary, harmonic inside.

    Args:
        vertices: Solid [P, 3].
        tets: Tetrahedra [E, 4].
        skin: Skin [V, 3].
        faces: Its triangles [F, 3].
        weights: Its weights [V, J], rows sum to one.

    Returns:
        [P, J] float32, rows sum to one.
    """
    import igl

    outer = np.unique(boundary_faces(tets)[0])
    skin = np.ascontiguousarray(skin, dtype=np.float64)
    _, face, foot = igl.point_mesh_squared_distance(
        np.ascontiguousarray(vertices[outer]), skin, np.ascontiguousarray(faces, dtype=np.int64)
    )[:3]
    corners = faces[np.asarray(face).ravel().astype(np.int64)]
    gap = np.linalg.norm(skin[corners] - np.asarray(foot)[:, None], axis=2)
    share = _triangle_shares(skin[corners], np.asarray(foot), gap)
    carried = np.zeros((len(vertices), weights.shape[1]))
    carried[outer] = np.einsum("pc,pcj->pj", share, weights[corners].astype(np.float64))
    inner = np.setdiff1d(np.arange(len(vertices)), outer)
    if len(inner):
        first, second = np.triu_indices(4, 1)
        row, col = tets[:, first].ravel(), tets[:, second].ravel()
        pair = (np.r_[row, col], np.r_[col, row])
        links = sparse.csr_matrix((np.ones(2 * len(row)), pair), shape=(len(vertices),) * 2)
        links.data[:] = 1.0
        laplace = sparse.csr_matrix(sparse.diags(np.asarray(links.sum(1)).ravel()) - links)
        carried[inner] = splu(laplace[inner][:, inner].tocsc()).solve(-(laplace[inner][:, outer] @ carried[outer]))
    carried = np.maximum(carried, 0.0)
    return (carried / carried.sum(1, keepdims=True)).astype(np.float32)


def _triangle_shares(corners: np.ndarray, foot: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Barycentric coordinates of points on triangles; the nearest corner where the triangle is flat. [P, 3]"""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    normal = np.cross(b - a, c - a)
    area = np.einsum("pa,pa->p", normal, normal)
    flat = area <= 1e-24
    safe = np.where(flat, 1.0, area)
    second = np.einsum("pa,pa->p", np.cross(foot - a, c - a), normal) / safe
    third = np.einsum("pa,pa->p", np.cross(b - a, foot - a), normal) / safe
    share = np.clip(np.stack([1.0 - second - third, second, third], axis=1), 0.0, 1.0)
    share = np.where(flat[:, None], np.eye(3)[np.argmin(gap, axis=1)], share)
    return share / share.sum(1, keepdims=True)


def bind_tets(
    vertices: np.ndarray,
    tets: np.ndarray,
    weights: np.ndarray,
    heads: np.ndarray,
    tails: np.ndarray,
    parents: np.ndarray,
) -> np.ndarray:
    """Which joint holds each tetrahedron; -1 where the flesh moves freely.

    A joint holds the tetrahedra around its bone, nearer than `_CORE` of the room there is, where its weight
    is the largest. Near the place where bones meet they hold nothing (`_RELEASE`): between two cores that turn
    against each other an elbow would lose its volume. Every joint that owns weight holds one tetrahedron at least
    where it can, and so does every separate piece.

    Args:
        vertices: Solid [P, 3].
        tets: Tetrahedra [E, 4].
        weights: Weights at the solid's vertices [P, J].
        heads: Heads of the bones [J, 3].
        tails: Tails of the bones [J, 3].
        parents: Parent of each joint, -1 for roots [J].
    """
    share = weights[tets].astype(np.float64).mean(1)
    leader = np.argmax(share, axis=1)
    centres = vertices[tets].mean(1)
    foot, distance = nearest_on_segments(centres, heads[leader], tails[leader])
    room = _room(vertices, tets, foot)
    released = np.minimum(_RELEASE[0] * room, _RELEASE[1] * np.linalg.norm(tails - heads, axis=1)[leader])
    meets = parents >= 0
    apart = cKDTree(heads[meets]).query(foot)[0] if meets.any() else np.full(len(foot), np.inf)
    held = np.where((distance <= _CORE * room) & (apart >= released), leader, -1)
    for joint in np.flatnonzero(weights.max(0) > _OWNS):
        if (held == joint).any():
            continue
        reach = nearest_on_segments(centres, heads[joint], tails[joint])[1]
        led = np.flatnonzero(leader == joint)
        free = np.flatnonzero((held < 0) & (share[:, joint] > _OWNS))
        if len(led):
            held[led[np.argmin(reach[led])]] = joint
        elif len(free):
            held[free[np.argmax(share[free, joint])]] = joint
    count, piece = pieces(tets, len(vertices))
    for index in range(count):
        members = np.flatnonzero(piece == index)
        if (held[members] < 0).all():
            middle = centres[members].mean(0)
            pick = members[np.argmin(np.linalg.norm(centres[members] - middle, axis=1))]
            held[pick] = leader[pick]
    return held.astype(np.int32)


def nearest_on_segments(points: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest points on segments (one each, or one for all) [N, 3] and distances to them [N]."""
    along = stops - starts
    length = np.maximum(np.sum(along * along, axis=-1), 1e-300)
    share = np.clip(np.sum((points - starts) * along, axis=-1) / length, 0.0, 1.0)
    foot = starts + share[..., None] * along
    return foot, np.linalg.norm(points - foot, axis=-1)


def _room(vertices: np.ndarray, tets: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance from points [N, 3] to the solid's surface, zero outside. [N]"""
    import igl

    faces = np.ascontiguousarray(boundary_faces(tets)[0], dtype=np.int64)
    vertices, points = np.ascontiguousarray(vertices, dtype=np.float64), np.ascontiguousarray(points)
    squared = np.asarray(igl.point_mesh_squared_distance(points, vertices, faces)[0]).ravel()
    return np.where(winding_inside(vertices, faces, points), np.sqrt(np.maximum(squared, 0.0)), 0.0)
