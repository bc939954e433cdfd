"""Meshes with a known rig, kept apart from every training stream, for evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.draw import draw_body
from studio_pipeline.training.rig_data.meshing import body_mesh, mesh_weights

__all__ = ["HeldOut", "held_out", "rough"]

_KEY = 0x68656C64  # a spawn key that training streams don't use


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """One procedural character as a mesh, with its true rig, in the body's own unit."""

    name: str
    vertices: np.ndarray  # [V, 3] float32
    faces: np.ndarray  # [F, 3] int32
    body: Body
    weights: np.ndarray  # [V, J] float32, rows sum to one


def held_out(count: int, seed: int = 0, *, resolution: int = 80) -> list[HeldOut]:
    """Draw characters that no training stream sees; the same call gives the same characters.

    Args:
        count: How many.
        seed: Another seed gives another set.
        resolution: Of the meshes before they are made rough.
    """
    items = []
    for index in range(count):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_KEY, index)))
        body = draw_body(rng)
        split = bool(rng.random() < 0.3)
        vertices, faces, _ = body_mesh(body, resolution=resolution, rng=rng, split=split)
        vertices, faces = rough(vertices, faces, rng)
        items.append(
            HeldOut(
                name=f"{index:03d}_{body.plan}",
                vertices=vertices,
                faces=faces,
                body=body,
                weights=mesh_weights(body, vertices),
            )
        )
    return items


def rough(vertices: np.ndarray, faces: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What game meshes are like: far fewer faces, now and then holes and a little noise.

    Args:
        vertices: A dense mesh. [V, 3]
        faces: Its triangles. [F, 3]
        rng: Chooses.

    Returns:
        vertices [V', 3] float32 and faces [F', 3] int32.
    """
    import igl

    wanted = int(np.exp(rng.uniform(np.log(500), np.log(8000))))
    if wanted < len(faces) and rng.random() < 0.8:
        lower = igl.decimate(vertices.astype(np.float64), faces.astype(np.int64), wanted)
        if len(lower[1]) >= 100:
            vertices, faces = lower[0].astype(np.float32), lower[1].astype(np.int32)
    size = float(np.ptp(vertices, axis=0).max())
    if rng.random() < 0.15:
        middles = vertices[faces].mean(1)
        keep = np.ones(len(faces), bool)
        for _ in range(int(rng.integers(1, 4))):
            keep &= np.linalg.norm(middles - middles[rng.integers(len(middles))], axis=1) > size * rng.uniform(
                0.02, 0.08
            )
        faces = faces[keep] if keep.sum() > 50 else faces
    used, faces = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], faces.reshape(-1, 3).astype(np.int32)
    if rng.random() < 0.2:
        vertices = vertices + size * rng.uniform(0, 0.002) * rng.standard_normal(vertices.shape).astype(np.float32)
    return vertices.astype(np.float32), faces
