"""Each filter on clips of which it is known what is wrong with them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives
from studio_pipeline.stages.take_report.burnt_in import text_boxes, text_filter
from studio_pipeline.stages.take_report.filters import cut_filter, flicker_filter, usable_filters
from studio_pipeline.stages.take_report.subject import rest_mask, subject_filter


def test_a_cut_is_found_where_it_is_and_an_impact_frame_is_none(scene, cut) -> None:
    frames = scene.sliding().frames
    assert cut_filter(frames).passed and cut_filter(frames).value == 0.0
    found = cut_filter(cut(frames))
    assert not found.passed and f"index {len(frames) // 2}" in found.message
    impact = frames.copy()
    impact[5] = 255 - impact[5]
    impact[6] = 0
    assert cut_filter(impact).passed
    assert cut_filter(frames[:1]).passed


def test_a_moving_camera_is_no_cut() -> None:
    world = cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 24, 3), dtype=np.uint8), (480, 240))
    pan = np.stack([world[40:168, 10 + 16 * t : 138 + 16 * t] for t in range(12)])
    assert cut_filter(pan).passed
    assert not cut_filter(np.concatenate([pan[:6], pan[:6, ::-1]])).passed


def test_a_whip_pan_and_a_fade_are_no_cuts() -> None:
    world = cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 60, 3), dtype=np.uint8), (1200, 240))
    starts = [10, 12, 20, 120, 320, 560, 760, 860, 868, 870]  # slow, then most of the picture is new in every step
    whip = np.stack([world[40:168, start : start + 128] for start in starts])
    assert cut_filter(whip).passed
    fade = (whip[[0] * 10] * np.clip(np.arange(10) / 4.0, 0.1, 1.0)[:, None, None, None]).astype(np.uint8)
    assert cut_filter(fade).passed


def test_flicker_is_all_the_time_and_a_flash_is_not(scene) -> None:
    frames = scene.sliding().frames
    assert flicker_filter(frames).passed
    strobe = frames.copy()
    strobe[::2] = np.clip(strobe[::2].astype(int) - 12, 0, 255).astype(np.uint8)
    assert not flicker_filter(strobe).passed
    flash = frames.copy()
    flash[4] = 255
    assert flicker_filter(flash).passed


def test_frozen_and_black_are_the_gates_of_the_takes(scene, asked) -> None:
    clip = scene.sliding()
    good = {one.name: one for one in usable_filters(clip, asked(motion_performance="walk"))}
    assert good["black"].passed and good["frozen"].passed and good["frozen"].fails
    still = replace(clip, frames=np.repeat(clip.frames[:1], len(clip.frames), 0))
    assert not {one.name: one for one in usable_filters(still, Directives(taxonomy="1.0"))}["frozen"].passed
    dark = replace(clip, frames=np.where(np.arange(len(clip.frames))[:, None, None, None] > 4, 0, clip.frames))
    assert not {one.name: one for one in usable_filters(dark, Directives(taxonomy="1.0"))}["black"].passed


@pytest.mark.parametrize("alpha", [True, False])
def test_the_subject_is_the_shots_character(scene, alpha: bool) -> None:
    rest = rest_mask(scene.character, scene.camera)
    clip = scene.sliding(alpha=alpha)
    right = subject_filter(clip, rest, least=0.35)
    assert right.passed and right.value > 0.9
    # A ball in a corner is somebody else.
    frames = np.full_like(clip.frames, 205)
    cover = np.zeros(frames.shape[:3], np.uint8)
    for frame, mask in zip(frames, cover, strict=True):
        cv2.circle(frame, (18, 18), 9, (60, 90, 200), -1)
        cv2.circle(mask, (18, 18), 9, 255, -1)
    wrong = Clip(frames=frames, alpha=cover if alpha else None, fps=Fraction(24), first_frame=1, source="other")
    assert not subject_filter(wrong, rest, least=0.35).passed


def test_a_busy_picture_is_no_contour(scene) -> None:
    rest = rest_mask(scene.character, scene.camera)
    noise = np.random.default_rng(0).integers(0, 255, (3, scene.side, scene.side, 3), dtype=np.uint8)
    clip = Clip(frames=noise, fps=Fraction(24), first_frame=1, source="noise")
    assert not subject_filter(clip, rest, least=0.35).passed


def test_burnt_in_text_is_found_and_the_moving_character_is_not(scene) -> None:
    frames = np.stack([cv2.resize(frame, (320, 320)) for frame in scene.sliding().frames])
    assert text_boxes(frames) == [] and text_filter(frames).passed
    titled = frames.copy()
    for frame in titled:
        cv2.putText(frame, "SAMPLE 2024", (90, 300), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (20, 20, 20), 2, cv2.LINE_AA)
    (x, y, width, height), *_ = text_boxes(titled)
    # Where OpenCV says it drew.
    (drawn, tall), _ = cv2.getTextSize("SAMPLE 2024", cv2.FONT_HERSHEY_SIMPLEX, 0.7, 2)
    assert abs(x - 90) < 12 and abs(y + height - 300) < 8 and width > 0.7 * drawn and height < 1.6 * tall
    found = text_filter(titled)
    assert not found.passed and not found.fails and text_filter(titled, fails=True).fails
    # The same strokes on the subject itself are its own pattern.
    own = np.zeros(frames.shape[1:3], bool)
    own[270:] = True
    assert text_boxes(titled, own) == []
