"""The character itself in a USD: surface, material, skeleton and skin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.stages.character.source_usd_skel import JOINT_NAMES
from studio_pipeline.stages.delivery.normals import unit_normals
from studio_pipeline.stages.delivery.scene import RigScene, strongest_influences
from studio_pipeline.stages.delivery.texture import bake_tint, has_tint, png_bytes

__all__ = [
    "USD_INFLUENCES",
    "UsdSurface",
    "extent_of",
    "identifier",
    "joint_names",
    "joint_paths",
    "skinned_mesh",
    "surface_of",
]

USD_INFLUENCES = 8


def surface_of(stage: Any, root: Any, scene: RigScene, folder: Path, texture: str) -> UsdSurface:
    """Write the texture to ``folder / texture``, add the material below the prim path ``root`` and give both."""
    (folder / texture).parent.mkdir(exist_ok=True)
    picture, corner_uv = bake_tint(scene.character) if has_tint(scene.character) else (scene.character.atlas, None)
    (folder / texture).write_bytes(png_bytes(picture))
    return UsdSurface(scene=scene, material=_material(stage, root, f"./{texture}"), corner_uv=corner_uv)


def joint_paths(names: tuple[str, ...], parents: np.ndarray) -> list[str]:
    """UsdSkel's joint tokens: each joint's valid, unique name behind its parent's path."""
    taken: set[str] = set()
    paths: list[str] = []
    for name, parent in zip(names, parents, strict=True):
        valid = plain = identifier(name)
        number = 1
        while valid in taken:
            number += 1
            valid = f"{plain}_{number}"
        taken.add(valid)
        paths.append(valid if parent < 0 else f"{paths[parent]}/{valid}")
    return paths


def joint_names(names: tuple[str, ...], parents: np.ndarray) -> str:
    """JSON from the last parts of `joint_paths` to the names; empty where they are the same."""
    plain = [path.rsplit("/", 1)[-1] for path in joint_paths(names, parents)]
    return "" if plain == list(names) else json.dumps(dict(zip(plain, names, strict=True)), ensure_ascii=False)


@dataclass(frozen=True)
class UsdSurface:
    """What all meshes of one character share."""

    scene: RigScene
    material: Any  # UsdShade.Material
    corner_uv: np.ndarray | None  # [F, 3, 2] when the texture was baked

    def mesh(self, stage: Any, path: Any) -> Any:
        """A mesh with topology, texture coordinates and material; its points are left to the variant."""
        from pxr import Sdf, UsdGeom, UsdShade, Vt

        character = self.scene.character
        mesh = UsdGeom.Mesh.Define(stage, path)
        mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
        mesh.CreateOrientationAttr(UsdGeom.Tokens.rightHanded)
        mesh.CreateDoubleSidedAttr(character.double_sided)
        mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(character.faces), 3, dtype=np.int32)))
        mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(character.faces.astype(np.int32).reshape(-1)))
        uv = character.uv if self.corner_uv is None else self.corner_uv.reshape(-1, 2)
        kind = UsdGeom.Tokens.vertex if self.corner_uv is None else UsdGeom.Tokens.faceVarying
        st = np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1).astype(np.float32)
        primvars = UsdGeom.PrimvarsAPI(mesh)
        primvars.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, kind).Set(Vt.Vec2fArray.FromNumpy(st))
        UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(self.material)
        return mesh


def _material(stage: Any, root: Any, texture: str) -> Any:
    from pxr import Sdf, UsdGeom, UsdShade

    looks = UsdGeom.Scope.Define(stage, root.AppendChild("Looks")).GetPath()
    material = UsdShade.Material.Define(stage, looks.AppendChild("albedo"))
    path, types = material.GetPath(), Sdf.ValueTypeNames
    surface = UsdShade.Shader.Define(stage, path.AppendChild("surface"))
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("roughness", types.Float).Set(1.0)
    surface.CreateInput("metallic", types.Float).Set(0.0)
    reader = UsdShade.Shader.Define(stage, path.AppendChild("st"))
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", types.String).Set("st")
    picture = UsdShade.Shader.Define(stage, path.AppendChild("picture"))
    picture.CreateIdAttr("UsdUVTexture")
    picture.CreateInput("file", types.Asset).Set(Sdf.AssetPath(texture))
    picture.CreateInput("sourceColorSpace", types.Token).Set("sRGB")
    picture.CreateInput("wrapS", types.Token).Set("repeat")
    picture.CreateInput("wrapT", types.Token).Set("repeat")
    picture.CreateInput("st", types.Float2).ConnectToSource(reader.CreateOutput("result", types.Float2))
    color = picture.CreateOutput("rgb", types.Float3)
    surface.CreateInput("diffuseColor", types.Color3f).ConnectToSource(color)
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", types.Token))
    return material


def skinned_mesh(stage: Any, body: Any, surface: UsdSurface) -> tuple[Any, Any]:
    """Add the rest surface, the skeleton and the skin between them below the SkelRoot ``body``; gives both prims."""
    from pxr import UsdGeom, UsdSkel, Vt

    scene = surface.scene
    mesh = surface.mesh(stage, body.GetPath().AppendChild("Body"))
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(scene.file_vertices))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(unit_normals(scene.character.normals)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateExtentAttr(extent_of(scene.file_vertices))
    joints, weights = strongest_influences(scene.rig.weights, USD_INFLUENCES)
    used = max(1, int((weights > 0.0).sum(1).max()))
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    joints, weights = joints[:, :used].reshape(-1), weights[:, :used].astype(np.float32).reshape(-1)
    binding.CreateJointIndicesPrimvar(False, used).Set(Vt.IntArray.FromNumpy(joints))
    binding.CreateJointWeightsPrimvar(False, used).Set(Vt.FloatArray.FromNumpy(weights))
    skeleton = _skeleton(stage, body.GetPath(), scene)
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    return mesh, skeleton


def _skeleton(stage: Any, root: Any, scene: RigScene) -> Any:
    from pxr import Gf, Sdf, UsdSkel, Vt

    paths = joint_paths(scene.rig.names, scene.rig.parents)
    skeleton = UsdSkel.Skeleton.Define(stage, root.AppendChild("Skeleton"))
    skeleton.CreateJointsAttr(paths)
    skeleton.CreateJointNamesAttr(list(scene.rig.names))
    if names := joint_names(scene.rig.names, scene.rig.parents):
        # Blender knows no jointNames but keeps user properties of the SkelRoot: by these the names come back.
        stage.GetPrimAtPath(root).CreateAttribute(JOINT_NAMES, Sdf.ValueTypeNames.String).Set(names)
    skeleton.CreateBindTransformsAttr(
        Vt.Matrix4dArray([Gf.Matrix4d(matrix.T.tolist()) for matrix in scene.file_rest_world])
    )
    skeleton.CreateRestTransformsAttr(
        Vt.Matrix4dArray([Gf.Matrix4d(matrix.T.tolist()) for matrix in scene.file_rest_local])
    )
    return skeleton


def extent_of(points: np.ndarray) -> Any:
    """Bounds of points [N, 3] as USD wants them."""
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.stack([points.min(0), points.max(0)]).astype(np.float32))


def identifier(name: str) -> str:
    """``name`` as a valid prim name."""
    from pxr import Tf

    return Tf.MakeValidIdentifier(name)
