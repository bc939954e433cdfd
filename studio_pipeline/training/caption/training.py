"""Training of the captioner's network on clips that were filmed for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio_pipeline.caption.evidence import MEASURES, SIGNALS
from studio_pipeline.models.caption.network import KIND, CaptionNet, field_slices
from studio_pipeline.models.files import write_weights
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.training.caption.batches import batch_of, fields_of, goals_of, mirrored_values
from studio_pipeline.training.caption.calibrating import calibrate
from studio_pipeline.training.caption.cast import cast_names, shipped
from studio_pipeline.training.caption.drawing import draw_cases
from studio_pipeline.training.caption.examples import load_examples, make_examples
from studio_pipeline.training.caption.filming import what_previz_draws
from studio_pipeline.training.checkpoints import read_curve
from studio_pipeline.training.loop import Piece, Training

__all__ = ["CaptionTraining", "prepare_clips"]

_CAST = 60  # procedural characters beside the shipped ones
_WIDTH = 64
_NOISE = 0.15  # of what curves and measures are scaled by
_GONE = 0.1  # share of measures that are hidden
_SEEDS = {"train": 101, "check": 202}


def prepare_clips(
    folder: Path, clips: int, *, height: int = 72, workers: int = 1, tell: Callable[[str], None] = lambda line: None
) -> None:
    """Film what a training in ``folder`` learns from and, a fifth as many, what it is chosen and calibrated by.

    The second has other procedural characters; the evaluation's cast is another again. Goes on where it was; the
    vocabulary that previz draws is looked up once and kept.
    """
    taxonomy = load_taxonomy()
    kept = folder / "drawable.json"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        tell("looking up what previz draws")
        kept.write_text(json.dumps(what_previz_draws(taxonomy), indent=1) + "\n", encoding="utf-8")
    drawable = {name: tuple(values) for name, values in json.loads(kept.read_text(encoding="utf-8")).items()}
    casts = {"train": cast_names(0, _CAST, shipped()), "check": cast_names(_CAST, _CAST // 3, shipped())}
    for part, seed in _SEEDS.items():
        count = clips if part == "train" else max(25, clips // 5)
        cases = list(draw_cases(count, casts[part], drawable, taxonomy, seed=seed, height=height))
        make_examples(folder / part, cases, drawable, workers=workers, tell=lambda line, p=part: tell(f"{p}: {line}"))


def _newest(folder: Path) -> list[Path]:
    """The files of examples, of each that which was looked at last."""
    by_start: dict[str, Path] = {}
    for path in sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime):
        by_start[path.stem.partition("-")[0]] = path
    return [by_start[start] for start in sorted(by_start)]


class CaptionTraining(Training):
    """See `Training`. Figures: ``loss``, ``held_out_loss``, ``held_out_recall`` (mean over values, then fields)."""

    name, kind = "caption", KIND

    def __init__(self, folder: Path, piece: Piece) -> None:
        drawable = json.loads((folder / "drawable.json").read_text(encoding="utf-8"))
        taxonomy = load_taxonomy()
        many = {field.field: field.many for field in taxonomy.fields}
        self.examples, self.held = (load_examples(_newest(folder / part)) for part in _SEEDS)
        self.fields = fields_of({name: v for name, v in drawable.items() if name in many}, many)
        super().__init__(folder, piece)
        self.fields = self.net.config["fields"]  # pyright: ignore
        self.goals, self.held_goals = (goals_of(e.truths, self.fields) for e in (self.examples, self.held))
        self.weights = self._weights()
        self.mirror = torch.from_numpy(mirrored_values(self.fields))
        self.rng = np.random.default_rng(self.seed)
        self.order: list[int] = []

    def network(self, config: dict[str, Any] | None) -> CaptionNet:
        """As the class says."""
        if config is None:
            known = np.ma.masked_invalid(self.examples.measures)
            centre, spread = (np.ma.filled(found, 0.0) for found in (known.mean(0), known.std(0)))
            config = {
                "fields": self.fields, "signals": len(SIGNALS), "measures": len(MEASURES), "width": _WIDTH,
                "centre": [round(float(x), 6) for x in centre],
                "spread": [round(float(max(x, 1e-3)), 6) for x in spread],
            }  # fmt: skip
        return CaptionNet(config)

    def configuration(self) -> dict[str, Any]:
        """As the class says."""
        return self.net.config  # pyright: ignore

    def _weights(self) -> Tensor:
        """How much each value's examples count: rare ones more, by the root of their share. [V]"""
        right = (self.goals.right * self.goals.known).sum(0)
        return (right.mean() / right.clamp(min=3.0)).sqrt().clamp(0.3, 4.0)

    def loss(self) -> tuple[Tensor, dict[str, float], int]:
        """Cross-entropy of the fields with one value, binary cross-entropy of those with many."""
        while len(self.order) < self.piece.batch:
            self.order += self.rng.permutation(len(self.examples)).tolist()
        rows = np.array([self.order.pop() for _ in range(self.piece.batch)])
        mirror = self.rng.random(len(rows)) < 0.5
        logits = self.net(*(tensor.to(self.device) for tensor in self._worn(batch_of(self.examples, rows, mirror))))
        right, known = self.goals.right[rows], self.goals.known[rows]
        flip = torch.from_numpy(mirror)[:, None]
        right, known = (torch.where(flip, x[:, self.mirror], x).to(self.device) for x in (right, known))
        loss = self._compare(logits, right, known)
        self.drawn += len(rows)
        return loss, {"loss": float(loss.detach())}, len(rows)

    def _worn(self, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Evidence a little otherwise each time: light and contrast, noise on curves and measures, some missing."""
        thumbs, details, signals, measures = given
        gain = torch.from_numpy(self.rng.uniform(0.9, 1.1, (len(thumbs), 1, 1, 1, 1)).astype(np.float32))
        thumbs, details = ((x * gain).clamp(0.0, 255.0).to(torch.uint8) for x in (thumbs, details))
        signals = signals + _NOISE * torch.randn_like(signals) * (signals != 0.0)
        spread = measures.new_tensor(self.net.config["spread"])  # pyright: ignore
        measures = measures + _NOISE * spread * torch.randn_like(measures)
        gone = torch.rand_like(measures) < _GONE
        return thumbs, details, signals, torch.where(gone, torch.full_like(measures, float("nan")), measures)

    def _compare(self, logits: Tensor, right: Tensor, known: Tensor) -> Tensor:
        total = logits.new_zeros(())
        weights = self.weights.to(logits.device)
        slices = field_slices(self.fields)
        for name, _, many in self.fields:
            part, goal, told = logits[:, slices[name]], right[:, slices[name]], known[:, slices[name]]
            if many:
                each = torch.nn.functional.binary_cross_entropy_with_logits(part, goal, reduction="none")
                each = each * torch.where(goal > 0.0, 3.0, 1.0)
                total = total + (each * told).sum() / told.sum().clamp(min=1.0)
            else:
                each = -(torch.log_softmax(part, dim=1) * goal).sum(1)
                weight = (goal * weights[slices[name]]).sum(1) * told.any(1)
                total = total + (each * weight).sum() / weight.sum().clamp(min=1e-6)
        return total / len(self.fields)

    def judge(self) -> dict[str, float]:
        """Loss and recall on clips apart, read by the network alone and without silence."""
        logits = self.held_logits()
        loss = self._compare(logits, self.held_goals.right, self.held_goals.known)
        recalls = []
        slices = field_slices(self.fields)
        for name, values, many in self.fields:
            part = logits[:, slices[name]]
            said = part > 0.0 if many else torch.nn.functional.one_hot(part.argmax(1), len(values)) > 0
            right = (self.held_goals.right * self.held_goals.known)[:, slices[name]] > 0.0
            there = right.any(0)
            if there.any():
                recalls.append(float(((said & right).sum(0)[there] / right.sum(0)[there]).mean()))
        return {"held_out_loss": float(loss), "held_out_recall": float(np.mean(recalls))}

    @torch.no_grad()
    def held_logits(self) -> Tensor:
        """Logits of the clips apart. [N, V]"""
        self.net.eval()
        rows, still = np.arange(len(self.held)), np.zeros(32, bool)
        parts = [rows[start : start + 32] for start in range(0, len(rows), 32)]
        return torch.cat(
            [
                self.net(*(t.to(self.device) for t in batch_of(self.held, part, still[: len(part)]))).cpu()
                for part in parts
            ]
        )

    def export(self, path: Path) -> None:
        """Write the weights with how every field is read: source, calibration and silence, by the clips apart."""
        tensors = {name: tensor.half() for name, tensor in self.net.named_parameters()}
        rows = read_curve(self.curve)
        readings = calibrate(self.fields, self.held_logits().numpy(), self.held.truths, self.held.said)
        described = {"kind": self.kind, "config": self.configuration(), "history": self.history}
        described |= {"readings": {name: reading.as_json() for name, reading in readings.items()}}
        write_weights(path, tensors, described | {"figures": rows[-1] if rows else {}})
