"""What a person looks at: skeleton and weights of the truth, and of every backend beside it."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.evaluation.rigs.subjects import Subject
from studio_pipeline.schema.records import CameraPath, Character, Rig

__all__ = ["SIDE", "backend_tile", "truth_tile", "write_sheet"]

SIDE = 320  # of one picture [px]; a tile is two beside each other
_PAPER, _INK, _FAINT = (244, 243, 240), (34, 36, 44), (120, 122, 130)
_GAP, _TITLE, _CAPTION = 16, 34, 26  # [px]
_SHIFT = 4  # fractional bits of cv2's coordinates


def truth_tile(subject: Subject) -> bytes:
    """Skeleton and weights that are right, as a PNG of ``SIDE`` x ``2 SIDE`` pixels."""
    truth = subject.truth
    return _tile(subject, truth.joints, truth.parents, truth.weights, _palette(len(truth.parents)))


def backend_tile(subject: Subject, rig: Rig, followed: np.ndarray) -> bytes:
    """The same of a rig. Its joints have the hues of the true joints ``followed`` [J], in shades where these repeat."""
    shades = np.array([int((followed[:joint] == one).sum()) for joint, one in enumerate(followed)])
    colors = _palette(len(subject.truth.parents), followed, shades)
    return _tile(subject, rig.heads, np.asarray(rig.parents), rig.weights, colors)


def _palette(count: int, chosen: np.ndarray | None = None, shades: np.ndarray | None = None) -> np.ndarray:
    """A colour for each of ``chosen`` among ``count`` joints. [J, 3] sRGB 0..1"""
    chosen = np.arange(count) if chosen is None else chosen
    shades = np.zeros(len(chosen), dtype=int) if shades is None else shades
    light = (0.55, 0.72, 0.40, 0.64, 0.47)
    return np.array(
        [
            colorsys.hls_to_rgb((0.02 + 0.381966 * joint) % 1.0, light[shade % len(light)], 0.8 - 0.25 * (joint % 2))
            for joint, shade in zip(chosen, shades, strict=True)
        ]
    )


def _tile(subject: Subject, joints: np.ndarray, parents: np.ndarray, weights: np.ndarray, colors: np.ndarray) -> bytes:
    from PIL import Image

    from studio_pipeline.geometry.cameras import frame_points
    from studio_pipeline.media.srgb import srgb_to_linear

    character = subject.character
    width, height, depth = np.ptp(character.vertices, axis=0)
    azimuth = 55.0 if depth > width else 30.0  # a long body more from its side, a flat one more from above
    elevation = 35.0 if height < 0.5 * max(width, depth) else 12.0
    camera = frame_points(
        character.vertices,
        width=SIDE, height=SIDE, azimuth=np.radians(azimuth), elevation=np.radians(elevation), fill=0.92,
    )  # fmt: skip
    faded = 0.38 * _render(character, camera).astype(np.float64) + 0.62 * np.array(_PAPER)
    skeleton = _draw(np.round(faded).astype(np.uint8), joints, parents, colors, camera)
    painted = replace(
        character,
        atlas=np.full((4, 4, 4), 255, np.uint8),
        vertex_colors=(weights @ srgb_to_linear(colors)).astype(np.float32),
    )
    stream = io.BytesIO()
    Image.fromarray(np.concatenate([skeleton, _render(painted, camera)], axis=1)).save(stream, "PNG")
    return stream.getvalue()


def _render(character: Character, camera: CameraPath) -> np.ndarray:
    from studio_pipeline.render.look import Look, render_frames

    look = Look(shading="lambert", ambient=0.55)
    return render_frames(character.vertices[None], character, camera, look=look, background=_PAPER).rgb[0]


def _draw(
    picture: np.ndarray, joints: np.ndarray, parents: np.ndarray, colors: np.ndarray, camera: CameraPath
) -> np.ndarray:
    """Bones from parents to children in the parent's colour, and joints, the far ones first, whatever hides them."""
    import cv2

    from studio_pipeline.geometry.cameras import project

    pixels, depth = project(camera, joints[None])
    near = np.clip(np.nan_to_num(pixels[0]), -4.0 * SIDE, 4.0 * SIDE)  # whatever joints a backend gives
    place = [tuple(int(v) for v in np.round((pixel - 0.5) * 2**_SHIFT)) for pixel in near]
    inks = [tuple(round(255.0 * float(v)) for v in color) for color in colors]
    picture = np.ascontiguousarray(picture)
    order = np.argsort(-depth[0], kind="stable")
    for width, edge in ((5, True), (3, False)):
        for joint in order:
            above = int(parents[joint])
            if above >= 0:
                ink = _INK if edge else inks[above]
                cv2.line(picture, place[above], place[joint], ink, width, cv2.LINE_AA, _SHIFT)
    for joint in order:
        cv2.circle(picture, place[joint], int(4.5 * 2**_SHIFT), _INK, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(picture, place[joint], int(3.3 * 2**_SHIFT), inks[joint], -1, cv2.LINE_AA, _SHIFT)
    return picture


def write_sheet(path: Path, tiles: Path, rows: Sequence[dict[str, Any]]) -> None:
    """One row a character: the truth, then every backend, each as skeleton and weights.

    Args:
        path: The PNG that is written.
        tiles: Folder with the pictures that the rows name.
        rows: Of `trials.run_work`; characters in the order in which they first occur.
    """
    from PIL import Image, ImageDraw, ImageFont

    measured = [row for row in rows if "skipped" not in row]
    characters = list(dict.fromkeys((row["group"], row["character"]) for row in measured))
    backends = list(dict.fromkeys(row["backend"] for row in measured))
    if not characters:
        return
    step, high = 2 * SIDE + _GAP, _TITLE + SIDE + _CAPTION
    sheet = Image.new("RGB", (_GAP + step * (1 + len(backends)), _GAP + high * len(characters)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(19), ImageFont.load_default(15)
    for line, who in enumerate(characters):
        top = _GAP + high * line
        group = [row for row in measured if (row["group"], row["character"]) == who]
        pen.text((_GAP, top + 4), who[1], fill=_INK, font=title)
        count = next((f": {row['joints']['truth']} joints" for row in group if "joints" in row), "")
        for row in group:
            left = _GAP + step * (1 + backends.index(row["backend"]))
            if row.get("picture"):
                sheet.paste(Image.open(tiles / row["picture"]), (left, top + _TITLE))
            pen.text((left, top + _TITLE + SIDE + 3), _said(row), fill=_INK, font=small)
        if truth := next((row["truth_picture"] for row in group if row.get("truth_picture")), None):
            sheet.paste(Image.open(tiles / truth), (_GAP, top + _TITLE))
        pen.text((_GAP, top + _TITLE + SIDE + 3), f"truth{count}", fill=_FAINT, font=small)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _said(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"{row['backend']} FAILED: {row['error']}"[:88]
    found, moved = row["skeleton"], row["motion"]
    text = f"{row['backend']}: {row['joints']['rig']} joints, J2J {found['j2j']:.1f}, J2B {found['j2b']:.1f}, "
    text += f"B2B {found['b2b']:.1f}, skin L1 {row['skin']['l1']:.2f}"
    return text + (f", motion {moved['percent']:.1f} %" if moved else "")
