"""Weights on disk: safetensors, with what describes the network in the metadata; nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studio_pipeline.schema.errors import InputError, one_line

__all__ = ["read_weights", "write_weights"]

_LARGEST = 2_000_000_000  # bytes
_KEY = "studio_pipeline"


def write_weights(path: Path, tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> None:
    """Write tensors and what describes them (plain JSON values); the file appears whole or not at all."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".part")
    text = json.dumps(dict(described), ensure_ascii=False)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, fresh, {_KEY: text})
    fresh.replace(path)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name as they are stored, and what describes them.

    Raises:
        InputError: There is no such file, or it isn't one that `write_weights` wrote.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError("there are no weights here", where=path, do="name a .safetensors file, or train one")
    if path.stat().st_size > _LARGEST:
        raise InputError(f"has more than {_LARGEST} bytes", where=path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            described = json.loads((file.metadata() or {}).get(_KEY, ""))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"holds no weights of this product: {one_line(error)}", where=path) from None
    if not isinstance(described, dict) or not all(torch.is_tensor(value) for value in tensors.values()):
        raise InputError("holds no weights of this product", where=path)
    return tensors, described
