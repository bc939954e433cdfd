"""The stress test's worst poses side by side, coloured by how far the surface stretches."""

from __future__ import annotations

import dataclasses

import numpy as np

from studio_pipeline.schema.records import Character
from studio_pipeline.stages.rig.stress import EDGE_P99_BOUND, StressTest

__all__ = ["draw_stress"]

TILES = 4
_SIDE = 320  # [px]
_PAPER, _INK = (244, 243, 240), (60, 62, 70)
# Linear light: clay as it is, amber at half the bound, red at the bound.
_COLORS = np.array([[0.55, 0.58, 0.62], [0.85, 0.42, 0.08], [0.70, 0.03, 0.03]])


def draw_stress(character: Character, stress: StressTest) -> np.ndarray:
    """Up to four poses, the worst first, all seen by one camera. [320, n * 320, 3] uint8 sRGB"""
    import cv2

    from studio_pipeline.geometry.cameras import frame_points
    from studio_pipeline.render.look import Look, render_frames

    shown = range(min(TILES, len(stress.vertices)))
    camera = frame_points(
        stress.vertices[shown].reshape(-1, 3), width=_SIDE, height=_SIDE, azimuth=np.radians(35.0), fill=0.86
    )
    white = np.full((4, 4, 4), 255, dtype=np.uint8)
    tiles = []
    for index in shown:
        clay = dataclasses.replace(character, atlas=white, vertex_colors=_heat(stress.stretch[index]))
        seen = render_frames(stress.vertices[index], clay, camera, look=Look(shading="lambert"), background=_PAPER)
        tile = np.ascontiguousarray(seen.rgb[0])
        volume = f"volume {stress.volume[index]:.2f}, {stress.volume_change[index]:.0%} off"
        text = f"stretch {stress.edge_p99[index]:.2f}   {volume}"
        cv2.putText(tile, text, (10, _SIDE - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.concatenate(tiles, axis=1)


def _heat(stretch: np.ndarray) -> np.ndarray:
    """Linear colours [V, 3] float32 of stretch [V]."""
    amount = np.clip(np.log(np.maximum(stretch, 1.0)) / np.log(EDGE_P99_BOUND), 0.0, 1.0)
    places = np.linspace(0.0, 1.0, len(_COLORS))
    return np.stack([np.interp(amount, places, _COLORS[:, channel]) for channel in range(3)], axis=1).astype(np.float32)
