"""Settings of takes by a hosted service. The key and the service's address are never settings (`hosted_runway`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from studio_pipeline.stages.takes.diffusers_settings import VideoModelSettings

__all__ = ["HostedSettings"]


class HostedSettings(VideoModelSettings):
    """An image-to-video service, asked through its own client."""

    service: Literal["runway"] = "runway"
    model: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")  # the service's name for it, such as gen4_turbo
    ratio: str | None = Field(default=None, pattern=r"^[a-z0-9_:]{1,16}$")  # None: the nearest to the shot's shape
    seconds: int | None = Field(default=None, ge=1, le=60)  # None: as few as the shot needs
    timeout_s: float = Field(default=1800.0, gt=0.0, le=86400.0)  # for one take, waiting in the queue included
