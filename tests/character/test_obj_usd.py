"""OBJ and USD: the same mesh however it is written, colours and skeletons kept, nothing outside the folder."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from PIL import Image

from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character import input_files
from studio_pipeline.stages.character.load import load_character

pxr = pytest.importorskip("pxr")

CUBE = """mtllib {mtl}
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl skin
f 1/1 2/2 3/3 4/4
usemtl flat
f -4 -2 -1
"""


def test_obj_with_texture_and_flat_material(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "my skin.png")
    (tmp_path / "a.mtl").write_text("newmtl skin\nKd 0 0 0\nmap_Kd -s 1 1 1 my skin.png\nnewmtl flat\nKd 1 0.5 0\n")
    (tmp_path / "a.obj").write_text(CUBE.format(mtl="a.mtl"))
    loaded = load_character(tmp_path / "a.obj")
    c = loaded.character
    assert loaded.own_rig is None and not loaded.warnings and c.faces.shape == (3, 3) and len(c.vertices) == 7
    assert input_files(tmp_path / "a.obj") == [tmp_path / n for n in ("a.obj", "a.mtl", "my skin.png")]
    h, w = c.atlas.shape[:2]
    corner = (c.uv[0] * [w, h]).astype(int)  # vt 0 0 is the bottom left of the picture
    assert c.atlas[corner[1] - 1, corner[0], :3].tolist() == pixels[7, 0].tolist()
    x, y = (c.uv[-1] * [w, h]).astype(int)
    assert c.atlas[y, x, :3].tolist() == [255, 188, 0]


def test_cow_agrees_with_trimesh(shared_data):
    path = shared_data / "static" / "pytorch3d_cow" / "cow.obj"
    ours, theirs = load_character(path).character, trimesh.load(path, force="mesh", process=False)
    assert np.abs(np.sort(ours.vertices[ours.faces].reshape(-1, 9), axis=0)
                  - np.sort(theirs.vertices[theirs.faces].reshape(-1, 9), axis=0)).max() < 1e-6  # fmt: skip
    assert ours.atlas.shape == (2048, 2048, 4) and len(input_files(path)) == 3


@pytest.mark.parametrize("text", [CUBE.format(mtl="../out.mtl"), CUBE.format(mtl="/etc/out.mtl")])
def test_obj_stays_in_its_folder(tmp_path, text):
    (tmp_path / "out.mtl").write_text("newmtl skin\n")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.obj").write_text(text)
    for call in (load_character, input_files):
        with pytest.raises(InputError, match="mtllib"):
            call(tmp_path / "in" / "a.obj")
    (tmp_path / "in" / "b.mtl").write_text("newmtl skin\nmap_Kd ../../secret.png\n")
    (tmp_path / "in" / "b.obj").write_text(CUBE.format(mtl="b.mtl"))
    with pytest.raises(InputError, match="map_Kd"):
        load_character(tmp_path / "in" / "b.obj")


@pytest.mark.parametrize(
    "text",
    ["", "hello", "v 0 0 0\nf 1 2 3", "v 0 0 x\nv 0 1 0\nv 1 0 0\nf 1 2 3", "v nan 0 0\nv 0 1 0\nv 1 0 0\nf 1 2 3",
     "v 0 0 0\nf 1/1/1/1 1 1", "v 0 0\nv 1 1\nv 2 3\nf 1 2 3", "f -1 -2 -3"],
)  # fmt: skip
def test_broken_obj(tmp_path, text):
    (tmp_path / "a.obj").write_text(text)
    with pytest.raises(InputError, match=r"a\.obj"):
        load_character(tmp_path / "a.obj")


def stage_with_bar(path, *, up="Z", unit=0.01, skel=True):
    """A bar 100 units high along the up axis, half red and half blue, on two joints."""
    from pxr import Gf, Sdf, Usd, UsdGeom, UsdShade, UsdSkel, Vt

    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, up)
    UsdGeom.SetStageMetersPerUnit(stage, unit)
    UsdSkel.Root.Define(stage, "/bar")
    mesh = UsdGeom.Mesh.Define(stage, "/bar/mesh")
    axis = 2 if up == "Z" else 1
    points = np.zeros((8, 3))
    for i in range(8):
        points[i, axis] = 100.0 * (i // 4)
        points[i, 0], points[i, 3 - axis] = [(-10, -10), (10, -10), (10, 10), (-10, 10)][i % 4]
    mesh.GetPointsAttr().Set(Vt.Vec3fArray.FromNumpy(points.astype(np.float32)))
    quads = [[3, 2, 1, 0], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]
    mesh.GetFaceVertexCountsAttr().Set([4] * 6)
    mesh.GetFaceVertexIndicesAttr().Set([int(i) for q in quads for i in (q if up == "Z" else q[::-1])])
    for name, color, faces in (("red", (1, 0, 0), [0, 1, 2]), ("blue", (0, 0, 1), [3, 4, 5])):
        material = UsdShade.Material.Define(stage, f"/bar/{name}")
        shader = UsdShade.Shader.Define(stage, f"/bar/{name}/surface")
        shader.CreateIdAttr("UsdPreviewSurface")
        shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).Set(Gf.Vec3f(*color))
        material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
        subset = UsdShade.MaterialBindingAPI(mesh).CreateMaterialBindSubset(name, Vt.IntArray(faces))
        UsdShade.MaterialBindingAPI.Apply(subset.GetPrim()).Bind(material)
    if skel:
        skeleton = UsdSkel.Skeleton.Define(stage, "/bar/skel")
        skeleton.GetJointsAttr().Set(["low", "low/high"])
        lift = Gf.Matrix4d().SetTranslate(Gf.Vec3d(0, *((0, 50) if up == "Z" else (50, 0))))
        skeleton.GetBindTransformsAttr().Set([Gf.Matrix4d(1), lift])
        skeleton.GetRestTransformsAttr().Set([Gf.Matrix4d(1), lift])
        binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
        binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
        binding.CreateJointIndicesPrimvar(False, 1).Set([0] * 4 + [1] * 4)
        binding.CreateJointWeightsPrimvar(False, 1).Set([1.0] * 8)
    stage.SetDefaultPrim(stage.GetPrimAtPath("/bar"))
    stage.GetRootLayer().Save()
    return path


@pytest.mark.parametrize(("up", "kind"), [("Y", "usda"), ("Z", "usdc")])
def test_usd_units_up_axis_colours_and_skeleton(tmp_path, up, kind):
    loaded = load_character(stage_with_bar(tmp_path / f"bar.{kind}", up=up))
    c, rig = loaded.character, loaded.own_rig
    assert c.height_m == pytest.approx(1.0) and c.unit_scale == pytest.approx(0.01) and not loaded.warnings
    assert np.allclose(np.ptp(c.vertices, axis=0), [0.2, 1.0, 0.2], atol=1e-6) and c.vertices[:, 1].min() > -1e-6
    assert len(c.faces) == 12
    area = np.cross(*(c.vertices[c.faces[:, k]] - c.vertices[c.faces[:, 0]] for k in (1, 2)))
    assert (c.vertices[c.faces].mean(1) * area).sum() > 0.0
    x, y = (c.uv[[0, -1]] * c.atlas.shape[1::-1]).astype(int).T
    assert c.atlas[y, x, :3].tolist() == [[255, 0, 0], [0, 0, 255]]
    assert rig is not None and rig.names == ("low", "high") and np.allclose(rig.heads[1], [0, 0.5, 0])
    assert np.array_equal(rig.weights.argmax(1), (c.vertices[:, 1] > 0.5).astype(int))


def test_usd_stays_in_its_folder(tmp_path):
    from pxr import Sdf, Usd

    stage_with_bar(tmp_path / "outside.usda")
    (tmp_path / "in").mkdir()
    stage = Usd.Stage.CreateNew(str(tmp_path / "in" / "a.usda"))
    stage.OverridePrim("/bar").GetReferences().AddReference("../outside.usda", "/bar")
    stage.GetRootLayer().Save()
    with pytest.raises(InputError, match="outside"):
        load_character(tmp_path / "in" / "a.usda")
    stage_with_bar(tmp_path / "in" / "inside.usda")
    stage = Usd.Stage.CreateNew(str(tmp_path / "in" / "b.usda"))
    stage.DefinePrim("/bar").GetReferences().AddReference("./inside.usda", "/bar")
    stage.DefinePrim("/tex").CreateAttribute("file", Sdf.ValueTypeNames.Asset).Set(Sdf.AssetPath("none.png"))
    stage.GetRootLayer().Save()
    assert len(load_character(tmp_path / "in" / "b.usda", height_m=1.0).character.faces) == 12
    assert input_files(tmp_path / "in" / "b.usda") == [tmp_path / "in" / n for n in ("b.usda", "inside.usda")]


@pytest.mark.slow
def test_changed_bytes_of_usd(tmp_path):
    """pxr raises late, aborts or takes all memory: still one clear error, or a result."""
    stage_with_bar(tmp_path / "bar.usdc")
    stage_with_bar(tmp_path / "bar.usda")
    rng = np.random.default_rng(0)
    refused = 0
    for number in range(8):
        for kind in ("usda", "usdc"):
            data = bytearray((tmp_path / f"bar.{kind}").read_bytes())
            for place in rng.integers(0, len(data), 3):
                data[place] = rng.integers(0, 256)
            path = tmp_path / f"fuzz{number}.{kind}"
            path.write_bytes(data)
            try:
                load_character(path)
            except InputError as error:
                refused += 1
                assert path.name in str(error) and "\n" not in str(error)
    assert refused > 4


def test_usdz_and_broken_usd(tmp_path):
    from pxr import UsdUtils

    stage_with_bar(tmp_path / "bar.usdc")
    assert UsdUtils.CreateNewUsdzPackage(str(tmp_path / "bar.usdc"), str(tmp_path / "bar.usdz"))
    assert load_character(tmp_path / "bar.usdz").own_rig is not None
    data = (tmp_path / "bar.usdc").read_bytes()
    for name, content in (
        ("cut.usdc", data[:400]),
        ("text.usda", b"#usda 1.0\n(((("),
        ("no.usdz", b"PK12"),
        ("x.usd", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            load_character(tmp_path / name)
