"""Backend `network`: as `measured`, and the captioner's network reads reference and plate too."""

from __future__ import annotations

from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.directives.making import make

__all__ = ["missing", "run"]

_WEIGHTS = "weights/caption/caption.safetensors"


def run(context: StageContext) -> StageResult:
    """Make the shot's directives (see `making.make`); the network is loaded only where there is a clip to read."""
    if not (context.shot.reference or context.settings.plate):
        return make(context)
    from studio_pipeline.models.caption import load_reader

    return make(context, network=load_reader())


def missing() -> str:
    """Why the backend can't run here; empty when it can."""
    if (assets_folder() / _WEIGHTS).is_file():
        return ""
    return f"the captioner's weights are not in the asset library ({_WEIGHTS}): studio train caption, or use measured"
