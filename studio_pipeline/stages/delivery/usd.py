"""The shot as one USD crate: material, camera, and a variant set that holds skinning or the refined points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from studio_pipeline import __version__
from studio_pipeline.stages.delivery.normals import moving_normals
from studio_pipeline.stages.delivery.scene import DeliveryScene
from studio_pipeline.stages.delivery.usd_body import (
    UsdSurface,
    extent_of,
    identifier,
    joint_paths,
    skinned_mesh,
    surface_of,
)

__all__ = ["write_usd"]

SENSOR_HEIGHT_M = 0.024  # film back that the pinhole's angle is told by; a full-frame sensor's height


def write_usd(scene: DeliveryScene, path: Path) -> None:
    """Write ``path`` and ``textures/<shot id>_albedo.png`` beside it.

    Units are the character file's own (``metersPerUnit`` says how long one is), time codes are frame numbers.
    """
    from pxr import Sdf, Usd, UsdGeom

    stage = Usd.Stage.CreateInMemory()
    _describe(stage, scene)
    root = UsdGeom.Xform.Define(stage, Sdf.Path(f"/{identifier(scene.shot_id)}"))
    Usd.ModelAPI(root).SetKind("component")
    stage.SetDefaultPrim(root.GetPrim())
    _camera(stage, root.GetPath().AppendChild("shot_camera"), scene)

    surface = surface_of(stage, root.GetPath(), scene, path.parent, f"textures/{scene.shot_id}_albedo.png")
    motion = root.GetPrim().GetVariantSets().AddVariantSet("motion")
    for name, author in (("skinned", _skinned), ("refined", _refined)):
        motion.AddVariant(name)
        motion.SetVariantSelection(name)
        with motion.GetVariantEditContext():
            author(stage, root.GetPath(), surface, scene)
    motion.SetVariantSelection("refined")
    if not stage.GetRootLayer().Export(str(path)):
        raise OSError(f"could not write {path.name}")


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


def _skinned(stage: Any, root: Any, surface: UsdSurface, scene: DeliveryScene) -> None:
    from pxr import UsdSkel

    body = UsdSkel.Root.Define(stage, root.AppendChild("Skinned"))
    mesh, skeleton = skinned_mesh(stage, body, surface)
    animation = _animation(stage, body.GetPath(), scene)
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    _skin_extents(stage, body, mesh, scene)


def _animation(stage: Any, root: Any, scene: DeliveryScene) -> Any:
    from pxr import Gf, UsdSkel, Vt

    names = joint_paths(scene.rig.names, scene.rig.parents)
    animation = UsdSkel.Animation.Define(stage, root.AppendChild("Motion"))
    animation.CreateJointsAttr(names)
    animation.CreateScalesAttr(Vt.Vec3hArray(len(names), Gf.Vec3h(1.0, 1.0, 1.0)))
    places, turns = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    for index, local in enumerate(scene.file_joint_local):
        x, y, z, w = Rotation.from_matrix(local[:, :3, :3]).as_quat(canonical=True).T
        places.Set(Vt.Vec3fArray.FromNumpy(local[:, :3, 3].astype(np.float32)), scene.first_frame + index)
        quaternions = [Gf.Quatf(*map(float, q)) for q in zip(w, x, y, z, strict=True)]
        turns.Set(Vt.QuatfArray(quaternions), scene.first_frame + index)
    return animation


def _skin_extents(stage: Any, body: Any, mesh: Any, scene: DeliveryScene) -> None:
    """Bounds of the moving character on the root: readers must not have to skin to know them."""
    from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms

    transforms = skinning_transforms(scene.rig, scene.motion)
    extent = body.CreateExtentAttr()
    for index in range(scene.frame_count):
        posed = pose_vertices(scene.character.vertices, scene.rig.weights, transforms[index : index + 1])[0]
        extent.Set(extent_of(posed * scene.units_per_metre), scene.first_frame + index)


def _refined(stage: Any, root: Any, surface: UsdSurface, scene: DeliveryScene) -> None:
    from pxr import UsdGeom, Vt

    group = UsdGeom.Xform.Define(stage, root.AppendChild("Refined"))
    mesh = surface.mesh(stage, group.GetPath().AppendChild("Body"))
    points, normals, extent = mesh.CreatePointsAttr(), mesh.CreateNormalsAttr(), mesh.CreateExtentAttr()
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    moving = moving_normals(scene.character, scene.cache.points)
    for index, posed in enumerate(scene.file_points):
        code = scene.first_frame + index
        points.Set(Vt.Vec3fArray.FromNumpy(posed), code)
        normals.Set(Vt.Vec3fArray.FromNumpy(moving[index]), code)
        extent.Set(extent_of(posed), code)
