"""Filtered texture lookups: exact where a texture is magnified, an average where it is minified."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from studio_pipeline.media.srgb import srgb_to_linear
from studio_pipeline.render.differentiable import RenderMesh, render
from studio_pipeline.render.look import Look, render_frames
from studio_pipeline.render.textures import atlas_pyramid

CARD = [[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]]
FACES = [[0, 1, 2], [0, 2, 3]]
WHOLE = [[0, 1], [1, 1], [1, 0], [0, 0]]


def checkers(size, cell):
    y, x = np.mgrid[:size, :size] // cell
    atlas = np.full((size, size, 4), 255, np.uint8)
    atlas[(x + y) % 2 == 0, :3] = (0, 60, 20)
    return atlas


def test_each_level_keeps_the_mean_and_odd_sizes_are_taken():
    atlas = np.random.default_rng(0).random((32, 64, 3)).astype(np.float32)
    pyramid = atlas_pyramid(atlas)
    texels, levels = pyramid.texels.numpy(), pyramid.levels.numpy()
    assert levels[:, 1:].tolist() == [[64, 32], [32, 16], [16, 8], [8, 4], [4, 2], [2, 1], [1, 1]]
    for start, width, height in levels:
        assert np.allclose(texels[start : start + width * height].mean(0), atlas.mean((0, 1)), atol=1e-5)
    odd = atlas_pyramid(np.ones((5, 3, 3), np.float32))
    assert odd.levels.numpy()[:, 1:].tolist() == [[3, 5], [2, 3], [1, 2], [1, 1]] and (odd.texels.numpy() == 1).all()


@pytest.mark.parametrize("way", ["look", "differentiable"])
def test_fine_checkers_far_away_are_their_mean_light(make_character, make_camera, way):
    card = make_character(CARD, FACES, uv=WHOLE, atlas=checkers(512, 2), normals=[[0, 0, 1]] * 4)
    camera = make_camera((0.1, 0.2, 3.0), focal=60.0, width=48, height=48)
    expected = (1.0 + srgb_to_linear(np.array([0, 60, 20]) / 255.0)) / 2
    if way == "look":
        out = render_frames(card.vertices, card, camera, look=Look(shading="flat", outline_px=0.0))
        inside, picture = out.alpha[0] == 255, srgb_to_linear(out.rgb[0] / 255.0)
    else:
        out = render(torch.from_numpy(card.vertices)[None], RenderMesh.from_character(card), camera)
        inside, picture = out.silhouette[0].numpy() == 1, out.color[0].numpy()
    assert inside.sum() > 50 and np.abs(picture[inside] - expected).max() < 0.03


def test_near_checkers_stay_sharp_and_palettes_pure(make_character, make_camera):
    card = make_character(CARD, FACES, uv=WHOLE, atlas=checkers(8, 4), normals=[[0, 0, 1]] * 4)
    camera = make_camera((0, 0, 2.0), focal=120.0)
    out = render_frames(card.vertices, card, camera, look=Look(shading="flat", outline_px=0.0), supersample=1)
    seen = out.rgb[0][out.alpha[0] == 255]
    pure = (seen == 255).all(1) | (seen == (0, 60, 20)).all(1)
    assert pure.mean() > 0.5 and 0.2 < (seen == 255).all(1).mean() < 0.35  # bilinear between texels of 7.5 px
    # A far face that points into one texel of a palette keeps that colour, however coarse its neighbours are.
    palette = np.full((64, 64, 4), 255, np.uint8)
    palette[10, 20, :3] = (200, 30, 40)
    spot = [[20.5 / 64, 10.5 / 64]] * 4
    far = make_character(CARD, FACES, uv=spot, atlas=palette, normals=[[0, 0, 1]] * 4)
    out = render_frames(far.vertices, far, make_camera((0, 0, 30.0)), look=Look(shading="flat", outline_px=0.0))
    assert (out.rgb[0][out.alpha[0] == 255] == (200, 30, 40)).all() and (out.alpha == 255).any()
