"""Settings of the observations: which part is made how, and the numbers of each."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from studio_pipeline.stages.base import InputFile, ModelSource, Settings

__all__ = [
    "ClassicalSettings",
    "DepthAnythingSettings",
    "DepthKind",
    "ExternalSettings",
    "ObservationSettings",
    "Sam2Settings",
]

DepthKind = Literal["metric", "affine", "inverse"]
"""What values d say of the distance z along the view axis: z = d, z = scale d + shift, 1/z = scale d + shift."""


class ObservationSettings(Settings):
    """Masks, tracks and depth, each made in its own way; every combination is allowed."""

    # Masks
    masks: Literal["classical", "sam2"] = "classical"  # how, where neither alpha nor a background plate gives them
    use_alpha: bool = True  # take the clip's own alpha as the mask
    background: InputFile | None = None  # a picture, or a clip as long as the shot's, of what is behind the character
    noise: float = Field(default=2.5, gt=0.0, le=64.0)  # least colour noise [8-bit levels]
    threshold: float = Field(default=4.0, gt=0.0, le=50.0)  # foreground from this many times the noise on
    grabcut_iterations: int = Field(default=2, ge=0, le=10)
    masks_model: ModelSource | None = None  # of sam2: a folder, or a name on the hub

    # Tracks
    tracks: Literal["classical", "external"] = "classical"
    track_count: int = Field(default=500, ge=16, le=5000)  # points sampled on the surface seen at index 0
    late_tracks: int = Field(default=200, ge=0, le=5000)  # at most so many on surface that comes into view later
    track_window: int = Field(default=13, ge=5, le=51)  # side of a patch [px]
    forward_backward: float = Field(default=0.7, gt=0.0, le=10.0)  # largest round-trip error of a step [px]
    similarity: float = Field(default=0.6, ge=-1.0, le=1.0)  # least correlation with the last patch
    drift_control: bool = True  # hold tracks to the patch they were born with and to their neighbours
    command: tuple[str, ...] = ()  # of external: program and arguments, with {input}, {output} and {program}
    program: InputFile | None = None  # of external: a file of the command whose content belongs to the key
    timeout_s: float = Field(default=1800.0, gt=0.0, le=86400.0)  # of external

    # Depth
    depth: Literal["clip", "depth_anything", "off"] = "clip"
    depth_kind: DepthKind | None = None  # of the clip's own z pass; None: as the clip says
    depth_model: ModelSource | None = None  # of depth_anything: a folder, or a name on the hub

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for part, needed in (("masks", "sam2"), ("depth", "depth_anything")):
            if getattr(self, part) == needed and not getattr(self, f"{part}_model"):
                raise ValueError(f"{part}: {needed} needs {part}_model, a model's folder or its name on the hub")
        if self.tracks == "external":
            words = " ".join(self.command)
            if missing := [name for name in ("{input}", "{output}") if name not in words]:
                raise ValueError(f"tracks: external needs a command with {' and '.join(missing)}")
            if "{program}" in words and self.program is None:
                raise ValueError("command uses {program}: name the file in program")
        return self


class ClassicalSettings(ObservationSettings):
    """Backend `classical`: no network, so that no version of a network's packages belongs to the key."""

    @model_validator(mode="after")
    def _without_networks(self) -> Self:
        for part, backend in (("masks", "sam2"), ("depth", "depth_anything")):
            if getattr(self, part) == backend:
                raise ValueError(f"{part}: {backend} needs a backend that runs networks: set backend: {backend}")
        return self


class Sam2Settings(ObservationSettings):
    """Backend `sam2`."""

    masks: Literal["classical", "sam2"] = "sam2"


class DepthAnythingSettings(ObservationSettings):
    """Backend `depth_anything`."""

    depth: Literal["clip", "depth_anything", "off"] = "depth_anything"


class ExternalSettings(ObservationSettings):
    """Backend `external`."""

    tracks: Literal["classical", "external"] = "external"
