"""USD (usda, usdc, usdz) -> `Model`: meshes, UsdPreviewSurface colours and UsdSkel rigs at rest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.geometry.meshes import corner_faces, unify_corners
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character.model import MAX_FACES, MAX_VERTICES, Model, Part, clean_part
from studio_pipeline.stages.character.source_usd_files import open_stage, readable
from studio_pipeline.stages.character.source_usd_materials import UsdMaterials
from studio_pipeline.stages.character.source_usd_skel import Skeletons
from studio_pipeline.stages.character.usd_preflight import preflight

__all__ = ["read_model_here", "read_usd"]

MAX_PRIMS = 100_000


def read_usd(path: Path) -> Model:
    """Read the default scene of a USD file; its up axis and its unit are honoured.

    Raises:
        InputError: The file is malformed, composes files outside its folder, or holds no meshes.
    """
    preflight(path)
    return read_model_here(path)


def read_model_here(path: Path) -> Model:
    """`read_usd` without the trial in a process of its own."""
    with readable(path):
        return _read(path)


def _read(path: Path) -> Model:
    from pxr import Usd, UsdGeom

    stage = open_stage(path)
    model = Model(path, ["stage"], np.array([-1], dtype=np.int32), [0], _upright(stage)[None], [])
    model.unit_m = float(UsdGeom.GetStageMetersPerUnit(stage))
    if not math.isfinite(model.unit_m) or model.unit_m <= 0.0:
        raise InputError(f"has metersPerUnit {model.unit_m:g}", where=path, do="set it to a positive number")
    reader = _Reader(model, stage)
    for count, prim in enumerate(Usd.PrimRange(stage.GetPseudoRoot(), Usd.TraverseInstanceProxies())):
        if count > MAX_PRIMS:
            raise InputError(f"has more than {MAX_PRIMS} prims", where=path, do="give the character alone")
        if prim.IsA(UsdGeom.PointInstancer):
            model.warnings.append(f"{prim.GetPath()}: point instances are left out")
        if prim.IsA(UsdGeom.Mesh) and reader.shown(prim):
            reader.add_mesh(prim)
    return model


def _upright(stage: Any) -> np.ndarray:
    from pxr import UsdGeom

    turn = np.eye(4)
    if UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z:
        turn[:3, :3] = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]
    return turn


class _Reader:
    """Turns mesh prims into parts."""

    def __init__(self, model: Model, stage: Any) -> None:
        from pxr import Usd, UsdGeom

        self.model = model
        self.time = Usd.TimeCode.Default()
        self.transforms = UsdGeom.XformCache(self.time)
        self.materials = UsdMaterials(model)
        self.skeletons = Skeletons(model, stage, self.add_node)
        self.vertices = self.faces = 0

    def add_node(self, name: str, parent: int, local: np.ndarray) -> int:
        """Append a node to the model; returns its index."""
        model = self.model
        model.names.append(name)
        model.parents = np.append(model.parents, np.int32(parent))
        model.order.append(len(model.names) - 1)
        model.local = np.concatenate([model.local, local[None]])
        return len(model.names) - 1

    def shown(self, prim: Any) -> bool:
        """Whether a viewer draws the prim: visible, for rendering, and no prototype of instances."""
        from pxr import UsdGeom

        image = UsdGeom.Imageable(prim)
        if image.ComputePurpose() not in (UsdGeom.Tokens.default_, UsdGeom.Tokens.render):
            return False
        above = prim.GetParent()
        while above and not above.IsPseudoRoot():
            if above.IsA(UsdGeom.PointInstancer):
                return False
            above = above.GetParent()
        return image.ComputeVisibility(self.time) != UsdGeom.Tokens.invisible

    def value(self, attribute: Any, dtype: Any, width: int = 0) -> np.ndarray | None:
        """An attribute's default, else its first time sample; None when it has neither."""
        from pxr import Usd

        data = attribute.Get(self.time) if attribute else None
        if data is None and attribute:
            data = attribute.Get(Usd.TimeCode.EarliestTime())
        if data is None:
            return None
        array = np.asarray(data, dtype=dtype)
        return array.reshape(-1, width) if width else array.reshape(-1)

    def add_mesh(self, prim: Any) -> None:
        from pxr import UsdGeom

        mesh = UsdGeom.Mesh(prim)
        where = f"{self.model.path}: {prim.GetPath()}"
        points = self.value(mesh.GetPointsAttr(), np.float64, 3)
        counts = self.value(mesh.GetFaceVertexCountsAttr(), np.int64)
        indices = self.value(mesh.GetFaceVertexIndicesAttr(), np.int64)
        if points is None or counts is None or indices is None or not len(counts):
            return
        self.vertices, self.faces = self.vertices + len(points), self.faces + len(indices)
        if self.vertices > MAX_VERTICES or self.faces > MAX_FACES * 3:
            raise InputError(f"has more than {MAX_VERTICES} points", where=where, do="reduce the mesh")
        if (counts < 0).any() or counts.sum() != len(indices):
            raise InputError("has face counts that don't match its indices", where=where, do="export it again")
        if len(indices) and not (indices.min() >= 0 and indices.max() < len(points)):
            raise InputError("has a face with a point that isn't there", where=where, do="export it again")
        keep = counts >= 3
        polygon = np.repeat(np.arange(len(counts)), counts)
        if not keep.any():
            return
        local = np.array(self.transforms.GetLocalToWorldTransform(prim)).T
        node = self.add_node(prim.GetName(), 0, local)
        surface = _Surface(prim, where, points, counts, indices, polygon)
        for material, faces in self.materials.split(prim, len(counts)):
            chosen = faces[keep[faces]]
            if len(chosen):
                part = self._part(surface, node, material, chosen)
                if (part := clean_part(part, self.model.path)) is not None:
                    self.model.parts.append(part)

    def _part(self, surface: _Surface, node: int, material: Any, faces: np.ndarray) -> Part:
        from pxr import UsdGeom

        prim, primvars = surface.prim, UsdGeom.PrimvarsAPI(surface.prim)
        mesh = UsdGeom.Mesh(prim)
        corners = np.flatnonzero(np.isin(surface.polygon, faces))
        uv_name = material.uv_primvar if material.material.texture is not None else ""
        uv = surface.corner_values(primvars.GetPrimvar(uv_name), 2, self.time) if uv_name else None
        normals = surface.corner_values(primvars.GetPrimvar("normals"), 3, self.time)
        if normals is None:
            attribute = self.value(mesh.GetNormalsAttr(), np.float64, 3)
            normals = surface.spread(attribute, None, mesh.GetNormalsInterpolation())
        colors = None
        if not material.bound:
            colors = surface.corner_values(mesh.GetDisplayColorPrimvar(), 3, self.time)
        columns = [surface.indices[corners]]
        tables = []
        for values in (uv, normals, colors):
            if values is None:
                tables.append(None)
                continue
            table, row = unify_corners(np.ascontiguousarray(values[corners]).view(np.int64))
            columns.append(row)
            tables.append((table.view(np.float64), len(columns) - 1))
        rows, vertex = unify_corners(np.stack(columns, axis=1))
        triangles, _ = corner_faces(surface.counts[np.unique(surface.polygon[corners])], vertex)
        if mesh.GetOrientationAttr().Get() == UsdGeom.Tokens.leftHanded:
            triangles = triangles[:, ::-1]
        uv, normals, colors = (None if t is None else t[0][rows[:, t[1]]] for t in tables)
        if uv is not None:
            uv = material.transform_uv(uv)
        return Part(
            name=prim.GetName(),
            node=node,
            positions=surface.points[rows[:, 0]],
            faces=triangles,
            material=material.material,
            normals=normals,
            uv=None if uv is None else np.nan_to_num(np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1)),
            colors=None if colors is None else np.clip(np.nan_to_num(colors, nan=1.0), 0.0, 1.0),
            binding=self.skeletons.binding(prim, rows[:, 0], len(surface.points), surface.where),
        )


class _Surface:
    """One mesh prim's topology, and primvars spread over its corners. P polygons, C corners."""

    def __init__(
        self, prim: Any, where: str, points: np.ndarray, counts: np.ndarray, indices: np.ndarray, polygon: np.ndarray
    ) -> None:
        self.prim, self.where, self.points = prim, where, points
        self.counts, self.indices, self.polygon = counts, indices, polygon

    def corner_values(self, primvar: Any, width: int, time: Any) -> np.ndarray | None:
        """A primvar's value at every corner [C, width] float64; None when it isn't there or doesn't fit."""
        if not primvar or not primvar.HasValue():
            return None
        values = primvar.Get(time)
        if values is None:
            from pxr import Usd

            values = primvar.Get(Usd.TimeCode.EarliestTime())
        try:
            table = np.asarray(values, dtype=np.float64).reshape(-1, width)
        except (TypeError, ValueError):
            return None
        index = np.asarray(primvar.GetIndices(time) or [], dtype=np.int64) if primvar.IsIndexed() else None
        return self.spread(table, index, primvar.GetInterpolation())

    def spread(self, table: np.ndarray | None, index: np.ndarray | None, interpolation: str) -> np.ndarray | None:
        """Values of an interpolation, one a corner. [C, width]"""
        if table is None or not len(table):
            return None
        rows = {
            "constant": np.zeros(len(self.indices), dtype=np.int64),
            "uniform": self.polygon,
            "vertex": self.indices,
            "varying": self.indices,
            "faceVarying": np.arange(len(self.indices)),
        }.get(str(interpolation))
        if rows is None:
            return None
        if index is not None:
            if not len(index) or rows.max() >= len(index):
                return None
            rows = index[rows]
        if rows.min() < 0 or rows.max() >= len(table):
            return None
        return table[rows]
