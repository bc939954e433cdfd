"""Residual curves as a picture: per frame and per step of the gradient stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["write_curves"]

FINE = 2  # samples along a pixel's side: lines come out smooth
PANEL = 560, 300  # width and height [px]
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 48, 40
INK, GREY, GRID, PAPER = (34, 38, 46), (110, 116, 128), (226, 229, 234), (255, 255, 255)
COLOURS = ((31, 104, 180), (214, 96, 32), (44, 140, 84), (140, 80, 170), (176, 134, 20), (90, 100, 115))


@dataclass(frozen=True)
class _Panel:
    title: str
    x_label: str
    series: Mapping[str, Sequence[float | None]]
    low: float | None = None  # of the vertical axis; None: from the values
    high: float | None = None
    first: int = 0  # number of the first value
    log: bool = False
    marked: tuple[int, ...] = ()  # values that are pointed out


def write_curves(path: Path, residuals: Mapping[str, Any], first_frame: int) -> None:
    """Draw what `lift.lift` tells of itself: IoU, track error and explained share by frame, terms by step."""
    frames, doubted = residuals["frames"], tuple(item["frame"] for item in residuals.get("frames_doubted", ()))
    views = {view["name"] or "view": view["iou"] for view in residuals.get("views", ())}
    panels = [
        _Panel("silhouette IoU", "frame", {"IoU": frames["iou"], **views}, high=1.0, first=first_frame, marked=doubted),
        _Panel("track error, median [px]", "frame", {"tracks": frames["track_error_px"]}, low=0.0, first=first_frame),
    ]
    if residuals.get("explained"):
        shares = {"explained": residuals["explained"]}
        panels.append(
            _Panel("explained share of the character", "frame", shares, 0.0, 1.0, first=first_frame, marked=doubted)
        )
    if curves := residuals.get("curves"):
        weights = residuals.get("weights", {})
        terms = {
            name + ("" if weights.get(name) else " (off)"): [v / values[0] for v in values]
            for name, values in curves.items()
            if values[0] > 0.0
        }
        panels.append(_Panel("terms, as multiples of their start", "accepted step", terms, log=True))
    columns = 2
    sheet = Image.new("RGB", (columns * PANEL[0], -(-len(panels) // columns) * PANEL[1]), PAPER)
    for index, panel in enumerate(panels):
        sheet.paste(_drawn(panel), (index % columns * PANEL[0], index // columns * PANEL[1]))
    sheet.save(path, optimize=False)


def _drawn(panel: _Panel) -> Image.Image:
    size = PANEL[0] * FINE, PANEL[1] * FINE
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    values = {name: np.array([np.nan if v is None else v for v in line], float) for name, line in panel.series.items()}
    if panel.log:
        values = {name: np.log2(np.maximum(line, 1e-3)) for name, line in values.items()}
    low, high = _range(panel, values)
    count = max((len(line) for line in values.values()), default=1)
    box = LEFT * FINE, TOP * FINE, size[0] - RIGHT * FINE, size[1] - BOTTOM * FINE

    def place(index: float, value: float) -> tuple[float, float]:
        x = box[0] + (box[2] - box[0]) * (index / max(count - 1, 1))
        return x, box[3] - (box[3] - box[1]) * (min(max(value, low), high) - low) / (high - low)

    for tick in _ticks(low, high, 4):
        _, y = place(0, tick)
        draw.line((box[0], y, box[2], y), GRID, FINE)
        text = f"{2.0**tick:.3g}" if panel.log else f"{tick:.3g}"
        draw.text((box[0] - 7 * FINE, y), text, GREY, _font(11), anchor="rm")
    for tick in _ticks(panel.first, panel.first + count - 1, 6, whole=True):
        x, _ = place(tick - panel.first, low)
        draw.text((x, box[3] + 6 * FINE), f"{tick:.0f}", GREY, _font(11), anchor="ma")
    for index in panel.marked:
        x, _ = place(index, low)
        draw.line((x, box[1], x, box[3]), (214, 60, 60), 2 * FINE)
    for (_, line), colour in zip(values.items(), COLOURS * 3, strict=False):
        _curve(draw, [None if np.isnan(v) else place(i, float(v)) for i, v in enumerate(line)], colour)
    draw.line((box[0], box[1], box[0], box[3], box[2], box[3]), GREY, FINE)
    draw.text((box[0], 8 * FINE), panel.title, INK, _font(14), anchor="la")
    draw.text(((box[0] + box[2]) / 2, size[1] - 6 * FINE), panel.x_label, GREY, _font(11), anchor="md")
    _legend(draw, list(values), bool(panel.marked), box)
    return picture.resize(PANEL, Image.Resampling.LANCZOS)


def _range(panel: _Panel, values: Mapping[str, np.ndarray]) -> tuple[float, float]:
    known = np.concatenate([line[np.isfinite(line)] for line in values.values()] or [np.zeros(0)])
    low = panel.low if panel.low is not None else float(known.min(initial=1.0 if panel.high else 0.0))
    high = panel.high if panel.high is not None else float(known.max(initial=low))
    if panel.low is None:
        low -= 0.08 * max(high - low, 1e-3)
    if panel.high is None:
        high += 0.08 * max(high - low, 1e-3)
    return low, high if high - low > 1e-6 else low + 1.0


def _ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Round numbers between ``low`` and ``high``."""
    raw = max((high - low) / count, 1e-9)
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= raw * 0.999)
    step = max(float(round(step)), 1.0) if whole else float(step)
    return [k * step for k in range(int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9)) + 1)]


def _curve(draw: ImageDraw.ImageDraw, points: list[tuple[float, float] | None], colour: tuple[int, int, int]) -> None:
    """A line with gaps where nothing is known; single points are dots."""
    part: list[tuple[float, float]] = []
    for point in [*points, None]:
        if point is not None:
            part.append(point)
            continue
        if len(part) > 1:
            draw.line(part, colour, 2 * FINE, joint="curve")
        for x, y in part if len(part) == 1 else ():
            draw.ellipse((x - 2 * FINE, y - 2 * FINE, x + 2 * FINE, y + 2 * FINE), colour)
        part = []


def _legend(draw: ImageDraw.ImageDraw, names: list[str], marked: bool, box: tuple[int, int, int, int]) -> None:
    """Names with their colours, under the title."""
    x, y = float(box[0]), 36.0 * FINE
    entries = [(name, COLOURS[i % len(COLOURS)]) for i, name in enumerate(names)] if len(names) > 1 else []
    for name, colour in [*entries, *([("frames that count for less", (214, 60, 60))] if marked else [])]:
        draw.line((x, y, x + 14 * FINE, y), colour, 3 * FINE)
        draw.text((x + 18 * FINE, y), name, INK, _font(11), anchor="lm")
        x += 18 * FINE + draw.textlength(name, _font(11)) + 14 * FINE


def _font(size: int) -> Any:
    return ImageFont.load_default(size * FINE)
