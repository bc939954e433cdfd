"""A triangle soup as a solid of voxels: closed parts filled, thin sheets and needles kept, everything in one piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

__all__ = ["VoxelBody", "oriented_faces", "surface_points", "voxelise", "winding_inside"]

_CELLS_COARSE, _CELLS_FINE = 36, 160  # bounds of the cells along the longest side
_MOST_CELLS = 1_500_000  # of the grid, unless the caller says how many along a side
_BLOCK = 4
_SHIFT = 0.3819660
_FULL = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, kw_only=True)
class VoxelBody:
    """Filled cells of a regular grid; cell (i, j, k) has its centre at ``origin + spacing * (i, j, k)``."""

    origin: np.ndarray  # [3] float64, centre of cell (0, 0, 0)
    spacing: float  # edge of a cell, units of the mesh
    mask: np.ndarray  # [X, Y, Z] bool, one 26-connected piece unless bridges are limited, False all around the border
    depth: np.ndarray  # [X, Y, Z] float64, distance from a filled cell's centre to the body's outside, zero outside
    solid: np.ndarray  # [X, Y, Z] bool, cells inside by winding number: no sheets, no bridges
    real: np.ndarray  # [X, Y, Z] bool, cells inside or on the surface: no bridges

    def points(self, cells: np.ndarray) -> np.ndarray:
        """Centres of cells [N, 3] -> [N, 3] float64."""
        return self.origin + self.spacing * cells


def oriented_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Faces [F, 3] less the degenerate ones, closed parts that are inside out turned around. [F', 3] int64"""
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    faces = faces[area > 1e-14 * max(float(np.ptp(vertices, axis=0).max()) ** 2, 1e-300)].astype(np.int64)
    if len(faces) == 0:
        return faces
    graph = sparse.coo_matrix(
        (np.ones(2 * len(faces)), (faces[:, [0, 0]].ravel(), faces[:, [1, 2]].ravel())), shape=(len(vertices),) * 2
    )
    part = csgraph.connected_components(graph, directed=False)[1][faces[:, 0]]
    half = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    key = half[:, 0] * len(vertices) + half[:, 1]
    twin = half[:, 1] * len(vertices) + half[:, 0]
    is_open = np.zeros(part.max() + 1, dtype=bool)
    np.logical_or.at(is_open, np.tile(part, 3), ~np.isin(key, twin))
    a, b, c = (vertices[faces[:, corner]] - vertices.mean(0) for corner in range(3))
    volume = np.bincount(part, np.einsum("fa,fa->f", a, np.cross(b, c)), minlength=len(is_open))
    inside_out = (~is_open & (volume < 0.0))[part]
    return np.where(inside_out[:, None], faces[:, ::-1], faces)


def surface_points(vertices: np.ndarray, faces: np.ndarray, step: float, *, limit: int = 2_000_000) -> np.ndarray:
    """Points on all triangles no farther than ``step`` apart, and all the vertices. [N, 3]

    Triangles [F, 3] may be degenerate; at most about ``limit`` points are made, sparser where it binds.
    """
    corners = vertices[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1, initial=0.0)
    parts = np.clip(np.ceil(longest / step), 1, 4096).astype(np.int64)
    while np.sum((parts + 1.0) * (parts + 2.0) / 2.0) > limit and parts.max() > 1:
        parts = np.maximum(parts * 3 // 4, 1)
    clouds = [vertices]
    for count in np.unique(parts[parts > 1]):
        i, j = np.meshgrid(np.arange(count + 1), np.arange(count + 1), indexing="ij")
        keep = i + j <= count
        u, v = i[keep] / count, j[keep] / count
        share = np.stack([1.0 - u - v, u, v], axis=1)
        clouds.append(np.einsum("sc,fca->fsa", share, corners[parts == count]).reshape(-1, 3))
    return np.concatenate(clouds)


def winding_inside(vertices: np.ndarray, faces: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Which queries [N, 3] lie inside by the generalised winding number. [N] bool

    Fast winding numbers for soups, Barill et al. 2018 (libigl).
    """
    return _winding(vertices, faces, queries) > 0.5


def _winding(vertices: np.ndarray, faces: np.ndarray, queries: np.ndarray) -> np.ndarray:
    import igl

    if len(faces) == 0 or len(queries) == 0:
        return np.zeros(len(queries))
    number = igl.fast_winding_number(
        np.ascontiguousarray(vertices, dtype=np.float64),
        np.ascontiguousarray(faces, dtype=np.int64),
        np.ascontiguousarray(queries, dtype=np.float64),
    )
    return np.abs(np.asarray(number).ravel())


def voxelise(
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    target: int = 20_000,
    mirrored: bool = False,
    cells: int | None = None,
    longest_bridge: float = np.inf,
) -> VoxelBody:
    """Fill the mesh with about ``target`` voxels, as one connected body.

    Args:
        vertices: Positions [V, 3].
        faces: Triangles [F, 3]; any soup.
        target: Wanted number of filled cells; the spacing follows from it.
        mirrored: Make the body symmetric about x = 0, with a layer of cell centres on that plane.
        cells: Cells along the longest side; overrides ``target``.
        longest_bridge: Separate parts farther apart than this, in units of the mesh, stay apart.
    """
    vertices = np.asarray(vertices, dtype=np.float64)
    used, corners = np.unique(np.asarray(faces), return_inverse=True)
    vertices, faces = vertices[used], corners.reshape(-1, 3)
    longest = float(np.ptp(vertices, axis=0).max())
    smallest = max(
        longest / _CELLS_FINE, float(np.prod(np.ptp(vertices, axis=0) + longest / 50.0) / _MOST_CELLS) ** (1 / 3)
    )
    if cells is None:
        spacing = longest / 56.0
        for _ in range(2):
            filled = int(_fill(vertices, faces, spacing, mirrored)[1].sum())
            spacing *= float(np.clip((filled / target) ** 0.38, 0.4, 2.0))
            spacing = float(np.clip(spacing, smallest, longest / _CELLS_COARSE))
    else:
        spacing = longest / cells
    origin, real, solid = _fill(vertices, faces, spacing, mirrored)
    mask = _bridge(real, longest_bridge / spacing)
    if mirrored:
        mask |= mask[::-1]
    distance: Any = ndimage.distance_transform_edt(mask)
    depth = (distance - 0.5) * spacing
    depth = np.where(mask, depth, 0.0)
    return VoxelBody(origin=origin, spacing=spacing, mask=mask, depth=depth, solid=solid, real=real)


def _fill(
    vertices: np.ndarray, faces: np.ndarray, spacing: float, mirrored: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grid origin, filled cells and cells inside by winding number, before bridging."""
    low, high = vertices.min(0), vertices.max(0)
    # The grid is shifted by an odd share of a cell: surfaces at round coordinates shall not hit cell centres.
    shift = np.array([0.0 if mirrored else _SHIFT, _SHIFT, _SHIFT]) * spacing
    first, last = np.floor((low - shift) / spacing) - 2, np.ceil((high - shift) / spacing) + 2
    if mirrored:
        last[0] = max(last[0], -first[0])
        first[0] = -last[0]
    shape = (last - first).astype(np.int64) + 1
    origin = first * spacing + shift
    oriented = oriented_faces(vertices, faces)
    skin = np.zeros(shape, dtype=bool)
    cells = np.rint((surface_points(vertices, faces, 0.5 * spacing) - origin) / spacing).astype(np.int64)
    skin[tuple(np.clip(cells, 1, shape - 2).T)] = True
    solid = _inside(vertices, oriented, origin, spacing, skin)
    if mirrored:
        solid, skin = solid | solid[::-1], skin | skin[::-1]
    near: Any = ndimage.binary_dilation(solid, _FULL)
    # The skin of thick parts would glue close limbs together: keep it only where nothing is filled nearby.
    sheet = skin & ~near
    if sheet.any():
        wider: Any = ndimage.binary_dilation(sheet, _FULL, iterations=2)
        sheet = wider & skin
    return origin, solid | sheet, solid


def _inside(
    vertices: np.ndarray, faces: np.ndarray, origin: np.ndarray, spacing: float, skin: np.ndarray
) -> np.ndarray:
    """Cells inside by winding number; blocks without surface in them are decided by their middle where it is clear."""
    size = np.array(skin.shape)
    blocks = -(-size // _BLOCK)
    padded = np.zeros(blocks * _BLOCK, dtype=bool)
    padded[tuple(slice(n) for n in size)] = skin
    split = padded.reshape(blocks[0], _BLOCK, blocks[1], _BLOCK, blocks[2], _BLOCK)
    crossed = np.asarray(split.any(axis=(1, 3, 5)))
    quiet = np.argwhere(~crossed)
    number = _winding(vertices, faces, origin + spacing * (quiet * _BLOCK + (_BLOCK - 1) / 2.0))
    inside = np.zeros(tuple(blocks), dtype=bool)
    inside[tuple(quiet.T)] = number > 0.5
    crossed[tuple(quiet[np.abs(number - 0.5) < 0.3].T)] = True
    solid = inside.repeat(_BLOCK, 0).repeat(_BLOCK, 1).repeat(_BLOCK, 2)
    cells = np.argwhere(crossed.repeat(_BLOCK, 0).repeat(_BLOCK, 1).repeat(_BLOCK, 2))
    solid[tuple(cells.T)] = _winding(vertices, faces, origin + spacing * cells) > 0.5
    solid = solid[tuple(slice(n) for n in size)]
    for axis in range(3):  # an open mesh may leak: the border stays empty
        np.moveaxis(solid, axis, 0)[[0, 1, -2, -1]] = False
    return solid


def _bridge(mask: np.ndarray, longest: float) -> np.ndarray:
    """Join separate pieces by the shortest straight rows of cells (a minimum spanning tree over the gaps)."""
    labelled: Any = ndimage.label(mask, _FULL)
    labels, count = labelled
    if count <= 1:
        return mask
    transformed: Any = ndimage.distance_transform_edt(~mask, return_indices=True)
    distance, nearest = transformed
    owner = labels[tuple(nearest)]
    rows = []
    for axis in range(3):
        here = [slice(None)] * 3
        there = [slice(None)] * 3
        here[axis], there[axis] = slice(None, -1), slice(1, None)
        a, b = owner[tuple(here)], owner[tuple(there)]
        cells = np.argwhere(a != b)
        other = cells.copy()
        other[:, axis] += 1
        gap = distance[tuple(cells.T)] + distance[tuple(other.T)] + 1.0
        pair = np.stack([owner[tuple(cells.T)], owner[tuple(other.T)]], axis=1)
        rows.append(np.column_stack([pair, gap, cells, other]))
    table = np.concatenate(rows)
    low, high = table[:, :2].min(1), table[:, :2].max(1)
    order = np.lexsort((table[:, 2], high, low))
    table, low, high = table[order], low[order], high[order]
    first = np.r_[True, (low[1:] != low[:-1]) | (high[1:] != high[:-1])]
    table, low, high = table[first], low[first].astype(int), high[first].astype(int)
    graph = sparse.coo_matrix((table[:, 2], (low, high)), shape=(count + 1, count + 1)).tocsr()
    tree = csgraph.minimum_spanning_tree(graph).tocoo()
    wanted = {(int(min(i, j)), int(max(i, j))) for i, j in zip(tree.row, tree.col, strict=True)}
    joined = mask.copy()
    for row, i, j in zip(table, low, high, strict=True):
        if (i, j) in wanted and row[2] <= longest:
            start = nearest[(slice(None), *row[3:6].astype(int))]
            stop = nearest[(slice(None), *row[6:9].astype(int))]
            steps = int(np.abs(stop - start).max()) + 1
            line = np.rint(start + np.linspace(0.0, 1.0, steps)[:, None] * (stop - start)).astype(int)
            joined[tuple(line.T)] = True
    return joined
