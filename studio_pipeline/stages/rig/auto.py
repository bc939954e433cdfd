"""Backend `auto`: the network's skeleton with weights by heat, or the geometric rig.

Nothing is known of the truth. The geometric rig is taken where the network isn't sure of its skeleton at all (mean
log-probability of the tokens that it wrote) or has none, where the network's rig fails the stage's own gates and the
geometric one doesn't, and where the network left much of a body without bones that mirrors itself.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from studio_pipeline.geometry.bones import bone_segments, segment_distances
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.rig import geometric, network
from studio_pipeline.stages.rig.checks import check_rig, is_whole
from studio_pipeline.stages.rig.report import report
from studio_pipeline.stages.rig.settings import AutoSettings
from studio_pipeline.stages.rig.stress import stress_test

__all__ = ["build_rig", "run"]

_BARE = 1.2  # times as far from bones as the geometric rig leaves the surface, in the mean


def run(context: StageContext) -> StageResult:
    """Make the rig of the stage's character; figures say whose it is, and how sure the network was."""
    character = Character.load(context.inputs["character"])
    context.progress(0.1, "skeleton")
    rig, symmetric, sureness = build_rig(character.vertices, character.faces, context.settings, seed=character.seed)
    rig.save(context.out)
    context.progress(0.8, "checks and preview")
    result = report(character, rig, context.out, symmetric=symmetric)
    figures = {**result.figures, "chosen": rig.backend}
    if np.isfinite(sureness):
        figures["network_sureness"] = round(sureness, 3)
    return dataclasses.replace(result, figures=figures)


def build_rig(
    vertices: np.ndarray, faces: np.ndarray, settings: AutoSettings | None = None, *, seed: int = 0
) -> tuple[Rig, bool, float]:
    """A rig for any mesh, whether the body mirrors itself, and the network's sureness [nat a token], -inf for none.

    Args:
        vertices: Positions [V, 3], any unit, Y up.
        faces: Triangles [F, 3].
        settings: See `AutoSettings`.
        seed: Of the points that the network sees and of its draws.

    Raises:
        InputError: The mesh has no extent, or the weights are missing or of another network.
    """
    settings = settings or AutoSettings()
    try:
        proposal = network.propose(vertices, faces, settings, seed=seed)
    except network.NoSkeletonError:
        return *geometric.build_rig(vertices, faces), -np.inf
    sureness, mirrored = proposal.skeleton.likelihood, proposal.judge.plane is not None
    rig = network.rig_of(proposal, vertices, faces, settings)
    body = _body(vertices, faces, seed)
    try:
        other, symmetric = geometric.build_rig(vertices, faces)
    except InputError:
        return rig, mirrored, sureness  # nothing else is left
    bare = symmetric and _bareness(rig, proposal) > _BARE * _bareness(other, proposal)
    if sureness >= settings.sure and _sound(body, rig) and not (bare and _sound(body, other)):
        return rig, mirrored, sureness
    if sureness < settings.sure or _sound(body, other):
        return other, symmetric, sureness
    return rig, mirrored, sureness


def _bareness(rig: Rig, proposal: network.Proposal) -> float:
    """Mean distance of the surface from the nearest bone, those that end in nothing included, of half the box."""
    cloud = proposal.cloud
    leaves = np.setdiff1d(np.arange(rig.joint_count), rig.parents)
    heads, tails = cloud.from_mesh(rig.heads), cloud.from_mesh(rig.tails)
    bones = np.concatenate([bone_segments(heads, rig.parents), np.stack([heads[leaves], tails[leaves]], axis=1)])
    return float(segment_distances(cloud.points.astype(np.float64), bones).min(1).mean())


def _body(vertices: np.ndarray, faces: np.ndarray, seed: int) -> Character:
    """As much of a character as gates look at."""
    points = np.asarray(vertices, dtype=np.float32)
    return Character(
        name="body",
        vertices=points,
        normals=np.zeros_like(points),
        faces=np.asarray(faces, dtype=np.int32),
        uv=np.zeros((len(points), 2), dtype=np.float32),
        atlas=np.full((2, 2, 4), 255, dtype=np.uint8),
        vertex_colors=np.ones_like(points),
        height_m=float(np.ptp(points[:, 1])),
        unit_scale=1.0,
        seed=seed,
    )


def _sound(body: Character, rig: Rig) -> bool:
    """Whether no blocking gate turns the rig down."""
    return not is_whole(rig) and all(
        gate.passed for gate in check_rig(body, rig, stress_test(body, rig)) if gate.blocking
    )
