"""The atlas shows at every surface point what the file's own textures and colours show there."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from studio_pipeline.stages.character.load import load_character

QUAD = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=float)
QUAD_FACES = np.array([[0, 1, 2], [0, 2, 3]])


def picture(size=(16, 12), seed=0):
    """Blocks of 4 x 4 px, so that a nearest lookup well inside a block is unambiguous."""
    blocks = np.random.default_rng(seed).integers(0, 256, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8)
    return blocks.repeat(4, axis=0).repeat(4, axis=1)


def png(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def textured(writer, uv, pixels, wrap=10497, faces=QUAD_FACES, **material):
    mesh = writer.mesh(QUAD, faces, TEXCOORD_0=writer.accessor(uv, "VEC2"))
    number = len(writer.json.setdefault("materials", []))
    writer.json["meshes"][mesh]["primitives"][0]["material"] = number
    writer.json.setdefault("images", []).append({"bufferView": writer.view(png(pixels)), "mimeType": "image/png"})
    writer.json.setdefault("samplers", []).append({"wrapS": wrap, "wrapT": wrap})
    writer.json.setdefault("textures", []).append({"source": number, "sampler": number})
    writer.json["materials"].append(
        {"pbrMetallicRoughness": {"baseColorTexture": {"index": number}} | material.pop("pbr", {}), **material}
    )
    return writer.node(mesh=mesh)


def wrapped(u, mode):
    if mode == 33071:
        return np.clip(u, 0.0, 1.0 - 1e-9)
    if mode == 33648:
        return 1.0 - np.abs(np.mod(u, 2.0) - 1.0)
    return np.mod(u, 1.0)


def compare(character, uv, pixels, mode, start=0, seed=1):
    """Nearest lookups at random points of the quad, skipping points within a texel of a block's edge."""
    rng = np.random.default_rng(seed)
    h, w = pixels.shape[:2]
    ah, aw = character.atlas.shape[:2]
    tested = 0
    for a, b, c in QUAD_FACES:
        for r in rng.dirichlet([1, 1, 1], 200):
            there = r @ character.uv[[start + a, start + b, start + c]].astype(float) * [aw, ah]
            u, v = wrapped(r @ np.asarray(uv, dtype=float)[[a, b, c]], mode)
            x, y = min(u * w, w - 1e-6), min(v * h, h - 1e-6)
            if min(x % 4, 4 - x % 4, y % 4, 4 - y % 4) < 0.2:
                continue
            tested += 1
            assert character.atlas[int(there[1]), int(there[0]), :3].tolist() == pixels[int(y), int(x)].tolist()
    assert tested > 100


@pytest.mark.parametrize("mode", [10497, 33648])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (-0.3, 0.4), (5.0, -7.0), (-2.5, 1.25)])
@pytest.mark.parametrize("span", [1.0, 3.0])
def test_repeated_textures(tmp_path, writer, mode, shift, span):
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]]) * span + shift
    pixels = picture()
    built = writer()
    textured(built, uv, pixels, mode)
    compare(load_character(built.save(tmp_path / "a.glb")).character, np.float32(uv), pixels, mode)


def test_one_texture_is_the_atlas_untouched(tmp_path, writer):
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], dtype=float)
    built = writer()
    textured(built, uv, picture())
    character = load_character(built.save(tmp_path / "a.glb")).character
    assert np.array_equal(character.atlas[..., :3], picture()) and np.array_equal(character.uv, np.float32(uv))


def test_several_materials_in_one_atlas(tmp_path, writer):
    uv = np.array([[0.1, 0.9], [0.9, 0.9], [0.9, 0.1], [0.1, 0.1]])
    built = writer()
    textured(built, uv, picture())
    textured(built, uv + 3.0, picture((32, 8), 5))
    flat = built.mesh(QUAD, QUAD_FACES, COLOR_0=built.accessor(np.full((4, 3), 0.25), "VEC3"))
    built.json["meshes"][flat]["primitives"][0]["material"] = 2
    built.json["materials"].append({"pbrMetallicRoughness": {"baseColorFactor": [1.0, 0.5, 0.0, 1.0]}})
    built.node(mesh=flat)
    built.json["scenes"][0]["nodes"] = [0, 1, 2]
    character = load_character(built.save(tmp_path / "a.glb")).character
    compare(character, uv, picture(), 10497)
    compare(character, uv, picture((32, 8), 5), 10497, start=4)
    x, y = (character.uv[8] * character.atlas.shape[1::-1]).astype(int)
    assert character.atlas[y, x].tolist() == [255, 188, 0, 255]  # linear 0.5 is sRGB 188
    assert np.allclose(character.vertex_colors[8:], 0.25) and np.allclose(character.vertex_colors[:8], 1.0)


def test_factor_times_texture_in_linear_light_and_alpha(tmp_path, writer):
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], dtype=float)
    pixels = np.full((8, 8, 4), 188, np.uint8)
    for mode, alpha in (("OPAQUE", 255), ("BLEND", 94), ("MASK", 0)):
        built = writer()
        textured(built, uv, pixels, alphaMode=mode, pbr={"baseColorFactor": [0.5, 1.0, 0.0, 0.5]})
        character = load_character(built.save(tmp_path / "a.glb")).character
        red, green, blue, clear = character.atlas[4, 4].tolist()
        assert abs(red - 137) <= 1 and (green, blue, clear) == (188, 0, alpha)  # 0.5 * 0.5 linear is sRGB 137


def test_texture_transform(tmp_path, writer):
    """Rotation is counter-clockwise on the UV map with v down, as viewers agreed (glTF issue 1563)."""
    uv = np.array([[0.0, 0.5], [0.5, 0.5], [0.5, 0.0], [0.0, 0.0]])
    change = {"offset": [0.25, 0.75], "rotation": np.pi / 2, "scale": [0.5, 1.0]}
    built = writer()
    textured(built, uv, picture())
    reference = built.json["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    reference["extensions"] = {"KHR_texture_transform": change}
    character = load_character(built.save(tmp_path / "a.glb")).character
    expected = np.stack([uv[:, 1] + 0.25, -0.5 * uv[:, 0] + 0.75], axis=1)
    assert np.allclose(character.uv, expected, atol=1e-6)


def test_endless_repetition_is_capped(tmp_path, writer):
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], dtype=float) * 1e6
    built = writer()
    textured(built, uv, picture())
    loaded = load_character(built.save(tmp_path / "a.glb"))
    assert max(loaded.character.atlas.shape) <= 4096 and any("repeats" in w for w in loaded.warnings)


def test_missing_texture_is_a_warning_that_names_it(tmp_path, writer):
    built = writer()
    textured(built, QUAD[:, :2], picture())
    built.json["images"][0] = {"uri": "colours.png"}
    loaded = load_character(built.save(tmp_path / "a.glb"))
    assert any("colours.png" in w for w in loaded.warnings)
    Image.fromarray(picture()).save(tmp_path / "colours.png")
    again = load_character(tmp_path / "a.glb")
    assert not again.warnings and np.array_equal(again.character.atlas[..., :3], picture())
