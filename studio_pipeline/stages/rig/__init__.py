"""The rig: a skeleton inside the character and the weights that tie its skin to it.

Figures: ``joints``, ``bones_inside_fraction``, ``symmetric``, ``influences_mean``, ``longest_chain``.
Verdicts: ``weights_sum_to_one``, ``joints_inside``, ``tree_connected``, ``no_zero_bones``, ``every_vertex_weighted``.
"""

from __future__ import annotations

from studio_pipeline.stages.base import Backend, Stage
from studio_pipeline.stages.rig.settings import GeometricSettings, ProvidedSettings

__all__ = ["STAGE"]

STAGE = Stage(
    name="rig",
    version=1,
    summary="Skeleton and skin weights of the character",
    inputs=("character",),
    shot_fields=(),
    backends={
        "geometric": Backend(
            run="studio_pipeline.stages.rig.geometric:run",
            settings=GeometricSettings,
            distributions=("numpy", "scipy", "libigl", "opencv-python-headless", "warp-lang"),
        ),
        "provided": Backend(
            run="studio_pipeline.stages.rig.provided:run",
            settings=ProvidedSettings,
            distributions=("numpy", "scipy", "libigl", "opencv-python-headless", "warp-lang"),
        ),
    },
    default="geometric",
    checks=("weights_sum_to_one", "joints_inside", "tree_connected", "no_zero_bones", "every_vertex_weighted"),
)
