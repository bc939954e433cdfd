"""LPIPS (Zhang et al. 2018, AlexNet, version 0.1) with weights that the user brings; none can be shipped.

They are made once where the official package is installed:
``numpy.savez("lpips_alex.npz", **{k: v.numpy() for k, v in lpips.LPIPS(net="alex").state_dict().items()})``
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from studio_pipeline.schema.arrays import load_arrays
from studio_pipeline.schema.errors import InputError

__all__ = ["FILE", "load_lpips"]

FILE = "lpips_alex.npz"
LEAST_PX = 63  # smaller pictures are continued by their border

# Layer of the state dict, stride, padding, and whether a 3 x 3 pooling of stride 2 comes before.
_LAYERS = (
    ("net.slice1.0", 4, 2, False),
    ("net.slice2.3", 1, 2, True),
    ("net.slice3.6", 1, 1, True),
    ("net.slice4.8", 1, 1, False),
    ("net.slice5.10", 1, 1, False),
)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet's mean and deviation for [-1, 1]


def load_lpips(folder: Path) -> Callable[[np.ndarray, np.ndarray], float]:
    """A distance of two pictures [H, W, 3] uint8 sRGB.

    Args:
        folder: Holds `FILE`.

    Raises:
        InputError: The file is missing or holds other arrays.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(
            "no LPIPS weights", where=path, do="see studio_pipeline/evaluation/lpips.py for how to make them"
        )
    arrays = load_arrays(path)
    wanted = [f"{name}.{part}" for name, *_ in _LAYERS for part in ("weight", "bias")]
    wanted += [f"lin{k}.model.1.weight" for k in range(len(_LAYERS))]
    if missing := [name for name in wanted if name not in arrays]:
        raise InputError(f"lacks the array {missing[0]!r}", where=path, do="make it from lpips.LPIPS(net='alex')")

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        return _distance(arrays, first, second)

    return distance


def _distance(arrays: dict[str, np.ndarray], first: np.ndarray, second: np.ndarray) -> float:
    import torch
    from torch.nn import functional

    height, width = first.shape[:2]
    room = ((0, 0), (0, max(LEAST_PX - height, 0)), (0, max(LEAST_PX - width, 0)), (0, 0))
    pair = np.pad(np.stack([first, second]), room, mode="edge")
    with torch.no_grad():
        x = torch.from_numpy(pair.astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1.0
        x = (x - torch.tensor(_SHIFT)[None, :, None, None]) / torch.tensor(_SCALE)[None, :, None, None]
        total = 0.0
        for k, (name, stride, padding, pooled) in enumerate(_LAYERS):
            weight, bias = (torch.from_numpy(arrays[f"{name}.{part}"]) for part in ("weight", "bias"))
            x = functional.max_pool2d(x, 3, 2) if pooled else x
            x = functional.relu(functional.conv2d(x, weight, bias, stride=stride, padding=padding))
            unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
            gap = (unit[0] - unit[1]).square()
            total += float((gap * torch.from_numpy(arrays[f"lin{k}.model.1.weight"])[0]).sum(0).mean())
    return total
