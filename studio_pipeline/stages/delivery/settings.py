"""What an artist may set on the delivery."""

from __future__ import annotations

from pydantic import Field

from studio_pipeline.stages.base import Settings

__all__ = ["DeliverySettings", "smaller"]


class DeliverySettings(Settings):
    """Settings of the ``files`` backend."""

    morph_limit: int = Field(default=240, ge=2, le=2000)  # most morph targets in the refined GLB
    supersample: int = Field(default=2, ge=1, le=4)  # samples per pixel side of the rendered frames
    crf: int = Field(default=18, ge=0, le=40)  # H.264 quality of the MP4, lower is better


def smaller(settings: DeliverySettings) -> DeliverySettings | None:
    """Fewer samples a pixel, then fewer morph targets: each is a whole surface in the refined GLB."""
    if settings.supersample > 1:
        return settings.changed(supersample=settings.supersample - 1)
    return settings.changed(morph_limit=settings.morph_limit // 2) if settings.morph_limit >= 32 else None
