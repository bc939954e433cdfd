"""Stage `directives`: what the director asks for, as values of the production taxonomy and a narrative.

Backend `measured` takes the brief's words, the artist's explicit values and what is measured in the shot's reference
and, where the takes are one, in the plate; `network` adds what the captioner's network sees there; `vlm` lets an
image-text model propose what is still open, from canonical view, clips and brief, and tell the shot in words.
Payload: ``directives.json`` (schema.directives.Directives), ``matches.json`` (which words of the brief gave what, what
was renamed, what was chosen because nobody said anything), ``captions.json`` (what was seen in reference and plate).
Figures: ``performance``, ``performance_from`` (its origin), ``tags`` (values given by anyone but the defaults),
``measured`` (values), ``conflicts``, ``negated``, ``renamed`` (what the brief calls by an older name).
Verdict: ``directives_valid`` (every value belongs to the taxonomy's closed vocabulary).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from studio_pipeline.schema.taxonomy import Taxonomy, load_taxonomy
from studio_pipeline.stages.base import Backend, InputFile, ModelSource, Settings, Stage

__all__ = [
    "BACKENDS",
    "STAGE",
    "DirectivesSettings",
    "VlmSettings",
    "load_taxonomy",
    "smaller_vlm",
    "validate_directives",
]


class DirectivesSettings(Settings):
    """What there is to set beside the shot's own fields (brief, directives, reference)."""

    taxonomy: InputFile | None = None  # a studio's own file: more values, more fields
    plate: InputFile | None = None  # a clip that is read like the reference; that of the takes when they are a plate


class VlmSettings(DirectivesSettings):
    """Settings of the image-text model."""

    model: ModelSource  # a folder, or owner/name or owner/name@revision on the hub
    dtype: Literal["bfloat16", "float16", "float32"] | None = None  # None: bfloat16 on a GPU, float32 without
    frames: int = Field(default=4, ge=1, le=16)  # of each clip, evenly spread
    least_confidence: float = Field(default=0.4, ge=0.3, le=1.0)  # a proposal that is less sure doesn't count
    narrative_tokens: int = Field(default=200, ge=0, le=1000)  # most of the narrative; 0: the tags alone tell the shot


def smaller_vlm(settings: VlmSettings) -> VlmSettings | None:
    """Half precision, then fewer pictures of each clip: all of them stand in the model's context."""
    if settings.dtype == "float32":
        return settings.changed(dtype="bfloat16")
    return settings.changed(frames=settings.frames // 2) if settings.frames > 1 else None


def validate_directives(values: Mapping[str, str], taxonomy: Taxonomy | None = None) -> list[str]:
    """What is wrong with a shot's explicit directives, one clause each; empty when all are valid."""
    return (taxonomy or load_taxonomy()).problems(values) if values else []


_DISTRIBUTIONS = ("pydantic", "pyyaml", "numpy", "scipy", "opencv-python-headless", "pillow", "av")

BACKENDS = {
    "measured": Backend(
        run="studio_pipeline.stages.directives.measured:run",
        settings=DirectivesSettings,
        distributions=_DISTRIBUTIONS,
    ),
    "network": Backend(
        run="studio_pipeline.stages.directives.network:run",
        settings=DirectivesSettings,
        distributions=(*_DISTRIBUTIONS, "torch", "safetensors"),
        assets=("weights/caption",),
        available="studio_pipeline.stages.directives.network:missing",
    ),
    "vlm": Backend(
        run="studio_pipeline.stages.directives.vlm:run",
        settings=VlmSettings,
        smaller="studio_pipeline.stages.directives:smaller_vlm",
        distributions=(*_DISTRIBUTIONS, "torch", "transformers", "outlines-core"),
        available="studio_pipeline.stages.directives.vlm_loading:available",
        uses_gpu=True,
    ),
}

STAGE = Stage(
    name="directives",
    version=1,
    summary="Production directives from brief, explicit values and what reference and plate show",
    inputs=("canonical_view", "character", "rig"),
    shot_fields=("brief", "directives", "reference", "fps"),
    backends=BACKENDS,
    default="measured",
    checks=("directives_valid",),
    assets=("taxonomy",),
    renamed={"brief": "measured"},
)
