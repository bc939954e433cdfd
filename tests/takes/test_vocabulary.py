"""Every tag that previz draws changes the picture where its meaning says; measured on pixels, not on parameters."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from support.takes import directives, pip, take

from studio_pipeline.geometry.cameras import frame_points, project
from studio_pipeline.media.srgb import srgb_to_linear
from studio_pipeline.render.ground import backdrop
from studio_pipeline.render.picture.optics import fringed, warped
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.stages.takes.drawn import EFFECTS, drawable_tags
from studio_pipeline.stages.takes.moments import Moments, moments
from studio_pipeline.stages.takes.previz import Previz, make_previz

SIDE = 64
MEADOW = ("environment.place=meadow",)
ATTACK = ("motion.performance=attack",)


def film(*tags: str, **options: int) -> np.ndarray:
    return take(*tags, **options).clip.frames.astype(np.float64)


def happening(made: Previz, performance: str) -> Moments:
    return moments(made.acted.vertices, pip()[1], made.acted.plan, 12.0, performance=performance)


DEFAULTS = {
    *(f"{field.field}={field.default}" for field in load_taxonomy().fields if field.default),
    "lighting.source=soft_key", "lighting.temperature=neutral", "lighting.change=steady", "lighting.contrast=normal",
    "texture.surface=smooth", "texture.finish=clean", "vfx.strength=medium",
}  # fmt: skip
BASES = {
    "motion.timing": ("motion.performance=run",), "motion.energy": ("motion.performance=dance",),
    "motion.path": ("motion.performance=walk",), "motion.accent": ATTACK, "camera.move": ("motion.performance=walk",),
    "camera.focus": ("environment.place=city",), "vfx.impact": ATTACK, "vfx.light": ATTACK, "vfx.optical": ATTACK,
    "vfx.element": ("motion.performance=jump",), "vfx.strength": ("vfx.particle=confetti",),
}  # fmt: skip
OVERLAYS = ("vfx.", "style.palette", "style.look", "lighting.", "texture.", "camera.transition", "camera.focus",
            "environment.")  # fmt: skip


def test_the_vocabulary_is_large_and_has_the_whole_camera() -> None:
    drawn, taxonomy = set(drawable_tags()), load_taxonomy()
    known = {f"{field.field}={tag.value}" for field in taxonomy.fields for tag in field.tags}
    assert len(drawn & known) >= 80
    assert {tag for tag in known if tag.startswith(("camera.", "motion."))} <= drawn
    assert drawn <= known


@pytest.mark.parametrize("tag", sorted(set(drawable_tags()) - DEFAULTS))
def test_every_tag_changes_the_picture(tag: str) -> None:
    field = tag.partition("=")[0]
    base = BASES.get(field, ())
    before, after = take(*base), take(*base, tag)
    changed = np.abs(after.clip.frames.astype(int) - before.clip.frames.astype(int)).max(-1)
    assert (changed > 6).sum() > 12, "nothing of it is seen"
    assert tag in after.obeyed and not after.not_obeyed
    if field.startswith(OVERLAYS) and tag != "vfx.optical=smear":
        cover = [made.clip.alpha for made in (before, after) if made.clip.alpha is not None]
        assert np.array_equal(cover[0], cover[1]), "an overlay is no part of the character"


@pytest.mark.parametrize(
    "tag", ["vfx.particle=leaves", "vfx.impact=debris", "style.look=watercolour", "camera.move=shake"]
)
def test_the_same_seed_gives_the_same_bytes(tag: str) -> None:
    first, other = take(tag), take(tag, seed=4)
    take.cache_clear()
    assert take(tag).clip.frames.tobytes() == first.clip.frames.tobytes()
    assert other.clip.frames.tobytes() != first.clip.frames.tobytes()


def test_defaults_leave_the_camera_and_the_backdrop_alone() -> None:
    character, rig = pip()
    camera = frame_points(character.vertices, width=SIDE, height=SIDE).at(np.zeros(4, dtype=int))
    options = {"fps": Fraction(12), "frame_count": 4, "first_frame": 1, "seed": 3}
    made = make_previz(character, rig, camera, directives(()), **options)
    assert made.camera is camera
    behind = backdrop(SIDE, SIDE)
    assert made.clip.alpha is not None
    for frame, alpha in zip(made.clip.frames, made.clip.alpha, strict=True):
        assert np.array_equal(frame[alpha == 0], behind[alpha == 0])


# -- camera.transition, focus, lens


def test_fades_go_from_and_to_black() -> None:
    into, out = (film(f"camera.transition={way}", frames=12).mean((1, 2, 3)) for way in ("fade_in", "fade_out"))
    plain = film(*MEADOW, frames=12).mean()
    assert (np.diff(into[:4]) > 0).all() and into[0] < 0.6 * into[-1] and out[-1] < 0.35 * out[0]
    assert (np.diff(out[-4:]) < 0).all() and plain > 0.0


def test_a_wipe_replaces_the_picture_from_one_side() -> None:
    cut, wiped = film(*MEADOW, "camera.focus=deep", frames=12), film(*MEADOW, "camera.transition=wipe", frames=12)
    change = np.abs(wiped - cut).max(-1).mean(1)  # [T, W]
    middle = 12 - 3
    assert change[:7].max() < 1.0 and change[middle, -8:].mean() > 10.0 > change[middle, :8].mean()


def sharpness(picture: np.ndarray, where: np.ndarray) -> float:
    gray = picture.mean(-1)
    return float(np.abs(gray - cv2.GaussianBlur(gray, (0, 0), 1.2))[where].mean())


def test_focus_blurs_the_distance_and_a_rack_the_character_too() -> None:
    options = {"size": 128, "frames": 6}
    deep, shallow, rack = (
        film("environment.place=city", f"camera.focus={f}", **options) for f in ("deep", "shallow", "rack")
    )
    alpha = take("environment.place=city", "camera.focus=deep", **options).clip.alpha
    assert alpha is not None
    far = np.zeros((128, 128), bool)
    far[:40] = cv2.dilate(alpha[0], np.ones((9, 9)))[:40] == 0
    own = cv2.erode(alpha[-1], np.ones((5, 5))) > 250
    assert sharpness(shallow[0], far) < 0.5 * sharpness(deep[0], far)
    assert np.abs(shallow[0][own] - deep[0][own]).mean() < 1.0
    assert sharpness(rack[-1], own) < 0.6 * sharpness(deep[-1], own)
    assert sharpness(rack[-1], far) > 1.4 * sharpness(rack[0], far)


def test_a_fisheye_bends_coverage_with_the_picture() -> None:
    rows = np.zeros((65, 65), np.float32)
    rows[8:10] = 1.0  # a straight line near the upper border
    bent = warped(rows, 0.34)
    middle, side = (int(bent[:, column].argmax()) for column in (32, 4))
    assert side > middle + 2, "lines bend away from the middle at its sides"
    assert take("camera.lens=fisheye").clip.alpha is not None


# -- style


def chroma(frames: np.ndarray) -> float:
    return float((frames.max(-1) - frames.min(-1)).mean())


def test_palettes_do_to_colour_what_they_are_called() -> None:
    by = {name: film("motion.performance=wave", f"style.palette={name}", *MEADOW, frames=3) for name in
          ("natural", "vivid", "pastel", "muted", "warm", "cool", "monochrome", "sepia", "neon")}  # fmt: skip
    assert np.ptp(by["monochrome"], axis=-1).max() <= 1.0
    assert chroma(by["vivid"]) > 1.2 * chroma(by["natural"]) > 1.6 * chroma(by["muted"])
    assert by["pastel"].mean() > by["natural"].mean() + 20.0 and chroma(by["pastel"]) < chroma(by["natural"])
    red, blue = (lambda f: f[..., 0].mean()), (lambda f: f[..., 2].mean())
    assert red(by["warm"]) - blue(by["warm"]) > red(by["natural"]) - blue(by["natural"]) + 8.0
    assert red(by["cool"]) - blue(by["cool"]) < red(by["natural"]) - blue(by["natural"]) - 8.0
    assert (by["sepia"][..., 0] >= by["sepia"][..., 1]).all() and (by["sepia"][..., 1] >= by["sepia"][..., 2]).all()
    assert chroma(by["neon"]) > chroma(by["natural"])


def tones(shading: str) -> np.ndarray:
    """How much light the inside of the character throws back, as a factor of its own colour. [N]"""
    options = {"size": 160, "frames": 1}
    plain = ("motion.performance=hold", "style.line=none")
    lit, flat = (take(*plain, f"style.shading={name}", **options) for name in (shading, "flat"))
    alpha = lit.clip.alpha
    assert alpha is not None
    inside = cv2.erode(alpha[0], np.ones((7, 7))) > 250
    given, own = (srgb_to_linear(made.clip.frames[0] / 255.0).sum(-1)[inside] for made in (lit, flat))
    return given[own > 0.1] / own[own > 0.1]


def test_shading_has_the_steps_that_it_says() -> None:
    assert np.ptp(tones("flat")) == 0.0
    between = {}
    for name in ("cel", "two_step", "gradient"):
        light = tones(name)
        dark, bright = np.quantile(light, [0.03, 0.9])
        share = (light - dark) / (bright - dark)
        between[name] = float(((share > 0.2) & (share < 0.75)).mean())
        assert bright > 1.3 * dark
    # One hard step leaves nothing between light and shadow, a second one a tone, a gradient everything.
    assert between["cel"] < 0.1 < between["two_step"] and between["cel"] < 0.3 * between["gradient"]


def dark_border(*tags: str) -> float:
    made = take("motion.performance=hold", *tags, size=160, frames=1)
    alpha = made.clip.alpha
    assert alpha is not None
    inside = (alpha[0] > 250) & (cv2.erode(alpha[0], np.ones((9, 9))) < 250)
    return float((made.clip.frames[0].mean(-1)[inside] < 62.0).mean())


def test_lines_are_as_wide_as_they_are_called() -> None:
    wide = {name: dark_border(f"style.line={name}") for name in ("none", "thin", "clean", "thick", "coloured")}
    assert wide["none"] <= wide["thin"] < wide["clean"] < wide["thick"]
    assert wide["coloured"] < wide["clean"]


def spectrum_peak(picture: np.ndarray) -> float:
    """How far the strongest fine frequency stands out of the others."""
    gray = picture.mean(-1)
    power = np.abs(np.fft.fft2(gray - cv2.GaussianBlur(gray, (0, 0), 3.0)))
    fy, fx = (np.abs(np.fft.fftfreq(n)) for n in gray.shape)
    fine = np.hypot(fy[:, None], fx[None]) > 0.1
    return float(power[fine].max() / np.median(power[fine]))


@pytest.mark.parametrize("tag", ["style.look=comic", "texture.surface=halftone", "texture.finish=print"])
def test_screens_of_dots_have_a_period(tag: str) -> None:
    plain, dotted = film(*MEADOW, size=160, frames=1)[0], film(*MEADOW, tag, size=160, frames=1)[0]
    assert spectrum_peak(dotted) > 2.0 * spectrum_peak(plain)


def parts(*tags: str) -> tuple[float, float]:
    """Mean brightness of the character and of what is around it."""
    made = take(*MEADOW, *tags, frames=3)
    alpha, frame = made.clip.alpha, made.clip.frames[2].astype(float).mean(-1)
    assert alpha is not None
    return float(frame[alpha[2] > 250].mean()), float(frame[alpha[2] == 0].mean())


def test_light_falls_where_it_is_said_to() -> None:
    own, around = parts()
    by = {name: parts(f"lighting.source={name}") for name in ("backlight", "high_key", "low_key")}
    assert by["backlight"][0] < 0.75 * own and by["backlight"][1] > 1.15 * around
    assert by["high_key"][0] > own and by["high_key"][1] > around and by["low_key"][1] < 0.5 * around


@pytest.mark.parametrize(
    ("direction", "axis", "sign"), [("left", 1, 1), ("right", 1, -1), ("top", 0, 1), ("below", 0, -1)]
)
def test_light_has_a_direction(direction: str, axis: int, sign: int) -> None:
    lit = take(f"lighting.direction={direction}", "motion.performance=hold", frames=1, size=128)
    flat = take("style.shading=flat", "motion.performance=hold", frames=1, size=128)
    alpha = lit.clip.alpha
    assert alpha is not None
    inside = cv2.erode(alpha[0], np.ones((7, 7))) > 250
    ratio = lit.clip.frames[0].astype(float).mean(-1) / np.maximum(flat.clip.frames[0].astype(float).mean(-1), 1.0)
    places = np.argwhere(inside)[:, axis]
    values = ratio[inside]
    first, last = values[places < np.quantile(places, 0.3)].mean(), values[places > np.quantile(places, 0.7)].mean()
    assert sign * (first - last) > 0.05


def test_hours_colour_and_darken() -> None:
    by = {
        hour: film("environment.place=seaside", f"environment.time={hour}", frames=1)[0]
        for hour in ("day", "sunset", "night")
    }
    assert by["night"].mean() < 0.6 * by["day"].mean()
    assert (by["sunset"][..., 0] - by["sunset"][..., 2]).mean() > (by["day"][..., 0] - by["day"][..., 2]).mean() + 30.0


# -- effects


def difference(tag: str, *base: str, **options: int) -> tuple[np.ndarray, Previz]:
    after = take(*base, tag, **options)
    return np.abs(after.clip.frames.astype(int) - film(*base, **options)).max(-1), after


@pytest.mark.parametrize("tag", ["vfx.impact=focus_lines", "vfx.impact=flash", "vfx.impact=impact_frame",
                                 "vfx.impact=shockwave", "vfx.impact=debris", "vfx.light=beam"])  # fmt: skip
def test_effects_of_a_hit_wait_for_it(tag: str) -> None:
    change, made = difference(tag, *ATTACK, frames=16)
    hit = happening(made, "attack").impacts[0]
    amount = change.mean((1, 2))
    assert amount[: hit - 3].max(initial=0.0) < 0.01
    assert amount[hit : hit + 4].max() > 1.0


def test_a_flash_is_white_and_an_impact_frame_has_two_colours() -> None:
    flash, made = film(*ATTACK, "vfx.impact=flash", frames=16), take(*ATTACK, frames=16)
    hit = happening(made, "attack").impacts[0]
    assert flash[hit].mean() > 225.0 > flash[0].mean()
    frame = take(*ATTACK, "vfx.impact=impact_frame", frames=16).clip.frames[hit]
    extreme = (frame.max(-1) < 70) | (frame.min(-1) > 190)
    assert extreme.mean() > 0.75


def test_dust_rises_at_the_feet_and_symbols_stand_at_the_head() -> None:
    change, made = difference("vfx.element=dust", "motion.performance=jump", frames=16)
    rows = np.argwhere(change.max(0) > 8)[:, 0]
    assert np.median(rows) > 0.66 * SIDE
    for symbol in ("sweat_drop", "anger_mark", "exclamation", "tears", "blush"):
        change, made = difference(f"vfx.symbol={symbol}", frames=4)
        head = happening(made, "idle").head[2]
        pixel = project(made.camera.at([2]), head[None, None])[0][0, 0]
        place = np.argwhere(change[2] > 12).mean(0)[::-1]
        assert np.linalg.norm(place - pixel) < 0.3 * SIDE


def test_an_aura_is_brightest_at_the_silhouette() -> None:
    before, made = film(frames=3), take("vfx.light=aura", frames=3)
    gain = made.clip.frames[2].astype(float)[..., 2] - before[2][..., 2]
    alpha = made.clip.alpha
    assert alpha is not None
    outside = alpha[2] == 0
    near = outside & (cv2.dilate(alpha[2], np.ones((7, 7))) > 0)
    far = outside & (cv2.dilate(alpha[2], np.ones((25, 25))) == 0)
    shift = np.abs(made.clip.frames[2].astype(float) - before[2]).max(-1)
    assert shift[near].mean() > 20.0 > 4.0 * shift[far].mean() and gain[near].mean() > 0.0


def test_an_aura_larger_than_the_picture_and_light_above_white_are_drawn() -> None:
    assert film("camera.angle=subjective", "vfx.light=aura", "motion.performance=walk").max() > 0.0
    bright = EFFECTS["lighting.source"]["high_key"].front
    assert bright is not None
    lit = bright(None, 0, np.full((4, 4, 3), 1.6, np.float32))  # pyright: ignore[reportArgumentType]
    assert lit is not None and np.isfinite(lit).all() and lit.min() > 0.9


def test_a_vignette_darkens_corners_alone() -> None:
    before, after = film(*MEADOW, frames=1)[0].mean(-1), film(*MEADOW, "vfx.optical=vignette", frames=1)[0].mean(-1)
    corner, middle = np.s_[:6, :6], np.s_[28:36, 28:36]
    assert after[corner].mean() < 0.7 * before[corner].mean() and abs(after[middle] - before[middle]).max() < 2.0


def test_grain_differs_from_frame_to_frame() -> None:
    held = ("motion.performance=hold", "vfx.optical=film_grain")
    still, grainy = film("motion.performance=hold", frames=4), film(*held, frames=4)
    assert np.abs(np.diff(still, axis=0)).max() == 0.0 and np.abs(np.diff(grainy, axis=0)).mean() > 2.0
    assert abs(grainy.mean() - still.mean()) < 4.0


def test_colour_fringes_run_outwards() -> None:
    picture = np.zeros((65, 65, 3), np.float32)
    picture[:, 55:57] = 1.0  # an upright line to the right of the middle
    red, green, blue = np.moveaxis(fringed(picture, 4.0), -1, 0)
    centre = [float((plane[32] * np.arange(65)).sum() / plane[32].sum()) for plane in (red, green, blue)]
    assert centre[0] > centre[1] + 1.0 and centre[2] < centre[1] - 1.0


def test_earlier_poses_remain_where_the_body_was() -> None:
    change, made = difference("vfx.optical=afterimage", "motion.performance=run", frames=10)
    alpha = made.clip.alpha
    assert alpha is not None
    was = alpha[5:8].max(0) > 200
    free = alpha[8] == 0
    assert change[8][was & free].mean() > 10.0 and change[8][~was & free & (alpha[:8].max(0) == 0)].max() < 3.0


def test_blur_and_smear_sit_on_what_is_fast() -> None:
    change, made = difference("vfx.optical=motion_blur", *ATTACK, frames=16)
    speed = happening(made, "attack").speed
    amount = change.mean((1, 2))
    assert amount[0] == 0.0 and np.corrcoef(amount[1:], speed[1:])[0, 1] > 0.6
    change, made = difference("vfx.optical=smear", *ATTACK, frames=16)
    smeared = np.flatnonzero(change.max((1, 2)) > 10)
    assert 1 <= len(smeared) <= 4 and speed[smeared].min() > np.median(speed)


def test_strength_is_how_much_of_the_picture_effects_take() -> None:
    amount = [
        difference("vfx.particle=confetti", f"vfx.strength={s}", frames=3)[0].mean()
        for s in ("light", "medium", "heavy")
    ]
    assert amount[0] < amount[1] < amount[2]


@pytest.mark.parametrize("weather", ["rain", "snow"])
def test_what_falls_goes_down(weather: str) -> None:
    frames = film("motion.performance=hold", f"environment.weather={weather}", size=96, frames=8)
    moving = frames - frames.mean(0)
    shifts = range(-10, 11)
    score = [
        np.mean([(moving[t, 12:-12] * moving[t + 1, 12 + s : 96 - 12 + s]).mean() for t in range(7)]) for s in shifts
    ]
    down, up = max(score[11:]), max(score[:10])
    assert weather == "rain" or down > up  # rain falls farther in a frame than it can be followed


def test_behind_stays_behind() -> None:
    """What is painted on the set never covers the character."""
    change, made = difference("vfx.element=smoke", frames=4)
    alpha = made.clip.alpha
    assert alpha is not None and change[2][alpha[2] == 255].max() == 0 and change[2][alpha[2] == 0].mean() > 3.0
    assert EFFECTS["vfx.element"]["smoke"].front is None
