"""A character turned once around, for previews and reviews."""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.cameras import frame_points, orbit
from studio_pipeline.render.ground import backdrop
from studio_pipeline.render.look import Background, Look, render_frames
from studio_pipeline.schema.records import CameraPath, Character

__all__ = ["backdrop", "turntable", "turntable_camera"]


def turntable(
    vertices: np.ndarray,
    character: Character,
    *,
    frames: int = 24,
    width: int = 512,
    height: int = 512,
    elevation_deg: float = 10.0,
    look: Look | None = None,
    background: Background = None,
    supersample: int = 2,
) -> np.ndarray:
    """One full turn of a posed character, starting at its front.

    Args:
        vertices: World positions [m]. [V, 3]
        character: Gives faces and colours.
        frames: Pictures of the turn; the last is one step before the first.
        width: Picture width [px].
        height: Picture height [px].
        elevation_deg: How far the camera looks down.
        look: The toon look with a contact shadow when None.
        background: `backdrop` when None; see `look.Background`.
        supersample: Samples along a pixel's side.

    Returns:
        [frames, H, W, 3] uint8 sRGB
    """
    camera = turntable_camera(vertices, frames=frames, width=width, height=height, elevation_deg=elevation_deg)
    behind = backdrop(width, height) if background is None else background
    style = Look(contact_shadow=0.5) if look is None else look
    return render_frames(vertices, character, camera, look=style, supersample=supersample, background=behind).rgb


def turntable_camera(
    vertices: np.ndarray, *, frames: int, width: int, height: int, elevation_deg: float = 10.0, fill: float = 0.86
) -> CameraPath:
    """A camera that circles ``vertices`` [V, 3] once at one distance, at which they fit at every angle."""
    centre = (vertices.min(0) + vertices.max(0)) / 2.0
    angles = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    local = vertices - centre
    # The swept volume, seen once, gives the distance that suits every angle.
    x, z = local[None, :, 0], local[None, :, 2]
    swept = np.stack(np.broadcast_arrays(x * cosine + z * sine, local[None, :, 1], z * cosine - x * sine), axis=-1)
    spread = swept.reshape(-1, 3) + centre
    front = frame_points(
        spread, width=width, height=height, azimuth=0.0, elevation=np.radians(elevation_deg), fill=fill
    )
    turned = [orbit(front, centre, 2.0 * np.pi * frame / frames) for frame in range(frames)]
    return CameraPath(
        world_to_camera=np.concatenate([camera.world_to_camera for camera in turned]),
        focal=np.repeat(front.focal, frames),
        width=width,
        height=height,
    )
