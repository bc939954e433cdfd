"""Bodies made of boxes with known limbs, named so that names can't help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.schema.records import CameraPath, Character, Rig
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.stages.directives.brief import direct

Bone = tuple[int, Sequence[float], Sequence[float], float]  # parent, head, tail, half width

BIPED: list[Bone] = [
    (-1, (0, 1.0, 0), (0, 1.15, 0), 0.14),
    (0, (0, 1.15, 0), (0, 1.5, 0), 0.15),
    (1, (0, 1.55, 0), (0, 1.85, 0.02), 0.12),
    (0, (0.1, 0.95, 0), (0.1, 0.5, 0.03), 0.06),
    (3, (0.1, 0.5, 0.03), (0.1, 0.08, 0), 0.05),
    (4, (0.1, 0.08, 0), (0.1, 0.04, 0.2), 0.04),
    (0, (-0.1, 0.95, 0), (-0.1, 0.5, 0.03), 0.06),
    (6, (-0.1, 0.5, 0.03), (-0.1, 0.08, 0), 0.05),
    (7, (-0.1, 0.08, 0), (-0.1, 0.04, 0.2), 0.04),
    (1, (0.2, 1.45, 0), (0.5, 1.42, 0), 0.04),
    (9, (0.5, 1.42, 0), (0.8, 1.4, 0.02), 0.04),
    (1, (-0.2, 1.45, 0), (-0.5, 1.42, 0), 0.04),
    (11, (-0.5, 1.42, 0), (-0.8, 1.4, 0.02), 0.04),
]  # fmt: skip
QUADRUPED: list[Bone] = [
    (-1, (0, 0.6, -0.4), (0, 0.62, 0), 0.12),
    (0, (0, 0.62, 0), (0, 0.62, 0.4), 0.12),
    (1, (0, 0.66, 0.45), (0, 0.85, 0.6), 0.08),
    (2, (0, 0.85, 0.6), (0, 0.88, 0.8), 0.09),
    (0, (0, 0.64, -0.5), (0, 0.7, -0.7), 0.04),
    (4, (0, 0.7, -0.7), (0, 0.8, -0.95), 0.03),
    (1, (0.12, 0.55, 0.35), (0.12, 0.3, 0.33), 0.05),
    (6, (0.12, 0.3, 0.33), (0.12, 0.02, 0.36), 0.04),
    (1, (-0.12, 0.55, 0.35), (-0.12, 0.3, 0.33), 0.05),
    (8, (-0.12, 0.3, 0.33), (-0.12, 0.02, 0.36), 0.04),
    (0, (0.12, 0.55, -0.45), (0.12, 0.3, -0.42), 0.05),
    (10, (0.12, 0.3, -0.42), (0.12, 0.02, -0.45), 0.04),
    (0, (-0.12, 0.55, -0.45), (-0.12, 0.3, -0.42), 0.05),
    (12, (-0.12, 0.3, -0.42), (-0.12, 0.02, -0.45), 0.04),
]  # fmt: skip
CHAIN: list[Bone] = [(i - 1, (0, 0.06, 0.8 - 0.2 * i), (0, 0.06, 0.6 - 0.2 * i), 0.06) for i in range(8)]
BALL: list[Bone] = [(-1, (0, 0.3, 0), (0, 0.6, 0), 0.3)]


def body(bones: Sequence[Bone], *, turned: bool = False, frames_seed: int = 3) -> tuple[Rig, Character]:
    """A rig with joint frames turned at random and a mesh of one box a bone, bound rigidly."""
    rng = np.random.default_rng(frames_seed)
    turn = np.diag([-1.0, 1.0, -1.0]) if turned else np.eye(3)
    vertices, faces, weights = [], [], []
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (0, 1) for z in (-1, 1)], dtype=np.float64)
    sides = np.array(
        [
            [0, 1, 3],
            [0, 3, 2],
            [4, 6, 7],
            [4, 7, 5],
            [0, 4, 5],
            [0, 5, 1],
            [2, 3, 7],
            [2, 7, 6],
            [0, 2, 6],
            [0, 6, 4],
            [1, 5, 7],
            [1, 7, 3],
        ]
    )
    rest = np.tile(np.eye(4), (len(bones), 1, 1))
    for joint, (_, head, tail, half) in enumerate(bones):
        a, b = turn @ np.array(head, float), turn @ np.array(tail, float)
        along = b - a
        across = np.cross(along, [0.3, 0.2, 1.0])
        across *= half / np.linalg.norm(across)
        third = np.cross(across, along)
        third *= half / np.linalg.norm(third)
        faces.append(sides + 8 * joint)
        vertices.append(a + corners[:, :1] * across + corners[:, 1:2] * along + corners[:, 2:] * third)
        row = np.zeros((8, len(bones)))
        row[:, joint] = 1.0
        weights.append(row)
        rest[joint, :3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        rest[joint, :3, :3] *= np.sign(np.linalg.det(rest[joint, :3, :3]))
        rest[joint, :3, 3] = a
    points = np.concatenate(vertices).astype(np.float32)
    normals = points - points.mean(0)
    rig = Rig(
        names=tuple(f"x{joint * 7919 % 1000}" for joint in range(len(bones))),
        parents=np.array([bone[0] for bone in bones], np.int32),
        rest_world=rest,
        tails=np.array([turn @ np.array(bone[2], float) for bone in bones], np.float32),
        weights=np.concatenate(weights).astype(np.float32),
    )
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
    character = Character(
        name="boxes", vertices=points, normals=normals,
        faces=np.concatenate(faces).astype(np.int32), uv=np.zeros((len(points), 2), np.float32),
        atlas=np.full((4, 4, 4), (200, 120, 60, 255), np.uint8), vertex_colors=np.ones((len(points), 3), np.float32),
        height_m=float(np.ptp(points, axis=0).max()), unit_scale=1.0,
    )  # fmt: skip
    return rig, character


BODIES = {"biped": BIPED, "quadruped": QUADRUPED, "chain": CHAIN, "ball": BALL}


@pytest.fixture(scope="session")
def bodies() -> Callable[..., tuple[Rig, Character]]:
    def make(name: str, *, more: Sequence[Bone] = (), parents: dict[int, int] | None = None, **options: bool | int):
        bones = [((parents or {}).get(index, bone[0]), *bone[1:]) for index, bone in enumerate([*BODIES[name], *more])]
        return body(bones, **options)  # pyright: ignore

    return make


@pytest.fixture(scope="session")
def view() -> Callable[..., CameraPath]:
    def make(character: Character, frames: int, *, size: int = 96) -> CameraPath:
        one = frame_points(character.vertices, width=size, height=size, fill=0.62)
        return CameraPath(
            world_to_camera=np.repeat(one.world_to_camera, frames, 0),
            focal=np.repeat(one.focal, frames),
            width=size,
            height=size,
        )

    return make


@pytest.fixture(scope="session")
def directed() -> Callable[..., object]:
    return lambda explicit=None, brief="": direct(brief, explicit or {}, load_taxonomy())[0]


@pytest.fixture
def inputs(
    tmp_path: Path,
    bodies: Callable[..., tuple[Rig, Character]],
    view: Callable[..., CameraPath],
    directed: Callable[..., object],
):
    """Payload folders of everything upstream of `takes`."""

    def make(name: str, frames: int, explicit: dict[str, str]) -> dict[str, Path]:
        rig, character = bodies(name)
        folders = {key: tmp_path / "in" / key for key in ("rig", "character", "canonical_view", "directives")}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        rig.save(folders["rig"])
        character.save(folders["character"])
        view(character, frames).save(folders["canonical_view"])
        (folders["directives"] / "directives.json").write_text(directed(explicit).model_dump_json())  # pyright: ignore
        return folders

    return make


@pytest.fixture
def shot() -> Callable[..., SimpleNamespace]:
    from fractions import Fraction

    return lambda frames, size=96, fps=24: SimpleNamespace(
        seed=5,
        fps=Fraction(fps),
        frame_count=frames,
        first_frame=1001,
        resolution=(size, size),
        handles=0,
        camera=None,
        frames=(1001, 1000 + frames),
    )
