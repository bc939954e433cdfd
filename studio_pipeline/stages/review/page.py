"""The ``page`` backend: measures the shot, makes its pictures and puts everything on one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline import __version__
from studio_pipeline.schema.arrays import load_json
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.review.charts import charts
from studio_pipeline.stages.review.embed import data_uri, outside_references, picture_uri, video_within
from studio_pipeline.stages.review.material import Material, StageRecord, stage_records
from studio_pipeline.stages.review.measures import Measures, measure
from studio_pipeline.stages.review.pictures import contact_sheet, panels, side_by_side, turntable
from studio_pipeline.stages.review.settings import ReviewSettings
from studio_pipeline.stages.review.takes import take_rows
from studio_pipeline.stages.review.template import PAGE

__all__ = ["run"]

_SHOWN = 2  # most pictures that a stage's card shows


def run(context: StageContext) -> StageResult:
    """Review a shot (see the package's docstring)."""
    settings: ReviewSettings = context.settings
    context.progress(0.0, "reading")
    material = Material.load(context)
    records = stage_records(context.inputs)
    context.progress(0.1, "measuring")
    measures = measure(material)
    context.progress(0.3, "pictures")
    media = _make_media(material, context, settings)
    context.progress(0.9, "page")
    values = _values(context, material, records, measures, media)
    page = _render(values)
    (context.out / "review.html").write_text(page, encoding="utf-8")
    size = len(page.encode()) / 1e6
    outside = outside_references(page)
    fine = not outside and size <= settings.page_mb
    message = f"{size:.1f} MB of at most {settings.page_mb:g}, nothing fetched from outside"
    if outside:
        message = f"the page refers to {outside[0]} and {len(outside) - 1} more"
    figures = {
        "frames": material.frame_count,
        **{name: value for name, _, value in values["figures"]},
        "failed_gates": values["failed"],
        "page_mb": round(size, 2),
    }
    return StageResult(
        figures=figures,
        previews=("contact_sheet.png",),
        verdicts=(Verdict("self_contained", fine, message),),
    )


@dataclass(frozen=True)
class _Media:
    """Addresses of what the page shows."""

    side_by_side: str
    turntable: str
    contact_sheet: str


def _make_media(material: Material, context: StageContext, settings: ReviewSettings) -> _Media:
    import cv2

    out, fps, first = context.out, context.shot.fps, material.cache.first_frame
    # Base64 grows data by a third; pictures and text take what the videos leave.
    budget = int(settings.page_mb * 1e6 * 0.75)
    pictures = panels(material, settings.panel_px)
    strip = side_by_side(pictures, first)
    shown = video_within(out / "side_by_side.mp4", strip, fps, int(budget * 0.55), out)
    sheet = contact_sheet(pictures, first, settings.sheet_columns)
    if not cv2.imwrite(str(out / "contact_sheet.png"), np.ascontiguousarray(sheet[..., ::-1])):
        raise OSError("could not write contact_sheet.png")
    context.progress(0.7, "turntable")
    turning = turntable(material, settings.panel_px, settings.turntable_frames)
    turned = video_within(out / "turntable.mp4", turning, fps, int(budget * 0.2), out)
    return _Media(
        side_by_side=data_uri(shown, "video/mp4"),
        turntable=data_uri(turned, "video/mp4"),
        contact_sheet=picture_uri(out / "contact_sheet.png", side=2000),
    )


def _values(
    context: StageContext, material: Material, records: tuple[StageRecord, ...], measures: Measures, media: _Media
) -> dict[str, Any]:
    """All that the template names."""
    shot, cache = context.shot, material.cache
    gates = [{"stage": record.name, **verdict} for record in records for verdict in record.verdicts]
    figures = [
        ("iou_lift_mean", "Lift silhouette IoU", round(float(measures.iou_lift.mean()), 4)),
        ("iou_refined_mean", "Refined silhouette IoU", round(float(measures.iou_refined.mean()), 4)),
        (
            "displacement_mm_mean",
            "Mean secondary motion [mm]",
            round(float(measures.displacement_mean.mean()) * 1e3, 3),
        ),
        (
            "displacement_mm_max",
            "Largest secondary motion [mm]",
            round(float(measures.displacement_max.max()) * 1e3, 3),
        ),
    ]
    return {
        "shot": shot,
        "first": cache.first_frame,
        "count": cache.frame_count,
        "fps_value": float(shot.fps),
        "material": material,
        "directives": material.directives,
        "figures": figures,
        "failed": sum(not gate["passed"] for gate in gates),
        "gates": gates,
        "stages": [_card(record) for record in records],
        "takes": take_rows(context.inputs),
        "charts": charts(material, measures, _residuals(context.inputs["lifted_motion"])),
        "media": media,
        "version": __version__,
    }


def _card(record: StageRecord) -> dict[str, Any]:
    """One stage's corner of the page: its backend, figures and best pictures."""
    files = sorted((f for end in ("png", "jpg") for f in record.folder.glob(f"*.{end}")), key=lambda f: f.name)
    uris = [uri for uri in (picture_uri(file, side=720) for file in files[:_SHOWN]) if uri]
    return {
        "title": record.name.replace("_", " ").capitalize(),
        "backend": record.backend,
        "figures": [(name.replace("_", " "), _number(value)) for name, value in record.figures.items()],
        "pictures": uris,
        "passed": all(verdict["passed"] for verdict in record.verdicts),
        "gates": len(record.verdicts),
    }


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _residuals(folder: Path) -> Mapping[str, Any]:
    path = folder / "residuals.json"
    said = load_json(path) if path.exists() else {}
    return said if isinstance(said, dict) else {}


def _render(values: Mapping[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(PAGE).render(values)
