"""Sampled animations against a slow second implementation, and the plate protocol."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation, Slerp

from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Motion
from studio_pipeline.stages.character.animation import animations, sample_animation, sample_joints
from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.character.plate import protocol_vertices

FORMATS = {5126: "f", 5121: "B", 5123: "H", 5125: "I"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def second_opinion(path, clip_index, time):
    """Vertices in file units, one loop a vertex: linear clips on one skinned primitive."""
    data = path.read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    gltf, blob = json.loads(data[20 : 20 + size]), data[28 + size :]

    def read(index):
        a = gltf["accessors"][index]
        v = gltf["bufferViews"][a["bufferView"]]
        width, letter = WIDTHS[a["type"]], FORMATS[a["componentType"]]
        element = struct.calcsize("<" + letter * width)
        stride = v.get("byteStride", element)
        start = v.get("byteOffset", 0) + a.get("byteOffset", 0)
        rows = [struct.unpack_from("<" + letter * width, blob, start + stride * i) for i in range(a["count"])]
        return np.array(rows, dtype=float)

    trs = {}
    clip = gltf["animations"][clip_index]
    for channel in clip["channels"]:
        sampler = clip["samplers"][channel["sampler"]]
        t, values = read(sampler["input"])[:, 0], read(sampler["output"])
        at = np.clip(time, t[0], t[-1])
        if channel["target"]["path"] == "rotation" and len(t) > 1:
            value = Slerp(t, Rotation.from_quat(values))([at]).as_quat()[0]
        else:
            value = np.array([np.interp(at, t, column) for column in values.T])
        trs[channel["target"]["node"], channel["target"]["path"]] = value
    above = {c: i for i, n in enumerate(gltf["nodes"]) for c in n.get("children", [])}

    def world(i):
        node, local = gltf["nodes"][i], np.eye(4)
        if "matrix" in node:
            local = np.array(node["matrix"]).reshape(4, 4).T
        else:
            get = lambda key, default: trs.get((i, key), np.array(node.get(key, default), dtype=float))  # noqa: E731
            local[:3, :3] = Rotation.from_quat(get("rotation", [0, 0, 0, 1])).as_matrix() @ np.diag(
                get("scale", [1, 1, 1])
            )
            local[:3, 3] = get("translation", [0, 0, 0])
        return world(above[i]) @ local if i in above else local

    skin = gltf["skins"][0]
    bind = read(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    matrices = [world(j) @ b for j, b in zip(skin["joints"], bind, strict=True)]
    attributes = gltf["meshes"][0]["primitives"][0]["attributes"]
    points, joints, weights = (read(attributes[k]) for k in ("POSITION", "JOINTS_0", "WEIGHTS_0"))
    out = np.zeros_like(points)
    for i, (p, js, ws) in enumerate(zip(points, joints, weights, strict=True)):
        for j, w in zip(js.astype(int), ws / ws.sum(), strict=True):
            out[i] += w * (matrices[j] @ np.append(p, 1.0))[:3]
    return out


@pytest.mark.parametrize(("name", "clip"), [("khronos_CesiumMan.glb", 0), ("bevy_Fox.glb", 1), ("bevy_Fox.glb", 2)])
def test_samples_agree_with_a_second_implementation(shared_data, name, clip):
    path = shared_data / "rigs" / name
    info = animations(path)[clip]
    times = np.array([0.0, 0.213, 0.6, info.duration])
    ours = sample_animation(path, info.name, times)
    scale = load_character(path).character.unit_scale
    for frame, time in enumerate(times):
        assert np.abs(ours[frame] - second_opinion(path, clip, time) * scale).max() < 2e-5


@pytest.mark.parametrize(
    "name", ["khronos_CesiumMan.glb", "bevy_Fox.glb", "RobotExpressive.glb", "kenney_platformer_character.glb"]
)
def test_joint_motion_reproduces_the_vertices(shared_data, name):
    path = shared_data / "rigs" / name
    info = animations(path)[1 if len(animations(path)) > 1 else 0]
    times = np.linspace(0.0, info.duration, 7)
    motion, truth = sample_joints(path, info.name, times), sample_animation(path, info.name, times)
    loaded = load_character(path)
    assert loaded.own_rig is not None and motion.rig.names == loaded.own_rig.names
    record = Motion(rotations=motion.rotations, translations=motion.translations, fps=24, first_frame=0)
    posed = pose_vertices(
        loaded.character.vertices, loaded.own_rig.weights, skinning_transforms(loaded.own_rig, record)
    )
    error = np.linalg.norm(posed - truth, axis=-1).max()
    assert error < 1e-4 and motion.residual_m == pytest.approx(error, abs=1e-5)


def test_interpolations_in_closed_form(tmp_path, make_skinned):
    path = make_skinned().save(tmp_path / "bar.glb")
    assert [(a.name, a.duration) for a in animations(path)] == [("move", 1.0)]
    # The topmost ring hangs on joint c only; rest of the chain: a steps, b turns about z, c slides on a spline.
    times = np.array([0.0, 0.25, 0.49, 0.5, 0.8, 1.0, 9.0])
    vertices = sample_animation(path, "move", times, height_m=1.0)
    keys = np.array([0.0, 0.5, 1.0])
    points = np.array([[0, 0.5, 0], [0.1, 0.5, 0], [0, 0.5, 0.2]])
    slide = CubicHermiteSpline(keys, points, np.tile([0.3, 0.0, -0.1], (3, 1)))
    angle = Slerp(keys, Rotation.from_quat([[0, 0, 0, 1], [0, 0, np.sqrt(0.5), np.sqrt(0.5)], [0, 0, 0, -1]]))
    steps = np.array([[0, 0, 0], [0.2, 0, 0], [0, 0.1, 0]])
    corner = np.array([-0.1, 1.0, -0.1])
    for frame, time in enumerate(np.minimum(times, 1.0)):
        moved = angle([time]).apply(slide(time) + corner - [0, 1.0, 0])[0] + [0, 0.5, 0]
        expected = moved + steps[np.searchsorted(keys, time, side="right") - 1]
        assert np.allclose(vertices[frame, 20], expected, atol=1e-6), time


def test_unknown_clip_and_kind(tmp_path, make_skinned, make_tetrahedron):
    path = make_skinned().save(tmp_path / "bar.glb")
    with pytest.raises(InputError, match="no animation 'walk'.*move"):
        sample_animation(path, "walk", np.zeros(1))
    still = make_tetrahedron().save(tmp_path / "still.glb")
    assert animations(still) == []
    with pytest.raises(InputError, match="no animation that moves"):
        protocol_vertices(still)


@pytest.mark.parametrize("name", ["khronos_CesiumMan.glb", "bevy_Fox.glb"])
def test_protocol(shared_data, name):
    path = shared_data / "rigs" / name
    vertices = protocol_vertices(path, frames=24)
    rest = load_character(path).character.vertices
    assert vertices.shape == (24, len(rest), 3) and vertices.dtype == np.float32
    assert np.abs(vertices[0] - rest).max() < 1e-6
    assert np.array_equal(vertices, protocol_vertices(path, frames=24))
    step = np.linalg.norm(np.diff(vertices[:8], axis=0), axis=-1).mean(1)
    assert step[0] < step[3] > step[6]  # eases in and out
    assert np.abs(protocol_vertices(path, height_m=1.0) / np.float32(1.0)).max() < 2.0
    assert len(protocol_vertices(path, frames=3)) == 3


def test_easing_turns_joints_not_vertices(tmp_path, make_skinned):
    """Half-way through an ease the bar keeps its length, which blended vertices would not."""
    writer = make_skinned()
    clip = writer.json["animations"][0]
    clip["channels"] = clip["channels"][:1]
    half = np.sqrt(0.5)
    turns = writer.accessor([[0, 0, half, half], [0, 0, half, half], [0, 0, half + 0.01, half]], "VEC4")
    clip["samplers"][0]["output"] = turns
    vertices = protocol_vertices(writer.save(tmp_path / "bar.glb"), frames=12, height_m=1.0)
    top, middle = vertices[:, 20:].mean(1), np.array([0.0, 0.5, 0.0])
    assert np.allclose(np.linalg.norm(top - middle, axis=1), 0.5, atol=1e-4)
