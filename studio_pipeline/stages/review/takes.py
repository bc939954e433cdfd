"""The takes on the page: what each scored, which one is followed, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio_pipeline.schema.arrays import load_json
from studio_pipeline.stages.review.embed import picture_uri

__all__ = ["take_rows"]


def take_rows(inputs: Mapping[str, Path]) -> dict[str, Any]:
    """``reason`` and ``rows``, the followed take first, then by rank; both empty for a shot without a report.

    A row has ``take``, ``backend``, ``picture``, ``score``, ``heads`` (name, value, width in percent), ``fidelity``,
    ``asked`` (what differs from the directives), ``remarks``, ``passed`` and ``followed``.
    """
    report_file, choice_file = inputs["take_report"] / "report.json", inputs["reference_clip"] / "choice.json"
    if not report_file.is_file() or not choice_file.is_file():
        return {"reason": "", "rows": []}
    report, choice = load_json(report_file), load_json(choice_file)
    order = [choice["take"], *(index for index in report["ranking"] if index != choice["take"])]
    rows = [_row(report["takes"][index], inputs["takes"], followed=index == choice["take"]) for index in order]
    return {"reason": choice["reason"], "rows": rows}


def _row(said: Mapping[str, Any], folder: Path, *, followed: bool) -> dict[str, Any]:
    picture = folder / f"{said['folder']}.png"
    differs = [f"{item['field']}: asked {item['asked']}, reads {', '.join(item['read'])}"
               for item in said["fields"] if item["agrees"] is False]  # fmt: skip
    return {
        "take": said["take"],
        "backend": said["backend"],
        "picture": (picture_uri(picture, side=720) or "") if picture.is_file() else "",
        "score": said["composite"],
        "heads": [(name, value, round(25.0 * (value - 1.0))) for name, value in said["heads"].items()],
        "fidelity": said["fidelity"],
        "asked": [text.replace("_", " ") for text in differs],
        "remarks": [*said["reasons"], *said["remarks"]],
        "passed": said["passed"],
        "followed": followed,
    }
