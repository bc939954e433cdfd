"""A character file -> one mesh in metres with one atlas, and the file's own rig."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio_pipeline.geometry.meshes import largest_extent, vertex_normals
from studio_pipeline.schema.errors import InputError, one_line
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.character.atlas import build_atlas
from studio_pipeline.stages.character.formats import kind_of
from studio_pipeline.stages.character.model import MAX_FACES, MAX_VERTICES, Model, Part, part_transforms, pose_model
from studio_pipeline.stages.character.own_rig import build_rig, plan_rig

__all__ = ["LoadedCharacter", "file_scale", "load_character", "read_model"]

DEFAULT_HEIGHT_M = 1.7
PLAUSIBLE_M = (0.2, 4.0)  # a largest extent in this range is taken for metres


@dataclass(frozen=True)
class LoadedCharacter:
    """What a character file holds."""

    character: Character
    own_rig: Rig | None  # the file's skeleton and weights, None when it has none
    warnings: tuple[str, ...]  # what was repaired, guessed or left out, one line each
    parts: int = 1  # primitives that the file has


def read_model(path: Path) -> Model:
    """Read any supported file into parts and nodes.

    Raises:
        InputError: The file is missing, of an unknown kind, malformed, or holds no faces.
    """
    kind = kind_of(path)
    if kind == "gltf":
        from studio_pipeline.stages.character.source_gltf import read_gltf

        model = read_gltf(path)[0]
    elif kind == "obj":
        from studio_pipeline.stages.character.source_obj import read_obj

        model = read_obj(path)
    else:
        from studio_pipeline.stages.character.source_usd import read_usd

        model = read_usd(path)
    check_model(model)
    return model


def check_model(model: Model) -> None:
    """Refuse a file without faces or beyond the limits.

    Raises:
        InputError: It is so.
    """
    vertices, faces = (sum(len(getattr(p, name)) for p in model.parts) for name in ("positions", "faces"))
    if not faces:
        raise InputError("has no faces", where=model.path, do="export the character's mesh with it")
    if vertices > MAX_VERTICES or faces > MAX_FACES:
        raise InputError(
            f"has {vertices} vertices and {faces} faces, at most {MAX_VERTICES} and {MAX_FACES}",
            where=model.path,
            do="reduce the mesh",
        )


def file_scale(model: Model, vertices: np.ndarray, height_m: float | None) -> tuple[float, str]:
    """Metres a file unit, and a warning when that had to be guessed (see docs: a character's height).

    Args:
        model: The file.
        vertices: Its rest pose in file units. [V, 3] float64
        height_m: What the shot says of the largest extent, if anything.

    Raises:
        InputError: The mesh has no extent, or one beyond all numbers.
    """
    extent = largest_extent(vertices)
    if not np.isfinite(extent) or not 1e-12 < extent < 1e12:
        raise InputError(
            f"has a largest extent of {extent:g}", where=model.path, do="check the transforms and export again"
        )
    if height_m is not None:
        return height_m / extent, ""
    if PLAUSIBLE_M[0] <= extent * model.unit_m <= PLAUSIBLE_M[1]:
        return model.unit_m, ""
    warning = (
        f"its largest extent is {extent * model.unit_m:.4g} m, which no character has: "
        f"taken as {DEFAULT_HEIGHT_M} m, give height_m to say otherwise"
    )
    return DEFAULT_HEIGHT_M / extent, warning


def load_character(
    path: Path, *, height_m: float | None = None, seed: int = 0, name: str | None = None
) -> LoadedCharacter:
    """Load a GLB, glTF, OBJ or USD file.

    Args:
        path: The file.
        height_m: Largest extent [m] that the character shall have; None: the file's own units when they give
            0.2 to 4 m, else 1.7 m with a warning.
        seed: Kept in the character for the stages that draw random numbers.
        name: Name of the character; None: the file's.

    Raises:
        InputError: The file is missing, malformed, hostile or holds nothing to animate.
    """
    path = Path(path)
    model = read_model(path)
    world = model.world()
    rest = pose_model(model, world)
    if not np.isfinite(rest).all():
        raise InputError("has transforms that are not finite", where=path, do="export the character again")
    scale, warning = file_scale(model, rest, height_m)
    metres = rest * scale
    faces, normals = _merge(model.parts, world, metres)
    atlas, uv = build_atlas(model.parts, model.warnings)
    character = Character(
        name=name or one_line(path.stem)[:64] or "character",
        vertices=metres.astype(np.float32),
        normals=normals.astype(np.float32),
        faces=faces.astype(np.int32),
        uv=np.concatenate(uv),
        atlas=atlas,
        vertex_colors=np.concatenate([_colors(part) for part in model.parts]).astype(np.float32),
        height_m=largest_extent(metres),
        unit_scale=scale,
        double_sided=any(part.material.double_sided for part in model.parts),
        seed=seed,
        source=one_line(path.name),
    )
    plan = plan_rig(model)
    rig = build_rig(model, plan, metres, scale) if plan is not None else None
    warnings = tuple(dict.fromkeys(one_line(w) for w in [*model.warnings, warning] if w))
    return LoadedCharacter(character, rig, warnings, parts=len(model.parts))


def _colors(part: Part) -> np.ndarray:
    return np.ones((len(part.positions), 3)) if part.colors is None else part.colors


def _merge(parts: list[Part], world: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces [F, 3], turned over where a mirror turned them, and unit normals [V, 3] of the merged parts."""
    faces, normals, start = [], [], 0
    for part in parts:
        linear = part_transforms(part, world)[:, :, :3]
        mirrored = np.linalg.det(linear) < 0.0
        flip = bool(mirrored.mean() > 0.5)
        own = part.faces[:, ::-1] if flip else part.faces
        computed = vertex_normals(vertices[start : start + len(part.positions)], own)
        faces.append(own + start)
        normals.append(computed if part.normals is None else _turn_normals(part.normals, linear, computed))
        start += len(part.positions)
    return np.concatenate(faces), np.concatenate(normals)


def _turn_normals(normals: np.ndarray, linear: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Normals [n, 3] under linear maps [n or 1, 3, 3], by their cofactors; ``fallback`` where they vanish."""
    a, b, c = (linear[:, :, k] for k in range(3))
    cofactors = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=-1)
    sign = np.where(np.linalg.det(linear) < 0.0, -1.0, 1.0)[:, None]
    turned = np.einsum("nab,nb->na", np.broadcast_to(cofactors, (len(normals), 3, 3)), normals) * sign
    length = np.linalg.norm(turned, axis=1, keepdims=True)
    size = np.abs(cofactors).max(axis=(1, 2))[:, None]
    return np.where(length > 1e-6 * size, turned / np.maximum(length, 1e-300), fallback)
