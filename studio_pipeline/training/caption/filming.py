"""Clips by previz, and what is true of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import GROUPS, Directives, DirectiveValue
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.schema.taxonomy import Taxonomy
from studio_pipeline.stages.takes import PrevizSettings
from studio_pipeline.stages.takes.drawn import drawable_tags
from studio_pipeline.stages.takes.previz import Previz, make_previz
from studio_pipeline.training.caption.cast import Actor, load_actor, painted
from studio_pipeline.training.caption.drawing import Asked, Case

__all__ = ["Filmed", "film", "what_previz_draws"]

Truth = dict[str, tuple[str, ...] | None]
"""Values by field; None where nobody can say, () where a field that holds many holds nothing."""

_TURNED = 0.04  # picture widths that a camera must have turned by to be seen following


@dataclass(frozen=True, kw_only=True)
class Filmed:
    """A clip and its tags."""

    clip: Clip
    truth: Truth


def film(case: Case, taxonomy: Taxonomy, drawable: Mapping[str, tuple[str, ...]]) -> Filmed:
    """Make the clip of a case.

    Args:
        case: What.
        taxonomy: The vocabularies.
        drawable: Values that previz can draw, by field; others are never there, nor is their absence told.
    """
    rng = np.random.default_rng([case.seed, 3])
    actor = painted(load_actor(case.actor), rng)
    directives = _directives(case.asked, taxonomy)
    made = _previz(actor, _view(actor, case, rng), directives, case)
    return Filmed(clip=made.clip, truth=_shown(_truth(case, taxonomy, drawable, set(made.obeyed)), made.camera))


def _directives(asked: Asked, taxonomy: Taxonomy) -> Directives:
    values: dict[str, list[DirectiveValue]] = {group: [] for group in GROUPS}
    for name, wanted in asked.items():
        field = taxonomy.field(name)
        if field is not None:
            values[field.group] += [DirectiveValue(field=name, value=value, origin="artist") for value in wanted]
    groups: dict[str, Any] = {group: tuple(items) for group, items in values.items()}
    return Directives(taxonomy=taxonomy.version, **groups)


def _view(actor: Actor, case: Case, rng: np.random.Generator) -> CameraPath:
    """A camera about where canonical_view's is: turned and raised a little, the figure smaller or larger."""
    from studio_pipeline.stages.canonical_view import CameraSettings
    from studio_pipeline.stages.canonical_view.path import framed_path

    options = CameraSettings().model_dump()
    if "azimuth_deg" in options:
        options["azimuth_deg"] += float(rng.uniform(-25.0, 25.0))
    if "fill" in options:
        options["fill"] *= float(rng.uniform(0.92, 1.06))
    width, height = case.size
    return framed_path(actor.character.vertices, case.frames, width=width, height=height, **options)


def _previz(actor: Actor, camera: CameraPath, directives: Directives, case: Case) -> Previz:
    return make_previz(
        actor.character, actor.rig, camera, directives, fps=Fraction(case.fps), frame_count=case.frames,
        first_frame=1, seed=case.seed, settings=PrevizSettings(supersample=2),
    )  # fmt: skip


def _truth(case: Case, taxonomy: Taxonomy, drawable: Mapping[str, tuple[str, ...]], obeyed: set[str]) -> Truth:
    truth: Truth = {}
    for field in taxonomy.fields:
        if not drawable.get(field.field):
            continue
        asked = case.asked.get(field.field)
        if asked is None and field.field == "vfx.strength":
            continue
        if asked is None:
            truth[field.field] = () if field.many else ((field.default,) if field.default else None)
        elif all(f"{field.field}={value}" in obeyed for value in asked):
            truth[field.field] = asked
        else:
            truth[field.field] = None
    if truth.get("motion.performance") in (("hold",), None):
        for name in ("motion.timing", "motion.energy"):
            truth[name] = None  # nothing moves that would show it
    return truth


def _shown(truth: Truth, camera: CameraPath) -> Truth:
    """The truth without what no picture could tell: how somebody moves whom nobody sees, a camera that follows nobody.

    Args:
        truth: Of the clip.
        camera: That saw it.
    """
    if truth.get("camera.angle") == ("subjective",):
        hidden = ("motion.", "subject.", "camera.framing", "style.line", "style.shading")
        truth = {name: None if name.startswith(hidden) else values for name, values in truth.items()}
    if truth.get("camera.move") == ("follow_pan",):
        ahead = camera.world_to_camera[:, 2, :3]
        turned = np.arccos(np.clip(ahead @ ahead[0], -1.0, 1.0)).max()
        if turned * camera.focal.max() < _TURNED * camera.width:
            truth = truth | {"camera.move": None}
    return truth


def what_previz_draws(taxonomy: Taxonomy) -> dict[str, tuple[str, ...]]:
    """Values that previz draws, by field of the taxonomy, defaults included."""
    tags = set(drawable_tags())
    found = {}
    for field in taxonomy.fields:
        drawn = tuple(v for v in field.values if v == field.default or f"{field.field}={v}" in tags)
        if set(drawn) - {field.default}:
            found[field.field] = drawn
    return found
