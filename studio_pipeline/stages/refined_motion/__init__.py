"""Refined motion: the joints drive an elastic solid, which gives the surface inertia, contact of flesh and volume.

Payload: ``points.{npz,json}`` (PointCache), ``refined.png`` (skinned above, refined below), ``refined_plot.png``
(displacement, smallest volume ratio and Newton iterations over the frames), ``stiffness.png`` (where it isn't the same
everywhere).

Figures: ``tets``, ``newton_iterations``, ``linear_iterations``, ``max_displacement_m``, ``max_displacement_percent``
(of the bounding box's diagonal; between skinned and refined surface), ``min_det_f``, ``volume_change_percent`` and
``volume_change_skinned_percent`` (largest over the frames), ``kinetic_energy_max_j``, ``jerk_ratio`` (refined over
skinned surface), ``fallback_frames``, ``fallback_where`` (with any: which tetrahedra did not settle, at which
joints), ``halved_frames``, ``new_intersections`` and ``new_intersections_skinned`` (worst sampled frame, pairs of
triangles), ``new_intersections_frame`` (with any), ``stiffness_low_pa`` and ``stiffness_high_pa`` (1st and 99th
percentile), ``clip_iou`` (with the clip's masks, mean of all frames that show the character), ``clip_iou_drop`` and
``clip_iou_drop_free`` (loss against skinning in the mean of the worse half of the frames, as delivered and with the
leash of the settings), ``lead_rounds`` (simulations that leading the flesh took) and ``led_joints`` (with any: whose
leash was tightened, to what); with ``fit: clip`` also ``fit_loss_before``, ``fit_loss_after``, ``fit_clusters`` and
``fit_evaluations``.

Verdicts: ``no_inverted_tetrahedra``, ``finite`` (both blocking), ``solver_converged``,
``no_new_self_intersections``, ``keeps_image_fit``.
"""

from __future__ import annotations

from studio_pipeline.stages.base import Backend, Stage
from studio_pipeline.stages.refined_motion.settings import FemSettings

__all__ = ["STAGE"]

STAGE = Stage(
    name="refined_motion",
    version=2,
    summary="Elastic solid driven by the joints",
    inputs=("character", "rig", "solid", "reference_clip", "observations", "lifted_motion"),
    shot_fields=(),
    backends={
        "fem": Backend(
            run="studio_pipeline.stages.refined_motion.fem:run",
            settings=FemSettings,
            smaller="studio_pipeline.stages.refined_motion.settings:smaller",
            distributions=("warp-lang", "numpy", "scipy"),
        )
    },
    default="fem",
    checks=("no_inverted_tetrahedra", "finite", "solver_converged", "no_new_self_intersections", "keeps_image_fit"),
)
