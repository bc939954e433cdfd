"""The refined motion as pictures: PNG frames and an MP4 through the shot camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio_pipeline.media.video import write_mp4
from studio_pipeline.stages.delivery.scene import DeliveryScene
from studio_pipeline.stages.delivery.settings import DeliverySettings
from studio_pipeline.stages.delivery.texture import png_bytes

__all__ = ["BACKDROP", "write_pictures"]

BACKDROP = (236, 238, 242)  # sRGB
_CHUNK_PIXELS = 16_000_000  # rendered at once, at the output's resolution


def write_pictures(scene: DeliveryScene, folder: Path, settings: DeliverySettings) -> None:
    """Render the refined points and write ``frames/<shot id>.NNNN.png`` and ``<shot id>.mp4``."""
    frames = _render(scene, settings.supersample)
    pictures = folder / "frames"
    pictures.mkdir()
    for index, frame in enumerate(frames):
        (pictures / f"{scene.shot_id}.{scene.first_frame + index:04d}.png").write_bytes(png_bytes(frame))
    write_mp4(folder / f"{scene.shot_id}.mp4", frames, scene.fps, crf=settings.crf)


def _render(scene: DeliveryScene, supersample: int) -> np.ndarray:
    from studio_pipeline.render.look import render_frames

    camera, count = scene.camera, scene.frame_count
    if camera.frame_count == 1:
        camera = camera.at(np.zeros(count, dtype=int))
    frames = np.empty((count, camera.height, camera.width, 3), dtype=np.uint8)
    step = max(1, _CHUNK_PIXELS // (camera.width * camera.height))
    for start in range(0, count, step):
        part = slice(start, start + step)
        rendered = render_frames(
            scene.cache.points[part], scene.character, camera.at(part), supersample=supersample, background=BACKDROP
        )
        frames[part] = rendered.rgb
    return frames
