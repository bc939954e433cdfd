"""Settings that takes of video models share, and those of the models that run here."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from studio_pipeline.schema.shot import frame_rate
from studio_pipeline.stages.base import ModelSource, Settings

__all__ = ["AVOID", "DiffusersSettings", "PipelineName", "Retime", "VideoModelSettings"]

Retime = Literal["nearest", "blend"]
"""nearest: the model's frame that is nearest in time; blend: its two neighbours mixed in linear light."""

AVOID = "text, subtitles, watermark, cuts, flicker, melting shapes, extra limbs, missing limbs"
"""What no take should show; the tags that the brief excludes stand before it in the negative prompt."""

PipelineName = Literal[
    "CogVideoXImageToVideoPipeline",
    "HunyuanSkyreelsImageToVideoPipeline",
    "HunyuanVideoImageToVideoPipeline",
    "LTXImageToVideoPipeline",
    "SanaImageToVideoPipeline",
    "SkyReelsV2DiffusionForcingImageToVideoPipeline",
    "SkyReelsV2ImageToVideoPipeline",
    "StableVideoDiffusionPipeline",
    "WanImageToVideoPipeline",
]
"""Classes of diffusers that make a video from a picture; no other name is ever looked up there."""


def _rate(value: Any) -> Any:
    return None if value is None else frame_rate(value)


Rate = Annotated[Fraction, BeforeValidator(_rate), PlainSerializer(str), Field(ge=1, le=240)]


class VideoModelSettings(Settings):
    """What every video model is asked with."""

    count: int = Field(default=1, ge=1, le=16)  # takes, from the shot's seed, seed + 1, ...
    avoid: str = Field(default=AVOID, max_length=1000)  # named in the negative prompt, where the model has one
    retime: Retime = "nearest"  # how frames between the model's are made


class DiffusersSettings(VideoModelSettings):
    """A pipeline of diffusers. What is None is the pipeline's own; its rules of sizes and counts are honoured."""

    pipeline: PipelineName
    model: ModelSource  # a folder in diffusers' layout, or owner/name or owner/name@revision on the hub
    variant: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_]{1,32}$")  # of the weights' files, such as fp16
    dtype: Literal["bfloat16", "float16", "float32"] | None = None  # None: bfloat16 on a GPU, float32 without
    offload: Literal["none", "model", "sequential"] = "none"  # keep parts in main memory; nothing to do without a GPU
    tiling: bool = False  # decode in tiles: less memory, slower
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0.0, le=50.0)
    size: tuple[int, int] | None = None  # the model's width and height [px]; None: the shot's shape at its usual area
    frames: int | None = Field(default=None, ge=2, le=1000)  # of the model; None: as many as the shot's time needs
    most_frames: int | None = Field(default=None, ge=2, le=1000)  # None: what the model was trained for
    fps: Rate | None = None  # at which the model's movements look right; None: the one it was trained for
    options: dict[str, bool | int | float] = Field(default_factory=dict)  # further numbers of the pipeline's call

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if self.size is not None and not all(16 <= side <= 4096 for side in self.size):
            raise ValueError("size: width and height must lie between 16 and 4096")
        return self
