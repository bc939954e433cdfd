"""``vfx.optical``, ``camera.focus`` and the smear of a whip pan: what camera and compositing do to the picture.

Motion blur and smears are made before the picture is: `stages.takes.picture` renders the moments in between,
`stages.takes.smears` stretches the surface.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from studio_pipeline.media.srgb import srgb_to_linear
from studio_pipeline.render.picture.optics import (
    blurred,
    defocused,
    fringed,
    glitched,
    grained,
    hazed,
    softened,
    vignetted,
)
from studio_pipeline.stages.takes.effects.scene import Effect, Scene

__all__ = ["FOCUS", "OPTICAL", "focused_set", "swept"]

_APERTURE = 0.021  # of the picture's height: blur at infinity when the character is in focus


def _nothing(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Done where the character is rendered."""


def _afterimage(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Earlier poses stay visible beside the present one, the older the fainter."""
    assert scene.rgb is not None
    step = max(1, round(scene.fps / 10.0))
    free = 1.0 - scene.cover(frame)
    for age in range(4, 0, -1):
        earlier = frame - age * step
        if earlier < 0:
            continue
        cover = scene.cover(earlier) * free * np.float32(min(0.95, 0.62 * scene.strength**0.5) * 0.8 ** (age - 1))
        ghost = srgb_to_linear(scene.rgb[earlier].astype(np.float32) / 255.0)
        tint = np.array([0.7, 0.85, 1.25], np.float32)
        picture += cover[..., None] * (np.minimum(ghost * tint + 0.03, 1.0) - picture)


def _soft_focus(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return softened(picture, 9.0 * scene.px, min(0.95, 0.8 * scene.strength))


def _vignette(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return vignetted(picture, min(0.95, 0.78 * scene.strength))


def _film_grain(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return grained(picture, scene.rng("film_grain", frame), 0.055 * scene.strength, coarse=max(1.0, 1.2 * scene.px))


def _glitch(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    drawing = scene.redrawn(frame)
    rng = scene.rng("glitch", drawing)
    return glitched(picture, rng, scene.strength, burst=frame > 0 and drawing % 4 == 2)


def _chromatic_aberration(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return fringed(picture, 9.0 * scene.px * scene.strength)


def _heat_haze(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return hazed(picture, scene.rng("heat_haze"), frame / scene.fps, 10.0 * scene.px * scene.strength)


def _circle(scene: Scene, frame: int, depth: np.ndarray, focus: float) -> np.ndarray:
    """Blur [px] of what lies at ``depth`` m when the lens is focused at ``focus`` m. [H, W]"""
    own = _own_depth(scene, frame)
    return _APERTURE * scene.height * scene.strength * own * np.abs(1.0 / np.maximum(depth, 1e-3) - 1.0 / focus)


def _own_depth(scene: Scene, frame: int) -> float:
    return max(float(scene.seen(frame, scene.moments.centre[frame])[1][0]), 0.05 * scene.size)


def _focus_at(scene: Scene, frame: int, focus: str) -> float:
    """Where the lens is focused [m]: on the character; a rack goes from it into the distance."""
    own = _own_depth(scene, frame)
    if focus != "rack":
        return own
    u = np.clip((frame / max(scene.frames - 1, 1) - 0.3) / 0.4, 0.0, 1.0)
    eased = u * u * (3.0 - 2.0 * u)
    return 1.0 / ((1.0 - eased) / own + eased / (12.0 * own))


def focused_set(scene: Scene, frame: int, picture: np.ndarray, depth: np.ndarray, focus: str) -> np.ndarray:
    """The set as the lens sees it under a value of ``camera.focus``."""
    if focus not in FOCUS:
        return picture
    return defocused(picture, _circle(scene, frame, depth, _focus_at(scene, frame, focus)))


def _rack(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray | None:
    """The character goes out of focus as the distance comes in."""
    own = np.array([[_own_depth(scene, frame)]])
    sigma = float(_circle(scene, frame, own, _focus_at(scene, frame, "rack"))[0, 0])
    if sigma < 0.4:
        return None
    share = np.clip(1.6 * cv2.GaussianBlur(scene.cover(frame), (0, 0), sigma), 0.0, 1.0)[..., None]
    return picture + share * (blurred(picture, sigma) - picture)


FOCUS = {"shallow": Effect(), "rack": Effect(front=_rack, order=4)}
"""By value of ``camera.focus``."""


def swept(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray | None:
    """The picture smeared by the camera's own turn during the exposure: exact for what is far or turned only."""
    before, after = max(frame - 1, 0), min(frame + 1, scene.frames - 1)
    rotations = scene.camera.world_to_camera[[before, frame, after], :3, :3]
    moved = Rotation.from_matrix(rotations[2] @ rotations[0].T).magnitude() / max(after - before, 1)
    sweep = moved * float(scene.camera.focal[frame])
    if sweep < 4.0 * scene.px or frame == 0:
        return None
    count = int(np.clip(sweep / (2.0 * scene.px), 5, 25))
    times = np.linspace(-0.75, 0.75, count)
    path = Slerp([-1.0, 0.0, 1.0], Rotation.from_matrix(rotations))(times).as_matrix()
    focal = float(scene.camera.focal[frame])
    lens = np.array([[focal, 0, 0.5 - scene.width / 2.0], [0, -focal, 0.5 - scene.height / 2.0], [0, 0, -1.0]])
    result = np.zeros_like(picture)
    for rotation in path:
        carry = lens @ rotation @ rotations[1].T @ np.linalg.inv(lens)
        result += cv2.warpPerspective(
            picture, carry, (scene.width, scene.height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return result / np.float32(count)


OPTICAL = {
    "motion_blur": Effect(front=_nothing, order=4),
    "smear": Effect(front=_nothing, order=4),
    "afterimage": Effect(front=_afterimage),
    "soft_focus": Effect(front=_soft_focus, order=4),
    "vignette": Effect(front=_vignette, order=4),
    "film_grain": Effect(front=_film_grain, order=4),
    "glitch": Effect(front=_glitch, order=4),
    "chromatic_aberration": Effect(front=_chromatic_aberration, order=4),
    "heat_haze": Effect(front=_heat_haze, order=4),
}
"""By value of ``vfx.optical``."""
