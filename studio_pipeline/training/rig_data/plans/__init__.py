"""Body plans: each module builds one family of bodies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.plans.arthropods import arthropod
from studio_pipeline.training.rig_data.plans.bipeds import biped
from studio_pipeline.training.rig_data.plans.blobs import blob, critter
from studio_pipeline.training.rig_data.plans.flyers import bird
from studio_pipeline.training.rig_data.plans.limbless import snake
from studio_pipeline.training.rig_data.plans.others import frog, octopus, theropod, turtle
from studio_pipeline.training.rig_data.plans.props import plant, prop, single_hand
from studio_pipeline.training.rig_data.plans.quadrupeds import quadruped
from studio_pipeline.training.rig_data.plans.swimmers import fish

__all__ = ["PLAN_WEIGHTS", "build"]

_BUILDERS: dict[str, tuple[float, Callable[[np.random.Generator, str], Body]]] = {
    "biped": (0.30, biped),
    "robot": (0.07, biped),
    "winged": (0.02, biped),
    "quadruped": (0.18, quadruped),
    "dragon": (0.02, quadruped),
    "bird": (0.05, bird),
    "bat": (0.015, bird),
    "fish": (0.07, fish),
    "snake": (0.05, snake),
    "insect": (0.03, arthropod),
    "spider": (0.015, arthropod),
    "crab": (0.015, arthropod),
    "frog": (0.025, frog),
    "turtle": (0.015, turtle),
    "theropod": (0.03, theropod),
    "octopus": (0.01, octopus),
    "blob": (0.035, blob),
    "critter": (0.025, critter),
    "hand": (0.025, single_hand),
    "plant": (0.01, plant),
    "prop": (0.03, prop),
}

PLAN_WEIGHTS: dict[str, float] = {plan: share for plan, (share, _) in _BUILDERS.items()}
"""Share of every plan among drawn bodies."""


def build(plan: str, rng: np.random.Generator) -> Body:
    """Build a body of a plan in its rest pose, facing +Z.

    Raises:
        KeyError: There is no such plan.
    """
    return _BUILDERS[plan][1](rng, plan)
