"""Points on a body's surface, straight from its field: no mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from studio_pipeline.training.rig_data.shape import Field, Shape, evaluate

__all__ = ["Surface", "sample_surface"]

_STEPS = 2  # Newton steps onto the surface for all points, and again for those that are still off
_CLOSE = 6e-4  # of the body's size: nearer is on the surface
_SPARE = 1.9  # points kept before thinning, per point wanted


@dataclass(frozen=True)
class Surface:
    """Points on a surface and the shape's field there."""

    points: np.ndarray  # [N, 3] float32
    normals: np.ndarray  # [N, 3] float32, unit, outward
    field: Field
    parts: np.ndarray  # [N] int32, section of the primitive that a point was thrown from


def sample_surface(shape: Shape, count: int, rng: np.random.Generator, *, split: bool = False) -> Surface:
    """About evenly spread points on the union's surface.

    Args:
        shape: The body's primitives.
        count: Points wanted; fewer only come back when almost everything is hidden.
        rng: What is random about it.
        split: Every section keeps its whole surface, also where it lies inside another, as game characters made of
            parts do.
    """
    size = float(np.ptp(shape.centers, axis=0).max() + shape.radii.mean())
    wanted, points, thrown = int(_SPARE * count), [], []
    draw = int(1.7 * wanted)
    for _ in range(4):
        fresh, source = _throw(shape, draw, rng)
        within = shape.sections[source] if split else None
        fresh, keep = _settle(shape, fresh, source, within)
        points.append(fresh)
        thrown.append(source[keep])
        if sum(map(len, points)) >= wanted:
            break
    points, source = np.concatenate(points), np.concatenate(thrown)
    chosen = _thin(points, count, rng)
    points, source = points[chosen], source[chosen]
    parts = shape.sections[source]
    field = evaluate(shape, points, within=parts if split else None)
    for _ in range(_STEPS):
        far = np.flatnonzero(np.abs(field.distance) > _CLOSE * size)
        if not len(far):
            break
        points[far] = _newton(points[far], field.distance[far], field.gradient[far])
        _replace(field, far, evaluate(shape, points[far], within=parts[far] if split else None))
    good = np.abs(field.distance) < 5.0 * _CLOSE * size
    index = np.arange(len(points))
    index[~good] = rng.choice(np.flatnonzero(good), int((~good).sum()))
    field = Field(field.distance[index], field.gradient[index], field.primitive[:, index], field.group[index])
    normals = field.gradient / np.maximum(np.linalg.norm(field.gradient, axis=1, keepdims=True), 1e-6)
    return Surface(points[index], normals.astype(np.float32), field, parts[index])


def _newton(points: np.ndarray, distance: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """One step of points [N, 3] towards the surface."""
    square = np.maximum(np.einsum("na,na->n", gradient, gradient), 0.3)
    return points - gradient * (distance / square)[:, None]


def _replace(field: Field, rows: np.ndarray, part: Field) -> None:
    """Put what was evaluated anew at some points into the field."""
    field.distance[rows], field.gradient[rows] = part.distance, part.gradient
    field.primitive[:, rows], field.group[rows] = part.primitive, part.group


def _areas(shape: Shape) -> np.ndarray:
    """Rough surface area of each primitive. [P]"""
    n = shape.cones
    mean = shape.radii.mean(1)
    areas = np.empty(shape.count)
    s = np.sort(shape.scales, axis=1)
    ball = shape.lengths[:n] == 0.0
    across = np.sqrt(0.5 * (shape.scales[:n, 0] ** 2 + shape.scales[:n, 2] ** 2))
    areas[:n] = 2.0 * np.pi * mean[:n] * across * (shape.lengths[:n] + 2.0 * mean[:n])
    ellipsoid = (
        4.0 * np.pi * ((s[:n, 0] * s[:n, 1]) ** 1.6 + (s[:n, 0] * s[:n, 2]) ** 1.6 + (s[:n, 1] * s[:n, 2]) ** 1.6)
    )
    areas[:n] = np.where(ball, 4.0 * np.pi * (ellipsoid / (12.0 * np.pi)) ** (1.0 / 1.6), areas[:n])
    h = shape.scales[n:]
    areas[n:] = 8.0 * (h[:, 0] * h[:, 1] + h[:, 1] * h[:, 2] + h[:, 0] * h[:, 2])
    return areas


def _throw(shape: Shape, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points on the primitives' own surfaces and which primitive each is on."""
    areas = _areas(shape)
    source = rng.choice(shape.count, count, p=areas / areas.sum())
    ball = rng.standard_normal((count, 3)).astype(np.float32)
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    local = np.empty((count, 3), np.float32)
    boxes = source >= shape.cones
    c, b = source[~boxes], source[boxes]
    if len(c):
        local[~boxes] = _on_cones(shape, c, ball[~boxes], rng)
    if len(b):
        local[boxes] = _on_boxes(shape, b, rng)
    world = np.einsum("na,nab->nb", local, shape.axes[source]) + shape.centers[source]
    return world.astype(np.float32), source


def _on_cones(shape: Shape, index: np.ndarray, ball: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    length, radii = shape.lengths[index], shape.radii[index]
    mean = radii.mean(1)
    side = rng.random(len(index)) * (length + 2.0 * mean) < length
    share = np.where(side, rng.random(len(index)), (ball[:, 1] > 0.0).astype(float))
    flat = np.sqrt(np.maximum(ball[:, 0] ** 2 + ball[:, 2] ** 2, 1e-12))
    radius = radii[:, 0] + (radii[:, 1] - radii[:, 0]) * share + 4.0 * shape.bulges[index] * share * (1.0 - share)
    across = np.where(side, 1.0 / flat, 1.0) * radius
    y = share * length + np.where(side, 0.0, ball[:, 1] * radius)
    local = np.stack([ball[:, 0] * across, y, ball[:, 2] * across], axis=1)
    return (local * shape.scales[index]).astype(np.float32)


def _on_boxes(shape: Shape, index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    half = shape.scales[index]
    faces = np.stack([half[:, 1] * half[:, 2], half[:, 0] * half[:, 2], half[:, 0] * half[:, 1]], axis=1)
    edges = np.cumsum(faces, axis=1)
    axis = (rng.random(len(index))[:, None] * edges[:, 2:] > edges).sum(1).clip(0, 2)
    local = rng.uniform(-1.0, 1.0, (len(index), 3))
    rows = np.arange(len(index))
    local[rows, axis] = np.sign(local[rows, axis])
    return (local * half).astype(np.float32)


def _settle(
    shape: Shape, points: np.ndarray, source: np.ndarray, within: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Drop what is hidden inside the union and move the rest onto its surface."""
    depth = np.zeros(shape.sections.max() + 1, np.float32)
    own = shape.sections[shape.members]
    sizes = np.diff(np.append(shape.starts, len(shape.members)))
    np.maximum.at(depth, own, np.repeat(shape.blends, sizes))
    keep = np.arange(len(points))
    for step in range(_STEPS):
        field = evaluate(shape, points, within=None if within is None else within[keep])
        if step == 0:
            seen = field.distance > -1.6 * depth[shape.sections[source]] - 1e-4
            keep, points = keep[seen], points[seen]
            distance, gradient = field.distance[seen], field.gradient[seen]
        else:
            distance, gradient = field.distance, field.gradient
        points = _newton(points, distance, gradient)
    return points, keep


def _thin(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of ``count`` points, drawn so that crowded places give fewer."""
    if len(points) <= count:
        return np.concatenate([np.arange(len(points)), rng.integers(0, len(points), count - len(points))])
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    room = tree.query(points, k=[5], eps=0.5)[0][:, 0] ** 2 + 1e-12
    room = np.minimum(room, 8.0 * np.median(room))
    keys = rng.exponential(size=len(points)) / room
    return np.argpartition(keys, count)[:count]
