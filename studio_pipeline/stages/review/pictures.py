"""The review's pictures: labelled panels side by side, a contact sheet, a turntable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio_pipeline.geometry.cameras import frame_points, orbit
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.stages.review.material import Material

__all__ = ["contact_sheet", "panels", "side_by_side", "turntable"]

BACKDROP = (236, 238, 242)  # sRGB
INK, PAPER = (28, 30, 36), (236, 238, 242)
STRIP = 28  # [px] height of a label
GAP = 4  # [px] between panels
SHEET_SIDE = 216  # [px] most side of a picture on the contact sheet
LABELS = ("Clip", "Lift", "Refinement")


def panels(material: Material, limit: int) -> list[np.ndarray]:
    """Clip, lift and refinement, each [T, h, w, 3] uint8 of the same even size within ``limit`` pixels."""
    import cv2

    size = _fit(material.camera.width, material.camera.height, limit)
    refined = []
    for path in material.delivered_frames:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise InputError("is missing or no readable picture", where=path.name)
        refined.append(_resize(picture[..., ::-1], size))
    clip = [_resize(frame, size) for frame in material.clip.frames]
    return [np.stack(clip), _render_lift(material, size), np.stack(refined)]


def side_by_side(pictures: Sequence[np.ndarray], first_frame: int) -> np.ndarray:
    """Panels next to each other under a strip with their labels and frame numbers. [T, H, W, 3] uint8, even sides"""
    count, height, width = pictures[0].shape[:3]
    columns = len(pictures)
    out = np.empty((count, height + STRIP, columns * width + (columns - 1) * GAP, 3), dtype=np.uint8)
    out[:] = INK
    starts = [column * (width + GAP) for column in range(columns)]
    for picture, start in zip(pictures, starts, strict=True):
        out[:, STRIP:, start : start + width] = picture
    labels = np.concatenate(
        [np.pad(_label(label, width), ((0, 0), (0, GAP), (0, 0))) for label in LABELS[:columns]], axis=1
    )[:, :-GAP]
    labels = np.maximum(labels, np.array(INK, dtype=np.uint8))
    for index in range(count):
        out[index, :STRIP] = labels
        number = _label(str(first_frame + index), 64, align="right")
        out[index, :STRIP, -64:] = number
    return out


def contact_sheet(pictures: Sequence[np.ndarray], first_frame: int, columns: int) -> np.ndarray:
    """A row for each of the panels, a column for each of some evenly spaced moments. [H, W, 3] uint8"""
    count, height, width = pictures[0].shape[:3]
    moments = np.unique(np.round(np.linspace(0, count - 1, columns)).astype(int))
    width, height = _fit(width, height, SHEET_SIDE)
    side = 104
    sheet_width = side + len(moments) * (width + GAP) - GAP
    sheet = np.empty((STRIP + len(pictures) * (height + GAP) - GAP, sheet_width, 3), dtype=np.uint8)
    sheet[:] = INK
    for column, index in enumerate(moments):
        x = side + column * (width + GAP)
        sheet[:STRIP, x : x + width] = _label(str(first_frame + int(index)), width)
        for row, picture in enumerate(pictures):
            y = STRIP + row * (height + GAP)
            sheet[y : y + height, x : x + width] = _resize(picture[index], (width, height))
    for row, label in enumerate(LABELS[: len(pictures)]):
        y = STRIP + row * (height + GAP) + (height - STRIP) // 2
        sheet[y : y + STRIP, :side] = _label(label, side)
    return sheet


def turntable(material: Material, limit: int, count: int) -> np.ndarray:
    """The refined pose of the middle frame seen from all around. [count, h, w, 3] uint8"""
    from studio_pipeline.render.look import render_frames

    points = material.cache.points[material.frame_count // 2]
    centre = (points.min(0) + points.max(0)).astype(np.float64) / 2.0
    width, height = _fit(material.camera.width, material.camera.height, limit)
    # What every turn sees together fits into the picture: frame the shape turned into a body of revolution.
    angles = np.linspace(0.0, 2.0 * np.pi, 12, endpoint=False)
    turned = [(points - centre) @ _about_y(angle).T for angle in angles]
    view = frame_points(np.concatenate(turned) + centre, width=width, height=height, azimuth=0.0, fill=0.88)
    views = [orbit(view, centre, 2.0 * np.pi * index / count) for index in range(count)]
    camera = CameraPath(
        world_to_camera=np.concatenate([v.world_to_camera for v in views]),
        focal=np.concatenate([v.focal for v in views]),
        width=width,
        height=height,
    )
    return render_frames(points[None], material.character, camera, background=BACKDROP).rgb


def _render_lift(material: Material, size: tuple[int, int]) -> np.ndarray:
    from studio_pipeline.render.look import render_frames

    frames = np.empty((material.frame_count, size[1], size[0], 3), dtype=np.uint8)
    for part in material.parts():
        rendered = render_frames(
            material.lifted[part], material.character, material.camera.at(part), background=BACKDROP
        )
        frames[part] = [_resize(frame, size) for frame in rendered.rgb]
    return frames


def _about_y(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _fit(width: int, height: int, limit: int) -> tuple[int, int]:
    """Even sides of at most ``limit`` with the same aspect ratio; never larger than the original."""
    scale = min(1.0, limit / max(width, height))
    return max(2, round(width * scale / 2.0) * 2), max(2, round(height * scale / 2.0) * 2)


def _resize(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    frame = np.ascontiguousarray(frame)
    if (frame.shape[1], frame.shape[0]) == size:
        return frame
    smaller = frame.shape[1] > size[0]
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _label(text: str, width: int, *, align: str = "centre") -> np.ndarray:
    """A strip with one line of text. [STRIP, width, 3] uint8"""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (width, STRIP), INK)
    anchor, x = ("rm", width - 8) if align == "right" else ("mm", width // 2)
    ImageDraw.Draw(image).text((x, STRIP // 2), text, fill=PAPER, font=ImageFont.load_default(15), anchor=anchor)
    return np.asarray(image)
