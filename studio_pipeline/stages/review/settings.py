"""What may be set on the review."""

from __future__ import annotations

from pydantic import Field

from studio_pipeline.stages.base import Settings

__all__ = ["ReviewSettings", "smaller"]


class ReviewSettings(Settings):
    """Settings of the ``page`` backend."""

    panel_px: int = Field(default=480, ge=64, le=1080)  # most height or width of one picture of the side by side
    sheet_columns: int = Field(default=6, ge=2, le=12)  # moments on the contact sheet
    turntable_frames: int = Field(default=48, ge=8, le=240)
    page_mb: float = Field(default=12.0, ge=2.0, le=100.0)  # most size of the page; videos give way to keep it


def smaller(settings: ReviewSettings) -> ReviewSettings | None:
    """Smaller panels and a shorter turntable: all their pictures are held at once."""
    if settings.panel_px * 3 // 4 < 120:
        return None
    turns = max(8, settings.turntable_frames * 3 // 4)
    return settings.changed(panel_px=settings.panel_px * 3 // 4, turntable_frames=turns)
