"""What the shipped characters are made with: soft shapes, a mesh of them, UV and paint.

A character is a smooth union of round cones and ellipsoids, symmetric about x = 0. Its surface is meshed on one side,
mirrored, unwrapped along the axes part by part, and painted by a function of the position in space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.ndimage
import scipy.sparse as sp
import scipy.sparse.linalg

__all__ = ["Body", "Mesh", "Skeleton", "bake", "ellipsoid", "limb", "mask", "mesh_body", "mix", "skin"]


@dataclass(frozen=True)
class Solid:
    """One soft shape; ``distance`` maps points [n, 3] to roughly signed distances [n] in metres."""

    part: str
    blend: float  # how softly it joins what came before [m]
    distance: Callable[[np.ndarray], np.ndarray]
    mirrored: bool


def limb(
    part: str,
    a: tuple[float, ...],
    b: tuple[float, ...],
    ra: float,
    rb: float,
    *,
    blend: float = 0.03,
    mirrored: bool = False,
) -> Solid:
    """A round cone from ``a`` to ``b`` with radii ``ra`` and ``rb``."""
    start, along = np.array(a), np.array(b) - np.array(a)
    length2 = float(along @ along)

    def distance(p: np.ndarray) -> np.ndarray:
        t = np.clip((p - start) @ along / length2, 0.0, 1.0)
        return np.linalg.norm(p - start - t[:, None] * along, axis=1) - (ra + (rb - ra) * t)

    return Solid(part, blend, distance, mirrored)


def ellipsoid(
    part: str,
    centre: tuple[float, ...],
    radii: tuple[float, ...],
    *,
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
    blend: float = 0.03,
    mirrored: bool = False,
) -> Solid:
    """An ellipsoid, turned by the rotation vector ``turn`` [rad]."""
    from scipy.spatial.transform import Rotation

    middle, size = np.array(centre), np.array(radii)
    rotation = Rotation.from_rotvec(turn).as_matrix()

    def distance(p: np.ndarray) -> np.ndarray:
        q = (p - middle) @ rotation
        k0 = np.linalg.norm(q / size, axis=1)
        k1 = np.linalg.norm(q / size**2, axis=1)
        return np.where(k1 > 1e-9, k0 * (k0 - 1.0) / np.maximum(k1, 1e-9), -size.min())

    return Solid(part, blend, distance, mirrored)


@dataclass
class Body:
    """A character's shape. ``floor``: everything below y = 0 is cut flat, softly."""

    solids: list[Solid]
    floor: bool = False
    parts: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.parts = list(dict.fromkeys(solid.part for solid in self.solids))

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance [n] to the surface, and the part [n] that is nearest."""
        points = np.asarray(points, dtype=np.float64)
        mirror = points * [-1.0, 1.0, 1.0]
        total = np.full(len(points), 1e3)
        best, nearest = total.copy(), np.zeros(len(points), dtype=int)
        for solid in self.solids:
            for own in (
                (solid.distance(points), solid.distance(mirror)) if solid.mirrored else (solid.distance(points),)
            ):
                closer = own < best
                best[closer], nearest[closer] = own[closer], self.parts.index(solid.part)
                h = np.clip(0.5 + 0.5 * (total - own) / solid.blend, 0.0, 1.0)
                total = total + (own - total) * h - solid.blend * h * (1.0 - h)
        if self.floor:
            k, cut = 0.03, -points[:, 1]
            h = np.clip(0.5 - 0.5 * (total - cut) / k, 0.0, 1.0)
            total = total + (cut - total) * h + k * h * (1.0 - h)
        return total, nearest

    def slope(self, points: np.ndarray, step: float = 1e-4) -> np.ndarray:
        """Gradient of the distance at ``points``. [n, 3]"""
        columns = [
            self.evaluate(points + step * axis)[0] - self.evaluate(points - step * axis)[0] for axis in np.eye(3)
        ]
        return np.stack(columns, axis=1) / (2.0 * step)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Unit outward direction at ``points``. [n, 3]"""
        slope = self.slope(points)
        return slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)

    def project(self, points: np.ndarray, most: float = 0.003) -> np.ndarray:
        """``points`` moved towards the surface, by at most ``most`` metres."""
        slope = self.slope(points)
        steepness = np.maximum((slope**2).sum(1, keepdims=True), 0.05)
        move = self.evaluate(points)[0][:, None] * slope / steepness
        length = np.linalg.norm(move, axis=1, keepdims=True)
        return points - move * np.minimum(1.0, most / np.maximum(length, 1e-12))


@dataclass
class Mesh:
    """A surface with seams welded (``positions``, ``faces``) and how it is unwrapped (``corner_uv``)."""

    positions: np.ndarray  # [n, 3]
    normals: np.ndarray  # [n, 3]
    faces: np.ndarray  # [m, 3]
    part: np.ndarray  # [n] index into the body's parts
    corner_uv: np.ndarray = field(default_factory=lambda: np.zeros((0, 3, 2)))  # [m, 3, 2] in pixels


def mesh_body(body: Body, low: tuple[float, ...], high: tuple[float, ...], faces: int, cell: float = 0.011) -> Mesh:
    """Mesh the half x >= 0 of a body, relax it on the surface and mirror it. ``faces``: about how many in the end."""
    from skimage.measure import marching_cubes

    axes = [np.arange(0.0, high[0], cell), np.arange(low[1], high[1], cell), np.arange(low[2], high[2], cell)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = body.evaluate(grid.reshape(-1, 3))[0].reshape(grid.shape[:3])
    vertices, triangles, _, _ = marching_cubes(values, 0.0, spacing=(cell, cell, cell), allow_degenerate=False)
    vertices, triangles = vertices + np.array([0.0, low[1], low[2]]), triangles[:, ::-1]
    vertices, triangles = _decimate(vertices, triangles, faces // 2)
    vertices = _relax(body, vertices, triangles)
    count = len(vertices)
    seam = np.abs(vertices[:, 0]) < 1e-9
    other = np.where(seam, np.arange(count), count + np.cumsum(~seam) - 1)
    positions = np.concatenate([vertices, vertices[~seam] * [-1.0, 1.0, 1.0]])
    triangles = np.concatenate([triangles, other[triangles][:, ::-1]])
    normals = body.normals(positions)
    across = np.cross(
        positions[triangles[:, 1]] - positions[triangles[:, 0]], positions[triangles[:, 2]] - positions[triangles[:, 0]]
    )
    if (across * normals[triangles[:, 0]]).sum() < 0.0:
        triangles = triangles[:, ::-1]
    return Mesh(positions, normals, np.ascontiguousarray(triangles), body.evaluate(positions)[1])


def _decimate(vertices: np.ndarray, triangles: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    import open3d as o3d

    mesh = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(vertices), o3d.utility.Vector3iVector(triangles.astype(np.int32))
    )
    mesh = mesh.simplify_quadric_decimation(target, boundary_weight=10.0)
    mesh.remove_degenerate_triangles()
    mesh.remove_unreferenced_vertices()
    return np.asarray(mesh.vertices).copy(), np.asarray(mesh.triangles).astype(int).copy()


def _edges(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Undirected edges [e, 2] and how many triangles each has."""
    pairs = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    return np.unique(pairs, axis=0, return_counts=True)


def _relax(body: Body, vertices: np.ndarray, triangles: np.ndarray, rounds: int = 12) -> np.ndarray:
    """Even out the triangles along the surface; the open rim stays in the plane x = 0."""
    edges, uses = _edges(triangles)
    rim = np.unique(edges[uses == 1])
    count = len(vertices)
    links = sp.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    links = (links + links.T).tocsr()
    rim_edges = edges[uses == 1]
    rim_links = sp.coo_matrix((np.ones(len(rim_edges)), (rim_edges[:, 0], rim_edges[:, 1])), shape=(count, count))
    rim_links = (rim_links + rim_links.T).tocsr()
    for _ in range(rounds):
        mean = (links @ vertices) / np.maximum(np.asarray(links.sum(1)), 1)
        mean[rim] = ((rim_links @ vertices) / np.maximum(np.asarray(rim_links.sum(1)), 1))[rim]
        normal = body.normals(vertices)
        shift = 0.5 * (mean - vertices)
        vertices = vertices + shift - (shift * normal).sum(1, keepdims=True) * normal
        for _ in range(2):
            vertices = body.project(vertices)
        vertices[rim, 0] = 0.0
    return vertices


def _charts(mesh: Mesh, body: Body) -> np.ndarray:
    """A chart number per face: connected faces of one part that look along one axis."""
    across = np.cross(
        mesh.positions[mesh.faces[:, 1]] - mesh.positions[mesh.faces[:, 0]],
        mesh.positions[mesh.faces[:, 2]] - mesh.positions[mesh.faces[:, 0]],
    )
    normal = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-15)
    side = np.concatenate([normal, -normal], axis=1)  # [m, 6]
    part = np.sort(mesh.part[mesh.faces], axis=1)[:, 1]
    centre = mesh.positions[mesh.faces].mean(1)
    label = (part * 2 + (centre[:, 0] < 0.0)) * 6 + side.argmax(1)
    owner: dict[tuple[int, int], list[int]] = {}
    for face, corners in enumerate(mesh.faces):
        for a, b in ((0, 1), (1, 2), (2, 0)):
            owner.setdefault((min(corners[a], corners[b]), max(corners[a], corners[b])), []).append(face)
    pairs = np.array([p for p in owner.values() if len(p) == 2])
    neighbours = [[] for _ in mesh.faces]
    for a, b in pairs:
        neighbours[a].append(b)
        neighbours[b].append(a)
    for _ in range(12):
        for face, around in enumerate(neighbours):
            labels = [label[n] for n in around]
            common = max(set(labels), key=labels.count)
            if common != label[face] and labels.count(common) >= 2 and side[face, common % 6] > 0.3:
                label[face] = common
    same = pairs[label[pairs[:, 0]] == label[pairs[:, 1]]]
    graph = sp.coo_matrix((np.ones(len(same)), (same[:, 0], same[:, 1])), shape=(len(label), len(label)))
    count, chart = sp.csgraph.connected_components(graph, directed=False)
    for number in range(count):  # crumbs join a neighbour that sees them
        members = np.flatnonzero(chart == number)
        if len(members) < 8:
            votes = [chart[n] for f in members for n in neighbours[f] if chart[n] != number]
            fitting = [v for v in votes if (side[members, label[chart == v][0] % 6] > 0.15).all()]
            if fitting:
                target = max(sorted(set(fitting)), key=fitting.count)
                label[members] = label[chart == target][0]
                chart[members] = target
    axis = label % 3
    across_axes = np.array([[2, 1], [0, 2], [0, 1]])[axis]
    corners = mesh.positions[mesh.faces]
    mesh.corner_uv = np.stack(
        [np.take_along_axis(corners, across_axes[:, None, k, None].repeat(3, 1), axis=2)[..., 0] for k in (0, 1)],
        axis=-1,
    )
    return np.unique(chart, return_inverse=True)[1]


def unwrap(mesh: Mesh, body: Body, size: int, density: dict[str, float], gutter: int = 4) -> np.ndarray:
    """Fill ``mesh.corner_uv`` [m, 3, 2] in pixels of a ``size`` square; returns the chart of every face."""
    chart = _charts(mesh, body)
    count = chart.max() + 1
    part = np.sort(mesh.part[mesh.faces], axis=1)[:, 1]
    boost = np.array([density.get(body.parts[np.bincount(part[chart == c]).argmax()], 1.0) for c in range(count)])
    mesh.corner_uv *= boost[chart][:, None, None]
    low = np.array([mesh.corner_uv[chart == c].min((0, 1)) for c in range(count)])
    extent = np.array([mesh.corner_uv[chart == c].max((0, 1)) for c in range(count)]) - low
    order = sorted(range(count), key=lambda c: (-extent[c, 1], c))
    least, most = 10.0, 20000.0
    for _ in range(40):
        scale = (least * most) ** 0.5
        least, most = (scale, most) if _shelves(extent * scale, order, size, gutter) is not None else (least, scale)
    place = _shelves(extent * least, order, size, gutter)
    assert place is not None
    mesh.corner_uv = (mesh.corner_uv - low[chart][:, None]) * least + place[chart][:, None]
    return chart


def _shelves(extent: np.ndarray, order: list[int], size: int, gutter: int) -> np.ndarray | None:
    place = np.zeros_like(extent)
    x = y = shelf = float(gutter)
    for c in order:
        w, h = extent[c] + gutter
        if x + w > size:
            x, y = float(gutter), y + shelf
            shelf = 0.0
        shelf = max(shelf, h)
        if x + w > size or y + h > size:
            return None
        place[c] = x, y
        x += w
    return place


def bake(mesh: Mesh, body: Body, size: int, density: dict[str, float], paint: Callable[..., np.ndarray]) -> np.ndarray:
    """Unwrap and paint: ``paint(points, normals, texel)`` gives sRGB colours in [0, 1]. [size, size, 3] uint8"""
    unwrap(mesh, body, size, density)
    where = np.full((size, size, 3), np.nan)
    normal = np.zeros((size, size, 3))
    depth = np.full((size, size), -1e9)
    for face, uv in zip(mesh.faces, mesh.corner_uv, strict=True):
        x0, y0 = np.floor(uv.min(0) - 1.5).astype(int).clip(0, size - 1)
        x1, y1 = np.ceil(uv.max(0) + 1.5).astype(int).clip(0, size)
        xs, ys = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
        edge = np.array([uv[1] - uv[0], uv[2] - uv[0]]).T
        if abs(np.linalg.det(edge)) < 1e-9:
            continue
        bc = np.linalg.solve(edge, np.stack([xs.ravel() - uv[0, 0], ys.ravel() - uv[0, 1]]))
        bary = np.stack([1.0 - bc.sum(0), *bc], axis=1).reshape(*xs.shape, 3)
        inside = bary.min(-1)  # negative outside: texels just past the edge serve the filter
        target = (slice(y0, y1), slice(x0, x1))
        reach = 1.5 / max(np.sqrt(abs(np.linalg.det(edge))), 1e-6)
        better = (inside > -reach) & (np.minimum(inside, 0.0) > depth[target])
        depth[target][better] = np.minimum(inside, 0.0)[better]
        where[target][better] = (bary @ mesh.positions[face])[better]
        normal[target][better] = (bary @ mesh.normals[face])[better]
    covered = np.isfinite(where[..., 0])
    texel = float(np.sqrt(_area(mesh) / max(covered.sum(), 1)))
    image = np.zeros((size, size, 3))
    points = where[covered]
    image[covered] = paint(points, normal[covered], texel)
    distance, (rows, columns) = scipy.ndimage.distance_transform_edt(~covered, return_indices=True)
    image = np.where((distance < 6.0)[..., None], image[rows, columns], image[covered].mean(0))
    return np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)


def _area(mesh: Mesh) -> float:
    a, b, c = (mesh.positions[mesh.faces[:, k]] for k in range(3))
    return float(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())


def mask(distance: np.ndarray, soft: float) -> np.ndarray:
    """1 where ``distance`` < 0, 0 where > 0, smooth over ``soft`` on either side. [n, 1]"""
    t = np.clip(0.5 - 0.5 * distance / soft, 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t))[:, None]


def mix(under: np.ndarray, color: tuple[float, ...] | np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Lay ``color`` over ``under`` [n, 3] by ``amount`` [n, 1]."""
    return under + (np.asarray(color) - under) * amount


@dataclass(frozen=True)
class Skeleton:
    """Joints of a character: heads and tails in metres, parents first."""

    names: list[str]
    parents: list[int]
    heads: np.ndarray  # [j, 3]
    tails: np.ndarray  # [j, 3]
    radii: np.ndarray  # [j] thickness of the limb around the bone


def skin(mesh: Mesh, skeleton: Skeleton, reach: float) -> np.ndarray:
    """Smooth weights [n, j], at most 4 a vertex: the nearest bone, spread over ``reach`` metres of surface."""
    start, along = skeleton.heads, skeleton.tails - skeleton.heads
    t = np.einsum("njk,jk->nj", mesh.positions[:, None] - start, along) / (along**2).sum(1)
    nearest = start + np.clip(t, 0.0, 1.0)[..., None] * along
    distance = np.linalg.norm(mesh.positions[:, None] - nearest, axis=2) / skeleton.radii
    # A hair of a lead for the parent side settles ties at joints the same way left and right.
    hard = np.eye(len(skeleton.names))[distance.argmin(1)]
    edges, _ = _edges(mesh.faces)
    length = np.linalg.norm(mesh.positions[edges[:, 0]] - mesh.positions[edges[:, 1]], axis=1)
    strength = 1.0 / np.maximum(length, 1e-4) ** 2
    links = sp.coo_matrix((strength, (edges[:, 0], edges[:, 1])), shape=(len(mesh.positions),) * 2)
    links = links + links.T
    laplacian = sp.diags(np.asarray(links.sum(1)).ravel()) - links
    system = sp.identity(len(mesh.positions)) + reach**2 / 4.0 * laplacian
    weights = scipy.sparse.linalg.splu(system.tocsc()).solve(hard).clip(0.0)
    weights = scipy.sparse.linalg.splu(system.tocsc()).solve(weights).clip(0.0)
    least = np.argsort(-weights, axis=1, kind="stable")[:, 4:]
    np.put_along_axis(weights, least, 0.0, axis=1)
    weights[weights < 0.004] = 0.0
    return weights / weights.sum(1, keepdims=True)
