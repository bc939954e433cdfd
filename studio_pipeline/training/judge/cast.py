"""Characters to play in the judge's clips: the shipped ones in other colours, and procedural ones with painted eyes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.rig.geometric import build_rig
from studio_pipeline.training.rig_data.draw import draw_body
from studio_pipeline.training.rig_data.meshing import body_mesh

__all__ = ["Actor", "from_file", "procedural", "retinted", "shipped"]

_HEIGHT_M = 1.3


@dataclass(frozen=True)
class Actor:
    """A character and the rig it is played on."""

    name: str
    character: Character
    rig: Rig


def shipped() -> list[Actor]:
    """The characters of the asset library."""
    return [from_file(path) for path in sorted((assets_folder() / "characters").glob("*.glb"))]


def from_file(path: Path) -> Actor:
    """A character file, on its own rig where it has one."""
    loaded = load_character(path)
    character = loaded.character
    rig = loaded.own_rig or build_rig(character.vertices, character.faces)[0]
    return Actor(path.stem, character, rig)


def retinted(actor: Actor, rng: np.random.Generator) -> Actor:
    """The same character with another hue, saturation and lightness."""
    import cv2

    turn, rich, light = int(rng.integers(0, 180)), rng.uniform(0.5, 1.4), rng.uniform(0.75, 1.15)

    def tint(rgb: np.ndarray) -> np.ndarray:
        hsv = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2HSV).astype(np.int32)
        hsv[..., 0] = (hsv[..., 0] + turn) % 180
        hsv[..., 1] = np.clip(hsv[..., 1] * rich, 0, 255)
        hsv[..., 2] = np.clip(hsv[..., 2] * light, 0, 255)
        return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)

    atlas = actor.character.atlas.copy()
    atlas[..., :3] = tint(atlas[..., :3])
    colours = np.round(np.clip(actor.character.vertex_colors, 0.0, 1.0) * 255.0).astype(np.uint8)
    vertex = tint(colours[None])[0].astype(np.float32) / 255.0 if np.ptp(colours) > 3 else actor.character.vertex_colors
    return replace(actor, character=replace(actor.character, atlas=atlas, vertex_colors=vertex))


def procedural(rng: np.random.Generator, *, resolution: int = 72) -> Actor:
    """A drawn body with coloured parts, marks and two eyes, on its true rig."""
    body = draw_body(rng)
    vertices, faces, weights = body_mesh(body, resolution=resolution, rng=rng)
    scale = _HEIGHT_M / float(np.ptp(vertices, axis=0).max())
    points = (vertices * scale).astype(np.float32)
    rest = np.tile(np.eye(4), (body.joint_count, 1, 1))
    rest[:, :3, 3] = body.joints * scale
    rig = Rig(
        names=body.names, parents=body.parents.astype(np.int32), rest_world=rest.astype(np.float64),
        tails=(body.tails * scale).astype(np.float32), weights=weights.astype(np.float32),
    )  # fmt: skip
    character = Character(
        name=body.plan, vertices=points, normals=_normals(points, faces), faces=faces.astype(np.int32),
        uv=np.zeros((len(points), 2), np.float32), atlas=np.full((4, 4, 4), 255, np.uint8),
        vertex_colors=_painted(points, weights, rng), height_m=_HEIGHT_M, unit_scale=1.0,
    )  # fmt: skip
    return Actor(body.plan, character, rig)


def _normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = points[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.zeros_like(points)
    for corner in range(3):
        np.add.at(summed, faces[:, corner], across)
    return (summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def _painted(points: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A colour a bone from a small palette, a belly or stripes, dark eyes in white. [V, 3] float32 linear-ish 0-1"""
    palette = rng.uniform(0.25, 1.0, (3, 3))
    of_bone = palette[rng.integers(0, 3, weights.shape[1])] if rng.random() < 0.6 else palette[[0] * weights.shape[1]]
    colours = of_bone[weights.argmax(1)]
    extent = np.ptp(points, axis=0)
    if rng.random() < 0.5:  # stripes
        axis, width = int(rng.integers(0, 3)), rng.uniform(0.08, 0.2)
        stripes = np.floor(points[:, axis] / (width * extent.max())).astype(int) % 2 == 0
        colours = np.where(stripes[:, None], colours, 0.6 * colours + 0.4 * palette[2])
    front = points[:, 2] > np.quantile(points[:, 2], 0.75)
    top = points[:, 1] > np.quantile(points[:, 1], 0.7)
    face = np.flatnonzero(front & top) if (front & top).sum() > 30 else np.flatnonzero(front)
    middle = points[face].mean(0)
    spread = 0.11 * extent.max() * rng.uniform(0.7, 1.2)
    for side in (-1.0, 1.0):
        aim = middle + np.array([side * spread * 0.6, 0.1 * spread, extent[2]])
        eye = face[np.argmin(((points[face] - aim)[:, :2] ** 2).sum(1))]
        away = np.linalg.norm(points - points[eye], axis=1)
        colours[away < 0.5 * spread] = 0.95
        colours[away < 0.28 * spread] = 0.05
    return colours.astype(np.float32)
