"""Pictures of an evaluation: confusion by field, reliability, and real clips with what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from studio_pipeline.evaluation.caption.figures import reliability
from studio_pipeline.schema.caption import Caption

__all__ = ["ClipSheet", "write_confusions", "write_reliability", "write_sheet"]

_PAPER, _INK, _FAINT, _BLUE = (250, 249, 246), (34, 36, 44), (150, 150, 156), (38, 84, 150)
_CELL, _LABEL, _GAP, _TITLE = 22, 128, 26, 26


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def write_confusions(path: Path, tables: Sequence[tuple[str, Sequence[str], np.ndarray]], *, columns: int = 3) -> None:
    """One square a field: rows the truth, columns what was said, last silence; darker: a larger share of the row."""
    pictures = [_table(*table) for table in tables]
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    width = max(sum(p.width for p in row) + _GAP * (len(row) + 1) for row in rows)
    height = sum(max(p.height for p in row) + _GAP for row in rows) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    top = _GAP
    for row in rows:
        left = _GAP
        for picture in row:
            sheet.paste(picture, (left, top))
            left += picture.width + _GAP
        top += max(p.height for p in row) + _GAP
    sheet.save(path)


def _table(field: str, values: Sequence[str], counts: np.ndarray) -> Image.Image:
    columns = [*values, "(silent)"]
    size = (_LABEL + _CELL * len(columns), _TITLE + _LABEL + _CELL * len(values))
    picture = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((0, 0), field, fill=_INK, font=_font(15))
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    for column, name in enumerate(columns):
        label = Image.new("RGB", (_LABEL - 6, 14), _PAPER)
        ImageDraw.Draw(label).text((0, 0), name, fill=_INK if column < len(values) else _FAINT, font=_font(11))
        picture.paste(label.rotate(90, expand=True), (_LABEL + column * _CELL + 4, _TITLE + 4))
    for row, name in enumerate(values):
        top = _TITLE + _LABEL + row * _CELL
        draw.text((_LABEL - 6, top + 4), name, fill=_INK, font=_font(11), anchor="ra")
        for column in range(len(columns)):
            left = _LABEL + column * _CELL
            depth = float(share[row, column])
            colour = tuple(round(p + (b - p) * depth) for p, b in zip(_PAPER, _BLUE, strict=True))
            draw.rectangle((left, top, left + _CELL - 2, top + _CELL - 2), fill=colour, outline=(225, 223, 218))
            if counts[row, column]:
                ink = _PAPER if depth > 0.5 else _INK
                draw.text((left + 10, top + 4), str(counts[row, column]), fill=ink, font=_font(10), anchor="ma")
    return picture


def write_reliability(path: Path, curves: Sequence[tuple[str, Sequence[tuple[float, bool]]]]) -> None:
    """One square a name: share of right answers over confidence; the area of a dot is the number of answers."""
    side, pad = 210, 40
    sheet = Image.new("RGB", (len(curves) * (side + pad) + pad, side + 2 * pad + 18), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (name, pairs) in enumerate(curves):
        left, top = pad + index * (side + pad), pad
        draw.text((left, top - 24), name, fill=_INK, font=_font(14))
        draw.rectangle((left, top, left + side, top + side), outline=_FAINT)
        draw.line((left, top + side, left + side, top), fill=_FAINT)
        total = max(len(pairs), 1)
        for confidence, right, count in reliability(pairs):
            x, y = left + confidence * side, top + (1.0 - right) * side
            radius = 3.0 + 14.0 * float(np.sqrt(count / total))
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_BLUE, width=2)
        draw.text((left, top + side + 6), "confidence 0 to 1, up: share right", fill=_FAINT, font=_font(11))
    sheet.save(path)


class ClipSheet:
    """One clip of a sheet: its name, frames and caption."""

    def __init__(self, name: str, frames: np.ndarray, caption: Caption) -> None:
        """Args: name, frames [T, H, W, 3] uint8, and what is said of them."""
        self.name, self.frames, self.caption = name, frames, caption

    def draw(self, width: int) -> Image.Image:
        """Six frames above, the values in columns below."""
        count, tile = 6, width // 6
        height = round(tile * self.frames.shape[1] / self.frames.shape[2])
        lines = [f"{v.field} = {v.value}   {v.confidence:.2f} {v.origin}" for v in self.caption.values]
        open_fields = f"not told: {', '.join(self.caption.abstained) or '-'}"
        rows = max(1, -(-len(lines) // 3))
        picture = Image.new("RGB", (width, 24 + height + 10 + 17 * (rows + 1) + 8), _PAPER)
        draw = ImageDraw.Draw(picture)
        title = f"{self.name}: {self.caption.frame_count} frames at {self.caption.fps} a second"
        draw.text((2, 2), title, fill=_INK, font=_font(15))
        for index, t in enumerate(np.linspace(0, len(self.frames) - 1, count).round().astype(int)):
            frame = Image.fromarray(self.frames[t]).resize((tile - 4, height))
            picture.paste(frame, (index * tile, 24))
        for index, line in enumerate(lines):
            x, y = (index // rows) * width // 3, 24 + height + 10 + 17 * (index % rows)
            draw.text((x + 2, y), line, fill=_INK, font=_font(12))
        draw.text((2, 24 + height + 10 + 17 * rows), open_fields, fill=_FAINT, font=_font(12))
        return picture


def write_sheet(path: Path, clips: Sequence[ClipSheet], *, width: int = 1200) -> None:
    """All clips, one under the other."""
    pictures = [clip.draw(width) for clip in clips]
    sheet = Image.new("RGB", (width + 20, sum(p.height + 14 for p in pictures) + 14), _PAPER)
    top = 14
    for picture in pictures:
        sheet.paste(picture, (10, top))
        top += picture.height + 14
    sheet.save(path)
