"""Settings of the rig's backends."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from studio_pipeline.stages.base import InputFile, Settings

__all__ = [
    "AutoSettings",
    "GeometricSettings",
    "NetworkSettings",
    "ProvidedSettings",
    "UniRigSettings",
    "fewer_candidates",
    "fewer_voxels",
]


class GeometricSettings(Settings):
    """How a skeleton is found from the shape."""

    symmetry: Literal["auto", "off"] = "auto"  # auto: a body that mirrors itself gets a mirrored skeleton
    voxels: int = Field(default=20_000, ge=2_000, le=200_000)  # filled cells; more see thinner parts
    min_length: float = Field(default=0.055, ge=0.01, le=0.5)  # of the diagonal: shorter limbs get no joints
    max_joints: int = Field(default=60, ge=8, le=200)


class NetworkSettings(Settings):
    """How the network's skeletons are drawn and chosen."""

    weights: InputFile | None = None  # folder with skeleton.safetensors and skin.safetensors; None: as shipped
    skin: Literal["network", "heat"] = "network"  # heat: through the body from its bones, as the geometric rigger
    symmetry: Literal["auto", "off"] = "auto"  # auto: a body that mirrors itself gets a mirrored skeleton
    candidates: int = Field(default=16, ge=1, le=64)  # drawn, half of them from the mirror image; the best is taken
    body_plan: str = "auto"  # or a plan that the weights know, to prescribe it: biped, quadruped, fish ...
    max_joints: int = Field(default=64, ge=8, le=120)


class AutoSettings(NetworkSettings):
    """The network's, and when its skeleton is taken."""

    skin: Literal["network", "heat"] = "heat"
    sure: float = Field(default=-2.5, ge=-20.0, le=0.0)  # [nat a token] below it the geometric rigger's rig is taken


class ProvidedSettings(Settings):
    """Whose skeleton is used."""

    file: InputFile | None = None  # another file of the same shape that carries the rig; None: the character's own


class UniRigSettings(Settings):
    """Where the official UniRig is, and how its scripts are run."""

    checkout: InputFile | None = None  # folder of a checkout of github.com/VAST-AI-Research/UniRig, installed
    command: tuple[str, ...] = ("bash",)  # runs a script, e.g. [conda, run, -n, UniRig, bash]
    seed: int | None = Field(default=None, ge=0, lt=2**31)  # None: the character's
    timeout_s: float = Field(default=1800.0, gt=0.0, le=86400.0)  # of each of its three steps

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.checkout is None:
            raise ValueError("unirig needs checkout, the folder of an installed github.com/VAST-AI-Research/UniRig")
        if not self.command:
            raise ValueError("command is empty: bash, or what runs it in UniRig's environment")
        return self


def fewer_voxels(settings: GeometricSettings) -> GeometricSettings | None:
    """Half as many voxels, down to a tenth of the usual number: the heat's equations have one row for each."""
    return settings.changed(voxels=settings.voxels // 2) if settings.voxels >= 4_000 else None


def fewer_candidates(settings: NetworkSettings) -> NetworkSettings | None:
    """Half as many skeletons: all of them are drawn in one batch."""
    return settings.changed(candidates=settings.candidates // 2) if settings.candidates >= 2 else None
