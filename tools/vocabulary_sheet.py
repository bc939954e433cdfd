"""The contact sheet of what previz draws: ``python -m tools.vocabulary_sheet --out docs/images/vocabulary.jpg``.

Every tag of the taxonomy that previz draws is filmed with the shipped character Pip in a shot that suits its field, and
the same shot is filmed without it. A tile shows both at the frame where they differ most, and the difference; of what
moves (performances, timing, paths, camera moves) it shows the tag's own first and telling frame.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.stages.character.library import resolve_character
from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.directives.brief import direct
from studio_pipeline.stages.takes import PrevizSettings
from studio_pipeline.stages.takes.drawn import drawable_tags
from studio_pipeline.stages.takes.previz import make_previz

__all__ = ["main", "panels", "sheet", "shown_tags"]

FRAMES, SIDE = 20, 152  # frames of a shot, side of its pictures [px]
PANEL, GAP, LABEL, COLUMNS = 112, 5, 19, 5  # side of a panel, between tiles, height of a label [px], tiles a row

_SHOTS: dict[str, dict[str, str]] = {
    "motion.timing": {"motion.performance": "run"},
    "motion.energy": {"motion.performance": "dance"},
    "motion.path": {"motion.performance": "walk", "environment.place": "meadow"},
    "motion.accent": {"motion.performance": "attack"},
    "camera.move": {"motion.performance": "attack", "environment.place": "city"},
    "camera.framing": {"motion.performance": "wave", "environment.place": "meadow"},
    "camera.angle": {"motion.performance": "wave", "environment.place": "mountains"},
    "camera.lens": {"motion.performance": "wave", "environment.place": "city"},
    "camera.focus": {"motion.performance": "wave", "environment.place": "city"},
    "camera.transition": {"motion.performance": "wave", "environment.place": "meadow"},
    "environment.time": {"environment.place": "seaside", "camera.angle": "low"},
    "environment.weather": {"environment.place": "meadow"},
    "vfx.impact": {"motion.performance": "attack", "environment.place": "meadow"},
    "vfx.element": {"motion.performance": "jump", "environment.place": "meadow"},
    "vfx.light": {"motion.performance": "attack", "environment.place": "forest", "environment.time": "night"},
    "vfx.optical": {"motion.performance": "attack", "environment.place": "meadow"},
    "vfx.strength": {"motion.performance": "attack", "vfx.impact": "focus_lines", "vfx.particle": "confetti"},
}
_STYLED = {"motion.performance": "jump", "environment.place": "meadow"}
_OWN = {
    "camera.move=follow_pan": {"motion.performance": "walk", "environment.place": "city"},
    "camera.focus=deep": {"motion.performance": "wave", "environment.place": "city", "camera.move": "pan_left"},
    "motion.accent=squash_stretch": {"motion.performance": "jump"},
    "motion.accent=moving_hold": {"motion.performance": "dance"},
    "motion.accent=ease": {"motion.performance": "walk"},
    "vfx.element=explosion": {"motion.performance": "attack", "environment.place": "desert"},
    "vfx.element=sparks": {"motion.performance": "attack", "environment.place": "city", "environment.time": "night"},
    "vfx.particle=fireflies": {"environment.place": "forest", "environment.time": "night"},
    "vfx.particle=bubbles": {"environment.place": "underwater"},
    "vfx.light=ripple_light": {"environment.place": "underwater"},
    "vfx.light=lens_flare": {"environment.place": "seaside"},
    "vfx.light=magic_circle": {"environment.place": "city", "environment.time": "night"},
    "vfx.optical=heat_haze": {"environment.place": "desert"},
}
"""Shots of tags that tell more elsewhere."""

_MOVING = ("motion.performance", "motion.timing", "motion.energy", "motion.path", "camera.move")


def shown_tags() -> list[str]:
    """Tags of the taxonomy that are drawn and are not just what is there anyway."""
    taxonomy, drawn = load_taxonomy(), set(drawable_tags())
    tags = [(field, f"{field.field}={tag.value}") for field in taxonomy.fields for tag in field.tags]
    return [tag for field, tag in tags if tag in drawn and tag != f"{field.field}={field.default}"]


@lru_cache(maxsize=1)
def _pip() -> tuple[Character, Rig]:
    loaded = load_character(resolve_character("pip", assets_folder() / "characters"))
    assert loaded.own_rig is not None
    return loaded.character, loaded.own_rig


def _shot(tag: str) -> dict[str, str]:
    field = tag.partition("=")[0]
    styled = field.startswith(("style.", "lighting.", "texture."))
    return dict(_OWN.get(tag, _SHOTS.get(field, _STYLED if styled else {})))


@lru_cache(maxsize=16)
def _filmed(shot: tuple[tuple[str, str], ...]) -> np.ndarray:
    """Frames [T, H, W, 3] of a shot."""
    directives: Directives = direct("", dict(shot), load_taxonomy())[0]
    character, rig = _pip()
    camera = frame_points(character.vertices, width=SIDE, height=SIDE, fill=0.8).at(np.zeros(FRAMES, dtype=int))
    options = {"fps": Fraction(24), "frame_count": FRAMES, "first_frame": 1001, "seed": 3}
    settings = PrevizSettings(supersample=2)
    return make_previz(character, rig, camera, directives, **options, settings=settings).clip.frames


def panels(tag: str) -> tuple[list[np.ndarray], float]:
    """Three pictures [SIDE, SIDE, 3] of a tag and the share of 8-bit levels by which it changes its telling frame."""
    field, _, value = tag.partition("=")
    shot = _shot(tag)
    without = {name: text for name, text in shot.items() if name != field}
    before = _filmed(tuple(sorted((without if field not in shot else shot).items())))
    after = _filmed(tuple(sorted({**shot, field: value}.items())))
    difference = np.abs(after.astype(np.int16) - before.astype(np.int16)).mean(-1)
    frame = int(difference.mean((1, 2)).argmax())
    heat = np.clip(difference[frame] / 96.0, 0.0, 1.0)[..., None]
    shown = (heat**0.7 * np.array([255, 196, 84]) + (1.0 - heat**0.7) * np.array([22, 20, 34])).astype(np.uint8)
    first = after[2] if field in _MOVING else before[frame]
    return [first, after[frame], shown], float(difference[frame].mean() / 255.0)


def sheet(tags: list[str], tiles: Iterator[list[np.ndarray]]) -> Image.Image:
    """All tiles under the names of their fields."""
    fields: dict[str, list[str]] = {}
    for tag in tags:
        fields.setdefault(tag.partition("=")[0], []).append(tag)
    wide, tall = 3 * PANEL + 2 * GAP, PANEL + LABEL + GAP
    rows = sum(-(-len(group) // COLUMNS) for group in fields.values())
    image = Image.new("RGB", (COLUMNS * wide + GAP, rows * tall + 30 * len(fields) + GAP), (250, 248, 244))
    draw = ImageDraw.Draw(image)
    small, large = ImageFont.load_default(size=13), ImageFont.load_default(size=19)
    top = GAP
    for field, group in fields.items():
        draw.text((2 * GAP, top + 3), field, fill=(52, 44, 66), font=large)
        top += 30
        for index, tag in enumerate(group):
            x, y = GAP + index % COLUMNS * wide, top + index // COLUMNS * tall
            for panel, picture in enumerate(next(tiles)):
                small_one = Image.fromarray(picture).resize((PANEL, PANEL), Image.Resampling.LANCZOS)
                image.paste(small_one, (x + panel * PANEL, y))
            draw.text((x + 2, y + PANEL + 1), tag.partition("=")[2].replace("_", " "), fill=(40, 36, 48), font=small)
        top += -(-len(group) // COLUMNS) * tall
    return image


def _told(tags: list[str]) -> Iterator[list[np.ndarray]]:
    began = time.monotonic()
    for index, tag in enumerate(tags):
        pictures, change = panels(tag)
        seconds = time.monotonic() - began
        sys.stderr.write(f"{index + 1}/{len(tags)} {tag} {100.0 * change:.1f} % {seconds:.0f} s\n")
        yield pictures


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the picture: .jpg or .png")
    parser.add_argument("--only", default="", help="fields that begin with this")
    chosen = parser.parse_args()
    tags = [tag for tag in shown_tags() if tag.startswith(chosen.only)]
    sheet(tags, _told(tags)).save(chosen.out, quality=84, optimize=True)


if __name__ == "__main__":
    main()
