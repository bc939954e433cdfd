"""Training of the captioner's network on clips that were filmed for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio_pipeline.caption.evidence import FRAMES, MEASURES, SIGNALS
from studio_pipeline.models.caption.network import KIND, CaptionNet, Seen, field_slices
from studio_pipeline.models.caption.reader import words_of
from studio_pipeline.models.files import write_weights
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.training.caption.batches import batch_of, fields_of, goals_of, mirrored_values
from studio_pipeline.training.caption.calibrating import calibrate
from studio_pipeline.training.caption.cast import cast_names, shipped
from studio_pipeline.training.caption.drawing import draw_cases
from studio_pipeline.training.caption.examples import Examples, load_examples, make_examples
from studio_pipeline.training.caption.filming import what_previz_draws
from studio_pipeline.training.checkpoints import read_curve
from studio_pipeline.training.loop import Piece, Training

__all__ = ["CaptionTraining", "prepare_clips"]

_CAST = 600  # procedural characters beside the shipped ones
_WIDTH = 64
_NOISE = 0.15  # on measures, of what they are scaled by
_UNREST = 0.04  # on curves
_GONE = 0.1  # share of measures, and of measures' words, that are hidden
_SHIFT = 3  # px that small pictures are moved by at most
_RAISED = 2.0  # nat by which the priors of fields with many are raised: what is rare is worth finding
_MANY = 4.0  # how much such a field counts: most of its values are absent, and that is soon known
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
    casts = {"train": cast_names(0, _CAST, shipped()), "check": cast_names(_CAST, _CAST // 5, shipped())}
    for part, seed in _SEEDS.items():
        count = clips if part == "train" else max(25, clips // 5)
        options = {"seed": seed, "height": height, "crowded": part == "train"}
        cases = list(draw_cases(count, casts[part], drawable, taxonomy, **options))
        make_examples(folder / part, cases, drawable, workers=workers, tell=lambda line, p=part: tell(f"{p}: {line}"))


def _newest(folder: Path) -> list[Path]:
    """The files of examples, of each that which was looked at last."""
    by_start: dict[str, Path] = {}
    for path in sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime):
        by_start[path.stem.partition("-")[0]] = path
    return [by_start[start] for start in sorted(by_start)]


def _words(examples: Examples, fields: list[list[Any]]) -> np.ndarray:
    """The measures' confidences in every value. [N, V] float32"""
    return np.stack([words_of(fields, said) for said in examples.said])


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
        self.words, self.held_words = (_words(e, self.fields) for e in (self.examples, self.held))
        self.priors = self._priors()
        self.swap = mirrored_values(self.fields)
        self.rng = np.random.default_rng(self.seed)
        self.order: list[int] = []

    def network(self, config: dict[str, Any] | None) -> CaptionNet:
        """As the class says."""
        if config is None:
            known = np.ma.masked_invalid(self.examples.measures)
            centre, spread = (np.ma.filled(found, 0.0) for found in (known.mean(0), known.std(0)))
            config = {
                "fields": self.fields, "signals": len(SIGNALS), "measures": len(MEASURES), "frames": FRAMES,
                "width": _WIDTH,
                "centre": [round(float(x), 6) for x in centre],
                "spread": [round(float(max(x, 1e-3)), 6) for x in spread],
            }  # fmt: skip
        return CaptionNet(config)

    def configuration(self) -> dict[str, Any]:
        """As the class says."""
        return self.net.config  # pyright: ignore

    def _priors(self) -> Tensor:
        """Logarithm of each value's share among the clips of its field. [V]"""
        right, known = (self.goals.right * self.goals.known).sum(0), self.goals.known.sum(0)
        return ((right + 1.0) / (known + 2.0)).log()

    def loss(self) -> tuple[Tensor, dict[str, float], int]:
        """Cross-entropy of the fields with one value, binary cross-entropy of those with many."""
        while len(self.order) < self.piece.batch:
            self.order += self.rng.permutation(len(self.examples)).tolist()
        rows = np.array([self.order.pop() for _ in range(self.piece.batch)])
        mirror = self.rng.random(len(rows)) < 0.5
        seen = self._worn(batch_of(self.examples, rows, mirror, self.words, self.swap))
        logits = self.net(Seen(*(tensor.to(self.device) for tensor in seen)))
        right, known = self.goals.right[rows], self.goals.known[rows]
        flip, swap = torch.from_numpy(mirror)[:, None], torch.from_numpy(self.swap)
        right, known = (torch.where(flip, x[:, swap], x).to(self.device) for x in (right, known))
        loss = self._compare(logits, right, known)
        self.drawn += len(rows)
        return loss, {"loss": float(loss.detach())}, len(rows)

    def _worn(self, seen: Seen) -> Seen:
        """Evidence a little otherwise each time: light, place, noise on curves and measures, some missing."""
        gain = torch.from_numpy(self.rng.uniform(0.85, 1.15, (len(seen.thumbs), 1, 1, 1, 1)).astype(np.float32))
        thumbs, details = ((x * gain).clamp(0.0, 255.0).to(torch.uint8) for x in (seen.thumbs, seen.details))
        actors = torch.cat([(seen.actors[..., :1] * gain).clamp(0.0, 255.0).to(torch.uint8), seen.actors[..., 1:]], -1)
        across, down = (int(step) for step in self.rng.integers(-_SHIFT, _SHIFT + 1, 2))
        thumbs, actors = (torch.roll(x, (down, across), dims=(2, 3)) for x in (thumbs, actors))
        signals = seen.signals + _UNREST * torch.randn_like(seen.signals) * (seen.signals != 0.0)
        spread = seen.measures.new_tensor(self.net.config["spread"])  # pyright: ignore
        measures = seen.measures + _NOISE * spread * torch.randn_like(seen.measures)
        measures = torch.where(torch.rand_like(measures) < _GONE, torch.full_like(measures, float("nan")), measures)
        words = seen.words * (torch.rand_like(seen.words) >= _GONE)
        return Seen(thumbs, actors, details, signals, measures, words)

    def _compare(self, logits: Tensor, right: Tensor, known: Tensor) -> Tensor:
        """Mean loss of the fields, cross-entropies.

        The logarithms of the priors are added to the logits here, and only here (logit adjustment, Menon et al. 2021):
        what the network says then has every value as likely as any other, as recall over values wants it.
        """
        total = logits.new_zeros(())
        priors = self.priors.to(logits.device)
        for (_, _, many), part in zip(self.fields, field_slices(self.fields).values(), strict=True):
            said, goal, told = logits[:, part], right[:, part], known[:, part]
            if many:
                raised = said + priors[part] + _RAISED
                each = torch.nn.functional.binary_cross_entropy_with_logits(raised, goal, reduction="none")
                total = total + (each * told).sum() / told.sum().clamp(min=1.0) * _MANY
            else:
                each = -(torch.log_softmax(said + priors[part], dim=1) * goal).sum(1)
                total = total + (each * told.any(1)).sum() / told.any(1).sum().clamp(min=1)
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
        parts = [np.arange(start, min(start + 32, len(self.held))) for start in range(0, len(self.held), 32)]
        batches = (batch_of(self.held, p, np.zeros(len(p), bool), self.held_words, self.swap) for p in parts)
        return torch.cat([self.net(Seen(*(t.to(self.device) for t in seen))).cpu() for seen in batches])

    def export(self, path: Path) -> None:
        """Write the weights with how every field is read: source, calibration and silence, by the clips apart."""
        tensors = {name: tensor.half() for name, tensor in self.net.named_parameters()}
        rows = read_curve(self.curve)
        readings = calibrate(self.fields, self.held_logits().numpy(), self.held.truths, self.held.said)
        described = {"kind": self.kind, "config": self.configuration(), "history": self.history}
        described |= {"readings": {name: reading.as_json() for name, reading in readings.items()}}
        write_weights(path, tensors, described | {"figures": rows[-1] if rows else {}})
