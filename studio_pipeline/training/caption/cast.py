"""Who acts in clips: shipped characters, procedural ones and rigged files, painted in colours of their own."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from studio_pipeline.geometry.meshes import largest_extent, vertex_normals
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig

__all__ = ["PROCEDURAL", "Actor", "cast_names", "load_actor", "painted", "shipped"]

PROCEDURAL = "procedural"
"""Begins the name of an actor that is drawn: ``procedural:7``, or ``procedural:held_out:7`` for evaluation."""
_RESOLUTION = 40  # cells along a drawn body: small pictures need no more
_HEIGHT_M = 1.6
_ATLAS = 256  # px, longest side
_KEY = 0x63617374  # streams of the cast are apart from the rig network's
_HELD_OUT = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A character and its rig."""

    name: str
    character: Character
    rig: Rig


def shipped() -> tuple[str, ...]:
    """Names of the characters of the asset library."""
    return tuple(str(path) for path in sorted((assets_folder() / "characters").glob("*.glb")))


@lru_cache(maxsize=256)
def load_actor(name: str) -> Actor:
    """A rigged file by its path, or a procedural character by ``procedural:N``.

    Raises:
        InputError: The file cannot be read.
    """
    if name.startswith(PROCEDURAL + ":"):
        parts = name.split(":")
        return _drawn(name, int(parts[-1]) + (_HELD_OUT if "held_out" in parts else 0))
    from studio_pipeline.stages.character.load import load_character
    from studio_pipeline.stages.rig.geometric import build_rig

    path = Path(name)
    if not path.is_file():
        raise InputError("no such file", where=path, do="give a GLB, glTF or USD file")
    loaded = load_character(path)
    rig = loaded.own_rig or build_rig(loaded.character.vertices, loaded.character.faces)[0]
    return Actor(name=path.stem, character=replace(loaded.character, atlas=_small(loaded.character.atlas)), rig=rig)


def _small(atlas: np.ndarray) -> np.ndarray:
    """An atlas [h, w, 4] no larger than small pictures can show."""
    import cv2

    scale = _ATLAS / max(atlas.shape[:2])
    size = (max(1, round(atlas.shape[1] * scale)), max(1, round(atlas.shape[0] * scale)))
    return atlas if scale >= 1.0 else cv2.resize(atlas, size, interpolation=cv2.INTER_AREA)


def _drawn(name: str, index: int) -> Actor:
    from studio_pipeline.stages.rig.geometric import bone_frames
    from studio_pipeline.training.rig_data.draw import draw_body
    from studio_pipeline.training.rig_data.meshing import body_mesh

    rng = np.random.default_rng(np.random.SeedSequence(index, spawn_key=(_KEY,)))
    body = draw_body(rng, posed=0.0)
    vertices, faces, weights = body_mesh(body, resolution=_RESOLUTION)
    scale = _HEIGHT_M / largest_extent(vertices)
    vertices = (vertices * scale).astype(np.float32)
    joints, tails = (np.asarray(points, np.float64) * scale for points in (body.joints, body.tails))
    rig = Rig(
        names=body.names, parents=body.parents, rest_world=bone_frames(joints, tails),
        tails=tails.astype(np.float32), weights=weights, backend=PROCEDURAL,
    )  # fmt: skip
    character = Character(
        name=name, vertices=vertices, normals=vertex_normals(vertices, faces).astype(np.float32),
        faces=faces.astype(np.int32), uv=np.zeros((len(vertices), 2), np.float32),
        atlas=np.full((4, 4, 4), 255, np.uint8), vertex_colors=_parts(weights, rng), height_m=_HEIGHT_M,
        unit_scale=1.0,
    )  # fmt: skip
    return Actor(name=name, character=character, rig=rig)


def _parts(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Linear colours [V, 3]: every bone one of a few, as clothes and skin are."""
    colours = np.array([_colour(rng) for _ in range(int(rng.integers(2, 5)))], np.float32)
    return colours[rng.integers(len(colours), size=weights.shape[1])[weights.argmax(1)]]


def _colour(rng: np.random.Generator) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.1, 0.8), rng.uniform(0.35, 1.0))


def painted(actor: Actor, rng: np.random.Generator) -> Actor:
    """The actor in other colours: the hue turned, lighter or darker, more or less coloured."""
    if rng.random() < 0.3:
        return actor
    turn, lift, more = rng.random(), rng.uniform(0.75, 1.15), rng.uniform(0.6, 1.25)
    atlas = actor.character.atlas.copy()
    atlas[..., :3] = (255.0 * _turned(atlas[..., :3] / 255.0, turn, lift, more) + 0.5).astype(np.uint8)
    colours = actor.character.vertex_colors
    if np.ptp(colours) > 1e-3:
        colours = _turned(colours, turn, lift, more).astype(np.float32)
    return replace(actor, character=replace(actor.character, atlas=atlas, vertex_colors=colours))


def _turned(rgb: np.ndarray, turn: float, lift: float, more: float) -> np.ndarray:
    """Colours with their hue turned about grey by ``turn`` of a circle."""
    angle = 2.0 * np.pi * turn
    axis = np.full(3, 1.0 / np.sqrt(3.0))
    cross = np.cross(np.eye(3), axis)
    matrix = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * np.outer(axis, axis)
    turned = np.asarray(rgb, np.float64) @ matrix.T
    grey = turned.mean(-1, keepdims=True)
    return np.clip((grey + more * (turned - grey)) * lift, 0.0, 1.0)


def cast_names(start: int, count: int, files: Sequence[str] = (), *, held_out: bool = False) -> tuple[str, ...]:
    """``files`` and ``count`` procedural characters from number ``start`` on."""
    middle = ":held_out:" if held_out else ":"
    return (*files, *(f"{PROCEDURAL}{middle}{index}" for index in range(start, start + count)))
