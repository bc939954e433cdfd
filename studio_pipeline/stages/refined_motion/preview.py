"""Pictures of a refined motion: skinned above refined, and the figures over time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.media.srgb import srgb_to_linear
from studio_pipeline.physics.simulate import Trajectory
from studio_pipeline.schema.records import Character, PointCache, Solid

__all__ = ["write_plot", "write_preview", "write_stiffness"]

PAPER = (244, 241, 236)  # sRGB
INK = (60, 54, 66)


def write_preview(path: Path, character: Character, skinned: np.ndarray, refined: np.ndarray) -> None:
    """Six frames from first to last, skinned [T, V, 3] above refined [T, V, 3]."""
    import cv2

    from studio_pipeline.render.look import render_frames

    frames = np.unique(np.linspace(0, len(refined) - 1, min(6, len(refined))).round().astype(int))
    # Each column is centred on its skinned pose, so that a character that travels stays large.
    centres = 0.5 * (skinned[frames].min(1, keepdims=True) + skinned[frames].max(1, keepdims=True))
    both = np.concatenate([skinned[frames] - centres, refined[frames] - centres])
    camera = frame_points(both.reshape(-1, 3), width=224, height=224)
    pictures = render_frames(both, character, camera, background=PAPER).rgb
    rows = [np.concatenate(list(row), axis=1) for row in np.split(pictures, 2)]
    sheet = np.full((2 * (224 + 26), rows[0].shape[1], 3), PAPER, dtype=np.uint8)
    for index, (row, label) in enumerate(zip(rows, ("skinned", "refined"), strict=True)):
        top = index * 250
        cv2.putText(sheet, label, (10, top + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
        sheet[top + 26 : top + 250] = row
    _write(path, sheet)


def write_plot(path: Path, points: PointCache, skinned: np.ndarray, trajectory: Trajectory) -> None:
    """Three curves over the frames; frames where the skinned pose stands in are shaded."""
    away = 1000.0 * np.linalg.norm(points.points - skinned, axis=-1)
    curves = (
        ("largest distance from the skinned surface [mm]", away.max(1)),
        ("smallest volume ratio det F", trajectory.volume_ratio_min),
        ("Newton iterations", trajectory.newton_iterations.astype(float)),
    )
    panels = [_panel(title, values, points.fallback, points.first_frame) for title, values in curves]
    _write(path, np.concatenate(panels, axis=0))


def write_stiffness(path: Path, character: Character, solid: Solid, stiffness: np.ndarray) -> None:
    """The rest pose from three sides, coloured by the Young's modulus [E] [Pa] of the flesh under the skin."""
    import cv2

    from studio_pipeline.render.look import render_frames

    values = np.log10(stiffness[solid.surface_tets].astype(np.float64))
    low, high = float(np.log10(stiffness.min())), float(np.log10(stiffness.max()))
    shown = (np.clip((values - low) / max(high - low, 1e-9), 0.0, 1.0) * 255.0).astype(np.uint8)
    colours = cv2.applyColorMap(shown[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1] / 255.0
    plain = dataclasses.replace(
        character,
        atlas=np.full((2, 2, 4), 255, dtype=np.uint8),
        uv=np.zeros_like(character.uv),
        vertex_colors=srgb_to_linear(colours).astype(np.float32),
    )
    pictures = []
    for azimuth in (0.0, 0.7, 2.2):
        camera = frame_points(character.vertices, width=300, height=300, azimuth=azimuth, elevation=0.15)
        pictures.append(render_frames(character.vertices[None], plain, camera, background=PAPER).rgb[0])
    sheet = np.full((350, 900, 3), PAPER, dtype=np.uint8)
    sheet[:300] = np.concatenate(pictures, axis=1)
    bar = cv2.applyColorMap(np.tile(np.arange(256, dtype=np.uint8), (12, 1)), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    sheet[316:328, 322:578] = bar
    for text, left in ((f"{10.0**low:.2g} Pa", 230), (f"{10.0**high:.2g} Pa", 590)):
        cv2.putText(sheet, text, (left, 327), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    _write(path, sheet)


def _panel(title: str, values: np.ndarray, shaded: np.ndarray, first_frame: int) -> np.ndarray:
    import cv2

    width, height, left, top, bottom = 720, 170, 70, 30, 26
    picture = np.full((height, width, 3), PAPER, dtype=np.uint8)
    values = np.nan_to_num(values.astype(float))
    high, count = max(float(values.max()), 1e-9), max(len(values) - 1, 1)

    def place(index: float, value: float) -> tuple[int, int]:
        across = left + index / count * (width - left - 20)
        return round(across), round(height - bottom - value / high * (height - top - bottom))

    for index in np.flatnonzero(shaded):
        cv2.rectangle(picture, place(index - 0.5, high), place(index + 0.5, 0.0), (240, 200, 190), -1)
    cv2.line(picture, place(0, 0.0), place(count, 0.0), (190, 186, 182), 1)
    line = np.array([place(i, v) for i, v in enumerate(values)], dtype=np.int32)
    cv2.polylines(picture, [line], False, (196, 86, 60), 2, cv2.LINE_AA)

    def write(text: str, at: tuple[int, int]) -> None:
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)

    write(title, (left, 20))
    write(f"{high:.3g}", (8, top + 10))
    write("0", (8, height - bottom + 4))
    write(str(first_frame), (left, height - 8))
    write(str(first_frame + len(values) - 1), (width - 60, height - 8))
    return picture


def _write(path: Path, picture: np.ndarray) -> None:
    import cv2

    if not cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1])):
        raise OSError(f"could not write {path}")
