"""Which tags previz draws, and what draws them: one table a field, none of them here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from studio_pipeline.render.sets.hours import HOURS
from studio_pipeline.render.sets.places import PLACES
from studio_pipeline.schema.directives import Directives
from studio_pipeline.stages.takes.acting import ENERGIES, HOLDS, MOODS, PATHS
from studio_pipeline.stages.takes.effects.elements import ELEMENTS
from studio_pipeline.stages.takes.effects.impact import IMPACT
from studio_pipeline.stages.takes.effects.lighting import CHANGES, LIGHTING, TEMPERATURES
from studio_pipeline.stages.takes.effects.lights import LIGHT
from studio_pipeline.stages.takes.effects.optical import FOCUS, OPTICAL
from studio_pipeline.stages.takes.effects.particles import PARTICLES
from studio_pipeline.stages.takes.effects.scene import Effect
from studio_pipeline.stages.takes.effects.style import MANNERS, PALETTE, SHADING
from studio_pipeline.stages.takes.effects.symbols import SYMBOLS
from studio_pipeline.stages.takes.effects.texture import FINISHES, SURFACES
from studio_pipeline.stages.takes.effects.transitions import TRANSITIONS
from studio_pipeline.stages.takes.effects.weather import WEATHER
from studio_pipeline.stages.takes.filming.framing import ANGLES, FRAMINGS, LENSES
from studio_pipeline.stages.takes.filming.moves import MOVES
from studio_pipeline.stages.takes.looks import CONTRASTS, DIRECTIONS, LINES, LOOKS, QUALITIES, SHADINGS
from studio_pipeline.stages.takes.performances import PERFORMANCES
from studio_pipeline.stages.takes.timing import CURVES, TIMES

__all__ = ["EFFECTS", "STRENGTHS", "UNLIFTABLE", "account", "drawable_tags", "effects_of", "strength_of", "unliftable"]

STRENGTHS = {"light": 0.6, "medium": 1.0, "heavy": 1.5}
"""By value of ``vfx.strength``."""

EFFECTS: dict[str, Mapping[str, Effect]] = {
    "vfx.impact": IMPACT, "vfx.element": ELEMENTS, "vfx.light": LIGHT, "vfx.optical": OPTICAL, "vfx.symbol": SYMBOLS,
    "vfx.particle": PARTICLES, "style.look": MANNERS, "style.shading": SHADING, "style.palette": PALETTE,
    "lighting.source": LIGHTING, "environment.weather": WEATHER, "camera.focus": FOCUS,
    "camera.transition": TRANSITIONS, "lighting.temperature": TEMPERATURES, "lighting.change": CHANGES,
    "texture.surface": SURFACES, "texture.finish": FINISHES,
}  # fmt: skip
"""Painters by field and value."""

_DRAWN: dict[str, Collection[str]] = {
    "motion.performance": PERFORMANCES, "motion.timing": HOLDS, "motion.energy": ENERGIES, "motion.path": PATHS,
    "motion.accent": (*TIMES, *CURVES, "squash_stretch"), "subject.mood": ("neutral", *MOODS),
    "camera.move": MOVES, "camera.framing": FRAMINGS, "camera.angle": ANGLES, "camera.lens": LENSES,
    "camera.focus": ("deep", *FOCUS), "camera.transition": ("cut", *TRANSITIONS),
    "style.look": LOOKS, "style.line": LINES, "style.shading": SHADINGS, "style.palette": ("natural", *PALETTE),
    "lighting.source": LIGHTING, "environment.place": PLACES, "environment.time": HOURS,
    "environment.weather": WEATHER, "vfx.impact": IMPACT, "vfx.element": ELEMENTS, "vfx.light": LIGHT,
    "vfx.optical": OPTICAL, "vfx.symbol": SYMBOLS, "vfx.particle": PARTICLES, "vfx.strength": STRENGTHS,
    "lighting.direction": DIRECTIONS, "lighting.quality": QUALITIES, "lighting.contrast": CONTRASTS,
    "lighting.temperature": TEMPERATURES, "lighting.change": CHANGES, "texture.surface": SURFACES,
    "texture.finish": FINISHES,
}  # fmt: skip

UNLIFTABLE = {
    "camera.angle=subjective": "the character is hardly in the picture",
    "camera.lens=fisheye": "pixels are bent, the camera that is handed on is a pinhole",
    "camera.transition=dissolve": "another picture lies over the last frames",
    "camera.transition=wipe": "another picture covers the last frames",
    "camera.transition=fade_out": "the last frames are nearly black",
    "camera.focus=rack": "the character is blurred towards the end",
    "vfx.impact=impact_frame": "two frames have two colours",
    "vfx.impact=flash": "some frames are nearly white",
    "vfx.optical=smear": "smeared frames are no pose of the rig",
    "vfx.optical=glitch": "bands of the picture are displaced",
    "vfx.optical=heat_haze": "pixels waver",
    "style.look=rough_sketch": "colours are gone",
    "style.look=ink": "colours are gone",
}  # fmt: skip
"""What the lift cannot follow, and why; coverage (alpha) stays the character's in all of them."""


def drawable_tags() -> tuple[str, ...]:
    """Every "field=value" that previz draws, defaults included."""
    return tuple(f"{field}={value}" for field, values in _DRAWN.items() for value in values)


def account(directives: Directives, refused: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was asked for (defaults don't count) and drawn, and what was not; ``refused`` are "field=value"."""
    obeyed: list[str] = []
    ignored: list[str] = []
    for item in directives.values():
        if item.origin != "default":
            tag = f"{item.field}={item.value}"
            drawn = item.value in _DRAWN.get(item.field, ()) and tag not in refused
            (obeyed if drawn else ignored).append(tag)
    return tuple(obeyed), tuple(ignored)


def effects_of(directives: Directives) -> list[Effect]:
    """The painters that the directives ask for, in the order in which fronts are painted."""
    found = []
    for item in directives.values():
        effect = EFFECTS.get(item.field, {}).get(item.value)
        if effect is not None and (effect.behind or effect.front):
            found.append(effect)
    return sorted(found, key=lambda effect: effect.order)


def strength_of(directives: Directives) -> float:
    """The factor of all effects."""
    return STRENGTHS[directives.get("vfx.strength") or "medium"]


def unliftable(directives: Directives) -> dict[str, Any]:
    """Of what was asked for, what the lift cannot follow, with the reason."""
    tags = [f"{item.field}={item.value}" for item in directives.values() if item.origin != "default"]
    return {tag: UNLIFTABLE[tag] for tag in tags if tag in UNLIFTABLE}
