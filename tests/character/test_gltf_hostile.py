"""Broken and hostile glTF: one clear line, no crash, no memory, nothing outside the folder."""

from __future__ import annotations

import base64
import json
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio_pipeline.geometry.gltf import folder_file
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character.animation import animations, sample_animation
from studio_pipeline.stages.character.load import load_character


def refuse(path, *words):
    with pytest.raises(InputError) as caught:
        load_character(path)
    text = str(caught.value)
    assert "\n" not in text and path.name in text
    assert caught.value.do, text
    for word in words:
        assert word in text, text
    return text


def test_missing_unknown_and_no_glb(tmp_path):
    refuse(tmp_path / "nobody.glb", "no such file")
    for name, data in (("a.fbx", b"x"), ("b.glb", b"this is no model"), ("c.gltf", b"{"), ("d.glb", b"")):
        (tmp_path / name).write_bytes(data)
        refuse(tmp_path / name)
    (tmp_path / "folder.glb").mkdir()
    refuse(tmp_path / "folder.glb", "not a file")


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.999])
def test_truncated(tmp_path, make_tetrahedron, kept):
    data = make_tetrahedron().bytes()
    (tmp_path / "cut.glb").write_bytes(data[: int(len(data) * kept)])
    refuse(tmp_path / "cut.glb", "truncated")


def test_nan_positions_and_weights_name_mesh_and_count(tmp_path, make_tetrahedron, make_skinned):
    writer = make_tetrahedron()
    values = np.frombuffer(bytes(writer.data[:48]), "<f4").copy()
    values[[0, 4]] = np.nan
    writer.data[:48] = values.tobytes()
    refuse(writer.save(tmp_path / "nan.glb"), "'body'", "2 of 4", "NaN", "positions")
    writer = make_skinned()
    item = writer.json["meshes"][0]["primitives"][0]["attributes"]["WEIGHTS_0"]
    start = writer.json["bufferViews"][writer.json["accessors"][item]["bufferView"]]["byteOffset"]
    writer.data[start : start + 4] = struct.pack("<f", np.nan)
    refuse(writer.save(tmp_path / "nan2.glb"), "'body'", "1 of 24", "NaN", "weights")


def test_no_faces(tmp_path, make_tetrahedron, writer):
    refuse(writer().save(tmp_path / "empty.glb"))
    flat = make_tetrahedron()
    flat.json["meshes"][0]["primitives"][0]["mode"] = 0
    refuse(flat.save(tmp_path / "points.glb"), "no faces")
    same = writer()
    same.node(mesh=same.mesh(np.zeros((3, 3)), np.array([[0, 0, 1]])))
    refuse(same.save(tmp_path / "same.glb"), "no faces")


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.bin",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://example.org/a.bin",
        "..%2Fsecret.bin",
        "a\\..\\..\\secret.bin",
    ],
)
@pytest.mark.parametrize("kind", ["buffers", "images"])
def test_nothing_outside_the_folder(tmp_path, make_tetrahedron, uri, kind):
    (tmp_path / "secret.bin").write_bytes(bytes(1000))
    (tmp_path / "in").mkdir()
    writer = make_tetrahedron()
    if kind == "buffers":
        writer.json["buffers"] = [{"byteLength": 100, "uri": uri}]
    else:
        writer.json |= {"images": [{"uri": uri}], "textures": [{"source": 0}]}
        writer.json["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
        writer.json["meshes"][0]["primitives"][0]["material"] = 0
    refuse(writer.save(tmp_path / "in" / "a.glb"), kind)


def test_link_out_of_the_folder(tmp_path):
    (tmp_path / "secret.bin").write_bytes(b"x")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(InputError, match="outside"):
        folder_file(tmp_path / "in", "link.bin", where="here")


def _change(path, value):
    def apply(writer):
        target = writer.json
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value

    return apply


GIGABYTES = 40_000_000_000
HOSTILE = {
    "accessor declares gigabytes": _change(["accessors", 0, "count"], GIGABYTES),
    "accessor beyond its view": _change(["accessors", 0, "count"], 100_000),
    "sparse gigabytes": _change(["accessors", 0], {"componentType": 5126, "type": "VEC3", "count": 15_000_000_000}),
    "zeros without data": _change(["accessors", 0], {"componentType": 5126, "type": "VEC3", "count": 15_000_000}),
    "buffer declares gigabytes": _change(["buffers"], [{"byteLength": GIGABYTES}]),
    "view beyond its buffer": _change(["bufferViews", 0, "byteOffset"], 10**6),
    "negative offset": _change(["bufferViews", 0, "byteOffset"], -4),
    "huge stride": _change(["bufferViews", 0, "byteStride"], 10**9),
    "small stride": _change(["bufferViews", 0, "byteStride"], 4),
    "index beyond vertices": _change(["meshes", 0, "primitives", 0, "indices"], 0),
    "accessor index": _change(["meshes", 0, "primitives", 0, "attributes", "POSITION"], 99),
    "index is text": _change(["meshes", 0, "primitives", 0, "attributes", "POSITION"], "0"),
    "index is true": _change(["meshes", 0, "primitives", 0, "attributes", "POSITION"], True),
    "node is its own child": _change(["nodes", 0, "children"], [0]),
    "child beyond nodes": _change(["nodes", 0, "children"], [7]),
    "zero quaternion": _change(["nodes", 0, "rotation"], [0, 0, 0, 0]),
    "endless scale": _change(["nodes", 0, "scale"], [1e308, 1e308, 1e308]),
    "flattened": _change(["nodes", 0, "scale"], [0, 0, 0]),
    "projective matrix": _change(["nodes", 0, "matrix"], [1, 0, 0, 1] * 4),
    "meshes are a number": _change(["meshes"], 5),
    "component type": _change(["accessors", 0, "componentType"], 5130),
    "version 1": _change(["asset", "version"], "1.0"),
    "draco": _change(["extensionsRequired"], ["KHR_draco_mesh_compression"]),
    "buffer elsewhere": _change(["bufferViews", 0, "buffer"], 3),
    "data uri": _change(["buffers"], [{"byteLength": 100, "uri": "data:application/octet-stream;base64,@@@"}]),
    "scene": _change(["scene"], 4),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json(tmp_path, make_tetrahedron, name):
    writer = make_tetrahedron()
    HOSTILE[name](writer)
    tracemalloc.start()
    text = refuse(writer.save(tmp_path / "evil.glb"))
    assert tracemalloc.get_traced_memory()[1] < 64 << 20, text
    tracemalloc.stop()
    if name == "draco":
        assert "KHR_draco_mesh_compression" in text


def test_cycle_of_nodes(tmp_path, make_tetrahedron):
    writer = make_tetrahedron()
    writer.node(children=[2])
    writer.node(children=[1])
    refuse(writer.save(tmp_path / "loop.glb"), "cycle")


def test_many_instances_do_not_add_up_to_gigabytes(tmp_path, writer):
    big = writer()
    positions = np.random.default_rng(0).random((60000, 3))
    mesh = big.mesh(positions, np.arange(60000))
    for _ in range(10_000):
        big.node(mesh=mesh)
    big.json["scenes"][0]["nodes"] = list(range(10_000))
    refuse(big.save(tmp_path / "many.glb"), "declares more than")


def test_picture_bomb_is_refused_by_its_header(tmp_path, make_tetrahedron):
    import zlib

    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0)
    chunk = b"IHDR" + head
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    png += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    writer = make_tetrahedron()
    uri = "data:image/png;base64," + base64.b64encode(png).decode()
    writer.json |= {"images": [{"uri": uri}], "textures": [{"source": 0}]}
    writer.json["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
    primitive = writer.json["meshes"][0]["primitives"][0]
    primitive["material"] = 0
    primitive["attributes"]["TEXCOORD_0"] = writer.accessor(np.zeros((4, 2)), "VEC2")
    refuse(writer.save(tmp_path / "bomb.glb"), "60000")
    writer.json["images"][0]["uri"] = "data:image/png;base64," + base64.b64encode(b"no picture").decode()
    refuse(writer.save(tmp_path / "nopic.glb"), "images[0]", "no readable picture")


def survive(path):
    """Load, list and sample: an `InputError` or a result, nothing else."""
    try:
        load_character(path)
        for clip in animations(path):
            sample_animation(path, clip.name, np.array([0.0, 0.3, 2.0]))
    except InputError:
        pass


FUZZ = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=12))
def test_flipped_bytes(tmp_path, skinned_bytes, changes):
    data = bytearray(skinned_bytes)
    for place, value in changes:
        data[place % len(data)] = value
    (tmp_path / "fuzz.glb").write_bytes(data)
    survive(tmp_path / "fuzz.glb")


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=4), st.just([]), st.just({})
) | st.integers(-2, 12)


@FUZZ
@given(st.data())
def test_changed_values(tmp_path, skinned_bytes, data):
    size = struct.unpack_from("<I", skinned_bytes, 12)[0]
    document = json.loads(skinned_bytes[20 : 20 + size])
    for _ in range(data.draw(st.integers(1, 3))):
        target, steps = document, 0
        while isinstance(target, dict | list) and target and steps < 12:
            keys = sorted(target) if isinstance(target, dict) else range(len(target))
            key = data.draw(st.sampled_from(list(keys)))
            if not isinstance(target[key], dict | list) or not target[key] or data.draw(st.integers(0, 5)) == 0:
                target[key] = data.draw(JUNK)
                break
            target, steps = target[key], steps + 1
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = skinned_bytes[20 + size :]
    head = struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest))
    (tmp_path / "fuzz.glb").write_bytes(head + struct.pack("<I4s", len(text), b"JSON") + text + rest)
    survive(tmp_path / "fuzz.glb")
