"""Every measure against pictures that were drawn to be measured."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.drawn import PAPER, ball, figure_alpha, posed, with_lattice, with_rays, with_streaks
from support.moving import filmed, noisy, texture

from studio_pipeline.caption import describe
from studio_pipeline.media.reading import read_clip
from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.caption import Caption
from studio_pipeline.schema.taxonomy import load_taxonomy

FPS = Fraction(24)
NAMES = {1: "ones", 2: "twos", 3: "threes", 4: "fours"}


def read(frames: np.ndarray, alpha: np.ndarray | None = None) -> Caption:
    return describe(frames, FPS, alpha=alpha, taxonomy=load_taxonomy())


def swinging(hold: int, *, pan: float = 0.0, count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A figure whose drawing is held ``hold`` frames, before paper or before a background that pans on ones."""
    behind = filmed(lambda t: (pan * t, 0.0), count=count) if pan else [None] * count
    drawn = [posed(0.45 * (t // hold) * hold, behind=behind[t]) for t in range(count)]
    return np.stack([picture for picture, _ in drawn]), np.stack([mask for _, mask in drawn])


@pytest.mark.parametrize("hold", [1, 2, 3, 4])
@pytest.mark.parametrize("pan", [0.0, 1.5])
def test_held_drawings_are_counted(hold, pan):
    frames, alpha = swinging(hold, pan=pan)
    caption = read(noisy(frames, 1.5), alpha)
    assert caption.get("motion.timing") == NAMES[hold]
    if pan:
        assert caption.measures["camera_shift_x_widths_per_s"] == pytest.approx(-pan * 24 / 128, rel=0.05)


@pytest.mark.parametrize("hold", [1, 2, 3])
def test_held_drawings_are_counted_through_h264_without_alpha(tmp_path: Path, hold: int):
    write_mp4(tmp_path / "clip.mp4", swinging(hold)[0], FPS, crf=26)
    assert read(read_clip(tmp_path / "clip.mp4").frames).get("motion.timing") == NAMES[hold]


def test_nothing_moves_so_nobody_knows_the_timing():
    frames = np.stack([posed(0.8)[0]] * 24)
    assert "motion.timing" in read(noisy(frames, 1.0)).abstained


def test_faster_movements_have_more_energy():
    means = []
    for speed in (0.05, 0.2, 0.6):
        drawn = [posed(speed * t) for t in range(24)]
        caption = read(np.stack([p for p, _ in drawn]), np.stack([m for _, m in drawn]))
        means.append(caption.measures["motion_mean_heights_per_s"])
    assert means[0] < 0.6 * means[1] < 0.6 * 0.8 * means[2]
    assert read(np.stack([posed(0.0)[0]] * 12)).get("motion.energy") in (None, "subtle")


@pytest.mark.parametrize("coded", [False, True])
def test_flashes_and_impact_frames_are_found_where_they_are(tmp_path: Path, coded: bool):
    frames = np.stack([posed(0.3 * t, behind=texture(3, (128, 128)))[0] for t in range(24)])
    frames[9] = np.clip(frames[9].astype(int) + 170, 0, 255)
    frames[10] = np.clip(frames[10].astype(int) + 90, 0, 255)
    grey = cv2.cvtColor(frames[17], cv2.COLOR_RGB2GRAY)
    frames[17] = np.where(grey[..., None] > 120, 250, 8)
    if coded:
        write_mp4(tmp_path / "clip.mp4", frames, FPS, crf=20)
        frames = read_clip(tmp_path / "clip.mp4").frames
    caption = read(frames)
    assert caption.measures["flash_indices"] in ([9], [9, 10])
    assert caption.measures["impact_frame_indices"] == [17]
    assert set(caption.all("vfx.impact")) >= {"flash", "impact_frame"}


def test_a_clip_without_effects_has_none():
    caption = read(noisy(np.stack([posed(0.3 * t, behind=texture(3, (128, 128)))[0] for t in range(24)])))
    assert caption.all("vfx.impact") == ()
    assert caption.measures["flash_indices"] == [] and caption.measures["impact_frame_indices"] == []


@pytest.mark.parametrize("kind", ["fade_in", "fade_out", "cut"])
def test_fades(kind):
    frames = filmed(lambda t: (0.0, 0.0)).astype(np.float64)
    ramp = np.clip(np.arange(24) / 8.0, 0.0, 1.0)
    factor = {"fade_in": ramp, "fade_out": ramp[::-1], "cut": np.ones(24)}[kind]
    caption = read((frames * factor[:, None, None, None]).astype(np.uint8))
    assert caption.get("camera.transition") == kind


def graded(kind: str) -> np.ndarray:
    """A picture full of hues, in a palette that is made as colourists make it."""
    rng = np.random.default_rng(4)
    hsv = np.zeros((12, 12, 3), np.float32)
    hsv[..., 0] = rng.uniform(0, 360, (12, 12))
    hsv[..., 1] = {"vivid": 0.95, "pastel": 0.22, "muted": 0.18, "neon": 1.0}.get(kind, 0.5)
    hsv[..., 2] = {"pastel": 0.97, "muted": 0.55, "neon": 1.0}.get(kind, 0.8)
    if kind == "neon":
        hsv[..., 2] = np.where(rng.random((12, 12)) < 0.75, 0.08, 1.0)
    if kind == "warm":
        hsv[..., 0] = rng.uniform(5, 55, (12, 12))
    if kind == "cool":
        hsv[..., 0] = rng.uniform(190, 250, (12, 12))
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if kind in ("monochrome", "sepia"):
        grey = rgb @ np.array([0.3, 0.59, 0.11], np.float32)
        rgb = grey[..., None] * (np.array([1.0, 0.84, 0.62]) if kind == "sepia" else np.ones(3))
    frame = cv2.resize((255 * rgb).astype(np.uint8), (96, 96), interpolation=cv2.INTER_NEAREST)
    return np.stack([frame] * 4)


@pytest.mark.parametrize("kind", ["monochrome", "sepia", "vivid", "pastel", "muted", "neon", "warm", "cool"])
def test_palettes(kind):
    assert read(graded(kind)).get("style.palette") == kind


@pytest.mark.parametrize("line", [0.0, 1.0, 2.0, 4.0])
def test_the_width_of_the_outline(line):
    picture, mask = ball(line=line)
    caption = read(np.stack([picture] * 3), np.stack([mask] * 3))
    if line == 0.0:
        assert caption.get("style.line") == "none"
    else:
        assert caption.measures["outline_px"] == pytest.approx(line, rel=0.2, abs=0.25)
        assert caption.measures["outline_covered_share"] > 0.9
        assert caption.get("style.line") == ("clean" if line == 1.0 else "thick")


@pytest.mark.parametrize(("levels", "named"), [(1, "flat"), (2, "cel"), (3, "two_step"), (0, "gradient")])
def test_steps_of_shading(levels, named):
    picture, mask = ball(levels=levels)
    assert read(np.stack([picture] * 3), np.stack([mask] * 3)).get("style.shading") == named


@pytest.mark.parametrize("pitch", [5.0, 8.0])
def test_the_pitch_of_a_halftone(pitch):
    plain = np.full((160, 160, 3), 200, np.uint8)
    caption = read(np.stack([with_lattice(plain, pitch)] * 3))
    # dots of cos * cos lie on the lattice's diagonals as well: the nearest are pitch / sqrt 2 away
    assert caption.measures["halftone_pitch_px"] == pytest.approx(pitch / np.sqrt(2.0), abs=0.8)
    assert caption.measures["halftone_regularity"] > 0.6
    assert read(noisy(np.stack([plain] * 3))).measures["halftone_regularity"] < 0.3


def test_speed_lines_and_focus_lines():
    size = 192
    plain = np.stack([posed(0.3 * t, size=size)[0] for t in range(8)])
    masks = np.stack([posed(0.3 * t, size=size)[1] for t in range(8)])
    dark = (plain * 0.7).astype(np.uint8)
    parallel = np.stack([with_streaks(frame, t) for t, frame in enumerate(dark)])
    rays = np.stack([with_rays(frame, t) for t, frame in enumerate(plain)])
    assert read(parallel, masks).all("vfx.impact") == ("speed_lines",)
    assert read(rays, masks).all("vfx.impact") == ("focus_lines",)
    assert read(plain, masks).all("vfx.impact") == ()


@pytest.mark.parametrize(("height", "named"), [(0.15, "extreme_long"), (0.4, "long"), (0.75, "full"), (1.3, "medium")])
def test_shot_size(height, named):
    frames, alpha = figure_alpha(height)
    caption = read(frames, alpha)
    assert caption.get("camera.framing") == named
    if height < 0.95:
        assert caption.measures["subject_height_share"] == pytest.approx(height, abs=0.01)


@pytest.mark.parametrize(
    ("ratio", "zoom", "named"),
    [(1.0, 1.01, "zoom_in"), (2.5, 1.006, "truck_in"), (1.0, 0.99, "zoom_out"), (2.5, 0.994, "truck_back")],
)
def test_a_lens_enlarges_all_alike_a_dolly_what_is_near(ratio, zoom, named):
    behind = filmed(lambda t: (0.0, 0.0, 1.6 * zoom**t, 0.0))
    frames, alpha = pasted(behind, scale=lambda t: zoom ** (ratio * t) if ratio > 1 else zoom**t)
    assert read(frames, alpha).get("camera.move") == named


@pytest.mark.parametrize(("own", "named"), [(1.0, "pan_right"), (1.8, "slide_right"), (0.0, "follow_pan")])
def test_what_is_near_passes_faster_where_the_camera_travels(own, named):
    behind = filmed(lambda t: (0.8 * t, 0.0))
    frames, alpha = pasted(behind, shift=lambda t: -0.8 * own * (t - 12))
    assert read(frames, alpha).get("camera.move") == named


def pasted(behind, *, scale=lambda t: 1.0, shift=lambda t: 0.0):
    """A still drawing before a moving background, itself scaled and shifted over time."""
    picture, mask = posed(0.9)
    size = picture.shape[0]
    frames, alphas = [], []
    for t, back in enumerate(behind):
        factor = 0.6 * scale(t - len(behind) // 2)
        matrix = cv2.getRotationMatrix2D((size / 2, size / 2), 0.0, factor)
        matrix[0, 2] += shift(t)
        cover = cv2.warpAffine(mask, matrix, (size, size), flags=cv2.INTER_LINEAR)
        ink = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=PAPER)
        share = cover[..., None] / 255.0
        frames.append((ink * share + back * (1.0 - share)).astype(np.uint8))
        alphas.append(cover)
    return np.stack(frames), np.stack(alphas)
