"""The network with all that it takes to speak: weights, fusion and calibration from one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.models.caption.fusion import FieldReading, joined, said_of
from studio_pipeline.models.caption.network import KIND, CaptionNet, field_slices
from studio_pipeline.models.files import load_network, read_weights
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError

__all__ = ["CaptionReader", "load_reader", "probabilities"]

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
        self,
        thumbs: np.ndarray,
        details: np.ndarray,
        signals: np.ndarray,
        measures: np.ndarray,
        said: Mapping[str, Mapping[str, float]],
    ) -> dict[str, tuple[dict[str, float], str]]:
        """What is said of every field.

        Args:
            thumbs: Windows of a clip as `caption.evidence.Evidence` has them. [W, K, S, S, 3] uint8
            details: [W, D, S, S, 3] uint8
            signals: [W, F, C] float32
            measures: [M] float32
            said: Confidences of the measures by value, by field.

        Returns:
            By field, values with calibrated confidences (none: it is left open) and whose word it is: "measured" or
            "model".
        """
        return self.weigh(self.chances(thumbs, details, signals, measures), said)

    def chances(
        self, thumbs: np.ndarray, details: np.ndarray, signals: np.ndarray, measures: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The network's own probabilities [V] by field, of all windows together; arguments as `read` has them."""
        rows = probabilities(self.net, thumbs, details, signals, np.repeat(measures[None], len(thumbs), 0))
        return {name: rows[name].max(0) if many else rows[name].mean(0) for name, _, many in self.net.config["fields"]}

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


def probabilities(
    net: CaptionNet, thumbs: np.ndarray, details: np.ndarray, signals: np.ndarray, measures: np.ndarray
) -> dict[str, np.ndarray]:
    """The network's probabilities [N, V] by field, of N windows; arrays as `CaptionReader.read` has them."""
    import torch

    logits = []
    with torch.no_grad():
        for start in range(0, len(thumbs), 32):
            part = slice(start, start + 32)
            given = (torch.from_numpy(np.ascontiguousarray(a[part])) for a in (thumbs, details, signals, measures))
            logits.append(net(*given).to(torch.float64).numpy())
    rows = np.concatenate(logits)
    found = {}
    slices = field_slices(net.config["fields"])
    for name, _, many in net.config["fields"]:
        part = rows[:, slices[name]]
        if many:
            found[name] = 1.0 / (1.0 + np.exp(-part))
        else:
            part = np.exp(part - part.max(1, keepdims=True))
            found[name] = part / part.sum(1, keepdims=True)
    return found


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
