"""The shot as one USD crate: material, camera, and a variant set that holds skinning or the refined points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from studio_pipeline import __version__
from studio_pipeline.stages.delivery.normals import moving_normals, unit_normals
from studio_pipeline.stages.delivery.scene import DeliveryScene, strongest_influences
from studio_pipeline.stages.delivery.texture import bake_tint, has_tint, png_bytes

__all__ = ["USD_INFLUENCES", "joint_paths", "write_usd"]

USD_INFLUENCES = 8
SENSOR_HEIGHT_M = 0.024  # film back that the pinhole's angle is told by; a full-frame sensor's height


def write_usd(scene: DeliveryScene, path: Path) -> None:
    """Write ``path`` and ``textures/<shot id>_albedo.png`` beside it.

    Units are the character file's own (``metersPerUnit`` says how long one is), time codes are frame numbers.
    """
    from pxr import Sdf, Usd, UsdGeom

    texture = f"textures/{scene.shot_id}_albedo.png"
    (path.parent / "textures").mkdir(exist_ok=True)
    picture, corner_uv = bake_tint(scene.character) if has_tint(scene.character) else (scene.character.atlas, None)
    (path.parent / texture).write_bytes(png_bytes(picture))

    stage = Usd.Stage.CreateInMemory()
    _describe(stage, scene)
    root = UsdGeom.Xform.Define(stage, Sdf.Path(f"/{_identifier(scene.shot_id)}"))
    Usd.ModelAPI(root).SetKind("component")
    stage.SetDefaultPrim(root.GetPrim())
    material = _material(stage, root.GetPath(), f"./{texture}")
    _camera(stage, root.GetPath().AppendChild("shot_camera"), scene)

    surface = _Surface(scene=scene, material=material, corner_uv=corner_uv)
    motion = root.GetPrim().GetVariantSets().AddVariantSet("motion")
    for name, author in (("skinned", _skinned), ("refined", _refined)):
        motion.AddVariant(name)
        motion.SetVariantSelection(name)
        with motion.GetVariantEditContext():
            author(stage, root.GetPath(), surface)
    motion.SetVariantSelection("refined")
    if not stage.GetRootLayer().Export(str(path)):
        raise OSError(f"could not write {path.name}")


def joint_paths(names: tuple[str, ...], parents: np.ndarray) -> list[str]:
    """UsdSkel's joint tokens: each joint's valid, unique name behind its parent's path."""
    taken: set[str] = set()
    paths: list[str] = []
    for name, parent in zip(names, parents, strict=True):
        valid = plain = _identifier(name)
        number = 1
        while valid in taken:
            number += 1
            valid = f"{plain}_{number}"
        taken.add(valid)
        paths.append(valid if parent < 0 else f"{paths[parent]}/{valid}")
    return paths


@dataclass(frozen=True)
class _Surface:
    """What both variants' meshes share."""

    scene: DeliveryScene
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


def _describe(stage: Any, scene: DeliveryScene) -> None:
    from pxr import UsdGeom

    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, scene.character.unit_scale)
    stage.SetTimeCodesPerSecond(float(scene.fps))
    stage.SetFramesPerSecond(float(scene.fps))
    stage.SetStartTimeCode(scene.first_frame)
    stage.SetEndTimeCode(scene.last_frame)
    stage.GetRootLayer().customLayerData = {
        "generator": f"studio_pipeline {__version__}",
        "shot": scene.shot_id,
        "fps": str(scene.fps),
        "cut_first_frame": scene.frames[0],
        "cut_last_frame": scene.frames[1],
        "handles": scene.handles,
    }


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


def _camera(stage: Any, path: Any, scene: DeliveryScene) -> None:
    from pxr import Gf, UsdGeom

    camera = UsdGeom.Camera.Define(stage, path)
    camera.CreateProjectionAttr(UsdGeom.Tokens.perspective)
    # Film back and focal length are in tenths of a scene unit.
    film = SENSOR_HEIGHT_M * scene.units_per_metre * 10.0
    camera.CreateVerticalApertureAttr(film)
    camera.CreateHorizontalApertureAttr(film * scene.camera.width / scene.camera.height)
    camera.CreateClippingRangeAttr(Gf.Vec2f(*scene.file_clipping))
    focal = camera.CreateFocalLengthAttr()
    lens = film * scene.camera.focal / scene.camera.height
    if scene.camera_zooms:
        for index, length in enumerate(lens):
            focal.Set(float(length), scene.first_frame + index)
    else:
        focal.Set(float(lens[0]))
    place = camera.AddTransformOp()
    if scene.camera_moves:
        for index, matrix in enumerate(scene.file_camera):
            place.Set(Gf.Matrix4d(matrix.T.tolist()), scene.first_frame + index)
    else:
        place.Set(Gf.Matrix4d(scene.file_camera[0].T.tolist()))


def _skinned(stage: Any, root: Any, surface: _Surface) -> None:
    from pxr import UsdGeom, UsdSkel, Vt

    scene = surface.scene
    body = UsdSkel.Root.Define(stage, root.AppendChild("Skinned"))
    mesh = surface.mesh(stage, body.GetPath().AppendChild("Body"))
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(scene.file_vertices))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(unit_normals(scene.character.normals)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateExtentAttr(_extent(scene.file_vertices))
    joints, weights = strongest_influences(scene.rig.weights, USD_INFLUENCES)
    used = max(1, int((weights > 0.0).sum(1).max()))
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    joints, weights = joints[:, :used].reshape(-1), weights[:, :used].astype(np.float32).reshape(-1)
    binding.CreateJointIndicesPrimvar(False, used).Set(Vt.IntArray.FromNumpy(joints))
    binding.CreateJointWeightsPrimvar(False, used).Set(Vt.FloatArray.FromNumpy(weights))
    skeleton, animation = _skeleton(stage, body.GetPath(), scene)
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    _skin_extents(stage, body, mesh, scene)


def _skeleton(stage: Any, root: Any, scene: DeliveryScene) -> tuple[Any, Any]:
    from pxr import Gf, UsdSkel, Vt

    names = joint_paths(scene.rig.names, scene.rig.parents)
    skeleton = UsdSkel.Skeleton.Define(stage, root.AppendChild("Skeleton"))
    skeleton.CreateJointsAttr(names)
    skeleton.CreateJointNamesAttr(list(scene.rig.names))
    skeleton.CreateBindTransformsAttr(
        Vt.Matrix4dArray([Gf.Matrix4d(matrix.T.tolist()) for matrix in scene.file_rest_world])
    )
    skeleton.CreateRestTransformsAttr(
        Vt.Matrix4dArray([Gf.Matrix4d(matrix.T.tolist()) for matrix in scene.file_rest_local])
    )
    animation = UsdSkel.Animation.Define(stage, root.AppendChild("Motion"))
    animation.CreateJointsAttr(names)
    animation.CreateScalesAttr(Vt.Vec3hArray(len(names), Gf.Vec3h(1.0, 1.0, 1.0)))
    places, turns = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    for index, local in enumerate(scene.file_joint_local):
        x, y, z, w = Rotation.from_matrix(local[:, :3, :3]).as_quat(canonical=True).T
        places.Set(Vt.Vec3fArray.FromNumpy(local[:, :3, 3].astype(np.float32)), scene.first_frame + index)
        quaternions = [Gf.Quatf(*map(float, q)) for q in zip(w, x, y, z, strict=True)]
        turns.Set(Vt.QuatfArray(quaternions), scene.first_frame + index)
    return skeleton, animation


def _skin_extents(stage: Any, body: Any, mesh: Any, scene: DeliveryScene) -> None:
    """Bounds of the moving character on the root: readers must not have to skin to know them."""
    from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms

    transforms = skinning_transforms(scene.rig, scene.motion)
    extent = body.CreateExtentAttr()
    for index in range(scene.frame_count):
        posed = pose_vertices(scene.character.vertices, scene.rig.weights, transforms[index : index + 1])[0]
        extent.Set(_extent(posed * scene.units_per_metre), scene.first_frame + index)


def _refined(stage: Any, root: Any, surface: _Surface) -> None:
    from pxr import UsdGeom, Vt

    scene = surface.scene
    group = UsdGeom.Xform.Define(stage, root.AppendChild("Refined"))
    mesh = surface.mesh(stage, group.GetPath().AppendChild("Body"))
    points, normals, extent = mesh.CreatePointsAttr(), mesh.CreateNormalsAttr(), mesh.CreateExtentAttr()
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    moving = moving_normals(scene.character, scene.cache.points)
    for index, posed in enumerate(scene.file_points):
        code = scene.first_frame + index
        points.Set(Vt.Vec3fArray.FromNumpy(posed), code)
        normals.Set(Vt.Vec3fArray.FromNumpy(moving[index]), code)
        extent.Set(_extent(posed), code)


def _extent(points: np.ndarray) -> Any:
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.stack([points.min(0), points.max(0)]).astype(np.float32))


def _identifier(name: str) -> str:
    from pxr import Tf

    return Tf.MakeValidIdentifier(name)
