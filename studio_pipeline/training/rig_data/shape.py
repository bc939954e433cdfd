"""A character as an analytic shape: primitives in smooth unions, its distance and its normals.

Primitives are round cones with a stretched cross-section (an ellipsoid is one of length zero) and rounded boxes.
Each belongs to a section (torso, an arm, a hat). Primitives of one section and of the section that it hangs on melt
into each other; sections that have nothing to do with each other (two legs, a hand and a thigh) only overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Field", "Shape", "evaluate", "section_shape", "signed_distance"]

_FAR = 60.0  # multiples of the blend radius beyond which a distance saturates
_TINY = 1e-9
_BLOCK = 32_768  # primitives times points that are worked on at once: what fits a core's cache


@dataclass(frozen=True, kw_only=True)
class Shape:
    """P primitives, cones before boxes, and G groups that are smooth unions. Lengths in the body's own unit."""

    centers: np.ndarray  # [P, 3] float32, start of a cone's axis, middle of a box or ellipsoid
    axes: np.ndarray  # [P, 3, 3] float32, rows are the local axes; a cone runs along its second
    scales: np.ndarray  # [P, 3] float32, stretch of a cone's local axes; half sides of a box
    lengths: np.ndarray  # [P] float32, of a cone's axis in stretched units, 0 for an ellipsoid
    radii: np.ndarray  # [P, 2] float32, of a cone at its ends in stretched units; of a box's edges
    bulges: np.ndarray  # [P] float32, what a cone's radius gains in its middle
    cones: int  # how many primitives are cones
    sections: np.ndarray  # [P] int32, which section a primitive belongs to
    members: np.ndarray  # [M] int32, primitives of the groups, group after group
    starts: np.ndarray  # [G] int32, where each group begins in `members`
    blends: np.ndarray  # [G] float32, blend radius of each group
    owners: np.ndarray  # [P, J] bool, joints that move a primitive

    @property
    def count(self) -> int:
        """Number of primitives P."""
        return len(self.centers)


@dataclass(frozen=True)
class Field:
    """The shape's field at N points."""

    distance: np.ndarray  # [N] float32, first-order signed distance to the union, negative inside
    gradient: np.ndarray  # [N, 3] float32, about unit, outward
    primitive: np.ndarray  # [P, N] float32, signed distance to each primitive alone
    group: np.ndarray  # [N] int32, the group whose union is nearest


def evaluate(shape: Shape, points: np.ndarray, *, within: np.ndarray | None = None) -> Field:
    """The union's distance and gradient at points [N, 3].

    Args:
        shape: The shape.
        points: Where. [N, 3]
        within: Per point the one section that counts [N] int; None for the whole union.
    """
    points = np.asarray(points, np.float32)
    size = max(_BLOCK // shape.count, 64)
    if len(points) <= size:
        return _evaluate(shape, points, within)
    starts = range(0, len(points), size)
    parts = [_evaluate(shape, points[i : i + size], None if within is None else within[i : i + size]) for i in starts]
    return Field(
        np.concatenate([p.distance for p in parts]),
        np.concatenate([p.gradient for p in parts]),
        np.concatenate([p.primitive for p in parts], axis=1),
        np.concatenate([p.group for p in parts]),
    )


def _evaluate(shape: Shape, points: np.ndarray, within: np.ndarray | None) -> Field:
    distance, slopes = _primitives(shape, points)
    total, share, group = _union(shape, distance, within)
    slopes *= share[:, None]
    gradient = slopes.reshape(-1, len(points)).T @ shape.axes.reshape(-1, 3)
    return Field(total, gradient, distance, group)


def signed_distance(shape: Shape, points: np.ndarray, *, chunk: int = 1_000) -> np.ndarray:
    """First-order signed distance to the union at points [N, 3]. [N] float32"""
    parts = [points[i : i + chunk] for i in range(0, len(points), chunk)]
    return np.concatenate([_union(shape, _primitives(shape, np.asarray(p, np.float32))[0], None)[0] for p in parts])


def _primitives(shape: Shape, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances [P, N] and their gradients along the local axes [P, 3, N]."""
    count = shape.count
    stretch = np.where(np.arange(count)[:, None] < shape.cones, shape.scales, np.float32(1.0))
    frame = shape.axes / stretch[:, :, None]
    offset = np.einsum("pab,pb->pa", frame, shape.centers)
    local = (frame.reshape(-1, 3) @ points.T).reshape(count, 3, -1)
    local -= offset[:, :, None]
    n = shape.cones
    distance = np.empty((count, len(points)), np.float32)
    slopes = np.empty_like(local)
    if n:
        _cones(shape, local[:n], distance[:n], slopes[:n])
    if n < count:
        _boxes(shape, local[n:], distance[n:], slopes[n:])
    return distance, slopes


def _cones(shape: Shape, local: np.ndarray, distance: np.ndarray, slopes: np.ndarray) -> None:
    n = shape.cones
    length = shape.lengths[:n, None]
    inverse = np.where(length > _TINY, 1.0 / np.maximum(length, _TINY), 0.0).astype(np.float32)
    start, rise = shape.radii[:n, :1], shape.radii[:n, 1:] - shape.radii[:n, :1]
    bulge = 4.0 * shape.bulges[:n, None]
    x, y, z = local[:, 0], local[:, 1], local[:, 2]
    share = np.clip(y * inverse, 0.0, 1.0)
    y = y - share * length
    radial = np.sqrt(x * x + y * y + z * z) + np.float32(_TINY)
    height = radial - (start + share * (rise + bulge * (1.0 - share)))
    between = (share > 0.0) & (share < 1.0)
    fall = between * (inverse * (rise + bulge * (1.0 - 2.0 * share)))
    np.divide(1.0, radial, out=radial)
    scale = 1.0 / shape.scales[:n, :, None]
    np.multiply(x * radial, scale[:, 0], out=slopes[:, 0])
    np.multiply(y * radial - fall, scale[:, 1], out=slopes[:, 1])
    np.multiply(z * radial, scale[:, 2], out=slopes[:, 2])
    steep = np.einsum("pan,pan->pn", slopes, slopes)
    np.sqrt(steep, out=steep)
    np.divide(1.0, np.maximum(steep, 1e-3), out=steep)
    np.multiply(height, steep, out=distance)
    slopes *= steep[:, None]


def _boxes(shape: Shape, local: np.ndarray, distance: np.ndarray, slopes: np.ndarray) -> None:
    n = shape.cones
    rounding = shape.radii[n:, :1]
    beyond = np.abs(local) - (shape.scales[n:] - rounding)[:, :, None]
    outside = np.maximum(beyond, 0.0)
    far = np.sqrt(np.einsum("pan,pan->pn", outside, outside))
    deepest = beyond.max(1)
    np.add(far, np.minimum(deepest, 0.0), out=distance)
    distance -= rounding
    face = (beyond == deepest[:, None]).astype(np.float32)
    rim = far > 1e-6
    slopes[:] = np.sign(local) * np.where(rim[:, None], outside / np.maximum(far, 1e-6)[:, None], face)


def _union(shape: Shape, distance: np.ndarray, within: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance [N] to the union, each primitive's share [P, N] in its gradient, and the nearest group [N]."""
    sizes = np.diff(np.append(shape.starts, len(shape.members)))
    blend = np.repeat(shape.blends, sizes)[:, None]
    near = np.exp(np.clip(distance[shape.members] / -blend, -_FAR, _FAR))
    if within is not None:
        near *= shape.sections[shape.members][:, None] == within
    sums = np.add.reduceat(near, shape.starts, axis=0)
    level = -shape.blends[:, None] * np.log(np.maximum(sums, 1e-30))
    group = level.argmin(0)
    columns = np.arange(distance.shape[1])
    chosen = np.repeat(np.arange(len(sizes)), sizes)[:, None] == group
    near *= chosen
    near /= np.maximum(sums[group, columns], 1e-30)
    incidence = (np.arange(len(distance))[:, None] == shape.members).astype(np.float32)
    share = incidence @ near.astype(np.float32)
    return level[group, columns], share, group.astype(np.int32)


def section_shape(shape: Shape, section: int) -> Shape:
    """The part of the shape that belongs to one section, on its own."""
    keep = np.flatnonzero(shape.sections == section)
    sizes = np.diff(np.append(shape.starts, len(shape.members)))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    whole = [g for g in range(len(sizes)) if np.isin(keep, shape.members[groups == g]).all()]
    own = min(whole, key=lambda g: sizes[g])
    return Shape(
        centers=shape.centers[keep],
        axes=shape.axes[keep],
        scales=shape.scales[keep],
        lengths=shape.lengths[keep],
        radii=shape.radii[keep],
        bulges=shape.bulges[keep],
        cones=int((keep < shape.cones).sum()),
        sections=shape.sections[keep],
        members=np.arange(len(keep), dtype=np.int32),
        starts=np.zeros(1, np.int32),
        blends=shape.blends[own : own + 1],
        owners=shape.owners[keep],
    )
