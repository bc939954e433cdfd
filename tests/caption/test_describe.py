"""What `describe` gives for any clip, however short, small or empty; and what a network may add."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from support.drawn import posed
from support.moving import filmed

from studio_pipeline.caption import describe
from studio_pipeline.caption.evidence import DETAIL, DETAIL_SIZE, FRAMES, MEASURES, SIGNALS, THUMB_SIZE, gather
from studio_pipeline.caption.looking import look
from studio_pipeline.schema.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()


class Opinion:
    """Stands for a network: says one thing, is silent on another."""

    fields = ("camera.move", "motion.mood", "vfx.element", "style.line")

    def read(self, evidence, said):
        count = len(evidence.thumbs)
        assert evidence.thumbs.shape == (count, FRAMES, THUMB_SIZE, THUMB_SIZE, 3) and evidence.thumbs.dtype == np.uint8
        assert evidence.actors.shape == (count, FRAMES, THUMB_SIZE, THUMB_SIZE, 4)
        assert evidence.details.shape == (count, DETAIL, DETAIL_SIZE, DETAIL_SIZE, 3)
        assert evidence.signals.shape == (count, FRAMES, len(SIGNALS)) and evidence.measures.shape == (len(MEASURES),)
        assert said["camera.move"]["pan_right"] > 0.5
        return {
            "camera.move": ({"slide_right": 0.45}, "model"), "style.line": ({}, "model"),
            "vfx.element": ({"fire": 0.7, "no_such_value": 0.9}, "model"),
        }  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 48, 48, 3), (2, 33, 71, 3), (5, 8, 8, 3), (3, 300, 40, 3)])
def test_any_clip_gives_a_valid_record(shape):
    frames = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    for alpha in (None, np.zeros(shape[:3], np.uint8), np.full(shape[:3], 255, np.uint8)):
        caption = describe(frames, Fraction(24), alpha=alpha, taxonomy=TAXONOMY)
        assert caption.frame_count == shape[0]
        for value in caption.values:
            assert value.value in TAXONOMY.field(value.field).values  # pyright: ignore
            assert value.origin == "measured" and 0.5 <= value.confidence <= 1.0
        assert not set(caption.abstained) & {value.field for value in caption.values}
        assert all(np.isfinite(v) for v in caption.measures.values() if isinstance(v, float))


@pytest.mark.parametrize("colour", [0, 255, 128])
def test_an_empty_picture_has_no_subject_and_no_effects(colour):
    frames = np.full((10, 40, 40, 3), colour, np.uint8)
    caption = describe(frames, Fraction(24), taxonomy=TAXONOMY)
    assert {"camera.framing", "motion.timing", "style.line", "style.shading"} <= set(caption.abstained)
    assert not [value for value in caption.values if value.field.startswith("vfx.")]


def test_wrong_arrays_are_refused():
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    for wrong in (frames[..., 0], frames.astype(np.float32), frames[:0]):
        with pytest.raises(ValueError, match="expected uint8"):
            describe(wrong, Fraction(24), taxonomy=TAXONOMY)
    with pytest.raises(ValueError, match="alpha"):
        describe(frames, Fraction(24), alpha=np.zeros((4, 8, 8), np.uint8), taxonomy=TAXONOMY)


def test_a_network_overrules_on_its_fields_and_its_silence_is_kept():
    frames = filmed(lambda t: (1.5 * t, 0.0), size=96)
    caption = describe(frames, Fraction(24), taxonomy=TAXONOMY, network=Opinion())
    by = {value.field: value for value in caption.values}
    assert by["camera.move"].value == "slide_right" and by["camera.move"].origin == "model"
    assert by["camera.move"].confidence == 0.45
    assert "style.line" in caption.abstained
    assert caption.all("vfx.element") == ("fire",)
    assert by["camera.transition"].origin == "measured"


def test_a_long_clip_is_shown_in_windows_that_cover_its_ends():
    drawn = [posed(0.2 * t, size=64) for t in range(60)]
    frames, alpha = np.stack([p for p, _ in drawn]), np.stack([m for _, m in drawn])
    evidence = gather(look(frames, 24, alpha=alpha))
    assert len(evidence.thumbs) == 3
    first, last = (cv2.resize(frames[t], (THUMB_SIZE, THUMB_SIZE), interpolation=cv2.INTER_AREA) for t in (0, -1))
    assert np.array_equal(evidence.thumbs[0, 0], first) and np.array_equal(evidence.thumbs[-1, -1], last)
    short = gather(look(frames[:10], 24, alpha=alpha[:10]))
    assert short.signals.shape[0] == 1 and np.abs(short.signals[0, 10:]).max() == 0.0


def test_the_subject_is_shown_in_the_middle_and_how_it_moves():
    picture = np.zeros((96, 128, 3), np.uint8) + np.random.default_rng(1).integers(60, 90, (96, 128, 1), dtype=np.uint8)
    frames, alpha = np.repeat(picture[None], 12, 0), np.zeros((12, 96, 128), np.uint8)
    texture = np.random.default_rng(2).integers(90, 255, (32, 24, 3), dtype=np.uint8)
    texture = cv2.GaussianBlur(texture, (5, 5), 0)
    for t in range(12):
        frames[t, 30:62, 20 + 2 * t : 44 + 2 * t], alpha[t, 30:62, 20 + 2 * t : 44 + 2 * t] = texture, 255
    actors = gather(look(frames, 24, alpha=alpha)).actors[0]
    inside = actors[5, ..., 1] > 127
    assert np.abs(np.argwhere(inside).mean(0) - (THUMB_SIZE - 1) / 2).max() < 2.0
    across, down = (float(np.median(actors[5, ..., k][inside])) - 128.0 for k in (2, 3))
    assert across == pytest.approx(127.0 * (2.0 / (1.2 * 32.0) / 0.25) ** 0.5, rel=0.15) and abs(down) < 12.0
    assert (actors[12:, ..., 2:] == 128).all() and (actors[12:, ..., :2] == 0).all()


def test_the_narrative_follows_the_order_of_the_groups():
    frames = filmed(lambda t: (1.5 * t, 0.0), size=96)
    caption = describe(frames, Fraction(24), taxonomy=TAXONOMY, network=Opinion())
    places = [caption.narrative.index(word) for word in ("Camera:", "Effects:", "Style:")]
    assert places == sorted(places) and "fire" in caption.narrative
