"""Image-text models with random weights: whatever they think, their answers are valid, and the director has his way."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from studio_pipeline.schema.directives import Directives, DirectiveValue
from studio_pipeline.schema.errors import BackendUnavailable
from studio_pipeline.schema.tags import Tag, Taxonomy, TaxonomyField
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.directives import STAGE, VlmSettings

pytest.importorskip("transformers")
pytest.importorskip("outlines_core")
pytestmark = pytest.mark.slow  # transformers alone takes seconds to import

KINDS = ("qwen", "qwen3", "llava")
PICTURE = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
SMALL = Taxonomy(
    version="0",
    fields=(
        TaxonomyField(
            field="camera.move", group="camera", meaning="How the camera moves",
            tags=tuple(Tag(value=value, meaning=value, appearance=value) for value in ("pan", "pan_left", "zoom")),
        ),
        TaxonomyField(
            field="vfx.light", group="effects", meaning="Light", many=True,
            tags=tuple(Tag(value=value, meaning=value, appearance=value) for value in ("glow", "flare")),
        ),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    from support import tiny_vlm

    made: dict[tuple, Path] = {}

    def save(kind: str, *, seed: int = 0, sharpness: float = 1.0) -> Path:
        key = (kind, seed, sharpness)
        if key not in made:
            folder = tmp_path_factory.mktemp("vlm") / f"{kind}-tiny"
            made[key] = getattr(tiny_vlm, f"save_{kind}")(folder, seed=seed, sharpness=sharpness)
        return made[key]

    return save


@pytest.fixture
def looked(context, saved) -> Callable[..., StageContext]:
    """The stage's context with a canonical view and the settings of `vlm`."""

    def make(*, settings: dict[str, object] | None = None, model: Path | str | None = None, **fields: object):
        made = context(**fields)
        cv2.imwrite(str(made.inputs["canonical_view"] / "canonical.png"), PICTURE)
        written = {"model": model or saved("qwen"), "narrative_tokens": 20, **(settings or {})}
        return replace(made, settings=STAGE.backends["vlm"].settings.model_validate(written))

    return make


def record_in(context: StageContext) -> Directives:
    return Directives.model_validate_json((context.out / "directives.json").read_text())


@pytest.mark.parametrize(("kind", "seed"), [("qwen", 0), ("qwen3", 1), ("llava", 0)])
def test_every_answer_is_valid(kind: str, seed: int, saved, monkeypatch) -> None:
    import jsonschema

    from studio_pipeline.stages.directives import vlm as backend
    from studio_pipeline.stages.directives.vlm_decoding import schema_of
    from studio_pipeline.stages.directives.vlm_loading import load_vlm

    answers: list[str] = []
    kept = backend.values_of
    monkeypatch.setattr(backend, "values_of", lambda written, t: answers.append(written.text) or kept(written, t))
    taxonomy = load_taxonomy()
    vlm = load_vlm(saved(kind, seed=seed, sharpness=30.0))
    values = backend.propose_values(vlm, taxonomy, [PICTURE], "A bear walks.")
    jsonschema.validate(json.loads(answers[0]), schema_of(taxonomy))
    assert list(json.loads(answers[0])) == [field.field for field in taxonomy.fields]
    assert taxonomy.problems({value.field: value.value for value in values}) == []
    assert all(value.origin == "model" and 0.0 <= value.confidence <= 1.0 for value in values)
    said = {
        (name, v) for name, vs in json.loads(answers[0]).items() for v in (vs if isinstance(vs, list) else [vs]) if v
    }
    assert said == {(value.field, value.value) for value in values}


def every_answer() -> list[str]:
    """All JSON that the small taxonomy allows, written out without any automaton."""
    moves = ["pan", "pan_left", "zoom", None]
    lights = [list(many) for count in range(3) for many in itertools.product(("glow", "flare"), repeat=count)]
    return [
        json.dumps({"camera.move": move, "vfx.light": light}, separators=(",", ":"))
        for move in moves
        for light in lights
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_confidence_is_the_model_s_probability_among_what_is_allowed(kind: str, saved) -> None:
    import torch

    from studio_pipeline.stages.directives import vlm as backend
    from studio_pipeline.stages.directives.vlm_decoding import schema_of, schema_pattern, token_texts, write
    from studio_pipeline.stages.directives.vlm_loading import load_vlm

    vlm = load_vlm(saved(kind, sharpness=8.0))
    inputs = backend._inputs(vlm, [PICTURE], "Choose.")
    written = write(vlm.model, vlm.tokenizer, inputs, schema_pattern(schema_of(SMALL)), most_tokens=80)
    answers = every_answer()
    assert written.finished and written.text in answers
    # The same again by hand: one look of the network at the whole text, and at each place the tokens that some
    # answer goes on with.
    texts = {number: text for text, numbers in token_texts(vlm.tokenizer).items() for number in numbers}
    pieces = [written.text[start:end] for start, end, _ in written.spans]
    with torch.inference_mode():
        made = vlm.model.generate(**inputs, do_sample=False, max_new_tokens=1)
        assert made.shape[1] == inputs["input_ids"].shape[1] + 1
        chosen: list[int] = []
        text = ""
        for (_, _, probability), piece in zip(written.spans, pieces, strict=True):
            more = torch.tensor([chosen], dtype=torch.long)
            whole = {**inputs, "input_ids": torch.cat([inputs["input_ids"], more], 1)}
            whole["attention_mask"] = torch.ones_like(whole["input_ids"])
            if "mm_token_type_ids" in inputs:
                kinds = inputs["mm_token_type_ids"]
                whole["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(more).to(kinds.dtype)], 1)
            scores = vlm.model(**whole).logits[0, -1].float()
            allowed = [number for number, t in texts.items() if any(a.startswith(text + t) for a in answers)]
            shares = torch.softmax(scores[allowed], -1)
            best = allowed[int(shares.argmax())]
            assert texts[best] == piece
            assert float(shares.max()) == pytest.approx(probability, rel=1e-3)
            chosen.append(best)
            text += piece
    values = backend.values_of(written, SMALL)
    for value in values:
        start = written.text.index(f'"{value.value}"')
        touching = [p for first, last, p in written.spans if first < start + len(value.value) + 2 and last > start]
        assert value.confidence == pytest.approx(np.prod(touching))


def test_values_are_read_from_where_they_stand() -> None:
    from studio_pipeline.stages.directives.vlm import values_of
    from studio_pipeline.stages.directives.vlm_decoding import Written

    text = '{"camera.move":"pan","vfx.light":["glow","flare","glow"]}'
    spans = [(index, index + 1, 1.0) for index in range(len(text))]
    for place, probability in (
        (text.index("pan"), 0.5),
        (text.index("flare") - 1, 0.25),
        (text.index("glow") + 5, 0.1),
    ):
        spans[place] = (place, place + 1, probability)
    found = {(v.field, v.value): v.confidence for v in values_of(Written(text, tuple(spans), True), SMALL)}
    assert found == {("camera.move", "pan"): 0.5, ("vfx.light", "glow"): 1.0, ("vfx.light", "flare"): 0.25}
    with pytest.raises(BackendUnavailable, match="cut off"):
        values_of(Written(text[:20], tuple(spans[:20]), False), SMALL)


def test_the_director_has_his_way(looked, monkeypatch) -> None:
    from studio_pipeline.stages.directives import vlm as backend

    thought = {
        "camera.move": ("pan_left", 0.99), "style.look": ("comic", 0.9), "motion.performance": ("dance", 0.99),
        "style.line": ("thick", 0.8), "subject.mood": ("angry", 0.39), "environment.time": ("night", 0.4),
    }  # fmt: skip
    values = [
        DirectiveValue(field=field, value=value, confidence=sure, origin="model")
        for field, (value, sure) in thought.items()
    ]
    monkeypatch.setattr(backend, "propose_values", lambda *given: values)
    made = looked(brief="A bear runs in the rain", directives={"camera.move": "zoom_in", "style.look": "ink"})
    result = STAGE.backends["vlm"].load()(made)
    record = record_in(made)
    found = {value.field: (value.value, value.origin) for value in record.values()}
    assert found["camera.move"] == ("zoom_in", "artist") and found["style.look"] == ("ink", "artist")
    assert found["motion.performance"] == ("run", "brief") and found["environment.weather"] == ("rain", "brief")
    assert found["style.line"] == ("thick", "model") and found["environment.time"] == ("night", "model")
    assert found["subject.mood"][1] == "default", "a proposal that is not sure enough doesn't count"
    assert all(verdict.passed for verdict in result.verdicts) and result.figures["performance"] == "run"
    assert record.narrative.startswith("A bear runs in the rain.") and record.narrative.isprintable()
    order = [record.narrative.index(f"{title}:") for title in ("Subject", "Camera", "Motion", "Effects", "Environment")]
    assert order == sorted(order)


def test_an_unsure_model_says_nothing(looked) -> None:
    made = looked(brief="")
    STAGE.backends["vlm"].load()(made)
    record = record_in(made)
    others = [value for value in record.values() if value.origin == "model"]
    assert [value.field for value in others] == ["motion.performance"], "which the body plan chose"
    assert "body" in "".join(json.loads((made.out / "matches.json").read_text())["chosen"])


def test_the_same_again_gives_the_same_bytes(looked) -> None:
    files = []
    for _ in range(2):
        made = looked(brief="A bear.")
        STAGE.backends["vlm"].load()(made)
        files.append({path.name: path.read_bytes() for path in made.out.iterdir()})
    assert files[0] == files[1]


def test_references_are_shown_to_the_model(looked, tmp_path: Path, monkeypatch) -> None:
    from studio_pipeline.stages.directives import vlm as backend

    shown: list[tuple[int, str]] = []
    kept = backend._inputs

    def count(vlm, pictures, question, **more):
        inputs = kept(vlm, pictures, question, **more)
        shown.append((len(inputs["image_grid_thw"]), question))
        return inputs

    monkeypatch.setattr(backend, "_inputs", count)
    (tmp_path / "reference").mkdir()
    for index in range(9):
        cv2.imwrite(str(tmp_path / "reference" / f"r.{index:04d}.png"), np.roll(PICTURE, 3 * index, 1))
    made = looked(brief="Slowly.", reference=str(tmp_path / "reference"), settings={"frames": 3})
    STAGE.backends["vlm"].load()(made)
    assert [count for count, _ in shown] == [4, 4]
    assert "The other 3 are frames of a reference" in shown[0][1] and 'The director says: "Slowly."' in shown[0][1]
    for field in load_taxonomy().fields:
        assert all(f"{tag.value}: {tag.meaning}" in shown[0][1] for tag in field.tags)


def test_the_narrative_is_cut_at_a_word(saved) -> None:
    from studio_pipeline.stages.directives import vlm as backend
    from studio_pipeline.stages.directives.vlm_loading import load_vlm

    vlm = load_vlm(saved("llava", sharpness=8.0))
    record = Directives(taxonomy="0")
    for most in (3, 17, 60):
        text = backend.tell_shot(vlm, record, SMALL, [PICTURE], "", most_tokens=most)
        assert '"' not in text and "\\" not in text and text.isascii() and text == text.strip()


def test_missing_models_and_packages_are_told(looked, saved, tmp_path: Path, monkeypatch) -> None:
    import importlib.util

    import huggingface_hub.constants

    from studio_pipeline.stages.directives.vlm_loading import available

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for source in (tmp_path / "nowhere", "nobody/such-model-here@v1"):
        with pytest.raises(BackendUnavailable, match="set model"):
            STAGE.backends["vlm"].load()(looked(model=source, brief="x"))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "outlines_core" else found(name))
    assert available() == "outlines-core not installed; pip install 'studio_pipeline[models]'"


def test_pickles_and_foreign_code_are_refused(looked, saved, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    for name in ("pickled", "foreign"):
        copy = tmp_path / name
        copy.mkdir()
        for file in saved("qwen").iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        marker = tmp_path / "ran"
        if name == "pickled":
            torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
            (copy / "model.safetensors").unlink()
        else:
            config = json.loads((copy / "config.json").read_text())
            config |= {
                "model_type": "foreign",
                "auto_map": {"AutoConfig": "evil.E", "AutoModelForImageTextToText": "evil.E"},
            }
            (copy / "config.json").write_text(json.dumps(config))
            (copy / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass E: pass\n")
        with pytest.raises(BackendUnavailable, match="set model"):
            STAGE.backends["vlm"].load()(looked(model=copy, brief="x"))
        assert not marker.exists()


def test_a_model_without_conversations_is_refused(looked, saved, tmp_path: Path) -> None:
    for file in saved("qwen").iterdir():
        if file.name != "chat_template.jinja":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BackendUnavailable, match="no template for conversations"):
        STAGE.backends["vlm"].load()(looked(model=tmp_path, brief="x"))
    # Older models have it in a file of the processor's.
    from studio_pipeline.stages.directives.vlm_loading import load_vlm

    template = (saved("qwen") / "chat_template.jinja").read_text()
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert load_vlm(tmp_path).processor.chat_template == template


def test_settings_need_a_model() -> None:
    with pytest.raises(ValueError, match="model"):
        VlmSettings.model_validate({})
