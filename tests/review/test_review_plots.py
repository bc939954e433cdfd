"""The charts: all of a curve inside its axes, gaps where there is nothing, round ticks."""

from __future__ import annotations

import re

import numpy as np
import pytest

from studio_pipeline.stages.review.plots import HEIGHT, WIDTH, _ticks, histogram, line_chart


def points(svg: str) -> np.ndarray:
    path = re.search(r'class="curve c0" d="([^"]*)"', svg)
    assert path
    return np.array(re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path[1]), dtype=float)


def test_a_line_rises_where_values_do():
    drawn = points(line_chart({"a": [0.0, 1.0, 4.0]}, x=[10, 11, 12], x_label="x", y_label="y"))
    assert (np.diff(drawn[:, 0]) > 0).all() and (np.diff(drawn[:, 1]) < 0).all()
    assert drawn[1, 0] == pytest.approx(drawn[[0, 2], 0].mean(), abs=0.1)
    assert (drawn[0, 1] - drawn[1, 1]) * 4 == pytest.approx(drawn[0, 1] - drawn[2, 1], abs=0.5)
    assert (drawn >= 0).all() and (drawn <= (WIDTH, HEIGHT)).all()


def test_what_is_not_there_is_a_gap():
    svg = line_chart({"a": [1.0, np.nan, 2.0, np.inf, 3.0]}, x=np.arange(5), x_label="x", y_label="y")
    assert re.search(r'd="(M[^ML]*){3}"', svg)
    assert "nan" not in svg and "inf" not in svg


@pytest.mark.parametrize("values", [[np.nan], [5.0], [0.0, 0.0], [1e-12, 1e12], [-3.0, -1.0]])
@pytest.mark.parametrize("log", [False, True])
def test_odd_curves_still_draw(values, log):
    svg = line_chart({"a": values}, x=np.arange(len(values)), x_label="x", y_label="y", log=log)
    assert "nan" not in svg


def test_names_are_escaped():
    svg = line_chart({"<i>&": [1.0, 2.0]}, x=[0, 1], x_label="<x>", y_label="y")
    assert "<i>" not in svg and "&lt;i&gt;&amp;" in svg and "&lt;x&gt;" in svg


@pytest.mark.parametrize("values", [np.full(9, 2e5), np.geomspace(1e2, 1e9, 50), np.zeros(3), np.array([3e4, 5e4])])
def test_histogram_bars_stay_inside_and_count_all(values):
    svg = histogram(values, bins=16, x_label="x", y_label="y", log=True)
    heights = np.array(re.findall(r'<rect [^>]*height="([\d.]+)"', svg), dtype=float)
    tops = np.array(re.findall(r'<rect [^>]*y="([\d.]+)"', svg), dtype=float)
    assert len(heights) == 16 and (tops >= 0).all() and (tops + heights <= HEIGHT).all()
    assert (heights.max() > 0) == bool((values > 0).any())


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.013, 0.019), (1001, 1024), (-5, 5), (0, 2e5)])
def test_ticks_are_round_and_inside(low, high):
    ticks = _ticks(low, high, 4)
    assert 2 <= len(ticks) <= 11
    assert min(ticks) >= low - 1e-9 and max(ticks) <= high + 1e-9
    step = np.diff(ticks)[0]
    assert f"{step:.0e}"[0] in "125"
