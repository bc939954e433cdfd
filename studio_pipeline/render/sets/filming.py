"""How a camera sees a set: a painted dome at infinity, rings of cut-outs and a ground plane, by a ray per pixel."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from studio_pipeline.schema.records import CameraPath

__all__ = ["Ground", "Ring", "StageSet", "Tile", "film", "pyramid", "rays"]

FAR_M = 1e6
"""Depth [m] of the dome."""


@dataclass(frozen=True)
class Ring:
    """Cut-outs painted on a standing cylinder around the set's centre; only its far side is seen."""

    radius: float  # [m]
    low: float  # [m], height of the picture's lower edge above the ground
    high: float  # [m], of its upper edge
    picture: np.ndarray  # [h, w, 4] float32, linear, premultiplied; columns run once around, the first repeated last


Tile = tuple[np.ndarray, ...]
"""A periodic picture, each level half as large as the one before and bordered by a pixel of itself; see `pyramid`."""


def pyramid(tile: np.ndarray) -> Tile:
    """Levels of a periodic picture [n, n, C] float32, n a power of two."""
    levels = [np.ascontiguousarray(tile, np.float32)]
    while levels[-1].shape[0] > 1:
        half = levels[-1].shape[0] // 2
        levels.append(cv2.resize(levels[-1], (half, half), interpolation=cv2.INTER_AREA).reshape(half, half, -1))
    return tuple(cv2.copyMakeBorder(level, 1, 1, 1, 1, cv2.BORDER_WRAP) for level in levels)


@dataclass(frozen=True)
class Ground:
    """A plane of tiles; a second one lies beyond a shore when there is one."""

    tile: Tile  # linear light
    size: float  # [m], side of a tile
    broad: Tile  # one channel about 1, 9 tiles wide: hides that tiles repeat
    beyond: Tile | None = None  # what lies beyond ``shore``
    shore: float = 0.0  # [m] from the centre


@dataclass(frozen=True)
class StageSet:
    """A place, lit and painted; colours are linear light."""

    centre: np.ndarray  # [3] m, on the ground under the character
    dome: np.ndarray  # [h, w, 3] float32; columns run once around, rows from the zenith to the nadir
    haze: np.ndarray  # [3], what the distance fades into
    haze_m: float  # [m] at which 63 % of the light is the haze's
    ground: Ground | None = None
    rings: tuple[Ring, ...] = ()
    stars: np.ndarray = field(default_factory=lambda: np.zeros((0, 5), np.float32))  # [N, 5] direction, size, light


def rays(camera: CameraPath) -> np.ndarray:
    """World directions through a camera's pixels, one metre deep along the view axis. [H, W, 3] float32"""
    x = (np.arange(camera.width) + 0.5 - camera.width / 2.0) / camera.focal[0]
    y = (camera.height / 2.0 - np.arange(camera.height) - 0.5) / camera.focal[0]
    rotation = camera.world_to_camera[0, :3, :3]
    across, down = x[:, None] * rotation[0], y[:, None] * rotation[1]
    return (down[:, None] + across[None] - rotation[2]).astype(np.float32)


def film(stage: StageSet, camera: CameraPath) -> tuple[np.ndarray, np.ndarray]:
    """The set through a camera of one frame: linear light [H, W, 3] and depth along the view axis [H, W] m."""
    ways = rays(camera)
    rotation, shift = camera.world_to_camera[0, :3, :3], camera.world_to_camera[0, :3, 3]
    eye = (-rotation.T @ shift - stage.centre).astype(np.float32)
    azimuth = np.arctan2(ways[..., 0], ways[..., 2])
    picture = _dome(stage.dome, ways, azimuth)
    _stars(stage, camera, picture)
    depth = np.full(picture.shape[:2], FAR_M, np.float32)
    for ring in sorted(stage.rings, key=lambda ring: -ring.radius):
        _ring(stage, ring, eye, ways, picture, depth)
    if stage.ground is not None and eye[1] > 0.0:
        _ground(stage, stage.ground, eye, ways, float(camera.focal[0]), picture, depth)
    return picture, depth


def _dome(dome: np.ndarray, ways: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    height, width = dome.shape[:2]
    level = np.hypot(ways[..., 0], ways[..., 2])
    rise = np.arctan2(ways[..., 1], level)
    column = (azimuth / (2.0 * np.pi) + 0.5) * width - 0.5
    row = (0.5 - rise / np.pi) * height - 0.5
    padded = cv2.copyMakeBorder(dome, 0, 0, 2, 2, cv2.BORDER_WRAP)
    places = ((column + 2.0).astype(np.float32), np.clip(row, 0.0, height - 1.0).astype(np.float32))
    return cv2.remap(padded, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _stars(stage: StageSet, camera: CameraPath, picture: np.ndarray) -> None:
    """Points at infinity, sharp at any focal length."""
    if not len(stage.stars):
        return
    seen = stage.stars[:, :3] @ camera.world_to_camera[0, :3, :3].T.astype(np.float32)
    front = seen[:, 2] < -0.05
    x = camera.width / 2.0 + camera.focal[0] * seen[front, 0] / -seen[front, 2]
    y = camera.height / 2.0 - camera.focal[0] * seen[front, 1] / -seen[front, 2]
    light = np.zeros(picture.shape[:2], np.float32)
    unit = camera.height / 512.0
    for px, py, (size, strength) in zip(x, y, stage.stars[front, 3:], strict=True):
        if -4 < px < camera.width + 4 and -4 < py < camera.height + 4:
            place = (round(float(px - 0.5) * 16), round(float(py - 0.5) * 16))
            cv2.circle(light, place, max(6, round(16 * float(size) * unit)), float(strength), -1, cv2.LINE_AA, 4)
    picture += light[..., None] * np.array([0.9, 0.95, 1.0], np.float32)


def _ring(
    stage: StageSet, ring: Ring, eye: np.ndarray, ways: np.ndarray, picture: np.ndarray, depth: np.ndarray
) -> None:
    """Composite a ring's far side: the ray leaves the cylinder there."""
    dx, dz = ways[..., 0], ways[..., 2]
    a = np.maximum(dx * dx + dz * dz, 1e-9)
    b = dx * eye[0] + dz * eye[2]
    inside = b * b - a * (eye[0] ** 2 + eye[2] ** 2 - ring.radius**2)
    t = (-b + np.sqrt(np.maximum(inside, 0.0))) / a
    t = np.where((inside > 0.0) & (t > 0.0), t, -1.0)
    high = eye[1] + t * ways[..., 1]
    rows = np.flatnonzero(((t > 0.0) & (high > ring.low) & (high < ring.high)).any(1))
    if not len(rows):
        return
    part = slice(rows[0], rows[-1] + 1)
    t, high = t[part], high[part]
    height, width = ring.picture.shape[:2]
    turn = np.arctan2(eye[0] + t * dx[part], eye[2] + t * dz[part])
    column = (turn / (2.0 * np.pi) + 0.5) * (width - 1)
    row = (ring.high - high) / (ring.high - ring.low) * height - 0.5
    row = np.where(t > 0.0, row, -9.0)
    limits = (column.astype(np.float32), np.clip(row, -9.0, height + 9.0).astype(np.float32))
    seen = cv2.remap(ring.picture, *limits, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    hazed = _hazed(stage, seen[..., :3], seen[..., 3:], ring.radius)
    picture[part] = picture[part] * (1.0 - seen[..., 3:]) + hazed
    depth[part] = np.where(seen[..., 3] > 0.5, t, depth[part])


def _hazed(stage: StageSet, colour: np.ndarray, cover: np.ndarray, distance: float) -> np.ndarray:
    share = float(np.exp(-distance / stage.haze_m))
    return colour * share + cover * stage.haze.astype(np.float32) * (1.0 - share)


def _ground(
    stage: StageSet,
    ground: Ground,
    eye: np.ndarray,
    ways: np.ndarray,
    focal: float,
    picture: np.ndarray,
    depth: np.ndarray,
) -> None:
    rows = np.flatnonzero((ways[..., 1] < -1e-4).any(1))
    if not len(rows):
        return
    part = slice(rows[0], rows[-1] + 1)
    way = ways[part]
    below = way[..., 1] < -1e-4
    t = np.where(below, eye[1] / np.maximum(-way[..., 1], 1e-4), FAR_M)
    x, z = eye[0] + t * way[..., 0], eye[2] + t * way[..., 2]
    # A pixel's footprint on the ground grows with depth, and again with how flat the ray comes in.
    length = np.sqrt((way * way).sum(-1))
    foot = t / focal * np.sqrt(length / np.maximum(-way[..., 1], 1e-4))
    colour = _tiled(ground.tile, x / ground.size, z / ground.size, foot / ground.size)
    if ground.beyond is not None:
        other = _tiled(ground.beyond, x / ground.size, z / ground.size, foot / ground.size)
        away = np.hypot(x, z) / ground.shore - 1.0
        wobble = 0.06 * np.sin(5.0 * np.arctan2(x, z)) + 0.04 * np.sin(11.0 * np.arctan2(x, z) + 1.0)
        sea = np.clip((away + wobble) * 14.0, 0.0, 1.0)[..., None]
        foam = np.exp(-(((away + wobble) * 14.0 - 0.6) ** 2) * 6.0)[..., None]
        colour = colour * (1.0 - sea) + other * sea
        colour = colour + foam * (0.85 - colour) * 0.8
    broad = _tiled(ground.broad, x / (9.0 * ground.size), z / (9.0 * ground.size), foot / (9 * ground.size))
    colour = colour * broad
    share = np.exp(-np.hypot(x, z) / stage.haze_m)[..., None]
    colour = colour * share + stage.haze.astype(np.float32) * (1.0 - share)
    nearer = below & (t < depth[part])
    picture[part] = np.where(nearer[..., None], colour, picture[part])
    depth[part] = np.where(nearer, t, depth[part])


def _tiled(tile: Tile, x: np.ndarray, y: np.ndarray, foot: np.ndarray) -> np.ndarray:
    """A periodic picture at places in tiles, blurred to a footprint in tiles. [H, W, C] float32"""
    size, channels = tile[0].shape[0] - 2, tile[0].reshape(*tile[0].shape[:2], -1).shape[-1]
    level = np.minimum(np.log2(np.maximum(foot * size, 1.0)), len(tile) - 1)
    result = np.zeros((*x.shape, channels), np.float32)
    for index, picture in enumerate(tile):
        weight = np.maximum(1.0 - np.abs(level - index), 0.0)
        rows = np.flatnonzero((weight > 0.0).any(1))
        if len(rows):
            part = slice(rows[0], rows[-1] + 1)
            n = picture.shape[0] - 2
            column = (x[part] % 1.0 * n + 0.5).astype(np.float32)
            row = (y[part] % 1.0 * n + 0.5).astype(np.float32)
            seen = cv2.remap(picture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            result[part] += weight[part][..., None] * seen.reshape(*weight[part].shape, -1)
    return result
