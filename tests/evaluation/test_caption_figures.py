"""Figures of the captioner's evaluation against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from studio_pipeline.evaluation.caption.figures import (
    axis_figures,
    confusion,
    expected_calibration_error,
    field_figures,
    reliability,
)
from studio_pipeline.schema.taxonomy import load_taxonomy


def row(truth: dict, both: dict) -> dict:
    return {"truth": truth, "said": {"both": both}}


MOVES = [
    row({"camera.move": ["fix"]}, {"camera.move": {"fix": 0.9}}),
    row({"camera.move": ["fix"]}, {"camera.move": {"pan_left": 0.6}}),
    row({"camera.move": ["pan_left"]}, {"camera.move": {"pan_left": 0.8, "fix": 0.1}}),
    row({"camera.move": ["pan_left"]}, {"camera.move": {}}),
    row({"camera.move": ["roll"]}, {"camera.move": {}}),
    row({"camera.move": None}, {"camera.move": {"roll": 1.0}}),
]


def test_silence_counts_as_wrong_and_is_told():
    found = field_figures(MOVES, "camera.move", "both", many=False)
    assert found is not None and found["clips"] == 5
    assert {v: i["recall"] for v, i in found["values"].items()} == {"fix": 0.5, "pan_left": 0.5, "roll": 0.0}
    assert found["macro"] == pytest.approx(1.0 / 3.0)
    assert found["coverage"] == pytest.approx(3 / 5)
    assert found["right_of_told"] == pytest.approx(2 / 3)
    assert found["values"]["pan_left"]["precision"] == pytest.approx(0.5)
    assert found["least_clips"] == 1


def test_a_field_with_many_values_counts_each():
    rows = [
        row({"vfx.impact": ["flash"]}, {"vfx.impact": {"flash": 0.7, "debris": 0.6}}),
        row({"vfx.impact": []}, {"vfx.impact": {"flash": 0.5}}),
        row({"vfx.impact": ["debris", "flash"]}, {"vfx.impact": {}}),
    ]
    found = field_figures(rows, "vfx.impact", "both", many=True)
    assert found is not None and found["coverage"] is None
    assert found["values"]["flash"] == {"clips": 2, "recall": 0.5, "precision": 0.5}
    assert found["values"]["debris"] == {"clips": 1, "recall": 0.0, "precision": 0.0}
    assert field_figures(rows, "camera.move", "both", many=False) is None


def test_calibration_error_of_answers_that_are_right_as_often_as_they_say_is_nothing():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.05, 0.95, 20000)
    fair = [(float(c), bool(hit)) for c, hit in zip(confidence, rng.random(20000) < confidence, strict=True)]
    boastful = [(0.9, k % 2 == 0) for k in range(1000)]
    assert expected_calibration_error(fair) < 0.02
    assert expected_calibration_error(boastful) == pytest.approx(0.4)
    assert reliability(boastful) == [(pytest.approx(0.9), 0.5, 1000)]
    assert expected_calibration_error([]) is None
    assert expected_calibration_error([(1.0, True)]) == 0.0


def test_axes_are_means_of_fields_with_their_goals():
    taxonomy = load_taxonomy()
    figures = [
        {"field": "camera.move", "way": "both", "macro": 0.9, "values": {"fix": 0, "roll": 0}, "least_clips": 20},
        {"field": "camera.framing", "way": "both", "macro": 0.7, "values": {"full": 0}, "least_clips": 25},
        {"field": "motion.timing", "way": "both", "macro": 1.0, "values": {"ones": 0}, "least_clips": 30},
    ]
    axes = {item["axis"]: item for item in axis_figures(figures, taxonomy)}
    assert axes["Camera"]["macro"] == pytest.approx(0.8) and axes["Camera"]["values"] == 3
    assert axes["Camera"]["least_clips"] == 20 and axes["Camera"]["goal"] == 0.85
    assert axes["Motion"]["macro"] == 1.0


def test_confusion_has_a_column_for_silence():
    table = confusion(MOVES, "camera.move", "both", ["fix", "pan_left", "roll"])
    assert table.tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]]
