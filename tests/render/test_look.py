"""Beauty pictures: colours, coverage and lines against what they must be."""

from __future__ import annotations

import numpy as np
import pytest

from studio_pipeline.media.srgb import linear_to_srgb, srgb_to_linear
from studio_pipeline.render import look as look_module
from studio_pipeline.render import runtime
from studio_pipeline.render.ground import backdrop, contact_shadow
from studio_pipeline.render.look import Look, render_frames
from studio_pipeline.render.raster import rasterize
from studio_pipeline.render.turntable import turntable, turntable_camera

FLAT = Look(shading="flat", outline_px=0.0)


@pytest.fixture(scope="module")
def card(make_character):
    """A square of 1 m facing +Z, colour (180, 90, 30)."""
    atlas = np.full((4, 4, 4), 255, np.uint8)
    atlas[..., :3] = (180, 90, 30)
    points = [[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]]
    return make_character(points, [[0, 1, 2], [0, 2, 3]], normals=[[0, 0, 1]] * 4, atlas=atlas)


def test_flat_colours_come_out_as_they_went_in(card, make_camera):
    out = render_frames(card.vertices[None], card, make_camera((0, 0, 2.0)), look=FLAT, background=(10, 200, 90))
    assert (out.rgb[0][out.alpha[0] == 255] == (180, 90, 30)).all()
    assert (out.rgb[0][out.alpha[0] == 0] == (10, 200, 90)).all()
    assert out.rgb.dtype == out.alpha.dtype == np.uint8 and out.rgb.shape == (1, 64, 64, 3)


def test_coverage_is_the_area_and_edges_mix_in_linear_light(card, make_camera):
    # The card's side is 41.3 px; its border crosses pixels.
    camera = make_camera((0, 0, 2.0), focal=82.6)
    out = render_frames(card.vertices[None], card, camera, look=FLAT, background=(10, 200, 90), supersample=8)
    assert out.alpha[0].sum() / 255.0 == pytest.approx(41.3**2, rel=0.01)
    cover = out.alpha[0][..., None] / 255.0
    front, behind = (srgb_to_linear(np.array(colour) / 255.0) for colour in ((180, 90, 30), (10, 200, 90)))
    mixed = linear_to_srgb(cover * front + (1 - cover) * behind) * 255.0
    assert ((cover > 0.1) & (cover < 0.9)).sum() > 100
    assert np.abs(out.rgb[0] - mixed).max() <= 1.0


def test_without_a_background_there_is_black_and_no_coverage(sphere, make_camera):
    out = render_frames(sphere.vertices[None], sphere, make_camera((0, 0, 2.0)))
    assert (out.rgb[0][out.alpha[0] == 0] == 0).all() and (out.alpha == 0).any() and (out.alpha == 255).any()


def test_depth_and_ids_are_the_rasterizers(sphere, make_camera):
    camera = make_camera((0.2, 0.3, 2.0), frames=2)
    out = render_frames(sphere.vertices, sphere, camera)
    hard = rasterize(sphere.vertices, sphere.faces, camera)
    assert np.array_equal(out.face_ids, hard.face_ids) and np.array_equal(out.depth, hard.depth, equal_nan=True)
    # A pixel whose centre is covered has coverage, and the other way round where it is full.
    assert (out.alpha[hard.face_ids >= 0] > 0).mean() > 0.999 and (hard.face_ids[out.alpha == 255] >= 0).all()


def test_lambert_follows_the_cosine(card, make_camera):
    look = Look(shading="lambert", outline_px=0.0, ambient=0.25, key_direction=(0.0, 0.6, 0.8))
    out = render_frames(card.vertices[None], card, make_camera((0, 0, 2.0)), look=look)
    expected = srgb_to_linear(np.array([180, 90, 30]) / 255.0) * (0.25 * 0.8 + 0.75 * 0.8)
    assert np.abs(out.rgb[0, 32, 32] - linear_to_srgb(expected) * 255.0).max() <= 1.0
    # Seen from behind, its normal is turned and the light, which is the camera's, falls the same way.
    back = render_frames(card.vertices[None], card, make_camera((0, 0, -2.0)), look=look)
    assert np.array_equal(back.rgb[0, 32, 32], out.rgb[0, 32, 32])


def test_toon_has_few_tones_and_its_light_is_where_it_should_be(sphere, make_camera):
    look = Look(outline_px=0.0, rim_strength=0.0, highlight=0.0, key_direction=(-1.0, 0.0, 0.2))
    out = render_frames(sphere.vertices[None], sphere, make_camera((0, 0, 2.0), width=96, height=96), look=look)
    red = out.rgb[0, 48, :, 0][out.alpha[0, 48] == 255].astype(int)
    assert red[2] > red[-3] + 60
    # Three plateaus: nearly all steps between neighbours along the middle row are tiny.
    steps = np.abs(np.diff(red))
    assert (steps > 12).sum() <= 10 and (steps <= 3).mean() > 0.75


def test_lines_lie_inside_the_coverage_and_are_as_wide_as_asked(card, make_camera):
    camera = make_camera((0, 0, 2.0), focal=160.0, width=128, height=128)
    plain = render_frames(card.vertices[None], card, camera, look=FLAT, background=(255, 255, 255), supersample=4)
    for wide in (1.0, 2.0, 4.0):
        look = Look(shading="flat", outline_px=wide, outline_opacity=1.0)
        inked = render_frames(card.vertices[None], card, camera, look=look, background=(255, 255, 255), supersample=4)
        assert np.array_equal(inked.alpha, plain.alpha)
        # A row through the middle: the card spans 24..104, a line of `wide` pixels at each end.
        changed = (inked.rgb[0, 64] != plain.rgb[0, 64]).any(-1)
        assert abs(int(changed[:64].sum()) - wide) <= 1 and not changed[40:88].any()
        dark = srgb_to_linear(inked.rgb[0, 64, :64, 1] / 255.0)
        full = srgb_to_linear(np.array(90 / 255.0))
        missing = ((full - dark) / (full - dark.min()))[24:40].clip(0).sum()
        assert missing == pytest.approx(wide, abs=0.35)


def test_a_nearer_part_gets_a_line_on_its_own_side(make_character, make_camera):
    quad = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    points = np.concatenate([quad * 2, quad * 0.5 + [0, 0, 0.5]])
    two = make_character(points, [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], normals=[[0, 0, 1]] * 8)
    camera = make_camera((0, 0, 3.0), focal=100.0, width=96, height=96)
    out = render_frames(two.vertices[None], two, camera, look=Look(shading="flat", outline_px=2.0), supersample=3)
    near = np.isin(out.face_ids[0], (2, 3))
    dark = out.rgb[0].max(-1) < 200
    rows, columns = np.nonzero(near)
    assert dark[rows.min() : rows.max() + 1, columns.min()].all()  # its border is inked
    outside = dark[rows.min() : rows.max(), columns.min() - 4 : columns.min() - 1]
    assert not outside.any()


def test_threads_and_repeats_change_no_bit(sphere, make_camera, monkeypatch):
    poses = sphere.vertices[None] + np.linspace(0, 0.2, 5, dtype=np.float32)[:, None, None]
    pictures = []
    for threads in (1, 2, 2):
        monkeypatch.setattr(runtime, "FRAME_THREADS", threads)
        out = render_frames(
            poses, sphere, make_camera((0, 0, 2.0)), look=Look(contact_shadow=0.5), background=(200,) * 3
        )
        pictures.append(out.rgb.tobytes() + out.alpha.tobytes() + out.depth.tobytes())
    assert pictures[0] == pictures[1] == pictures[2]


def test_backgrounds_are_checked_and_may_move(card, make_camera):
    camera = make_camera((0, 0, 2.0), frames=2)
    moving = np.zeros((2, 64, 64, 3), np.uint8)
    moving[1] = 77
    out = render_frames(card.vertices, card, camera, look=FLAT, background=moving)
    assert (out.rgb[0, 0, 0] == 0).all() and (out.rgb[1, 0, 0] == 77).all()
    for shape, kind in (((3, 64, 64, 3), np.uint8), ((64, 32, 3), np.uint8), ((64, 64, 3), np.float32)):
        with pytest.raises(ValueError, match="background"):
            render_frames(card.vertices, card, camera, background=np.zeros(shape, kind))


def test_huge_pictures_take_fewer_samples(card, make_camera, monkeypatch):
    camera = make_camera((0, 0, 2.0))
    monkeypatch.setattr(look_module, "MAX_SAMPLES", 64 * 64 * 4)
    capped = render_frames(card.vertices[None], card, camera, supersample=8)
    assert np.array_equal(capped.rgb, render_frames(card.vertices[None], card, camera, supersample=2).rgb)


def test_backdrop_is_smooth_and_repeats():
    picture = backdrop(64, 96)
    assert picture.shape == (96, 64, 3) and picture.dtype == np.uint8 and np.array_equal(picture, backdrop(64, 96))
    assert np.abs(np.diff(picture.astype(int), axis=0)).max() <= 4 and picture[-1, 32].sum() > picture[0, 32].sum()


def test_shadow_lies_under_the_character_on_the_ground_only(sphere, make_camera):
    camera = make_camera((0, 0.8, 3.0), focal=70.0, width=96, height=96)
    factor = contact_shadow(sphere.vertices[None], sphere.faces, camera, ground=-0.5, strength=0.5)[0]
    row, column = np.argwhere(factor <= factor.min() + 0.01).mean(0)
    # The contact point (0, -0.5, 0) in the picture.
    seen = camera.world_to_camera[0] @ [0, -0.5, 0, 1]
    assert abs(column + 0.5 - 48) < 3 and abs(row + 0.5 - (48 - 70 * seen[1] / -seen[2])) < 4
    assert 0.45 < factor.min() < 0.7 and (factor[:20] == 1).all() and factor.max() <= 1
    lifted = contact_shadow(sphere.vertices[None] + [0, 0.6, 0], sphere.faces, camera, ground=-0.5)[0]
    assert lifted.min() > factor.min() + 0.2
    # The background is darkened, coverage is not touched.
    look = Look(contact_shadow=0.5)
    with_shadow = render_frames(sphere.vertices, sphere, camera, look=look, background=(230, 230, 230))
    without = render_frames(sphere.vertices, sphere, camera, background=(230, 230, 230))
    assert np.array_equal(with_shadow.alpha, without.alpha) and with_shadow.rgb.sum() < without.rgb.sum()


def test_turntable_fits_and_starts_at_the_front(sphere):
    points = sphere.vertices * np.float32([1.0, 1.5, 0.4])
    camera = turntable_camera(points, frames=8, width=80, height=64)
    back = camera.world_to_camera[0, :3, :3].T @ [0, 0, 1]
    assert back[2] > 0.9 and abs(back[0]) < 1e-9
    ids = rasterize(points, sphere.faces, camera).face_ids
    assert (ids[:, [0, -1]] < 0).all() and (ids[:, :, [0, -1]] < 0).all()
    areas = (ids >= 0).sum((1, 2))
    assert areas[0] > 1.5 * areas[2] and areas[0] == pytest.approx(areas[4], rel=0.05)
    pictures = turntable(points, sphere, frames=3, width=48, height=32)
    assert pictures.shape == (3, 32, 48, 3) and pictures.dtype == np.uint8
