"""The hour and the weather: colours of the sky and of what lies under it, in linear light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from studio_pipeline.render.picture.colour import linear

__all__ = ["HOURS", "Air", "air"]


@dataclass(frozen=True)
class Air:
    """Sky and light of a moment."""

    zenith: np.ndarray  # [3] linear
    middle: np.ndarray  # of the sky, 20 degrees up
    horizon: np.ndarray
    light: np.ndarray  # factor of everything that is painted
    figure: np.ndarray  # factor of the character, milder
    cloud: np.ndarray
    cloud_shade: np.ndarray
    cloud_amount: float = 0.42
    haze: float = 1.0  # of the place's own clear distance
    stars: int = 0
    sun: tuple[float, float] | None = None  # elevation [deg], angular radius [deg]; None: not seen
    sun_colour: np.ndarray | None = None


Bytes = tuple[int, int, int]
Factor = tuple[float, float, float]


def _hour(
    zenith: Bytes, middle: Bytes, horizon: Bytes, light: Factor, figure: Factor, cloud: Bytes, shade: Bytes, **more: Any
) -> Air:  # fmt: skip
    return Air(
        zenith=linear(zenith), middle=linear(middle), horizon=linear(horizon), light=np.array(light),
        figure=np.array(figure), cloud=linear(cloud), cloud_shade=linear(shade), **more,
    )  # fmt: skip


HOURS = {
    "dawn": _hour(
        (104, 132, 196), (214, 178, 206), (255, 212, 176), (0.95, 0.76, 0.74), (1.0, 0.91, 0.88),
        (255, 226, 214), (196, 160, 190), sun=(4.0, 2.2), sun_colour=linear((255, 240, 206)),
    ),
    "day": _hour(
        (58, 128, 214), (126, 184, 236), (206, 230, 246), (1.0, 1.0, 0.98), (1.0, 1.0, 1.0),
        (255, 255, 255), (186, 204, 228),
    ),
    "sunset": _hour(
        (74, 62, 126), (222, 110, 92), (255, 190, 92), (0.98, 0.6, 0.42), (1.0, 0.83, 0.7),
        (255, 176, 118), (142, 82, 116), sun=(5.0, 3.0), sun_colour=linear((255, 236, 170)),
    ),
    "night": _hour(
        (10, 14, 40), (22, 34, 78), (52, 74, 124), (0.13, 0.18, 0.34), (0.44, 0.5, 0.74),
        (66, 82, 128), (26, 36, 76), cloud_amount=0.22, stars=420, sun=(16.0, 2.0), sun_colour=linear((238, 242, 255)),
    ),
}  # fmt: skip
"""By value of ``environment.time``; the sun of the night is the moon."""


def air(hour: str, weather: str) -> Air:
    """Sky and light of an hour in a weather."""
    clear = HOURS[hour]
    if weather in ("clear", "windy"):
        return clear
    grey, dim, haze = {
        "cloudy": (0.8, 0.82, 0.8), "rain": (0.85, 0.6, 0.5), "storm": (0.92, 0.36, 0.45), "snow": (0.7, 0.9, 0.45),
        "fog": (0.75, 0.92, 0.2),
    }[weather]  # fmt: skip

    def overcast(colour: np.ndarray, share: float = grey) -> np.ndarray:
        level = float(colour @ [0.3, 0.5, 0.2])
        return (colour * (1.0 - share) + level * np.array([0.94, 1.0, 1.1]) * share) * dim

    pale = overcast(clear.horizon) * (1.0 if weather == "storm" else 1.12)
    return replace(
        clear, zenith=overcast(clear.zenith) * 0.5 + 0.5 * pale * 0.7, middle=overcast(clear.middle) * 0.4 + 0.6 * pale,
        horizon=pale, light=overcast(clear.light, 0.5 * grey),
        figure=(clear.figure + overcast(clear.figure, 0.4)) / 2.0,
        cloud=overcast(clear.cloud), cloud_shade=overcast(clear.cloud_shade) * 0.75,
        cloud_amount=0.3 if weather == "fog" else 0.95, haze=haze, stars=0, sun=None,
    )  # fmt: skip
