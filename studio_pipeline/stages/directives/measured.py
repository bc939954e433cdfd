"""Backend `measured`: brief, explicit values, and what is measured in the shot's reference and plate."""

from __future__ import annotations

from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.directives.making import make

__all__ = ["run"]


def run(context: StageContext) -> StageResult:
    """Make the shot's directives (see `making.make`)."""
    return make(context)
