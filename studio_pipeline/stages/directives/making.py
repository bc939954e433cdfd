"""What every backend of `directives` does: see the shot's clips, ask for what is open, decide, write the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.schema.arrays import save_json
from studio_pipeline.schema.caption import Caption
from studio_pipeline.schema.directives import Directives, DirectiveValue
from studio_pipeline.schema.records import CameraPath, Character, Rig
from studio_pipeline.schema.taxonomy import Taxonomy, load_taxonomy
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.directives.brief import Seen, direct
from studio_pipeline.stages.directives.footage import Footage, read_footage
from studio_pipeline.stages.directives.narrative import full_stop, narrate
from studio_pipeline.stages.directives.words import Match, renamed_in

__all__ = ["Propose", "Read", "Tell", "make"]

Read = Callable[[Footage, Taxonomy], Sequence[DirectiveValue]]
Propose = Callable[[Taxonomy], Sequence[DirectiveValue]]
Tell = Callable[[Directives, Taxonomy], str]

_PERFORMANCE = "motion.performance"
_FROM_BODY = 0.5  # confidence of a performance that was chosen from the body's parts


def make(
    context: StageContext,
    *,
    network: Any = None,
    read: Read | None = None,
    propose: Propose | None = None,
    tell: Tell | None = None,
) -> StageResult:
    """Make the shot's directives and write ``directives.json``, ``matches.json`` and, of clips, ``captions.json``.

    Args:
        context: The stage's; its settings name the plate, if there is one, and the studio's own taxonomy.
        network: The captioner's, beside its measures.
        read: More values seen in a clip, origin "model", where measures and network abstain.
        propose: Values, origin "model", from canonical view and brief; where it gives no performance for an empty
            brief the body plan chooses.
        tell: Words of a model about the decided directives; the narrative has them after the brief.
    """
    shot, settings = context.shot, context.settings
    taxonomy = load_taxonomy(own=[settings.taxonomy] if settings.taxonomy else ())
    explicit, renamed = taxonomy.migrate(shot.directives)
    captions, seen = _see(context, taxonomy, network, read)
    silent = not shot.brief.strip()
    if propose is not None:
        context.progress(0.6, "asking for what is open")
        seen += [Seen(value, "the model's proposal") for value in propose(taxonomy)]
    chosen = ""
    if silent and not settings.plate and not _named(_PERFORMANCE, explicit, seen):
        value, chosen = _from_body(context.inputs["character"], context.inputs["rig"])
        seen.append(Seen(value, "the body plan"))
    moving = _moves(CameraPath.load(context.inputs["canonical_view"]))
    directives, matches = direct(shot.brief, explicit, taxonomy, moving_camera=moving, seen=seen)
    if tell is not None:
        context.progress(0.8, "telling the shot")
        directives = _told(directives, taxonomy, shot.brief, tell(directives, taxonomy))
    renamed += renamed_in(shot.brief, taxonomy)
    save_json(context.out / "directives.json", directives.model_dump(mode="json"))
    words = [vars(match) for match in matches]
    save_json(context.out / "matches.json", {"words": words, "renamed": renamed, "chosen": chosen})
    if captions:
        save_json(
            context.out / "captions.json", {name: item.model_dump(mode="json") for name, item in captions.items()}
        )
    return _result(directives, matches, renamed, taxonomy)


def _see(
    context: StageContext, taxonomy: Taxonomy, network: Any, read: Read | None
) -> tuple[dict[str, Caption], list[Seen]]:
    """What the plate and the reference show; the plate, which the shot will really be, counts before the reference."""
    from studio_pipeline.caption import describe

    paths = {"plate": context.settings.plate, "reference": context.shot.reference}
    captions: dict[str, Caption] = {}
    seen: list[Seen] = []
    for number, (name, path) in enumerate((name, path) for name, path in paths.items() if path):
        context.progress(0.1 + 0.3 * number, f"reading the {name}")
        footage = read_footage(Path(path), Fraction(context.shot.fps))
        captions[name] = describe(footage.frames, footage.fps, alpha=footage.alpha, taxonomy=taxonomy, network=network)
        seen += [Seen(value, f"the {name}") for value in captions[name].values]
        if read is not None:
            seen += [Seen(value, f"the {name}") for value in read(footage, taxonomy)]
    return captions, seen


def _told(directives: Directives, taxonomy: Taxonomy, brief: str, words: str) -> Directives:
    """The directives with a model's words after the brief in their narrative."""
    said = " ".join(part for part in (full_stop(brief), words) if part)
    return directives.model_copy(update={"narrative": narrate(said, directives, taxonomy)})


def _named(field: str, explicit: dict[str, str], seen: Sequence[Seen]) -> bool:
    return field in explicit or any(item.value.field == field for item in seen)


def _from_body(character: Path, rig: Path) -> tuple[DirectiveValue, str]:
    """What the character's body can do, and why."""
    from studio_pipeline.geometry.bodyplan import body_plan
    from studio_pipeline.stages.directives.bodies import performance_of

    plan = body_plan(Rig.load(rig), Character.load(character).vertices)
    performance, why = performance_of(plan)
    parts = ", ".join(f"{name} {number}" for name, number in plan.describe().items())
    value = DirectiveValue(field=_PERFORMANCE, value=performance, confidence=_FROM_BODY, origin="model")
    return value, f"nobody says what to play: {_PERFORMANCE}={performance}, because {why} ({parts})"


def _moves(camera: CameraPath) -> bool:
    return bool(np.ptp(camera.world_to_camera, axis=0).max() > 1e-6 or np.ptp(camera.focal) > 1e-6)


def _result(
    directives: Directives, matches: Sequence[Match], renamed: Sequence[str], taxonomy: Taxonomy
) -> StageResult:
    wrong = [problem for value in directives.values() for problem in taxonomy.problems({value.field: value.value})]
    origins = [value.origin for value in directives.values()]
    performance = next((value for value in directives.values() if value.field == _PERFORMANCE), None)
    return StageResult(
        figures={
            "performance": performance.value if performance else "",
            "performance_from": performance.origin if performance else "",
            "tags": sum(origin != "default" for origin in origins),
            "measured": origins.count("measured"),
            "conflicts": len(directives.conflicts),
            "negated": sum(match.negated for match in matches),
            "renamed": "; ".join(renamed),
        },
        verdicts=(
            Verdict(
                "directives_valid",
                not wrong,
                "; ".join(wrong) or f"{len(directives.values())} values of taxonomy {taxonomy.version}",
            ),
        ),
    )
