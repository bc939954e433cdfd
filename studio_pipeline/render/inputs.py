"""What differentiable renderers are given beside the mesh: lights and a background, brought to one form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import warp as wp

from studio_pipeline.render import lighting
from studio_pipeline.schema.records import CameraPath

__all__ = ["Lambert", "background_of", "harmonics_of", "light_of"]


@dataclass(frozen=True, kw_only=True)
class Lambert:
    """One distant light and light from everywhere: ``ambient + (1 - ambient) max(n . direction, 0)``."""

    direction: tuple[float, float, float]  # world, towards the light
    ambient: float = 0.4


def light_of(shading: Lambert | torch.Tensor | None) -> Any:
    """The lights as the kernels' `lighting.Light`."""
    light = lighting.Light()
    if isinstance(shading, Lambert):
        direction = np.asarray(shading.direction, np.float64)
        light.mode, light.ambient = lighting.LAMBERT, shading.ambient
        light.direction = wp.vec3(*(direction / np.linalg.norm(direction)))
    else:
        light.mode = lighting.UNLIT if shading is None else lighting.HARMONICS
    return light


def harmonics_of(shading: Lambert | torch.Tensor | None, count: int, device: torch.device) -> torch.Tensor:
    """Spherical harmonics of each frame, zeros where the light isn't given by them. [T, 9, 3]"""
    given = shading if isinstance(shading, torch.Tensor) else torch.zeros(9, 3, device=device)
    return torch.broadcast_to(given, (count, 9, 3))


def background_of(value: Any, count: int, camera: CameraPath, device: torch.device) -> torch.Tensor:
    """The background as [1 or T, H, W, 3] float32, contiguous."""
    size = (camera.height, camera.width, 3)
    if value is None:
        return torch.zeros(1, *size, device=device)
    picture = torch.as_tensor(value, dtype=torch.float32, device=device).detach()
    picture = picture.expand(1, *size) if picture.ndim < 4 else picture
    if picture.shape[1:] != size or len(picture) not in (1, count):
        raise ValueError(f"a background of shape {tuple(picture.shape)} for {count} frames of {size[1]} x {size[0]}")
    return picture.contiguous()
