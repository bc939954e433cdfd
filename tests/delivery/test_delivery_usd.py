"""The USD, read by OpenUSD itself: its skinning, its camera, its validators."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from pxr import Gf, Usd, UsdGeom, UsdShade, UsdSkel

from studio_pipeline.geometry.cameras import project
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.stages.delivery.checks import usd_conforms
from studio_pipeline.stages.delivery.usd import write_usd
from studio_pipeline.stages.delivery.usd_body import joint_paths


def written(scene, folder: Path) -> Usd.Stage:
    write_usd(scene, folder / f"{scene.shot_id}.usd")
    return Usd.Stage.Open(str(folder / f"{scene.shot_id}.usd"))


def choose(stage: Usd.Stage, variant: str) -> None:
    stage.SetEditTarget(stage.GetSessionLayer())
    stage.GetDefaultPrim().GetVariantSet("motion").SetVariantSelection(variant)


def only(stage: Usd.Stage, kind):
    (prim,) = [p for p in stage.Traverse() if p.IsA(kind)]
    return kind(prim)


def test_stage_says_what_it_is(make_scene, tmp_path):
    scene = make_scene(unit_scale=0.0123, fps=Fraction(24000, 1001))
    stage = written(scene, tmp_path)
    assert (tmp_path / f"{scene.shot_id}.usd").read_bytes()[:8] == b"PXR-USDC"
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 0.0123
    assert stage.GetTimeCodesPerSecond() == stage.GetFramesPerSecond() == 24000 / 1001
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (1000, 1008)
    assert stage.GetDefaultPrim().GetName() == "demo_010_0010"
    data = stage.GetRootLayer().customLayerData
    assert (data["cut_first_frame"], data["cut_last_frame"], data["handles"]) == (1001, 1007, 1)


def test_variants_never_mix_skinning_and_points(make_scene, tmp_path):
    stage = written(make_scene(), tmp_path)
    motion = stage.GetDefaultPrim().GetVariantSet("motion")
    assert motion.GetVariantNames() == ["refined", "skinned"]
    assert motion.GetVariantSelection() == "refined"
    assert not [p for p in stage.Traverse() if p.IsA(UsdSkel.Root) or p.HasAPI(UsdSkel.BindingAPI)]
    assert only(stage, UsdGeom.Mesh).GetPointsAttr().GetNumTimeSamples() == 9
    choose(stage, "skinned")
    mesh = only(stage, UsdGeom.Mesh)
    assert mesh.GetPrim().HasAPI(UsdSkel.BindingAPI)
    assert mesh.GetPointsAttr().GetNumTimeSamples() == 0


@pytest.mark.parametrize("unit_scale", [1.0, 0.011])
def test_usd_skins_like_we_do(make_scene, tmp_path, unit_scale):
    scene = make_scene(unit_scale=unit_scale)
    stage = written(scene, tmp_path)
    choose(stage, "skinned")
    root = only(stage, UsdSkel.Root)
    # OpenUSD's own baking rewrites the mesh's points from its joints.
    UsdSkel.BakeSkinning(root, Gf.Interval(1000, 1008))
    points = only(stage, UsdGeom.Mesh).GetPointsAttr()
    posed = pose_vertices(scene.character.vertices, scene.rig.weights, skinning_transforms(scene.rig, scene.motion))
    for index in range(scene.frame_count):
        got = np.array(points.Get(1000 + index)) * unit_scale
        assert np.abs(got - posed[index]).max() < 5e-6


def test_refined_points_bounds_and_normals(make_scene, tmp_path):
    scene = make_scene(unit_scale=2.0)
    stage = written(scene, tmp_path)
    mesh = only(stage, UsdGeom.Mesh)
    for index in (0, 3, 8):
        points = np.array(mesh.GetPointsAttr().Get(1000 + index))
        assert np.array_equal(points, (scene.cache.points[index] / 2.0).astype(np.float32))
        low, high = np.array(mesh.GetExtentAttr().Get(1000 + index))
        assert np.array_equal(low, points.min(0)) and np.array_equal(high, points.max(0))
        assert np.allclose(np.linalg.norm(np.array(mesh.GetNormalsAttr().Get(1000 + index)), axis=1), 1.0)
    assert mesh.GetSubdivisionSchemeAttr().Get() == "none"
    box = UsdGeom.BBoxCache(1003, ["default"]).ComputeWorldBound(mesh.GetPrim()).ComputeAlignedRange()
    assert np.allclose(box.GetMax(), np.array(mesh.GetPointsAttr().Get(1003)).max(0))


@pytest.mark.parametrize("zoom", [False, True])
@pytest.mark.parametrize("unit_scale", [1.0, 0.01])
def test_camera_sees_what_ours_sees(make_scene, tmp_path, zoom, unit_scale):
    scene = make_scene(zoom=zoom, unit_scale=unit_scale, size=(192, 128))
    stage = written(scene, tmp_path)
    camera = only(stage, UsdGeom.Camera)
    pixels, _ = project(scene.camera, scene.cache.points)
    for index in (0, 4, 8):
        frustum = camera.GetCamera(1000 + index).frustum
        both = np.array(frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix())
        points = np.concatenate([scene.file_points[index], np.ones((len(pixels[0]), 1))], axis=1) @ both
        flat = points[:, :3] / points[:, 3:]
        got = np.stack([(flat[:, 0] + 1.0) * 96.0, (1.0 - flat[:, 1]) * 64.0], axis=1)
        assert np.abs(got - pixels[index]).max() < 1e-2
        assert (np.abs(flat[:, 2]) < 1.0).all()  # between near and far planes


def test_film_back_is_a_full_frame_sensor_in_metres(make_scene, tmp_path):
    stage = written(make_scene(unit_scale=0.01), tmp_path)
    camera = only(stage, UsdGeom.Camera)
    # Tenths of a unit of one centimetre: millimetres.
    assert camera.GetVerticalApertureAttr().Get() == pytest.approx(24.0)


def test_material_and_texture_beside_the_file(make_scene, tmp_path):
    scene = make_scene()
    stage = written(scene, tmp_path)
    shaders = {p.GetName(): UsdShade.Shader(p) for p in stage.Traverse() if p.IsA(UsdShade.Shader)}
    asset = shaders["picture"].GetInput("file").Get()
    assert asset.path == f"./textures/{scene.shot_id}_albedo.png"
    assert Path(asset.resolvedPath) == tmp_path / "textures" / f"{scene.shot_id}_albedo.png"
    picture = cv2.imread(asset.resolvedPath)[..., ::-1]
    assert np.array_equal(picture, scene.character.atlas[..., :3])
    st = np.array(UsdGeom.PrimvarsAPI(only(stage, UsdGeom.Mesh)).GetPrimvar("st").Get())
    assert np.allclose(st, scene.character.uv * (1, -1) + (0, 1))
    bound, _ = UsdShade.MaterialBindingAPI(only(stage, UsdGeom.Mesh)).ComputeBoundMaterial()
    assert bound.ComputeSurfaceSource()[0].GetIdAttr().Get() == "UsdPreviewSurface"


def test_tint_is_baked_where_usd_cannot_multiply(make_scene, tmp_path):
    scene = make_scene(tinted=True)
    stage = written(scene, tmp_path)
    mesh = only(stage, UsdGeom.Mesh)
    primvar = UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st")
    assert primvar.GetInterpolation() == "faceVarying"
    picture = cv2.imread(str(tmp_path / "textures" / f"{scene.shot_id}_albedo.png"))[..., ::-1]
    st = np.array(primvar.Get()).reshape(-1, 3, 2)
    character, rng = scene.character, np.random.default_rng(1)
    bary = rng.dirichlet(np.ones(3) * 2.0, len(st))
    at = np.einsum("fk,fkc->fc", bary, st)
    height, width = picture.shape[:2]
    got = picture[((1.0 - at[:, 1]) * height).astype(int), (at[:, 0] * width).astype(int)] / 255.0
    uv = np.einsum("fk,fkc->fc", bary, character.uv[character.faces])
    column, row = np.floor(uv * 64).astype(int).T % 64
    # Away from the diagonal stripes' borders, nearest and bilinear look-ups agree.
    inside = (np.abs((uv.sum(1) * 64 - 0.5) / 8 % 1.0 - 0.5) < 0.25) & (uv.max(1) < 0.98)
    linear = np.where(got <= 0.04045, got / 12.92, ((got + 0.055) / 1.055) ** 2.4)
    color = character.atlas[row, column, :3] / 255.0
    color = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    expected = color * np.einsum("fk,fkc->fc", bary, character.vertex_colors[character.faces])
    assert inside.sum() > 30
    assert np.abs(linear - expected)[inside].max() < 0.04


def test_joint_paths_are_valid_and_unique():
    parents = np.array([-1, 0, 1, 1, 0])
    paths = joint_paths(("root bone", "arm.L", "arm_L", "arm L", "2nd"), parents)
    assert paths[0] == "root_bone"
    assert paths[1] == "root_bone/arm_L"
    assert len(set(paths)) == 5
    assert all(path.startswith(paths[p] + "/") for path, p in zip(paths[1:], parents[1:], strict=True))
    assert len({path.rsplit("/")[-1] for path in paths}) == 5


@pytest.mark.parametrize("tinted", [False, True])
def test_all_of_usds_validators_pass(make_scene, tmp_path, tinted):
    scene = make_scene(tinted=tinted, zoom=tinted, shot_id="2d-show_a_1")
    written(scene, tmp_path)
    verdict = usd_conforms(scene, tmp_path)
    assert verdict.passed and "no errors and 0 warnings" in verdict.message
    assert int(verdict.message.split(" from ")[1].split()[0]) >= 25


def test_validators_see_a_fault(make_scene, tmp_path):
    scene = make_scene()
    stage = written(scene, tmp_path)
    stage.ClearMetadata("metersPerUnit")
    stage.GetRootLayer().Save()
    assert not usd_conforms(scene, tmp_path).passed


def test_a_damaged_usd_fails_its_gate(make_scene, tmp_path):
    scene = make_scene()
    write_usd(scene, tmp_path / f"{scene.shot_id}.usd")
    path = tmp_path / f"{scene.shot_id}.usd"
    path.write_bytes(path.read_bytes()[:-200])
    assert not usd_conforms(scene, tmp_path).passed
