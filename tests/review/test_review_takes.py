"""The takes on the review page: the one that is followed first, what it scored, and why."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from studio_pipeline.stages.review.page import run
from studio_pipeline.stages.review.takes import take_rows


def report(folder: Path) -> None:
    """Two takes: the second by rank is followed because somebody chose it, and it failed."""
    good = {"topology": 4.5, "limbs": 3.0, "lines": 5.0, "motion": 4.0}
    heads = [good, {**good, "topology": 1.5}]
    fields = [{"field": "camera.move", "asked": "pan_left", "read": ["fix"], "agrees": False},
              {"field": "motion.timing", "asked": "twos", "read": ["twos"], "agrees": True}]  # fmt: skip
    takes = [
        {"take": index, "folder": f"take_{index:03d}", "backend": "previz", "composite": 0.8 - 0.3 * index,
         "heads": heads[index], "fidelity": None if index else 0.5, "fields": [] if index else fields,
         "passed": not index, "reasons": ["topology: 1.5 <of> 5"] if index else [], "remarks": []}
        for index in (0, 1)
    ]  # fmt: skip
    (folder / "take_report" / "report.json").write_text(json.dumps({"takes": takes, "ranking": [0, 1]}))
    choice = {"take": 1, "reason": "Take 1: an artist chose it."}
    (folder / "reference_clip" / "choice.json").write_text(json.dumps(choice))
    for index in (0, 1):
        cv2.imwrite(str(folder / "takes" / f"take_{index:03d}.png"), np.full((40, 80, 3), 40 + 90 * index, np.uint8))


def test_rows_start_with_the_take_that_is_followed(make_review) -> None:
    inputs = make_review().inputs
    assert take_rows(inputs) == {"reason": "", "rows": []}  # a shot without a report
    report(inputs["takes"].parent)
    found = take_rows(inputs)
    first, second = found["rows"]
    assert (first["take"], first["followed"], first["passed"]) == (1, True, False)
    assert first["heads"][0] == ("topology", 1.5, 12) and first["remarks"] == ["topology: 1.5 <of> 5"]
    assert (second["take"], second["followed"]) == (0, False) and second["picture"].startswith("data:image/jpeg")
    assert second["asked"] == ["camera.move: asked pan left, reads fix"]


def test_the_page_shows_them_and_stays_self_contained(make_review) -> None:
    context = make_review()
    report(context.inputs["takes"].parent)
    result = run(context)
    page = (context.out / "review.html").read_text()
    assert result.verdicts[0].passed and "<h2>Takes</h2>" in page and "an artist chose it" in page
    assert "1.5 &lt;of&gt; 5" in page and "not read" in page and page.count("of 5</dd>") == 8
