"""Backend `geometric`: a skeleton and weights from the shape alone, for any mesh.

The body becomes voxels (closed parts filled, sheets and needles kept, separate parts bridged). Medial paths from
its tips are read as trunk and limbs, the limbs as legs, arms, fins and ornaments; joints go to bends, else to where
bodies of that kind have them. Heat through the voxels makes the weights. A body that mirrors itself gets a skeleton
that does. Joint frames: +Y along the bone, +Z as near to the world's +Z as it gets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from studio_pipeline.geometry.bodytree import body_tree
from studio_pipeline.geometry.branches import branch_tree
from studio_pipeline.geometry.cores import straightened
from studio_pipeline.geometry.heat import bone_heat, keep_largest, rigid_parts, sample_cells, smoothed, without_tails
from studio_pipeline.geometry.meshes import face_normals
from studio_pipeline.geometry.skeletons import CellGraph, curve_tree
from studio_pipeline.geometry.symmetry import MirrorPlane, find_mirror_plane
from studio_pipeline.geometry.voxels import VoxelBody, voxelise
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.rig.anatomy import anatomy_of
from studio_pipeline.stages.rig.joints import Skeleton, axis_skeleton
from studio_pipeline.stages.rig.naming import named
from studio_pipeline.stages.rig.placing import place_joints
from studio_pipeline.stages.rig.report import report
from studio_pipeline.stages.rig.settings import GeometricSettings

_CLOSE = 4.0  # cells: neighbours nearer than this share their weights

__all__ = ["bone_frames", "build_rig", "run", "skin"]


def run(context: StageContext) -> StageResult:
    """Make the rig of the stage's character."""
    character = Character.load(context.inputs["character"])
    context.progress(0.1, "skeleton and weights")
    rig, symmetric = build_rig(character.vertices, character.faces, context.settings)
    rig.save(context.out)
    context.progress(0.8, "checks and preview")
    return report(character, rig, context.out, symmetric=symmetric)


def build_rig(vertices: np.ndarray, faces: np.ndarray, settings: GeometricSettings | None = None) -> tuple[Rig, bool]:
    """A rig for any triangle soup, and whether it is symmetric.

    Args:
        vertices: Positions [V, 3], any unit, Y up.
        faces: Triangles [F, 3].
        settings: See `GeometricSettings`.
    """
    settings = settings or GeometricSettings()
    form = _form(vertices, faces, settings)
    skeleton = _skeleton(form.body, form.graph, form.plane, settings).into(form.body)
    segments = [
        np.stack([np.stack([head, tail]), *reach])
        for head, tail, reach in zip(skeleton.heads, skeleton.tails, skeleton.reach, strict=True)
    ]
    weights = _weights(form, segments)
    kept = skeleton.moving(weights)
    number = np.full(len(skeleton.parents) + 1, -1)  # the last is for -1, the parent of the root
    number[kept] = np.arange(len(kept))
    to_plane = form.to_plane
    heads, tails = (
        (np.stack(ends)[kept] - to_plane[:3, 3]) @ to_plane[:3, :3] * form.scale
        for ends in (skeleton.heads, skeleton.tails)
    )
    rig = Rig(
        names=tuple(f"joint_{index}" for index in range(len(heads))),
        parents=number[np.array(skeleton.parents)[kept]].astype(np.int32),
        rest_world=bone_frames(heads, tails),
        tails=tails.astype(np.float32),
        weights=weights[:, kept] / weights[:, kept].sum(1, keepdims=True),
        backend="geometric",
    )
    return named(rig, vertices), form.plane is not None


def skin(
    vertices: np.ndarray,
    faces: np.ndarray,
    heads: np.ndarray,
    tails: np.ndarray,
    parents: np.ndarray,
    settings: GeometricSettings | None = None,
) -> np.ndarray:
    """Weights of a skeleton that is given: the heat through the body from its bones.

    A joint's bones run from its head to the heads of its children, a leaf's to its tail. What of a bone runs outside
    of the body warms nothing, unless all of it does: then it warms the nearest of the body.

    Args:
        vertices: Positions [V, 3], any unit, Y up.
        faces: Triangles [F, 3].
        heads: Joints [J, 3], in the unit of the vertices.
        tails: Ends of bones [J, 3]; only those of leaves count.
        parents: Parent of each joint [J], -1 for roots, of which there may be several.
        settings: See `GeometricSettings`.

    Returns:
        [V, J] float32, rows sum to one, at most 8 non-zero a row.
    """
    form = _form(vertices, faces, settings or GeometricSettings())
    near = cKDTree(form.body.points(np.argwhere(form.body.real)))
    heads, tails = (form.place(points) for points in (heads, tails))
    segments = []
    for joint in range(len(parents)):
        below = np.flatnonzero(np.asarray(parents) == joint)
        stops = heads[below] if len(below) else tails[[joint]]
        segments.append(_within(near, form.body.spacing, np.stack([heads[[joint] * len(stops)], stops], axis=1)))
    return _weights(form, segments)


@dataclass(frozen=True, kw_only=True)
class _Form:
    """A mesh made ready: in a box of diagonal one, whatever its unit, and in the frame of its mirror plane."""

    scale: float  # the mesh's diagonal, in its unit
    twin: np.ndarray  # [V] welded point of each vertex
    corners: np.ndarray  # [F, 3] faces on the welded points
    plane: MirrorPlane | None
    to_plane: np.ndarray  # [4, 4] float64, rigid
    points: np.ndarray  # [W, 3] welded points
    body: VoxelBody
    graph: CellGraph

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 3] of the mesh in the form's frame."""
        return points.astype(np.float64) / self.scale @ self.to_plane[:3, :3].T + self.to_plane[:3, 3]


def _form(vertices: np.ndarray, faces: np.ndarray, settings: GeometricSettings) -> _Form:
    scale = float(np.linalg.norm(np.ptp(vertices.astype(np.float64), axis=0)))
    if not (np.isfinite(scale) and scale > 0.0 and len(faces)):
        raise InputError("the character has no extent", do="give a mesh with at least one face")
    welded, twin = np.unique(vertices.astype(np.float64) / scale, axis=0, return_inverse=True)
    twin = twin.ravel()
    corners = twin[faces]
    plane = find_mirror_plane(welded, corners) if settings.symmetry == "auto" else None
    to_plane = np.eye(4) if plane is None else plane.to_plane
    points = welded @ to_plane[:3, :3].T + to_plane[:3, 3]
    body = voxelise(points, corners, target=settings.voxels, mirrored=plane is not None)
    return _Form(
        scale=scale, twin=twin, corners=corners, plane=plane, to_plane=to_plane, points=points, body=body,
        graph=CellGraph.of(body),
    )  # fmt: skip


def bone_frames(heads: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Rest frames of bones from heads [J, 3] to tails [J, 3]: +Y along the bone, +Z near the world's. [J, 4, 4]"""
    along = tails - heads
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    front = np.tile([0.0, 0.0, 1.0], (len(heads), 1))
    front[np.abs(along[:, 2]) > 0.9] = [0.0, 1.0, 0.0]  # a bone that points to the front turns its +Z up
    side = np.cross(along, front)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    frames = np.tile(np.eye(4), (len(heads), 1, 1))
    frames[:, :3, :3] = np.stack([side, along, np.cross(side, along)], axis=-1)
    frames[:, :3, 3] = heads
    return frames


def _skeleton(body: VoxelBody, graph: CellGraph, plane: MirrorPlane | None, settings: GeometricSettings) -> Skeleton:
    middle = None if plane is None else body.mask.shape[0] // 2
    centres = body.points(graph.cells)
    diagonal = float(np.linalg.norm(np.ptp(centres, axis=0))) + body.spacing
    floor = float(centres[:, 1].min())
    coarseness, skeleton = 1.0, None
    for _ in range(8):
        tree = curve_tree(graph, min_length=settings.min_length * coarseness * diagonal, middle=middle)
        branches = branch_tree(tree, body.points(tree.cells))
        if sum(branch.length for branch in branches.branches) < 0.3 * diagonal:
            return axis_skeleton(centres, graph.depth)
        parts = body_tree(branches, mirrored=plane is not None)
        skeleton = place_joints(anatomy_of(straightened(parts, body), diagonal, floor), diagonal)
        if len(skeleton.heads) < 2:
            return axis_skeleton(centres, graph.depth)
        if len(skeleton.heads) <= settings.max_joints:
            break
        coarseness *= 1.3
    assert skeleton is not None
    return skeleton


def _weights(form: _Form, segments: list[np.ndarray]) -> np.ndarray:
    """Weights of the mesh's vertices [V, J] for the segments [S, 2, 3] of each joint."""
    cells = bone_heat(form.body, form.graph, segments)
    normals = _normals(form.points, form.corners)
    weights = sample_cells(form.body, form.graph, cells, form.points, normals)
    weights = smoothed(weights, form.points, form.corners, reach=_CLOSE * form.body.spacing)
    return keep_largest(without_tails(rigid_parts(weights, form.points, form.corners)))[form.twin]


def _within(near: cKDTree, spacing: float, segments: np.ndarray) -> np.ndarray:
    """The pieces of segments [S, 2, 3] beside the body's cells, or all of them where none is. [P, 2, 3]"""
    pieces = []
    for start, stop in segments:
        share = np.linspace(0.0, 1.0, max(int(np.ceil(2.0 * np.linalg.norm(stop - start) / spacing)), 1) + 1)[:, None]
        knots = start + share * (stop - start)
        pieces.append(np.stack([knots[:-1], knots[1:]], axis=1))
    cut = np.concatenate(pieces)
    inside = near.query(cut.mean(1))[0] <= spacing
    return cut[inside] if inside.any() else segments


def _normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted vertex normals, zero where there are none. [V, 3]"""
    normal = face_normals(points, faces)
    total = np.zeros_like(points)
    for corner in range(3):
        np.add.at(total, faces[:, corner], normal)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0.0, total / np.where(length > 0.0, length, 1.0), 0.0)
