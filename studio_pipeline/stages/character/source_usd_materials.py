"""UsdPreviewSurface -> `Material`: its diffuse colour, flat or from one texture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from studio_pipeline.geometry.gltf.files import MissingFileError
from studio_pipeline.stages.character.model import Material, Model, Texture
from studio_pipeline.stages.character.source_usd_files import asset_bytes

__all__ = ["UsdMaterial", "UsdMaterials"]

_WRAPS = {"mirror": "mirror", "clamp": "clamp", "black": "clamp"}
_GREY = 0.18  # what UsdPreviewSurface shows when nothing is said


@dataclass(frozen=True)
class UsdMaterial:
    """A material and which primvar its texture reads."""

    material: Material
    bound: bool  # False: the mesh has no material, its display colour counts
    uv_primvar: str = "st"
    scale: tuple[float, float] = (1.0, 1.0)
    rotation: float = 0.0  # [rad]
    translation: tuple[float, float] = (0.0, 0.0)

    def transform_uv(self, uv: np.ndarray) -> np.ndarray:
        """UsdTransform2d: scale, rotate counter-clockwise, translate. [n, 2]"""
        cosine, sine = np.cos(self.rotation), np.sin(self.rotation)
        u, v = uv[:, 0] * self.scale[0], uv[:, 1] * self.scale[1]
        return np.stack([cosine * u - sine * v, sine * u + cosine * v], axis=1) + self.translation


class UsdMaterials:
    """Reads each material once and divides meshes by their subsets."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._known: dict[str, UsdMaterial] = {}

    def split(self, prim: Any, face_count: int) -> list[tuple[UsdMaterial, np.ndarray]]:
        """The mesh's faces by material: subsets first, then what is left. [(material, faces)]"""
        from pxr import UsdGeom, UsdShade

        left = np.ones(face_count, dtype=bool)
        result = []
        for subset in UsdGeom.Subset.GetAllGeomSubsets(UsdGeom.Imageable(prim)):
            if subset.GetElementTypeAttr().Get() != UsdGeom.Tokens.face:
                continue
            if not UsdShade.MaterialBindingAPI(subset.GetPrim()).ComputeBoundMaterial()[0]:
                continue
            faces = np.unique(np.asarray(subset.GetIndicesAttr().Get() or [], dtype=np.int64))
            faces = faces[(faces >= 0) & (faces < face_count)]
            faces = faces[left[faces]]
            left[faces] = False
            if len(faces):
                result.append((self._bound(subset.GetPrim()), faces))
        if left.any():
            result.append((self._bound(prim), np.flatnonzero(left)))
        return result

    def _bound(self, prim: Any) -> UsdMaterial:
        from pxr import UsdGeom, UsdShade

        material = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()[0]
        double = UsdGeom.Gprim(prim).GetDoubleSidedAttr().Get() if prim.IsA(UsdGeom.Gprim) else False
        if not material:
            return UsdMaterial(Material(name="display color", double_sided=bool(double)), bound=False)
        key = f"{material.GetPath()} {bool(double)}"
        if key not in self._known:
            self._known[key] = self._read(material, bool(double))
        return self._known[key]

    def _read(self, material: Any, double: bool) -> UsdMaterial:
        name = material.GetPrim().GetName()
        shader = material.ComputeSurfaceSource()[0]
        if not shader or shader.GetIdAttr().Get() != "UsdPreviewSurface":
            self.model.warnings.append(f"material {name!r}: no UsdPreviewSurface, shown grey")
            return UsdMaterial(Material(name, (_GREY, _GREY, _GREY, 1.0), double_sided=double), bound=True)
        diffuse = shader.GetInput("diffuseColor")
        source = _connected(diffuse)
        opacity = shader.GetInput("opacity").Get() if shader.GetInput("opacity") else None
        alpha = float(np.clip(1.0 if opacity is None else opacity, 0.0, 1.0))
        mode = "BLEND" if alpha < 1.0 else "OPAQUE"
        if source is not None and source.GetIdAttr().Get() == "UsdUVTexture":
            return self._textured(source, name, alpha, mode, double)
        value = diffuse.Get() if diffuse else None
        color = np.clip(np.nan_to_num([_GREY] * 3 if value is None else np.asarray(value, dtype=float)), 0.0, 1.0)
        red, green, blue = color.tolist()
        return UsdMaterial(Material(name, (red, green, blue, alpha), None, mode, double_sided=double), bound=True)

    def _textured(self, source: Any, name: str, alpha: float, mode: str, double: bool) -> UsdMaterial:
        where = f"{self.model.path}: {source.GetPath()}"
        file = source.GetInput("file").Get() if source.GetInput("file") else None
        texture = None
        if file is not None and file.path:
            try:
                stack = source.GetInput("file").GetAttr().GetPropertyStack()
                data = asset_bytes(self.model.path, file, stack[0].layer if stack else None, where)
                wrap = tuple(_WRAPS.get(_token(source, key), "repeat") for key in ("wrapS", "wrapT"))
                texture = Texture(data, where, wrap)  # type: ignore[arg-type]
            except MissingFileError as error:
                self.model.warnings.append(f"{error.what}: shown without that texture")
        material = Material(name, (1.0, 1.0, 1.0, alpha), texture, mode, double_sided=double)
        reader, change = _connected(source.GetInput("st")), {}
        if reader is not None and reader.GetIdAttr().Get() == "UsdTransform2d":
            change = {
                "scale": _pair(reader, "scale", (1.0, 1.0)),
                "rotation": float(np.radians(_number(reader, "rotation"))),
                "translation": _pair(reader, "translation", (0.0, 0.0)),
            }
            reader = _connected(reader.GetInput("in"))
        primvar = _token(reader, "varname") if reader is not None else ""
        return UsdMaterial(material, True, primvar or "st", **change)


def _connected(given: Any) -> Any:
    """The shader that feeds an input, None when nothing does."""
    from pxr import UsdShade

    if not given or not given.HasConnectedSource():
        return None
    return UsdShade.Shader(given.GetConnectedSource()[0].GetPrim())


def _resolved(shader: Any, key: str) -> Any:
    given = shader.GetInput(key)
    if not given:
        return None
    attributes = given.GetValueProducingAttributes()
    return attributes[0].Get() if attributes else None


def _token(shader: Any, key: str) -> str:
    value = _resolved(shader, key)
    return "" if value is None else str(value)


def _number(shader: Any, key: str) -> float:
    value = _resolved(shader, key)
    return float(value) if value is not None and np.isfinite(value) else 0.0


def _pair(shader: Any, key: str, default: tuple[float, float]) -> tuple[float, float]:
    value = _resolved(shader, key)
    return default if value is None else (float(value[0]), float(value[1]))
