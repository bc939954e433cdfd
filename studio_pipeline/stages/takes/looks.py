"""The look of the character itself: shading, lines and light of the style directives as a `render.look.Look`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from studio_pipeline.render.look import Look, default_outline_px
from studio_pipeline.render.sets.hours import air
from studio_pipeline.schema.directives import Directives

__all__ = ["CONTRASTS", "DIRECTIONS", "LIGHTS", "LINES", "LOOKS", "QUALITIES", "SHADINGS", "asked", "asks", "look_of"]

SHADINGS: dict[str, dict[str, Any]] = {
    "cel": {"shading": "toon", "steps": (0.24, 0.24), "levels": (0.34, 0.34)},
    "two_step": {"shading": "toon", "steps": (-0.12, 0.28), "levels": (0.05, 0.46)},
    "flat": {"shading": "flat"},
    "gradient": {"shading": "lambert"},
    "painterly": {"shading": "lambert"},
}
"""By value of ``style.shading``: one hard step between light and shadow, two, none, or soft transitions."""

LINES: dict[str, dict[str, Any]] = {
    "clean": {},
    "thick": {"width": 2.3},
    "thin": {"width": 0.5},
    "varied": {"width": 1.7, "outline_varied": 1.0},
    "coloured": {"width": 1.15, "outline_tint": 1.0, "outline_shade": 0.34, "outline_opacity": 1.0},
    "none": {"width": 0.0},
}
"""By value of ``style.line``; ``width`` is a factor of the usual one."""

LIGHTS: dict[str, dict[str, Any]] = {
    "soft_key": {},
    "rim": {"rim_strength": 1.5, "rim_edge": (0.5, 0.6), "rim_direction": (0.85, 0.4, -0.25), "dim": 0.8},
    "backlight": {
        "key_direction": (0.25, 0.75, -0.62), "rim_direction": (0.1, 0.8, -0.6), "rim_strength": 1.9,
        "rim_edge": (0.62, 0.7), "levels": (0.0, 0.0), "shadow_tint": (0.15, 0.14, 0.24), "highlight": 0.0,
        "ambient": 0.16,
    },
    "shafts": {},
    "dappled": {},
    "high_key": {"levels": (0.72, 0.72), "shadow_tint": (0.74, 0.74, 0.8), "ambient": 0.72},
    "low_key": {
        "key_direction": (-0.86, 0.42, 0.3), "steps": (0.3, 0.3), "levels": (0.0, 0.0), "ambient": 0.1,
        "shadow_tint": (0.07, 0.075, 0.13), "rim_strength": 0.4, "dim": 0.9,
    },
    "underlight": {
        "key_direction": (0.1, -0.9, 0.5), "steps": (0.1, 0.1), "levels": (0.05, 0.05), "rim_strength": 0.05,
        "shadow_tint": (0.2, 0.24, 0.4), "light_tint": (1.0, 0.95, 0.82), "ambient": 0.18,
    },
}  # fmt: skip
"""By value of ``lighting.source``; ``dim`` is a factor of all light."""

DIRECTIONS: dict[str, dict[str, Any]] = {
    "front": {"key_direction": (0.0, 0.15, 1.0)},
    "left": {"key_direction": (-0.95, 0.15, 0.15)},
    "right": {"key_direction": (0.95, 0.15, 0.15), "rim_direction": (-0.75, 0.45, -0.35)},
    "top": {"key_direction": (0.0, 1.0, 0.12)},
    "back": {"key_direction": (0.0, 0.35, -0.95), "rim_strength": 1.1, "rim_edge": (0.6, 0.7)},
    "below": {"key_direction": (0.0, -0.95, 0.3)},
}
"""By value of ``lighting.direction``; the light falls from there in the picture."""

QUALITIES: dict[str, dict[str, Any]] = {
    "hard": {"softness": 0.006, "levels": (0.02, 0.3)},
    "soft": {"softness": 0.34},
    "diffuse": {"softness": 0.6, "levels": (0.78, 0.78), "highlight": 0.0},
}
"""By value of ``lighting.quality``: how wide the border of shadows is, and how deep they are."""

CONTRASTS: dict[str, dict[str, Any]] = {
    "even": {"shadow_tint": (0.76, 0.74, 0.82), "ambient": 0.68},
    "normal": {},
    "strong": {"shadow_tint": (0.05, 0.05, 0.1), "levels": (0.06, 0.06), "ambient": 0.14},
}
"""By value of ``lighting.contrast``."""

LOOKS: dict[str, dict[str, Any]] = {
    "modern_digital": {},
    "retro_cel": {
        "softness": 0.012,
        "highlight": 0.0,
        "outline_color": (44, 30, 26),
        "outline_tint": 0.15,
        "width": 1.1,
    },
    "storybook": {"shading": "lambert", "ambient": 0.62, "outline_tint": 1.0, "outline_shade": 0.3, "width": 0.9},
    "watercolour": {"shading": "lambert", "ambient": 0.6, "width": 0.5, "outline_tint": 0.9, "outline_shade": 0.3},
    "ink": {"width": 2.1, "outline_varied": 1.0, "outline_tint": 0.0, "outline_color": (16, 15, 18)},
    "comic": {"width": 1.9, "outline_tint": 0.0, "outline_color": (12, 10, 14), "highlight": 0.0, "rim_strength": 0.0},
    "rendered_3d": {"shading": "rendered", "width": 0.0},
    "rough_sketch": {"width": 1.0, "outline_tint": 0.0, "outline_color": (52, 50, 58), "highlight": 0.0},
}
"""By value of ``style.look``: what of it is drawn on the character; the rest is done to the picture."""


def asked(directives: Directives, *fields: str) -> str | None:
    """The first value of any of ``fields`` that isn't just the default."""
    found = [item for item in directives.values() if item.field in fields and item.origin != "default"]
    return found[0].value if found else None


def asks(directives: Directives, field: str, value: str) -> bool:
    """Whether a value is among those of a field that holds several."""
    return any(item.field == field and item.value == value for item in directives.values())


def look_of(directives: Directives, height: int) -> Look:
    """The look that the style directives ask for, on pictures ``height`` [px] high."""
    manner = LOOKS.get(directives.get("style.look") or "modern_digital", {})
    parts = [  # where nobody asks for a shading, the house's three soft tones: the lift reads form from them
        manner,
        LIGHTS.get(asked(directives, "lighting.source") or "soft_key", {}),
        SHADINGS.get(asked(directives, "style.shading") or "", {}),
        DIRECTIONS.get(asked(directives, "lighting.direction") or "", {}),
        QUALITIES.get(asked(directives, "lighting.quality") or "", {}),
        CONTRASTS.get(asked(directives, "lighting.contrast") or "", {}),
        LINES.get(directives.get("style.line") or "clean", {}),
    ]
    changes: dict[str, Any] = {}
    width = dim = 1.0
    for part in parts:
        changes |= {name: value for name, value in part.items() if name not in ("width", "dim")}
        dim *= part.get("dim", 1.0)
        width = part["width"] if part.get("width") == 0.0 else width * part.get("width", 1.0)
    if asked(directives, "lighting.source") in ("low_key", "backlight", "underlight", "high_key"):
        light = LIGHTS[asked(directives, "lighting.source") or ""]
        changes |= {name: light[name] for name in ("steps", "levels") if name in light}
    hour = air(directives.get("environment.time") or "day", directives.get("environment.weather") or "clear").figure
    given = changes.get("light_tint", (1.0, 1.0, 1.0))
    tint = tuple(float(a * b * dim) for a, b in zip(given, hour, strict=True))
    outline = None if width == 1.0 else width * default_outline_px(height)
    return replace(Look(), **{**changes, "light_tint": tint, "outline_px": outline})
