"""Weights on disk: safetensors, with what describes the network in the metadata; nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from studio_pipeline.schema.errors import InputError, one_line
from studio_pipeline.schema.files import json_value

__all__ = ["load_network", "read_weights", "write_weights"]

Network = TypeVar("Network", bound=nn.Module)
_LARGEST = 2_000_000_000  # bytes
_KEY = "studio_pipeline"
_LARGEST_NUMBER = 65_536  # in a configuration: no width, count or length is more


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
            text = (file.metadata() or {}).get(_KEY, "").encode()
            described = json_value(text, where=path, do="", what="holds no weights of this product")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"holds no weights of this product: {one_line(error)}", where=path) from None
    if not isinstance(described, dict) or not all(torch.is_tensor(value) for value in tensors.values()):
        raise InputError("holds no weights of this product", where=path)
    return tensors, described


def load_network(path: Path, kind: str, build: Callable[[dict[str, Any]], Network]) -> Network:
    """A network from weights or from a training's checkpoint, in float32 on the CPU, ready for use.

    Nothing is allocated before the file's tensors are known to be those of the network that it describes.

    Args:
        path: The file.
        kind: What it must say it holds.
        build: Makes the network of a configuration.

    Raises:
        InputError: The file is missing or holds something else.
    """
    tensors, described = read_weights(path)
    config = described.get("config")
    if described.get("kind") != kind or not isinstance(config, dict):
        raise InputError(f"holds no {kind} network", where=path, do="give weights that studio train made")
    try:
        for name, value in config.items():  # every layer has tensors of its own
            most = len(tensors) if name.endswith("layers") else _LARGEST_NUMBER
            if isinstance(value, int) and not 0 <= value <= most:
                raise ValueError(f"its {name} is out of range")
        with torch.device("meta"):
            net = build(config)
        stored = {name: tensors.get(name, tensors.get("net." + name)) for name, _ in net.named_parameters()}
        for name, parameter in net.named_parameters():
            tensor = stored[name]
            if tensor is None or tensor.shape != parameter.shape:
                raise ValueError(f"{name} is missing or has another size")
        net.to_empty(device="cpu")
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                parameter.copy_(stored[name])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"holds another network: {one_line(error)}", where=path) from None
    return net.eval()
