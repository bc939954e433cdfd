"""Meshes of bodies, for held-out evaluation and pictures; training itself needs none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.shape import Shape, evaluate, section_shape, signed_distance
from studio_pipeline.training.rig_data.weights import skin_weights

__all__ = ["body_mesh", "bounds", "thicken"]


def bounds(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """A box that holds the whole surface, generously. ([3], [3])"""
    reach = shape.radii.max(1) + np.maximum(shape.bulges, 0.0)
    box = np.arange(shape.count) >= shape.cones
    across = np.where(box[:, None], shape.scales, shape.scales * reach[:, None])
    ends = shape.centers + (shape.lengths * ~box)[:, None] * shape.axes[:, 1]
    spread = np.abs(shape.axes * across[:, :, None]).sum(1)
    margin = 2.0 * float(shape.blends.max())
    low = np.minimum(shape.centers, ends) - spread
    high = np.maximum(shape.centers, ends) + spread
    return low.min(0) - margin, high.max(0) + margin


def thicken(shape: Shape, least: float) -> Shape:
    """The shape with no primitive thinner than ``least`` (a radius), so that a grid doesn't lose its sheets."""
    reach = np.maximum(shape.radii.mean(1) + shape.bulges, 1e-9)[:, None]
    box = np.arange(shape.count)[:, None] >= shape.cones
    floor = np.where(box, least, least / reach)
    along = (shape.lengths[:, None] > 0.0) & (np.arange(3) == 1)
    return replace(shape, scales=np.where(along, shape.scales, np.maximum(shape.scales, floor)).astype(np.float32))


def body_mesh(
    body: Body, *, resolution: int = 96, rng: np.random.Generator | None = None, split: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The body's surface as a mesh (marching cubes).

    Args:
        body: The body.
        resolution: Cells along the longest side; sheets thinner than a cell are thickened to it.
        rng: Shifts the grid at random when given, so that cells don't fall on the plane of symmetry.
        split: A closed mesh per section, one through the other, instead of one union.

    Returns:
        vertices [V, 3] float32, faces [F, 3] int32 counter-clockwise seen from outside, weights [V, J] float32.
    """
    low, high = bounds(body.shape)
    step = float((high - low).max()) / resolution
    if not split:
        vertices, faces = _march(thicken(body.shape, 0.8 * step), step, rng)
        within = None
    else:
        pieces, groups, start = [], [], 0
        for section in np.unique(body.shape.sections):
            part = section_shape(body.shape, int(section))
            size = float(np.ptp(np.stack(bounds(part)), axis=0).max())
            finer = max(min(step, size / 24.0), 0.4 * step)
            corners, triangles = _march(thicken(part, 0.8 * finer), finer, rng)
            pieces.append((corners, triangles + start))
            groups.append(np.full(len(corners), section))
            start += len(corners)
        vertices, faces = (np.concatenate([p[k] for p in pieces]) for k in (0, 1))
        within = np.concatenate(groups)
    return vertices, faces, mesh_weights(body, vertices, within)


def mesh_weights(body: Body, vertices: np.ndarray, within: np.ndarray | None = None) -> np.ndarray:
    """Skin weights of vertices near the surface; ``within`` as in `evaluate`. [V, J] float32"""
    field = evaluate(body.shape, vertices, within=within)
    return skin_weights(
        body.shape, field, vertices, joints=body.joints, tails=body.tails, parents=body.parents, rigid=body.rigid
    )


def _march(shape: Shape, step: float, rng: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
    from skimage.measure import marching_cubes

    low, high = bounds(shape)
    low = low - step * (2.0 if rng is None else rng.uniform(1.0, 2.0, 3))
    counts = np.ceil((high + 2.0 * step - low) / step).astype(int) + 1
    values = np.full(counts, step, np.float32)
    coarse = _coarse_cells(shape, low, step, counts)
    for corner in coarse:
        part = tuple(slice(c, min(c + _BRICK, n)) for c, n in zip(corner, counts, strict=True))
        axes = [low[k] + step * np.arange(part[k].start, part[k].stop) for k in range(3)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        values[part] = signed_distance(shape, grid.reshape(-1, 3).astype(np.float32)).reshape(grid.shape[:3])
    vertices, faces, _, _ = marching_cubes(values, 0.0)
    return (low + step * vertices).astype(np.float32), np.ascontiguousarray(faces, np.int32)


_BRICK = 8  # cells of a brick that is either evaluated or known to be outside


def _coarse_cells(shape: Shape, low: np.ndarray, step: float, counts: np.ndarray) -> np.ndarray:
    """First corners of the bricks that any primitive's box touches. [K, 3]"""
    box = np.arange(shape.count) >= shape.cones
    reach = shape.radii.max(1) + np.maximum(shape.bulges, 0.0)
    across = np.where(box[:, None], shape.scales, shape.scales * reach[:, None])
    ends = shape.centers + (shape.lengths * ~box)[:, None] * shape.axes[:, 1]
    spread = np.abs(shape.axes * across[:, :, None]).sum(1) + 3.0 * shape.blends.max() + step
    touched = np.zeros(np.ceil(counts / _BRICK).astype(int), bool)
    first = np.floor((np.minimum(shape.centers, ends) - spread - low) / (step * _BRICK)).astype(int).clip(0)
    last = np.floor((np.maximum(shape.centers, ends) + spread - low) / (step * _BRICK)).astype(int)
    for a, b in zip(first, last, strict=True):
        touched[tuple(slice(a[k], b[k] + 1) for k in range(3))] = True
    return np.argwhere(touched) * _BRICK
