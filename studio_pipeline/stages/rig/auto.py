"""Backend `auto`: the network's rig where it is sure of its skeleton, the geometric one elsewhere.

Nothing is known of the truth. The network's mean log-probability of the tokens that it wrote tells bodies like those it
learnt from; below the limit the geometric rigger does better in the mean on procedural characters (docs/rig.md).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.rig import geometric, network
from studio_pipeline.stages.rig.report import report
from studio_pipeline.stages.rig.settings import AutoSettings

__all__ = ["build_rig", "run"]


def run(context: StageContext) -> StageResult:
    """Make the rig of the stage's character; figures say whose it is, and how sure the network was."""
    character = Character.load(context.inputs["character"])
    context.progress(0.1, "skeleton")
    rig, symmetric, sureness = build_rig(character.vertices, character.faces, context.settings, seed=character.seed)
    rig.save(context.out)
    context.progress(0.8, "checks and preview")
    result = report(character, rig, context.out, symmetric=symmetric)
    figures = {**result.figures, "chosen": rig.backend, "network_sureness": round(sureness, 3)}
    return dataclasses.replace(result, figures=figures)


def build_rig(
    vertices: np.ndarray, faces: np.ndarray, settings: AutoSettings | None = None, *, seed: int = 0
) -> tuple[Rig, bool, float]:
    """A rig for any mesh, whether the body mirrors itself, and the network's sureness [nat a token].

    Args:
        vertices: Positions [V, 3], any unit, Y up.
        faces: Triangles [F, 3].
        settings: See `AutoSettings`.
        seed: Of the points that the network sees and of its draws.

    Raises:
        InputError: The mesh has no area, or the weights are missing or of another network.
    """
    settings = settings or AutoSettings()
    proposal = network.propose(vertices, faces, settings, seed=seed)
    sureness = proposal.skeleton.likelihood
    if sureness < settings.sure:
        try:
            return *geometric.build_rig(vertices, faces), sureness
        except InputError:
            pass  # nothing is left but the network's
    rig = network.rig_of(proposal, vertices, faces, settings)
    return rig, proposal.judge.plane is not None, sureness
