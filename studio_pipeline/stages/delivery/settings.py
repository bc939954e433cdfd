"""What an artist may set on the delivery."""

from __future__ import annotations

from pydantic import Field

from studio_pipeline.stages.base import Settings

__all__ = ["DeliverySettings"]


class DeliverySettings(Settings):
    """Settings of the ``files`` backend."""

    morph_limit: int = Field(default=240, ge=2, le=2000)  # most morph targets in the refined GLB
    supersample: int = Field(default=2, ge=1, le=4)  # samples per pixel side of the rendered frames
    crf: int = Field(default=18, ge=0, le=40)  # H.264 quality of the MP4, lower is better
