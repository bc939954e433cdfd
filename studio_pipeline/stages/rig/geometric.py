"""Backend `geometric`: a skeleton and weights from the shape alone, for any mesh.

The body becomes voxels (closed parts filled, sheets and needles kept, separate parts bridged), medial
paths from its tips make the skeleton, heat through the voxels makes the weights. A body that mirrors
itself gets a skeleton that does. Joint frames: +Y along the bone, +Z as near to the world's +Z as it gets.
"""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.branches import branch_tree
from studio_pipeline.geometry.heat import bone_heat, keep_largest, sample_cells
from studio_pipeline.geometry.meshes import face_normals
from studio_pipeline.geometry.skeletons import CellGraph, curve_tree
from studio_pipeline.geometry.symmetry import MirrorPlane, find_mirror_plane
from studio_pipeline.geometry.voxels import VoxelBody, voxelise
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.rig.joints import Skeleton, axis_skeleton, skeleton_of
from studio_pipeline.stages.rig.naming import joint_names
from studio_pipeline.stages.rig.report import report
from studio_pipeline.stages.rig.settings import GeometricSettings

__all__ = ["bone_frames", "build_rig", "run"]


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
    scale = float(np.linalg.norm(np.ptp(vertices.astype(np.float64), axis=0)))
    if not (np.isfinite(scale) and scale > 0.0 and len(faces)):
        raise InputError("the character has no extent", do="give a mesh with at least one face")
    # Everything happens in a box of diagonal one: the unit of the file changes nothing.
    welded, twin = np.unique(vertices.astype(np.float64) / scale, axis=0, return_inverse=True)
    twin = twin.ravel()
    corners = twin[faces]
    plane = find_mirror_plane(welded, corners) if settings.symmetry == "auto" else None
    to_plane = np.eye(4) if plane is None else plane.to_plane
    points = welded @ to_plane[:3, :3].T + to_plane[:3, 3]
    body = voxelise(points, corners, target=settings.voxels, mirrored=plane is not None)
    graph = CellGraph.of(body)
    skeleton = _skeleton(body, graph, plane, settings).into(body)
    weights = _weights(body, graph, skeleton, points, corners)[twin]
    names = joint_names(skeleton, points, mirrored=plane is not None)
    heads, tails = (
        (np.stack(ends) - to_plane[:3, 3]) @ to_plane[:3, :3] * scale for ends in (skeleton.heads, skeleton.tails)
    )
    rig = Rig(
        names=names,
        parents=np.array(skeleton.parents, dtype=np.int32),
        rest_world=bone_frames(heads, tails),
        tails=tails.astype(np.float32),
        weights=weights,
        backend="geometric",
    )
    return rig, plane is not None


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
    coarseness, skeleton = 1.0, None
    for _ in range(8):
        tree = curve_tree(graph, min_length=settings.min_length * coarseness * diagonal, middle=middle)
        branches = branch_tree(tree, body.points(tree.cells))
        if sum(branch.length for branch in branches.branches) < 0.3 * diagonal:
            return axis_skeleton(centres, graph.depth)
        floor = float(centres[:, 1].min())
        skeleton = skeleton_of(branches, diagonal, floor, mirrored=plane is not None, coarseness=coarseness)
        if len(skeleton.heads) <= settings.max_joints:
            break
        coarseness *= 1.3
    assert skeleton is not None
    return skeleton


def _weights(
    body: VoxelBody, graph: CellGraph, skeleton: Skeleton, points: np.ndarray, faces: np.ndarray
) -> np.ndarray:
    segments = [
        np.stack([np.stack([head, tail]), *reach])
        for head, tail, reach in zip(skeleton.heads, skeleton.tails, skeleton.reach, strict=True)
    ]
    cells = bone_heat(body, graph, segments)
    return keep_largest(sample_cells(body, graph, cells, points, _normals(points, faces)))


def _normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted vertex normals, zero where there are none. [V, 3]"""
    normal = face_normals(points, faces)
    total = np.zeros_like(points)
    for corner in range(3):
        np.add.at(total, faces[:, corner], normal)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0.0, total / np.where(length > 0.0, length, 1.0), 0.0)
