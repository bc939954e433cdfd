"""Stage `takes`: candidate clips of the shot.

Backend `previz` animates the rig procedurally from the directives and renders it; `plate` takes a file; `diffusers`
asks an image-to-video model that runs here, `hosted` one of a service, from the canonical view and a prompt made of
the directives.
Payload: ``takes.json`` (each take with what of the directives it obeys and what not), ``take_000/`` (Clip, and
``camera.{npz,json}``, a CameraPath, where another camera than canonical_view's saw the take), ``take_000.png``
(contact strip), ``take_000.mp4``, ``take_001/`` and so on. The motion behind a previz is kept nowhere: later stages
see pixels.

Figures: ``takes``, ``frames``, ``motion_energy`` (largest share of the subject that differs from index 0),
``still_run`` (longest run of equal frames), ``bad_frames`` (black, blown out, empty), ``area_min`` (of index 0's),
``obeyed``, ``not_obeyed``, ``in_frame`` (share of vertices, previz only),
``played`` (procedural, or a motion of the library), ``scaled`` (plate only),
``model_frames``, ``time_stretch`` (models only), ``prompt_tokens``, ``prompt_limit`` (diffusers only), ``service_s``,
``credits``, ``failed`` (takes), ``failure`` (hosted only).
Verdicts: ``not_collapsed`` (blocking), ``not_frozen`` (blocking when the directives ask for movement).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from studio_pipeline.stages.base import Backend, InputFile, Settings, Stage
from studio_pipeline.stages.takes.diffusers_settings import DiffusersSettings
from studio_pipeline.stages.takes.hosted_settings import HostedSettings

__all__ = ["STAGE", "PlateSettings", "PrevizSettings"]

Colour = tuple[int, int, int]


class PrevizSettings(Settings):
    """Settings of the procedural animation."""

    count: int = Field(default=1, ge=1, le=16)  # takes, from the shot's seed, seed + 1, ...
    # Walk, run, wave and jump of a body on two legs: procedural, or retargeted from the library's motions.
    performances: Literal["procedural", "library"] = "procedural"
    supersample: int = Field(default=2, ge=1, le=4)  # samples along a pixel's side
    background: Colour | None = None  # sRGB 0-255; None: a soft backdrop for the hour of the directives
    keep_in_frame: bool = True  # make movements smaller until the character stays in the picture


class PlateSettings(Settings):
    """A clip that somebody else made; index 0 shows the rest pose."""

    file: InputFile  # a video, or a folder of numbered PNG or JPEG pictures
    background: Colour = (205, 210, 218)  # sRGB 0-255, what shows where the plate is transparent
    # An .npz whose array "depth" [T, h, w] is the plate's z pass, at the shot's size or smaller, NaN where unknown.
    depth: InputFile | None = None
    # What its values d say of z along the view axis: z = d [m], z = a d + b, 1/z = a d + b; observations solve a and b.
    depth_kind: Literal["metric", "affine", "inverse"] = "metric"


STAGE = Stage(
    name="takes",
    version=1,
    summary="Candidate clips: procedural previz, or a plate",
    inputs=("directives", "canonical_view", "character", "rig"),
    shot_fields=("seed", "fps", "frames", "handles", "resolution", "camera"),
    backends={
        "previz": Backend(
            run="studio_pipeline.stages.takes.previz:run",
            settings=PrevizSettings,
            smaller="studio_pipeline.stages.takes.smaller:smaller_previz",
            distributions=("numpy", "scipy", "opencv-python-headless", "warp-lang", "av"),
            assets=("motions",),
        ),
        "plate": Backend(
            run="studio_pipeline.stages.takes.plate:run",
            settings=PlateSettings,
            distributions=("numpy", "opencv-python-headless", "pillow", "av"),
        ),
        "diffusers": Backend(
            run="studio_pipeline.stages.takes.diffusers_run:run",
            settings=DiffusersSettings,
            smaller="studio_pipeline.stages.takes.smaller:smaller_diffusers",
            distributions=("numpy", "opencv-python-headless", "av", "torch", "diffusers", "transformers", "accelerate"),
            assets=("taxonomy",),  # explains the tags of the prompt
            available="studio_pipeline.stages.takes.diffusers_loading:available",
            uses_gpu=True,
        ),
        "hosted": Backend(
            run="studio_pipeline.stages.takes.hosted_run:run",
            settings=HostedSettings,
            distributions=("numpy", "opencv-python-headless", "av"),  # another client makes no other take
            assets=("taxonomy",),
            available="studio_pipeline.stages.takes.hosted_runway:available",
        ),
    },
    default="previz",
    checks=("not_collapsed", "not_frozen"),
)
