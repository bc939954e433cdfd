"""Small line charts and histograms as inline SVG; colours come from the page's style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape

__all__ = ["histogram", "line_chart"]

WIDTH, HEIGHT = 400, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34


def line_chart(
    series: Mapping[str, Sequence[float] | np.ndarray],
    *,
    x: Sequence[float] | np.ndarray,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    log: bool = False,
) -> Markup:
    """Curves over ``x``; non-finite values leave gaps. With ``log``, powers of ten (values above zero only)."""
    curves = {name: _scaled(np.asarray(values, dtype=np.float64), log) for name, values in series.items()}
    finite = np.concatenate([c[np.isfinite(c)] for c in curves.values()]) if curves else np.zeros(0)
    if not finite.size:
        finite = np.zeros(1)
    low, high = y_range or (float(finite.min()), float(finite.max()))
    if y_range is None and not log and low >= 0.0:
        low = 0.0
    high = high if high > low else low + 1.0
    axes = _Axes(float(np.min(x)), float(np.max(x)), low, high)
    parts = [axes.frame(x_label, y_label, log=log)]
    for number, curve in enumerate(curves.values()):
        path = _path(axes, np.asarray(x, dtype=np.float64), curve)
        parts.append(f'<path class="curve c{number % 6}" d="{path}"/>')
    names = list(curves)
    legend = "".join(f'<span class="key c{i % 6}">{escape(name)}</span>' for i, name in enumerate(names))
    return Markup(f'{_svg(parts)}<div class="legend">{legend}</div>')


def histogram(values: np.ndarray, *, bins: int, x_label: str, y_label: str, log: bool = False) -> Markup:
    """How often values lie in each of ``bins`` equal steps (of their logarithm with ``log``)."""
    data = _scaled(np.asarray(values, dtype=np.float64), log)
    data = data[np.isfinite(data)]
    low, high = (float(data.min()), float(data.max())) if data.size else (0.0, 1.0)
    if high - low < 1e-6 * max(1.0, abs(low)):
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(data, bins=bins, range=(low, high))
    axes = _Axes(low, high, 0.0, float(max(counts.max(), 1)))
    bars = []
    for count, start, stop in zip(counts, edges[:-1], edges[1:], strict=True):
        left, right, top = axes.x(start), axes.x(stop), axes.y(float(count))
        height = axes.y(0.0) - top
        bars.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left - 1, 1):.1f}" height="{height:.1f}"/>'
        )
    frame = axes.frame(x_label, y_label, log_x=log)
    return Markup(_svg([frame, f'<g class="bars">{"".join(bars)}</g>']))


class _Axes:
    """Maps values to the picture and draws its frame."""

    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float) -> None:
        self.x_low, self.x_high = x_low, x_high if x_high > x_low else x_low + 1.0
        self.y_low, self.y_high = y_low, y_high

    def x(self, value: float) -> float:
        return LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (HEIGHT - TOP - BOTTOM)

    def frame(self, x_label: str, y_label: str, *, log: bool = False, log_x: bool = False) -> str:
        parts = []
        for value in _ticks(self.y_low, self.y_high, 4, whole=log):
            y, text = self.y(value), f"1e{value:.0f}" if log else f"{value:.4g}"
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>')
        for value in _log_ticks(self.x_low, self.x_high) if log_x else _ticks(self.x_low, self.x_high, 5, whole=True):
            x, text = self.x(value), _short(10.0**value) if log_x else f"{value:.4g}"
            place = f'x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}"'
            parts.append(f'<text class="tick" {place} text-anchor="middle">{text}</text>')
        middle = (TOP + HEIGHT - BOTTOM) / 2.0
        parts.append(
            f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 4}" text-anchor="middle">'
            f"{escape(x_label)}</text>"
        )
        parts.append(
            f'<text class="axis" transform="translate(11 {middle:.1f}) rotate(-90)" text-anchor="middle">'
            f"{escape(y_label)}</text>"
        )
        return "".join(parts)


def _svg(parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


def _scaled(values: np.ndarray, log: bool) -> np.ndarray:
    if not log:
        return values
    return np.log10(np.where(values > 0.0, values, np.nan))


def _ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Round numbers between ``low`` and ``high``."""
    raw = (high - low) / max(count, 1)
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * min((1.0, 2.0, 5.0, 10.0), key=lambda factor: abs(factor * power - raw))
    step = max(step, 1.0) if whole else step
    if whole:
        step = float(round(step))
    first = int(np.ceil(low / step - 1e-9))
    last = int(np.floor(high / step + 1e-9))
    return [index * step for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Logarithms of 1, 2 and 5 times powers of ten, of powers alone when there are many, between two logarithms."""
    factors = (1.0, 2.0, 5.0) if high - low < 2.5 else (1.0,)
    powers = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    ticks = [power + float(np.log10(factor)) for power in powers for factor in factors]
    return [tick for tick in ticks if low - 1e-9 <= tick <= high + 1e-9]


def _short(value: float) -> str:
    """A number with k, M or G."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9999 * limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}"


def _path(axes: _Axes, x: np.ndarray, curve: np.ndarray) -> str:
    words, down = [], False
    for position, value in zip(x, curve, strict=True):
        if not np.isfinite(value):
            down = False
            continue
        clipped = float(np.clip(value, axes.y_low, axes.y_high))
        words.append(f"{'L' if down else 'M'}{axes.x(float(position)):.1f} {axes.y(clipped):.1f}")
        down = True
    if len(words) == 1:  # a single value is drawn as a short dash
        words.append("h4")
    return "".join(words)
