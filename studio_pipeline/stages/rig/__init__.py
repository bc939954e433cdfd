"""The rig: a skeleton inside the character and the weights that tie its skin to it.

Figures: ``joints``, ``bones_inside_fraction``, ``symmetric``, ``influences_mean``, ``longest_chain``,
``stress_edge_p99``, ``stress_volume_worst`` and ``stress_volume_change`` (see `stress`); of ``auto`` also ``chosen``
(whose rig it is) and ``network_sureness``.
Verdicts: ``weights_sum_to_one``, ``joints_inside``, ``tree_connected``, ``no_zero_bones``, ``every_vertex_weighted``,
``stress``.
"""

from __future__ import annotations

from studio_pipeline.stages.base import Backend, Override, Stage
from studio_pipeline.stages.rig.settings import (
    AutoSettings,
    GeometricSettings,
    NetworkSettings,
    ProvidedSettings,
    UniRigSettings,
)

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
            smaller="studio_pipeline.stages.rig.settings:fewer_voxels",
            distributions=("numpy", "scipy", "libigl", "opencv-python-headless", "warp-lang"),
        ),
        "auto": Backend(
            run="studio_pipeline.stages.rig.auto:run",
            settings=AutoSettings,
            smaller="studio_pipeline.stages.rig.settings:fewer_candidates",
            distributions=("torch", "safetensors", "numpy", "scipy", "libigl", "opencv-python-headless", "warp-lang"),
            assets=("weights/rig",),
        ),
        "network": Backend(
            run="studio_pipeline.stages.rig.network:run",
            settings=NetworkSettings,
            smaller="studio_pipeline.stages.rig.settings:fewer_candidates",
            distributions=("torch", "safetensors", "numpy", "scipy", "libigl", "opencv-python-headless", "warp-lang"),
            assets=("weights/rig",),
        ),
        "provided": Backend(
            run="studio_pipeline.stages.rig.provided:run",
            settings=ProvidedSettings,
            distributions=("numpy", "scipy", "libigl", "opencv-python-headless", "warp-lang"),
        ),
        "unirig": Backend(
            run="studio_pipeline.stages.rig.unirig:run",
            settings=UniRigSettings,
            distributions=("numpy", "scipy", "libigl", "trimesh", "opencv-python-headless", "warp-lang"),
        ),
    },
    default="auto",
    checks=(
        "weights_sum_to_one",
        "joints_inside",
        "tree_connected",
        "no_zero_bones",
        "every_vertex_weighted",
        "stress",
    ),
    override=Override(backend="provided", setting="file", check="studio_pipeline.stages.rig.provided:check_file"),
)
