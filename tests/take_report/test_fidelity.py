"""What was asked against what is read, and the figure made of it, by hand."""

from __future__ import annotations

import pytest

from studio_pipeline.schema.directives import Directives, DirectiveValue
from studio_pipeline.stages.take_report import ReportSettings, Weights
from studio_pipeline.stages.take_report.fidelity import compare, fidelity_score
from studio_pipeline.stages.take_report.filters import Filter
from studio_pipeline.stages.take_report.scoring import composite, ranked, score_take


def value(field: str, chosen: str, origin: str, confidence: float = 1.0) -> DirectiveValue:
    return DirectiveValue.model_validate({"field": field, "value": chosen, "origin": origin, "confidence": confidence})


ASKED = Directives(
    taxonomy="1.0",
    motion=(value("motion.performance", "walk", "brief"), value("motion.timing", "twos", "artist"),
            value("motion.energy", "normal", "default"), value("motion.accent", "snap", "artist")),
    camera=(value("camera.move", "pan_left", "artist"), value("camera.framing", "bust", "artist")),
)  # fmt: skip


def test_fields_agree_differ_or_are_not_read() -> None:
    read = [value("motion.timing", "twos", "measured", 0.9), value("camera.move", "fix", "measured", 0.6),
            value("motion.energy", "lively", "measured"), value("motion.accent", "ease", "measured", 0.4),
            value("motion.accent", "snap", "model", 0.5), value("camera.framing", "full", "measured")]  # fmt: skip
    found = {item.field: item for item in compare(ASKED, read, abstained=("camera.framing",))}
    assert set(found) == {item.field for item in ASKED.values()} - {"motion.energy"}  # a default asks for nothing
    assert {name: item.agrees for name, item in found.items()} == {
        "motion.performance": None, "motion.timing": True, "motion.accent": True, "camera.move": False,
        "camera.framing": None,
    }  # fmt: skip
    assert found["motion.accent"].confidence == 0.5 and found["motion.accent"].read == ("ease", "snap")
    assert fidelity_score(tuple(found.values())) == pytest.approx((0.9 + 0.5) / (0.9 + 0.5 + 0.6), abs=1e-4)
    assert fidelity_score(compare(ASKED, ())) is None


def test_the_composite_is_the_weighted_mean_of_what_is_known() -> None:
    weights = Weights(lowest=2.0, mean=1.0, fidelity=1.0, filters=0.0)
    assert composite(3.0, 5.0, 0.25, 0.0, weights) == pytest.approx((2 * 0.5 + 1.0 + 0.25) / 4)
    assert composite(3.0, 5.0, None, 0.0, weights) == pytest.approx((2 * 0.5 + 1.0) / 3)
    assert composite(None, None, None, 0.7, Weights(filters=0.0)) == 0.7


def test_a_take_fails_by_its_lowest_head_or_a_filter() -> None:
    def scored(index: int, heads: dict[str, float], *filters: Filter, **settings):
        return score_take(index, {"folder": "x"}, filters, heads, (), {}, ReportSettings(**settings))

    fine = scored(0, {"lines": 4.0, "limbs": 3.0})
    assert fine.passed and fine.lowest == 3.0 and fine.lowest_head == "limbs"
    low = scored(1, {"lines": 1.9, "limbs": 5.0})
    assert not low.passed and low.reasons == ("lines: the judge gives 1.9 of 5, at least 2",)
    assert scored(1, {"lines": 1.9, "limbs": 5.0}, least_head=1.5).passed
    plate = score_take(1, {"folder": "x", "backend": "plate"}, (), {"lines": 1.9}, (), {}, ReportSettings())
    assert plate.passed and plate.remarks == low.reasons  # somebody chose it: doubt is told and holds up nothing
    told = scored(2, {"lines": 5.0}, Filter("text", False, 1.0, "a row", fails=False))
    assert told.passed and told.remarks == ("text: a row",) and told.composite < scored(2, {"lines": 5.0}).composite
    cut = scored(3, {"lines": 5.0}, Filter("cut", False, 1.0, "new"))
    assert not cut.passed
    # Those that passed come first, then by score, then in their order.
    assert ranked([fine, low, told, cut]) == [2, 0, 3, 1]
