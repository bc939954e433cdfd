"""The network with all that it takes to speak: weights, fusion and calibration from one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.models.caption.fusion import FieldReading, joined, said_of
from studio_pipeline.models.caption.network import KIND, CaptionNet, Seen, field_slices
from studio_pipeline.models.files import load_network, read_weights
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.evidence import Evidence

__all__ = ["CaptionReader", "chances_of", "load_reader", "logits_of", "words_of"]

WEIGHTS = "caption/caption.safetensors"


class CaptionReader:
    """Reads a clip's evidence; see `studio_pipeline.caption.describe`, which is given one."""

    def __init__(self, net: CaptionNet, readings: Mapping[str, FieldReading]) -> None:
        self.net, self.readings = net.eval(), dict(readings)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields that it reads."""
        return tuple(name for name, _, _ in self.net.config["fields"])

    def read(
        self, evidence: Evidence, said: Mapping[str, Mapping[str, float]]
    ) -> dict[str, tuple[dict[str, float], str]]:
        """What is said of every field.

        Args:
            evidence: Of a clip, in windows.
            said: Confidences of the measures by value, by field.

        Returns:
            By field, values with calibrated confidences (none: it is left open) and whose word it is: "measured" or
            "model".
        """
        return self.weigh(self.chances(evidence, said), said)

    def chances(self, evidence: Evidence, said: Mapping[str, Mapping[str, float]]) -> dict[str, np.ndarray]:
        """The network's own probabilities [V] by field, of all windows together; arguments as `read` has them."""
        fields = self.net.config["fields"]
        count = len(evidence.thumbs)
        words = np.repeat(words_of(fields, said)[None], count, 0)
        measures = np.repeat(evidence.measures[None], count, 0)
        logits = logits_of(self.net, evidence, measures, words)
        rows = {
            name: chances_of(logits[:, part], many=many)
            for (name, _, many), part in zip(fields, field_slices(fields).values(), strict=True)
        }
        return {name: rows[name].max(0) if many else rows[name].mean(0) for name, _, many in fields}

    def weigh(
        self, chances: Mapping[str, np.ndarray], said: Mapping[str, Mapping[str, float]]
    ) -> dict[str, tuple[dict[str, float], str]]:
        """What is said when the network gives ``chances`` and the measures ``said``; as `read`."""
        found = {}
        for name, values, many in self.net.config["fields"]:
            reading = self.readings.get(name, FieldReading())
            scores = joined(reading, values, chances[name], said.get(name, {}), many=many)
            origin = "measured" if reading.source == "measured" else "model"
            found[name] = (said_of(reading, values, scores, many=many), origin)
        return found


def words_of(fields: Sequence[Sequence[Any]], said: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """The measures' confidences in every value of ``fields`` [name, [values], many]. [V] float32"""
    return np.array([said.get(name, {}).get(value, 0.0) for name, values, _ in fields for value in values], np.float32)


def logits_of(net: CaptionNet, seen: Evidence, measures: np.ndarray, words: np.ndarray) -> np.ndarray:
    """The network's logits of N windows [N, V] float64.

    Args:
        net: The network.
        seen: The windows' pictures and curves.
        measures: [N, M] float32
        words: [N, V] float32
    """
    import torch

    arrays = (seen.thumbs, seen.actors, seen.details, seen.signals, measures, words)
    logits = []
    net.eval()
    with torch.no_grad():
        for start in range(0, len(seen.thumbs), 32):
            given = Seen(*(torch.from_numpy(np.ascontiguousarray(a[start : start + 32])) for a in arrays))
            logits.append(net(given).to(torch.float64).numpy())
    return np.concatenate(logits)


def chances_of(logits: np.ndarray, *, many: bool) -> np.ndarray:
    """Probabilities of a field's values [N, V], each for itself where ``many`` may hold."""
    if many:
        return 1.0 / (1.0 + np.exp(-logits))
    part = np.exp(logits - logits.max(1, keepdims=True))
    return part / part.sum(1, keepdims=True)


def load_reader(path: Path | None = None) -> CaptionReader:
    """The reader in a weights file; the shipped one when ``path`` is None.

    Raises:
        InputError: The file is missing or holds something else.
    """
    path = path or assets_folder() / "weights" / WEIGHTS
    net = load_network(path, KIND, lambda config: _checked(config))
    _, described = read_weights(path)
    readings = described.get("readings", {})
    try:
        return CaptionReader(net, {name: FieldReading(**reading) for name, reading in readings.items()})
    except (TypeError, AttributeError):
        raise InputError(
            "describes no readings", where=path, do="give weights that studio train caption made"
        ) from None


def _checked(config: dict[str, Any]) -> CaptionNet:
    fields = config["fields"]
    if not all(len(row) == 3 and isinstance(row[1], list) for row in fields):
        raise ValueError("its fields are no lists of names and values")
    if len(config["centre"]) != config["measures"] or len(config["spread"]) != config["measures"]:
        raise ValueError("its measures are not described")
    return CaptionNet(config)
