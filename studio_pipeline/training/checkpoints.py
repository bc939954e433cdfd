"""What a training needs to go on where it was: network, optimiser and counters, as safetensors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from studio_pipeline.models.files import read_weights, write_weights
from studio_pipeline.schema.errors import InputError

__all__ = ["append_curve", "begin_history", "load_checkpoint", "load_start", "read_curve", "save_checkpoint"]

_NET, _OPTIMISER = "net.", "optimiser."


def save_checkpoint(path: Path, net: nn.Module, optimiser: torch.optim.Optimizer, described: dict[str, Any]) -> None:
    """Keep network, optimiser and ``described`` (plain JSON values) in one file."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    tensors = {_NET + name: tensor for name, tensor in net.named_parameters()}  # one name for what is shared
    for parameter, state in optimiser.state.items():
        for key, value in state.items():
            tensors[f"{_OPTIMISER}{names[id(parameter)]}/{key}"] = torch.as_tensor(value)
    write_weights(path, tensors, described)


def load_checkpoint(path: Path, net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Bring network and optimiser to where `save_checkpoint` left them.

    Raises:
        InputError: The file belongs to another network.
    """
    tensors, _ = read_weights(path)
    try:
        for name, parameter in net.named_parameters():
            parameter.data.copy_(tensors[_NET + name])
            state = {key.rpartition("/")[2]: t for key, t in tensors.items() if key.startswith(f"{_OPTIMISER}{name}/")}
            if state:
                optimiser.state[parameter] = {
                    key: t.to(parameter.device) if key != "step" else t for key, t in state.items()
                }
    except (RuntimeError, KeyError) as error:
        raise InputError("belongs to another network", where=path, do="train into another folder") from error


def begin_history(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configuration and history of exported weights, the history with one more of its ``starts``.

    A start says at which step an optimiser without a past took over, and the SHA-256 of the weights it took.

    Raises:
        InputError: The file holds no exported weights of that kind.
    """
    _, described = read_weights(path)
    config, history = described.get("config"), described.get("history")
    if described.get("kind") != kind or not isinstance(config, dict) or not isinstance(history, dict):
        raise InputError(f"holds no {kind} with a history", where=path, do="give weights that studio train exported")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    starts = [*history.get("starts", ()), {"steps": history["steps"], "weights": digest}]
    return config, history | {"starts": starts}


def load_start(path: Path, net: nn.Module) -> None:
    """Bring a network to exported weights.

    Raises:
        InputError: The file holds other tensors: another network's, or a checkpoint's, which goes on by itself.
    """
    tensors, _ = read_weights(path)
    for name, parameter in net.named_parameters():
        if name not in tensors or tensors[name].shape != parameter.shape:
            raise InputError(f"has no {name} of this size", where=path, do="give weights that studio train exported")
        parameter.data.copy_(tensors[name])


def append_curve(path: Path, row: dict[str, Any]) -> None:
    """Add one line to a training's curve (JSON lines)."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_curve(path: Path) -> list[dict[str, Any]]:
    """The lines of a training's curve; a line that was cut off is left out."""
    rows: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows
