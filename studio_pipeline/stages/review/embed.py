"""Pictures and videos as data URIs, and the check that a page needs nothing else."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from studio_pipeline.media.video import write_mp4

__all__ = ["data_uri", "outside_references", "picture_uri", "video_within"]

_SIDE = 1400  # [px] most side of an embedded picture
_LADDER = ((1.0, 20), (1.0, 26), (0.75, 28), (0.5, 30), (0.35, 34), (0.25, 38))  # size factor, H.264 crf


def data_uri(data: bytes, mime: str) -> str:
    """``data`` as an address that holds its content."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def picture_uri(path: Path, *, side: int = _SIDE) -> str:
    """The picture at ``path`` as JPEG in a data URI, at most ``side`` wide or high; empty when unreadable."""
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        return ""
    scale = min(1.0, side / max(picture.shape[:2]))
    if scale < 1.0:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return data_uri(data.tobytes(), "image/jpeg") if done else ""


def video_within(path: Path, frames: np.ndarray, fps: Fraction, limit: int, folder: Path) -> bytes:
    """Write the video to ``path`` and return it, or, when larger, a smaller version of at most ``limit`` bytes.

    The smaller version is coarser first, then smaller in the picture; the last step is returned whatever its size.
    """
    import cv2

    data = b""
    for factor, crf in _LADDER:
        target = path if not data else folder / "smaller.mp4"
        sized = frames
        if factor < 1.0:
            size = (round(frames.shape[2] * factor / 2) * 2, round(frames.shape[1] * factor / 2) * 2)
            sized = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
        write_mp4(target, sized, fps, crf=crf)
        data = target.read_bytes()
        if target is not path:
            target.unlink()
        if len(data) <= limit:
            break
    return data


def outside_references(page: str) -> Sequence[str]:
    """Everything that ``page`` would fetch from outside itself: addresses, imports and style sheet urls."""
    finder = _Finder()
    finder.feed(page)
    return finder.found


class _Finder(HTMLParser):
    """Collects references that are neither data URIs nor places on the page."""

    _ATTRIBUTES = ("src", "href", "srcset", "poster", "data", "action", "background", "xlink:href")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        for name, value in attrs:
            if name in self._ATTRIBUTES and value and not value.startswith(("data:", "#")):
                self.found.append(f"{tag} {name}={value[:80]}")
            if name == "style" and value:
                self._style(value)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self._style(data)
        elif self._inside == "script":
            self.found += re.findall(
                r"(?:https?:)?//[\w.-]+\.\w{2,}[^\s'\"]*|\bfetch\(|XMLHttpRequest|\bimport\b", data
            )

    def _style(self, text: str) -> None:
        self.found += [u for u in re.findall(r"url\(\s*['\"]?([^)'\"]*)", text) if not u.startswith(("data:", "#"))]
        self.found += re.findall(r"@import[^;]*", text)
