"""The middle line of a trunk: in the section that the mirror plane cuts, and through bodies that are all belly."""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.bodytree import BodyTree, Limb, Line
from studio_pipeline.geometry.voxels import VoxelBody

__all__ = ["straightened"]

_BELLY = 1.6  # radii: a trunk shorter than this is no trunk ...
_FAT = 0.12  # ... in a body whose middle is this thick, of the longest side
_REACH = 2.5  # radii: walls farther away than this are another part's
_SMOOTH = 24
_THIN, _ALIKE = 0.45, 0.65  # of a belly's radius; of a limb's length to its partner's
_DIP = 1.5  # radii
_SAME = 0.8  # of a limb's length: a corner that is as long is as good
_CORNER = 0.5  # of a limb's length: how far its tip may be from what it sees
_DEEP = 2.5  # cells: a line that ends deeper inside than this is drawn on


def straightened(tree: BodyTree, body: VoxelBody) -> BodyTree:
    """A body whose trunk runs in its middle, from end to end, and whose limbs hang on that; changed in place.

    A body that is all belly gets a straight trunk: along what it has of one if that lies, else upright.
    """
    fat = _FAT * body.spacing * max(body.mask.shape)
    trunk = tree.trunk
    if trunk is not None and (arms := _arms_of_belly(trunk, fat)) is not None:
        thickest = int(np.argmax(trunk.radius))
        tree.hub, tree.hub_radius = trunk.points[thickest], float(trunk.radius[thickest])
        tree.limbs += [Limb(line=line, at=0.0, paired=False) for line in arms]
        trunk = None
    short = trunk is None or trunk.length < _BELLY * float(trunk.radius.max())
    if short and tree.hub_radius > fat:
        tree.trunk = _core_line(body, tree.hub, tree.hub_radius, _lying(trunk, tree.hub_radius))
    elif trunk is not None:
        trunk = _without_dips(trunk, [limb.line.points[0] for limb in tree.limbs])
        tree.trunk = _reaching(_centred(trunk, body) if tree.mirrored else trunk, body)
    tree.limbs = _without_corners(tree.limbs, tree.trunk, body)
    if tree.trunk is not None:
        for limb in tree.limbs:
            limb.at = tree.trunk.nearest(limb.line.points[0])
    return tree


def _lying(trunk: Line | None, radius: float) -> np.ndarray:
    """The direction of a trunk that lies and is half of ``radius`` long, else up. [3]"""
    chord = np.zeros(3) if trunk is None else trunk.points[-1] - trunk.points[0]
    length = float(np.linalg.norm(chord))
    lies = length > 0.5 * radius and abs(chord[1]) < 0.5 * length
    return chord / length if lies else np.array([0.0, 1.0, 0.0])


def _centred(line: Line, body: VoxelBody) -> Line:
    """A line [K, 3] on the plane x = 0 moved to the middle between the walls of the body's section there.

    The medial axis of a body dips towards its legs; the section between them doesn't know of legs.
    """
    middle = body.mask.shape[0] // 2
    section = body.mask[middle]
    points, tangent = line.points, np.gradient(line.points, axis=0)
    across = np.stack([0.0 * tangent[:, 0], -tangent[:, 2], tangent[:, 1]], axis=1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-300
    moved = points.copy()
    step = 0.5 * body.spacing
    for index, (point, way, radius) in enumerate(zip(points, across, line.radius, strict=True)):
        walls = [_wall(section, body, point, sign * way, _REACH * radius, step) for sign in (1.0, -1.0)]
        if None not in walls:
            moved[index] = point + 0.5 * (walls[0] - walls[1]) * way  # type: ignore[operator]
    for _ in range(_SMOOTH):
        moved[1:-1] += 0.5 * (0.5 * (moved[:-2] + moved[2:]) - moved[1:-1])
    moved[:, 0] = points[:, 0]
    return Line(points=moved, radius=line.radius)


def _arms_of_belly(line: Line, fat: float) -> tuple[Line, Line] | None:
    """The two halves of a line that runs from one limb through a belly to a limb like it; None when it doesn't.

    Args:
        line: A trunk that may be none.
        fat: Radius of a belly at least.
    """
    thickest = int(np.argmax(line.radius))
    radius = float(line.radius[thickest])
    thin = line.radius < _THIN * radius
    if radius < fat or thin[thickest] or not (thin[0] and thin[-1]):
        return None
    along = line.along
    before, after = along[thickest], line.length - along[thickest]
    arms = sorted((float(along[np.flatnonzero(~thin)[0]]), line.length - float(along[np.flatnonzero(~thin)[-1]])))
    if arms[0] < 0.5 * radius or arms[0] < _ALIKE * arms[1] or min(before, after) < _ALIKE * max(before, after):
        return None
    return line.piece(before, 0.0), line.piece(before, line.length)


def _without_dips(line: Line, forks: list[np.ndarray]) -> Line:
    """A trunk [K, 3] less its ends where limbs leave them: there the medial axis bends towards the limbs.

    Args:
        line: The trunk.
        forks: Places where limbs leave it [3].
    """
    radius = float(np.median(line.radius))
    ends = [
        _DIP
        * radius
        * (line.radius[k] > 0.4 * radius and any(np.linalg.norm(f - line.points[k]) < 0.5 * radius for f in forks))
        for k in (0, -1)
    ]
    return line.piece(ends[0], line.length - ends[1]) if sum(ends) < 0.5 * line.length else line


def _without_corners(limbs: list[Limb], trunk: Line | None, body: VoxelBody) -> list[Limb]:
    """Limbs less corners of a sheet: their tips see the trunk, or a longer limb, through the body nearby.

    What corners of a sheet are left with each other become one limb in their middle.
    """
    kept: list[list[Limb]] = []
    for limb in sorted(limbs, key=lambda limb: -limb.line.length):
        if trunk is not None and _sees(limb.line, trunk, body):
            continue
        like = [group for group in kept if group[0].paired == limb.paired and _sees(limb.line, group[0].line, body)]
        like[0].append(limb) if like else kept.append([limb])
    for group in kept:
        same = [limb.line for limb in group if limb.line.length > _SAME * group[0].line.length]
        points, radius = (np.mean([getattr(line, of) for line in same], axis=0) for of in ("points", "radius"))
        group[0].line = Line(points=points, radius=radius)
    return [group[0] for group in kept]


def _sees(line: Line, other: Line, body: VoxelBody) -> bool:
    tip = line.place(0.95 * line.length)
    gaps = np.linalg.norm(other.points - tip, axis=1)
    if gaps.min() > _CORNER * line.length:
        return False
    target = other.points[np.argmin(gaps)]
    count = max(int(2.0 * gaps.min() / body.spacing), 2)
    way = tip + np.linspace(0.0, 1.0, count)[:, None] * (target - tip)
    cells = np.clip(np.rint((way - body.origin) / body.spacing).astype(int), 0, np.array(body.mask.shape) - 1)
    return bool(body.mask[tuple(cells.T)].all())


def _reaching(line: Line, body: VoxelBody) -> Line:
    """The same line, drawn on at both ends almost to the outside where it ends deep inside the body."""
    for _ in range(2):
        line = line.reverse()
        radius = float(line.radius[-1])
        if radius < _DEEP * body.spacing:
            continue
        onward = line.points[-1] - line.place(max(line.length - radius, 0.5 * line.length))
        onward = onward / (np.linalg.norm(onward) + 1e-300)
        distances = np.arange(0.0, 2.0 * _REACH * radius, 0.5 * body.spacing)
        cells = np.rint((line.points[-1] + distances[:, None] * onward - body.origin) / body.spacing).astype(int)
        cells = np.clip(cells, 0, np.array(body.mask.shape) - 1)
        out = np.flatnonzero(~body.mask[tuple(cells.T)])
        end = float(distances[out[0]]) if len(out) else radius
        longer = np.vstack([line.points, line.points[-1] + 0.85 * end * onward])
        count = len(line.points)
        line = Line(points=longer, radius=np.r_[line.radius, 0.3 * radius])
        steps = np.linspace(0.0, line.length, count)
        line = Line(points=line.place(steps), radius=np.interp(steps, line.along, line.radius))
    return line


def _wall(
    section: np.ndarray, body: VoxelBody, point: np.ndarray, way: np.ndarray, reach: float, step: float
) -> float | None:
    """How far the body's section [Y, Z] goes on from a point along a way on the plane; None beyond ``reach``."""
    distances = np.arange(0.0, reach + step, step)
    cells = np.rint((point + distances[:, None] * way - body.origin) / body.spacing).astype(int)[:, 1:]
    cells = np.clip(cells, 0, np.array(section.shape) - 1)
    out = np.flatnonzero(~section[tuple(cells.T)])
    return float(distances[out[0]]) if len(out) else None


def _core_line(body: VoxelBody, hub: np.ndarray, radius: float, way: np.ndarray, *, samples: int = 96) -> Line:
    """A straight line through a place in a body, from wall to wall.

    Args:
        body: The voxels.
        hub: A place inside [3].
        radius: Of the line.
        way: Its direction [3], unit.
        samples: Points of the line K.
    """
    distances = np.arange(0.0, body.spacing * max(body.mask.shape), 0.5 * body.spacing)
    reach = []
    for sign in (-1.0, 1.0):
        cells = np.rint((hub + sign * distances[:, None] * way - body.origin) / body.spacing).astype(int)
        out = np.flatnonzero(~body.mask[tuple(np.clip(cells, 0, np.array(body.mask.shape) - 1).T)])
        reach.append(sign * float(distances[out[0]] if len(out) else radius))
    points = hub + np.linspace(reach[0], reach[1], samples)[:, None] * way
    return Line(points=points, radius=np.full(samples, radius))
