"""Palettes as transforms of linear light in OkLab (Ottosson 2020), where lightness, hue and chroma are apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["PALETTES", "from_oklab", "linear", "luminance", "recolour", "to_oklab"]

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    np.float32,
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    np.float32,
)
_FROM_LAB, _FROM_LMS = np.linalg.inv(_TO_LAB), np.linalg.inv(_TO_LMS)
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


def linear(colour: tuple[int, int, int]) -> np.ndarray:
    """An sRGB colour 0..255 in linear light. [3] float32"""
    value = np.array(colour, np.float32) / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def luminance(picture: np.ndarray) -> np.ndarray:
    """Rec. 709 luminance of linear light [..., 3]. [...]"""
    return picture @ _LUMINANCE


def to_oklab(picture: np.ndarray) -> np.ndarray:
    """Linear sRGB [..., 3] to OkLab (lightness, a towards red, b towards yellow)."""
    return np.cbrt(np.maximum(picture, 0.0) @ _TO_LMS.T) @ _TO_LAB.T


def from_oklab(lab: np.ndarray) -> np.ndarray:
    """OkLab [..., 3] to linear sRGB, clipped at 0."""
    return np.maximum((lab @ _FROM_LAB.T) ** 3 @ _FROM_LMS.T, 0.0).astype(np.float32)


def recolour(picture: np.ndarray, palette: str) -> np.ndarray:
    """A picture in linear light [H, W, 3] in one of `PALETTES`."""
    return np.minimum(from_oklab(PALETTES[palette](to_oklab(picture))), 1.0)


def _chroma(lab: np.ndarray, factor: float) -> np.ndarray:
    return lab * np.array([1.0, factor, factor], np.float32)


def _contrast(lab: np.ndarray, factor: float, pivot: float = 0.62) -> np.ndarray:
    out = lab.copy()
    out[..., 0] = np.clip(pivot + factor * (lab[..., 0] - pivot), 0.0, 1.0)
    return out


def _tinted(lab: np.ndarray, a: float, b: float, keep: float) -> np.ndarray:
    """Shift towards a hue, most in the middle tones; black and white stay."""
    out = _chroma(lab, keep)
    weight = 4.0 * lab[..., 0] * np.maximum(1.0 - lab[..., 0], 0.0) + 0.25 * lab[..., 0]
    out[..., 1] += a * weight
    out[..., 2] += b * weight
    return out


def _vivid(lab: np.ndarray) -> np.ndarray:
    return _contrast(_chroma(lab, 1.55), 1.12)


def _pastel(lab: np.ndarray) -> np.ndarray:
    out = _chroma(lab, 0.72)
    out[..., 0] = 0.42 + 0.57 * lab[..., 0]
    return out


def _muted(lab: np.ndarray) -> np.ndarray:
    return _contrast(_chroma(lab, 0.42), 0.84, 0.52)


def _warm(lab: np.ndarray) -> np.ndarray:
    return _tinted(lab, 0.034, 0.042, 0.94)


def _cool(lab: np.ndarray) -> np.ndarray:
    return _tinted(lab, -0.014, -0.058, 0.88)


def _monochrome(lab: np.ndarray) -> np.ndarray:
    return _contrast(_chroma(lab, 0.0), 1.06)


def _sepia(lab: np.ndarray) -> np.ndarray:
    out = _tinted(lab, 0.022, 0.062, 0.0)
    out[..., 0] = 0.1 + 0.86 * lab[..., 0]
    return out


def _neon(lab: np.ndarray) -> np.ndarray:
    """Darks sink into violet, what is coloured glows in magenta and cyan."""
    light, a, b = (lab[..., i] for i in range(3))
    chroma = np.hypot(a, b)
    hue = np.arctan2(b, a)
    # Hues are drawn towards magenta (-0.35 rad) and cyan (-2.75 rad), whichever is nearer.
    near = np.cos(hue + 0.35) > np.cos(hue + 2.75)
    goal = np.where(near, -0.35, -2.75)
    hue = hue + 0.75 * np.arctan2(np.sin(goal - hue), np.cos(goal - hue))
    vivid = np.minimum(1.9 * chroma + 0.03, 0.3)
    grey = np.exp(-((chroma / 0.05) ** 2))
    out = np.empty_like(lab)
    out[..., 0] = np.clip((0.1 + 0.74 * light * light) * (1.0 - grey) + 0.42 * light * grey, 0.0, 1.0)
    out[..., 1] = vivid * np.cos(hue) + 0.03 * grey
    out[..., 2] = vivid * np.sin(hue) - 0.09 * grey
    return out


PALETTES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "natural": lambda lab: lab, "vivid": _vivid, "pastel": _pastel, "muted": _muted, "warm": _warm, "cool": _cool,
    "monochrome": _monochrome, "sepia": _sepia, "neon": _neon,
}  # fmt: skip
"""By value of ``style.palette``: OkLab to OkLab."""
