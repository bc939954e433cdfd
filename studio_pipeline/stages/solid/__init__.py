"""The solid: a body of tetrahedra around the skin, tied to the skin and to the joints.

Figures: ``tets``, ``vertices``, ``attempts``, ``reproducible``, ``embed_distance_max_fraction`` (of the diagonal) and
``embed_outside_fraction`` (of the skin's vertices), ``extrapolation_max`` (largest barycentric coordinate),
``volume_ratio`` (to the volume inside by winding number), ``quality_min`` and ``quality_mean`` (1 regular, 0 flat),
``pieces``, ``driven_tets``, ``driven_joints``, ``weighted_joints``.
Verdicts: ``positive_volumes``, ``surface_embedded``, ``volume_kept`` (warns), ``connected``.
"""

from __future__ import annotations

from studio_pipeline.stages.base import Backend, Stage
from studio_pipeline.stages.solid.settings import SolidSettings

__all__ = ["STAGE"]

STAGE = Stage(
    name="solid",
    version=1,
    summary="Tetrahedra inside the character, bound to its skin and joints",
    inputs=("character", "rig"),
    shot_fields=(),
    backends={
        "ftetwild": Backend(
            run="studio_pipeline.stages.solid.ftetwild:run",
            settings=SolidSettings,
            smaller="studio_pipeline.stages.solid.settings:smaller",
            distributions=("wildmeshing", "numpy", "scipy", "libigl", "scikit-image", "opencv-python-headless"),
        ),
    },
    default="ftetwild",
    checks=("positive_volumes", "surface_embedded", "volume_kept", "connected"),
)
