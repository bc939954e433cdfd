"""A training that lives in a folder and goes on in pieces of any length: steps, checkpoints, curves."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from studio_pipeline.models.files import read_weights, write_weights
from studio_pipeline.schema.errors import InputError
from studio_pipeline.training.checkpoints import (
    append_curve,
    begin_history,
    load_checkpoint,
    load_start,
    read_curve,
    save_checkpoint,
)
from studio_pipeline.training.curves import draw_curves
from studio_pipeline.training.memory import keep_memory

__all__ = ["Piece", "Training"]

_RAMP = 50  # steps over which a piece that goes on comes back to its learning rate


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One piece of a training."""

    minutes: float = 30.0
    batch: int = 16
    points: int = 1024
    rate: float = 1e-3  # learning rate after the warm-up
    warmup: int = 200  # steps
    cooldown: bool = False  # let the rate fall to nothing in the course of this piece
    reuse: float = 2.0  # how often a character is shown
    workers: int = 1  # processes that draw characters
    device: str = "cpu"
    mixed: bool = True  # bfloat16 where it pays
    seed: int = 1
    report_seconds: float = 60.0
    judge_seconds: float = 600.0  # between two looks at held-out characters


class Training(ABC):
    """What trainings share. A subclass makes the network, draws batches, takes the loss and judges.

    Args:
        folder: Where the training lives: ``NAME.safetensors``, its curve ``NAME.jsonl`` and ``NAME.png``. It goes on
            if it was begun.
        piece: What is to be done now.
        start: Exported weights from which a new training begins. Its counts go on from theirs, and the optimiser, which
            isn't in them, begins anew with a warm-up; the history says so.

    Raises:
        InputError: The folder or the weights hold something else, or a training that was begun shall begin anew.
    """

    name: str  # of the files
    kind: str  # of the network, in the files' metadata

    def __init__(self, folder: Path, piece: Piece, *, start: Path | None = None) -> None:
        self.piece = piece
        self.path, self.curve = folder / f"{self.name}.safetensors", folder / f"{self.name}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self.history: dict[str, Any] = {"steps": 0, "examples": 0, "seconds": 0.0, "pieces": []}
        config, begun = None, self.path.is_file()
        if begun and start is not None:
            raise InputError("was begun already", where=self.path, do="leave --start away, or name another folder")
        if begun:
            _, described = read_weights(self.path)
            if described.get("kind") != self.kind:
                raise InputError(f"holds no {self.kind}", where=self.path, do="train into another folder")
            config, self.history = described["config"], described["history"]
        elif start is not None:
            config, self.history = begin_history(start, self.kind)
        self.device = torch.device(piece.device)
        self.seed = piece.seed * 1000 + len(self.history["pieces"])  # pieces see different characters
        torch.manual_seed(self.seed)
        self.net = self.network(config).to(self.device)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=piece.rate, betas=(0.9, 0.98), weight_decay=0.02)
        if begun:
            load_checkpoint(self.path, self.net, self.optimiser)
        elif start is not None:
            load_start(start, self.net)
        self.drawn = 0  # characters of this piece

    @abstractmethod
    def network(self, config: dict[str, Any] | None) -> nn.Module:
        """The network of a configuration that was kept, or a new one."""

    @abstractmethod
    def configuration(self) -> dict[str, Any]:
        """The network's configuration, as plain values."""

    @abstractmethod
    def loss(self) -> tuple[Tensor, dict[str, float], int]:
        """The loss of one more batch, figures of it, and how many examples it had."""

    @abstractmethod
    def judge(self) -> dict[str, float]:
        """Figures on characters that training never sees."""

    def export(self, path: Path) -> None:
        """Write the weights for use: half precision, with configuration, history and the curve's last figures."""
        tensors = {name: tensor.half() for name, tensor in self.net.named_parameters()}
        rows = read_curve(self.curve)
        described = {"kind": self.kind, "config": self.configuration(), "history": self.history}
        write_weights(path, tensors, described | {"figures": rows[-1] if rows else {}})

    def close(self) -> None:  # noqa: B027
        """End what the subclass started."""

    def run(self, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Train for the piece's minutes, keep the result, and return the last figures."""
        keep_memory()
        torch.manual_seed(self.seed)
        try:
            row = self._train(tell)
        finally:
            self.close()
        self.history["pieces"] = [*self.history["pieces"], asdict(self.piece) | {"steps": self._steps}]
        self._keep(row)
        append_curve(self.curve, row)
        draw_curves(self.curve.with_suffix(".png"), read_curve(self.curve))
        tell(row)
        return row

    def _train(self, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        piece, began, before = self.piece, time.monotonic(), self.history["seconds"]
        said = judged = began
        self._steps, found = 0, []
        while (spent := time.monotonic() - began) < 60.0 * piece.minutes:
            found.append(self._step(spent / (60.0 * piece.minutes)))
            self.history["seconds"] = before + time.monotonic() - began
            if time.monotonic() - said > piece.report_seconds:
                row = self._report(found)
                if time.monotonic() - judged > piece.judge_seconds:
                    row |= self._judged()
                    self._keep(row)
                    judged = time.monotonic()
                append_curve(self.curve, row)
                tell(row)
                said, found = time.monotonic(), []
        return self._report(found) | self._judged()

    def _step(self, through: float) -> dict[str, float]:
        """One step of the optimiser, ``through`` of the piece."""
        piece = self.piece
        young = self.history["steps"] - max((begin["steps"] for begin in self.history.get("starts", ())), default=0)
        rate = piece.rate * min(1.0, (young + 1) / piece.warmup, (self._steps + 1) / _RAMP)
        rate *= max(1.0 - through, 0.01) if piece.cooldown else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.net.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss, figures, examples = self.loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self._steps += 1
        self.history["steps"] += 1
        self.history["examples"] += examples
        return figures

    @torch.no_grad()
    def _judged(self) -> dict[str, float]:
        self.net.eval()
        return {name: round(value, 4) for name, value in self.judge().items()}

    def _report(self, found: list[dict[str, float]]) -> dict[str, Any]:
        history = self.history
        row = {"step": history["steps"], "examples": history["examples"], "minutes": round(history["seconds"] / 60, 2)}
        means = {name: round(float(np.mean([step[name] for step in found])), 5) for name in (found or [{}])[0]}
        return row | means | {"drawn": self.drawn}

    def _keep(self, row: dict[str, Any]) -> None:
        described = {"kind": self.kind, "config": self.configuration(), "history": self.history, "figures": row}
        save_checkpoint(self.path, self.net, self.optimiser, described)
