"""Backend `ftetwild`: the skin is closed on a voxel grid, filled by fTetWild (Hu et al. 2020) and bound to the rig.

Meshes of the wild are open, overlapping and in many parts, and fTetWild may run for minutes on them or lose
their thin parts. It gets a closed surface instead: the level set of the distance to the skin, sheets and needles
thickened to about two cells, parts closer than `_BRIDGE` of the diagonal joined, and thinned out to `_FACES` triangles,
which halves the mesher's time. All of it happens in a box of diagonal one, so that units change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.envelope import envelope_surface
from studio_pipeline.geometry.tetmesh import embed_points
from studio_pipeline.geometry.voxels import oriented_faces, voxelise
from studio_pipeline.schema.records import Character, Rig, Solid
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.solid.binding import bind_tets, carry_weights
from studio_pipeline.stages.solid.meshing import tetrahedralise
from studio_pipeline.stages.solid.report import Measured, report
from studio_pipeline.stages.solid.settings import SolidSettings

__all__ = ["BuiltSolid", "build_solid", "run"]

_BRIDGE = 0.05  # of the diagonal: separate parts closer than this become one body
_OFFSET = 0.35  # of epsilon: fTetWild cuts the corners of round surfaces, this gives the volume back
_FACES = 6000  # triangles of the closed surface, at most: far finer than the tetrahedra that are wanted


@dataclass(frozen=True)
class BuiltSolid:
    """A solid and what was measured while making it."""

    solid: Solid
    measured: Measured


def run(context: StageContext) -> StageResult:
    """Make the solid of the stage's character and rig."""
    character = Character.load(context.inputs["character"])
    rig = Rig.load(context.inputs["rig"])
    built = build_solid(character, rig, context.settings, context.progress)
    built.solid.save(context.out)
    context.progress(0.9, "checks and preview")
    return report(character, rig, built.solid, built.measured, context.out)


def build_solid(character: Character, rig: Rig, settings: SolidSettings | None = None, progress=None) -> BuiltSolid:
    """Fill a character with tetrahedra and bind them.

    Args:
        character: The skin.
        rig: Joints and weights.
        settings: See `SolidSettings`.
        progress: Called with a fraction and a message.

    Raises:
        InputError: No attempt gave tetrahedra.
    """
    settings = settings or SolidSettings()
    scale = character.diagonal
    skin = character.vertices.astype(np.float64) / scale
    welded, twin = np.unique(skin, axis=0, return_inverse=True)
    faces = oriented_faces(welded, twin.ravel()[character.faces])
    body = voxelise(welded, faces, cells=settings.cells, longest_bridge=_BRIDGE)
    surface, triangles = envelope_surface(welded, faces, body, offset=_OFFSET * settings.epsilon)
    surface, triangles = _thinned(surface, triangles)
    mesh = tetrahedralise(surface, triangles, settings, progress)
    if progress:
        progress(0.75, "binding")
    # The solid is kept in float32 metres: bind to what is kept.
    vertices = (mesh.vertices * scale).astype(np.float32)
    points = vertices.astype(np.float64) / scale
    carrier, coordinates, distance = embed_points(points, mesh.tets, skin)
    weights = carry_weights(points, mesh.tets, skin, character.faces, rig.weights)
    heads, tails = rig.heads / scale, rig.tails.astype(np.float64) / scale
    joints = bind_tets(points, mesh.tets, weights, heads, tails, rig.parents)
    solid = Solid(
        vertices=vertices,
        tets=mesh.tets.astype(np.int32),
        surface_tets=carrier.astype(np.int32),
        surface_barycentrics=coordinates.astype(np.float32),
        tet_joints=joints,
        vertex_weights=weights,
    )
    volume = float(body.solid.sum()) * body.spacing**3 * scale**3
    return BuiltSolid(solid, Measured(mesh.attempts, mesh.reproducible, distance * scale, volume))


def _thinned(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A closed surface with at most `_FACES` triangles, flat places first (Garland and Heckbert 1997)."""
    import igl

    if len(faces) <= _FACES:
        return vertices, faces
    points, triangles = igl.qslim(np.asfortranarray(vertices), np.asfortranarray(faces, dtype=np.int32), _FACES)[:2]
    if len(triangles) == 0 or not np.isfinite(points).all():
        return vertices, faces  # a surface that isn't manifold may come back empty
    return np.ascontiguousarray(points), np.ascontiguousarray(triangles, dtype=np.int64)
