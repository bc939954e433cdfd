"""Plates with a known truth, rendered by ray casting: none of `studio_pipeline.render` is used.

Lambert light from a random key, a random fill and an ambient sky that the lift is never told, `SAMPLES` x `SAMPLES`
rays a pixel, a smooth coloured background, H.264 at crf 18, no alpha.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from studio_pipeline.evaluation.rays import Hits, camera_points, cast
from studio_pipeline.evaluation.surfaces import Surface, to_linear, to_srgb
from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character

__all__ = [
    "FPS",
    "Lights",
    "Picture",
    "Plate",
    "Set",
    "as_seen",
    "draw",
    "film",
    "make_set",
    "simulated_depth",
    "through_h264",
]

FPS = Fraction(24)
SAMPLES = 3  # rays a pixel and axis; odd, so that one goes through the centre
CRF = 18
DEPTH_NOISE = 0.02  # standard deviation of simulated depth, of the rest box's diagonal


@dataclass(frozen=True)
class Lights:
    """Light on a Lambert surface, linear, per unit of base colour."""

    directions: np.ndarray  # [L, 3] unit, towards the light, world
    colours: np.ndarray  # [L, 3]
    sky: np.ndarray  # [3], ambient on a surface that faces +Y
    ground: np.ndarray  # [3], on one that faces -Y


@dataclass(frozen=True)
class Set:
    """What a plate is shot on."""

    lights: Lights
    backdrop: np.ndarray  # [H, W, 3] linear light


@dataclass(frozen=True)
class Picture:
    """One rendered frame."""

    linear: np.ndarray  # [H, W, 3] float32, linear light, over the backdrop
    depth: np.ndarray  # [H, W] float32 [m] at the pixels' centres, NaN on the background
    mask: np.ndarray  # [H, W] bool, the pixel's centre shows the character


@dataclass(frozen=True)
class Plate:
    """A filmed motion and what is true of it."""

    clip: Clip  # through H.264, no alpha, no depth
    depth: np.ndarray  # [T, H, W] float32 [m], NaN outside
    masks: np.ndarray  # [T, H, W] bool
    stage: Set  # lights and backdrop
    rendered: np.ndarray  # [T, H, W, 3] uint8 sRGB, before H.264


def make_set(character: Character, camera: CameraPath, *, seed: int) -> Set:
    """Draw lights and backdrop, whose colours keep some 50 levels from the character's mean colour.

    Args:
        character: What is filmed.
        camera: Where from; the key stands on the camera's side.
        seed: Draws everything.
    """
    rng = np.random.default_rng(seed)
    back = camera.world_to_camera[0, 2, :3]
    facing = float(np.arctan2(back[0], back[2]))
    side = rng.choice([-1.0, 1.0])

    def towards(azimuth: float, elevation: float) -> np.ndarray:
        level = np.cos(elevation)
        return np.array([np.sin(azimuth) * level, np.sin(elevation), np.cos(azimuth) * level])

    key = towards(facing + side * np.radians(rng.uniform(10, 70)), np.radians(rng.uniform(15, 60)))
    fill = towards(facing - side * np.radians(rng.uniform(30, 90)), np.radians(rng.uniform(-5, 35)))
    colours = np.stack([rng.uniform(0.85, 1.0, 3) * rng.uniform(0.6, 0.8), rng.uniform(0.8, 1.0, 3) * 0.22])
    lights = Lights(
        directions=np.stack([key, fill]),
        colours=colours,
        sky=rng.uniform(0.85, 1.0, 3) * rng.uniform(0.15, 0.3),
        ground=rng.uniform(0.7, 1.0, 3) * rng.uniform(0.06, 0.12),
    )
    used = to_linear(character.atlas[..., :3])[_texels(character)] * character.vertex_colors
    own = to_srgb(0.6 * used.mean(0)).astype(float)
    drawn = [_gradient(rng.uniform(35.0, 210.0, (4, 3)), camera.width, camera.height) for _ in range(32)]
    apart = np.array([np.linalg.norm(picture - own, axis=-1).min() for picture in drawn])
    chosen = drawn[int(np.argmax(np.minimum(apart, 50.0)))]  # the first that is far enough
    return Set(lights, to_linear(np.rint(chosen).astype(np.uint8)))


def _texels(character: Character) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the atlas at each vertex."""
    height, width = character.atlas.shape[:2]
    at = np.clip((character.uv * (width, height)).astype(int), 0, (width - 1, height - 1))
    return at[:, 1], at[:, 0]


def _gradient(corners: np.ndarray, width: int, height: int) -> np.ndarray:
    """A smooth picture between four colours [4, 3]. [H, W, 3]"""
    x, y = (0.5 - 0.5 * np.cos(np.pi * np.linspace(0.0, 1.0, n)) for n in (width, height))
    x, y = x[None, :, None], y[:, None, None]
    return (corners[0] * (1 - x) + corners[1] * x) * (1 - y) + (corners[2] * (1 - x) + corners[3] * x) * y


def _lit(lights: Lights, normals: np.ndarray) -> np.ndarray:
    """Irradiance [n, 3] on unit normals [n, 3]."""
    light = np.maximum(normals @ lights.directions.T, 0.0) @ lights.colours
    up = 0.5 + 0.5 * normals[:, 1:2]
    return light + lights.sky * up + lights.ground * (1.0 - up)


def _sample_areas(camera: CameraPath, frame: int, vertices: np.ndarray, faces: np.ndarray, samples: int) -> np.ndarray:
    """Area of every face on the picture, in samples. [F]"""
    seen = camera_points(camera, frame, vertices)
    flat = seen[:, :2] / np.minimum(seen[:, 2:], -1e-6) * (camera.focal[frame] * samples)
    a, b, c = (flat[faces[:, k]] for k in range(3))
    return 0.5 * np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])


def draw(
    surface: Surface, vertices: np.ndarray, camera: CameraPath, frame: int, stage: Set, *, samples: int = SAMPLES
) -> Picture:
    """Render one frame.

    Args:
        surface: The character's.
        vertices: Posed. [V, 3] world [m]
        camera: A camera path.
        frame: Which of its frames.
        stage: Lights, and a backdrop of the camera's size.
        samples: Rays a pixel and axis, odd.
    """
    faces = surface.character.faces
    hits = cast(vertices, faces, camera, frame, samples=samples)
    shaded = surface.colours(hits, _sample_areas(camera, frame, vertices, faces, samples)) * _shade(
        surface, vertices, camera, frame, stage.lights, hits
    )
    pixel = (hits.rows // samples) * camera.width + hits.columns // samples
    count = camera.width * camera.height
    light = np.stack([np.bincount(pixel, np.clip(shaded[:, k], 0.0, 1.0), count) for k in range(3)], axis=-1)
    cover = np.bincount(pixel, minlength=count)[:, None]
    share = 1.0 / samples**2
    linear = light * share + stage.backdrop.reshape(-1, 3) * (1.0 - cover * share)
    centre = (hits.rows % samples == samples // 2) & (hits.columns % samples == samples // 2)
    depth = np.full(count, np.nan, np.float32)
    depth[pixel[centre]] = hits.depth[centre]
    shape = (camera.height, camera.width)
    depth = depth.reshape(shape)
    return Picture(linear.reshape(*shape, 3).astype(np.float32), depth, np.isfinite(depth))


def _shade(
    surface: Surface, vertices: np.ndarray, camera: CameraPath, frame: int, lights: Lights, hits: Hits
) -> np.ndarray:
    """Irradiance [n, 3] at the hits, on the side that is seen."""
    normals = surface.normals(vertices, hits)
    rays = hits.directions @ camera.world_to_camera[frame, :3, :3]  # to the world: the rotation's transpose
    corners = vertices[surface.character.faces[hits.faces]].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    behind = (across * rays).sum(1) > 0.0
    return _lit(lights, np.where(behind[:, None], -normals, normals))


def through_h264(frames: np.ndarray, fps: Fraction = FPS) -> np.ndarray:
    """Frames [T, H, W, 3] uint8 sRGB, H and W even, as a viewer of their MP4 (crf 18) sees them."""
    import av

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plate.mp4"
        write_mp4(path, frames, fps, crf=CRF)
        with av.open(str(path)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def film(
    character: Character,
    vertices: np.ndarray,
    camera: CameraPath,
    *,
    seed: int,
    size: int | None = None,
    samples: int = SAMPLES,
) -> Plate:
    """Film a motion.

    Args:
        character: Whose.
        vertices: Posed. [T, V, 3] world [m]
        camera: One camera a frame.
        seed: Draws lights and backdrop.
        size: Side of the picture [px], even; None: the camera's.
        samples: Rays a pixel and axis, odd.

    Raises:
        InputError: Camera and motion differ in length, or the size is odd.
    """
    camera = camera if size is None else camera.resized(size, size)
    if camera.frame_count != len(vertices):
        raise InputError(f"has {camera.frame_count} frames, the motion {len(vertices)}", where="camera")
    if camera.width % 2 or camera.height % 2 or samples % 2 == 0:
        raise InputError("a plate has an even size and an odd number of samples", where="plate")
    stage, surface = make_set(character, camera, seed=seed), Surface(character)
    pictures = [draw(surface, posed, camera, t, stage, samples=samples) for t, posed in enumerate(vertices)]
    return as_seen([p.linear for p in pictures], pictures, stage)


def as_seen(linear: list[np.ndarray], truth: list[Picture], stage: Set, fps: Fraction = FPS) -> Plate:
    """A plate of frames in linear light [H, W, 3], through H.264, with the depth and masks of ``truth``."""
    rendered = np.stack([to_srgb(frame) for frame in linear])
    clip = Clip(frames=through_h264(rendered, fps), fps=fps, first_frame=1001, source="evaluation")
    return Plate(clip, np.stack([p.depth for p in truth]), np.stack([p.mask for p in truth]), stage, rendered)


def simulated_depth(plate: Plate, diagonal: float, *, seed: int) -> np.ndarray:
    """What a depth network might say: z after an unknown scale and shift, at half size, with 2 % noise. Simulated.

    The noise's standard deviation is 2 % of the rest box's diagonal before scaling, half of its variance white per
    half-size pixel and frame, half smooth over about 8 of them. The background lies a diagonal behind the character.

    Args:
        plate: With its true z.
        diagonal: Of the character's rest box [m].
        seed: Draws scale, shift and noise.

    Returns:
        [T, H / 2, W / 2] float32, unit and origin unknown.
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng([seed, 0xDE])
    depth = plate.depth.astype(np.float64)
    depth = np.where(np.isfinite(depth), depth, np.nanmax(depth) + diagonal)
    count, height, width = depth.shape
    half = depth.reshape(count, height // 2, 2, width // 2, 2).mean((2, 4))
    white, rough = rng.normal(size=(2, *half.shape))
    smooth = gaussian_filter(rough, (0, 4, 4), mode="wrap")
    noise = (white + smooth / smooth.std()) / np.sqrt(2.0) * DEPTH_NOISE * diagonal
    scale, shift = rng.uniform(0.3, 3.0), rng.uniform(-5.0, 5.0)
    return (scale * (half + noise) + shift).astype(np.float32)
