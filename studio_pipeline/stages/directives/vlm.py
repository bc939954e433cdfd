"""Backend `vlm`: an image-text model proposes what brief and artist leave open, and tells the shot in words.

It sees the canonical view, frames of reference and plate, and the brief. Its answer can only be values of the taxonomy
(`vlm_decoding`); each has the probability that the model gave it among the field's values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from studio_pipeline.media.images import read_image
from studio_pipeline.models.kept import kept_model, stamp
from studio_pipeline.schema.directives import Directives, DirectiveValue
from studio_pipeline.schema.errors import BackendUnavailable, one_line
from studio_pipeline.schema.tags import Taxonomy
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.directives.footage import Footage
from studio_pipeline.stages.directives.making import make
from studio_pipeline.stages.directives.vlm_decoding import PROSE, Written, schema_of, schema_pattern, write
from studio_pipeline.stages.directives.vlm_loading import Vlm, load_vlm

__all__ = ["propose_values", "run", "tell_shot", "values_of"]

MOST_SIDE = 1024  # larger pictures are made smaller first [px]


def run(context: StageContext) -> StageResult:
    """Make the shot's directives (see `making.make`)."""
    settings, brief = context.settings, context.shot.brief
    first, _ = read_image(context.inputs["canonical_view"] / "canonical.png")
    pictures = [first]
    vlm: list[Vlm] = []  # loaded when it is needed, after the clips have been read

    def look(footage: Footage, taxonomy: Taxonomy) -> Sequence[DirectiveValue]:
        chosen = np.unique(np.linspace(0, len(footage.frames) - 1, settings.frames).round().astype(int))
        pictures.extend(footage.frames[index] for index in chosen)
        return ()

    def propose(taxonomy: Taxonomy) -> Sequence[DirectiveValue]:
        context.progress(0.5, "loading the model")
        key = ("vlm", settings.dtype, stamp(settings.model))
        load = partial(load_vlm, settings.model, dtype=settings.dtype)
        vlm.append(until_done.enter_context(kept_model(key, load)))
        values = propose_values(vlm[0], taxonomy, pictures, brief)
        return [value for value in values if value.confidence >= settings.least_confidence]

    def tell(directives: Directives, taxonomy: Taxonomy) -> str:
        return tell_shot(vlm[0], directives, taxonomy, pictures, brief, most_tokens=settings.narrative_tokens)

    with ExitStack() as until_done:
        return make(context, read=look, propose=propose, tell=tell if settings.narrative_tokens else None)


def propose_values(vlm: Vlm, taxonomy: Taxonomy, pictures: Sequence[np.ndarray], brief: str) -> list[DirectiveValue]:
    """Values of the taxonomy that a model gives a shot, origin "model", with their probabilities.

    Args:
        vlm: The model.
        taxonomy: What it may choose from.
        pictures: sRGB [H, W, 3] uint8; the first is the shot's first frame, the others are of references.
        brief: The director's words, may be empty.
    """
    schema = schema_of(taxonomy)
    longest = sum(  # of the answer, if every letter were a token
        len(name) + 6 + (3 * (max(map(len, field.values)) + 3) if field.many else max(map(len, field.values)) + 2)
        for name, field in ((field.field, field) for field in taxonomy.fields)
    )
    inputs = _inputs(vlm, pictures, _question(taxonomy, len(pictures), brief))
    return values_of(_answer(vlm, inputs, schema_pattern(schema), longest + 2), taxonomy)


def values_of(written: Written, taxonomy: Taxonomy) -> list[DirectiveValue]:
    """The values in an answer that `schema_of` allows, null ones left out.

    Raises:
        BackendUnavailable: It was cut off.
    """
    if not written.finished:
        raise BackendUnavailable("directives: the model's answer was cut off", do="set another model")
    found: list[DirectiveValue] = []
    position = 0
    for name, said in json.loads(written.text).items():
        field = taxonomy.field(name)
        assert field is not None
        position = written.text.index(json.dumps(name) + ":", position) + len(name) + 3
        for value in said if isinstance(said, list) else [said]:
            if value is None or any(value == other.value and name == other.field for other in found):
                continue
            start = written.text.index(json.dumps(value), position)
            position = start + len(json.dumps(value))
            confidence = written.sureness(start, position)
            found.append(DirectiveValue(field=name, value=value, confidence=min(1.0, confidence), origin="model"))
    return found


def tell_shot(
    vlm: Vlm,
    directives: Directives,
    taxonomy: Taxonomy,
    pictures: Sequence[np.ndarray],
    brief: str,
    *,
    most_tokens: int,
) -> str:
    """A few sentences that tell the shot as it was decided: subject, camera, motion, effects, environment.

    Args:
        vlm: The model.
        directives: What was decided.
        taxonomy: Explains it.
        pictures: As for `propose_values`.
        brief: The director's words.
        most_tokens: After so many the text is cut at the end of a sentence, or of a word.
    """
    said = []
    for value in directives.values():
        field = taxonomy.field(value.field)
        meaning = f": {field.tag(value.value).meaning}" if field and value.value in field.values else ""
        said.append(f"{value.field} = {value.value}{meaning}")
    question = (
        f"{_scene(len(pictures), brief)}\nDecided:\n" + "\n".join(said) + "\nTell the shot in at most four plain "
        "English sentences, in this order: subject, camera, motion, effects, environment. Contradict nothing that is "
        "decided. Use no quotation marks."
    )
    written = _answer(vlm, _inputs(vlm, pictures, question, begun='"'), PROSE, most_tokens)
    text = one_line(written.text.removesuffix('"'))
    if written.finished:
        return text
    whole = max(text.rfind(sign) for sign in ".!?")
    return text[: whole + 1] if whole > 0 else text.rpartition(" ")[0]


def _scene(pictures: int, brief: str) -> str:
    others = f" The other {pictures - 1} are frames of a reference, in order." if pictures > 1 else ""
    words = f'The director says: "{one_line(brief)}"' if brief.strip() else "The director says nothing."
    return f"You plan a shot of an animation. The first picture is the shot's first frame.{others} {words}"


def _question(taxonomy: Taxonomy, pictures: int, brief: str) -> str:
    lines = []
    for field in taxonomy.fields:
        many = f", up to {3} of" if field.many else ", one of"
        tags = "; ".join(f"{tag.value}: {tag.meaning}" for tag in field.tags)
        lines.append(f"{field.field} ({field.meaning}{many}) {tags}")
    return (
        f"{_scene(pictures, brief)}\nChoose for each field what the shot should have; null, or an empty list, where "
        "neither the pictures nor the director give a reason.\n" + "\n".join(lines) + "\nAnswer with JSON only: an "
        "object with all fields in this order."
    )


def _inputs(vlm: Vlm, pictures: Sequence[np.ndarray], question: str, *, begun: str = "") -> Any:
    """The conversation as the model reads it, with the answer's first letters if they are given."""
    import torch
    from PIL import Image

    shown = [Image.fromarray(picture) for picture in pictures]
    for picture in shown:
        picture.thumbnail((MOST_SIDE, MOST_SIDE))
    content = [*({"type": "image", "image": picture} for picture in shown), {"type": "text", "text": question}]
    try:
        inputs = vlm.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True,
            return_tensors="pt",
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, ImportError, AttributeError) as error:
        raise BackendUnavailable(
            f"directives: the model's processor takes no pictures in a conversation ({one_line(error)[:160]})",
            do="set model to an image-text instruct model",
        ) from None
    if begun:
        more = torch.tensor([vlm.tokenizer(begun, add_special_tokens=False).input_ids])
        for name, fill in (("input_ids", None), ("attention_mask", 1), ("mm_token_type_ids", 0), ("token_type_ids", 0)):
            if name in inputs:
                added = more if fill is None else torch.full_like(more, fill)
                inputs[name] = torch.cat([inputs[name], added.to(inputs[name].dtype)], -1)
    inputs = inputs.to(vlm.device)
    for name, values in inputs.items():
        if torch.is_floating_point(values):
            inputs[name] = values.to(vlm.model.dtype)
    return inputs


def _answer(vlm: Vlm, inputs: Any, pattern: str, most_tokens: int) -> Written:
    import torch

    try:
        return write(vlm.model, vlm.tokenizer, inputs, pattern, most_tokens=most_tokens)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise BackendUnavailable(
            f"directives: the model needs more memory than there is ({one_line(error)[:160]})",
            do="set a smaller model, or fewer frames",
        ) from None
    except (ValueError, TypeError, RuntimeError, LookupError) as error:
        raise BackendUnavailable(
            f"directives: the model failed ({type(error).__name__}: {one_line(error)[:300]})", do="set another model"
        ) from error
