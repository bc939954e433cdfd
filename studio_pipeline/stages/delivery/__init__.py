"""Delivery: the files that leave the house.

Payload: ``<shot id>.glb`` (skin and joint animation), ``<shot id>_refined.glb`` (refined surface as morph targets),
``<shot id>.usd`` with ``textures/``, ``<shot id>.mp4`` and ``frames/<shot id>.1001.png`` ...; see docs/delivery.md.
Alembic is not written.

Figures: ``frames``, ``fps``, ``first_frame``, ``last_frame``, ``own_scale`` (metres per unit of the files),
``height_units``, ``skin_error_4_influences_mm``, ``glb_mb``, ``refined_glb_mb``, ``usd_mb``, ``mp4_mb``,
``refined_glb_step`` and ``refined_glb_error_mm``, ``texture_baked``, ``camera_zoom_only_in_usd``.
Verdicts: ``opens``, ``usd_conforms``, ``glb_conforms``.
"""

from studio_pipeline.stages.base import Backend, Stage
from studio_pipeline.stages.delivery.settings import DeliverySettings

__all__ = ["STAGE"]

STAGE = Stage(
    name="delivery",
    version=1,
    summary="GLB, USD, MP4 and frames in the character's own scale",
    inputs=("character", "rig", "reference_clip", "lifted_motion", "refined_motion"),
    shot_fields=("id", "fps", "frames", "handles", "resolution"),
    backends={
        "files": Backend(
            run="studio_pipeline.stages.delivery.files:run",
            settings=DeliverySettings,
            smaller="studio_pipeline.stages.delivery.settings:smaller",
            distributions=("numpy", "scipy", "usd-core", "opencv-python-headless", "av", "warp-lang"),
        )
    },
    default="files",
    checks=("opens", "usd_conforms", "glb_conforms"),
)
