"""The text that a video model is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio_pipeline.schema.directives import DirectiveValue
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.stages.directives.brief import direct
from studio_pipeline.stages.takes.prompting import compose, excluded_tags, in_words

BRIEF = "A small bear walks home in the rain. Pan left, no lens flare."
EXPLICIT = {"vfx.element": "dust", "motion.energy": "gentle", "style.look": "watercolour"}


def words(text: str) -> int:
    return len(text.split())


def test_the_order_is_subject_camera_motion_effects_environment() -> None:
    taxonomy = load_taxonomy()
    directives, _ = direct(BRIEF, EXPLICIT, taxonomy)
    prompt = compose(directives, taxonomy, count=words, limit=10_000)
    assert prompt.positive.startswith(BRIEF), "the director's own words stand first"
    order = [prompt.positive.index(f"{title}:") for title in ("Subject", "Camera", "Motion", "Effects", "Environment")]
    assert order == sorted(order)
    assert prompt.positive.count("pan left (") == 1, "the narrative's own list of tags isn't said twice"
    for value in directives.values():
        assert value.value.replace("_", " ") in prompt.positive
    assert prompt.dropped == () and prompt.length == words(prompt.positive) <= prompt.limit
    assert prompt == compose(directives, taxonomy, count=words, limit=10_000)


def test_what_was_asked_for_outlasts_defaults_and_explanations() -> None:
    taxonomy = load_taxonomy()
    directives, _ = direct(BRIEF, EXPLICIT, taxonomy)
    prompt = compose(directives, taxonomy, count=words, limit=36)
    assert prompt.length <= 36
    for said in ("pan left", "dust", "energy gentle", "look watercolour", "weather rain", "performance walk"):
        assert said in prompt.positive
    assert "eye level" not in prompt.positive and "camera.angle=eye_level" in prompt.dropped
    shorter = compose(directives, taxonomy, count=words, limit=24)
    assert "camera.move=pan_left" in shorter.dropped, "the brief's words say it anyway"
    assert "look watercolour" in shorter.positive, "what the artist set goes last"


@settings(max_examples=40, deadline=None)
@given(
    limit=st.integers(0, 120),
    tags=st.lists(st.sampled_from([(f.field, v) for f in load_taxonomy().fields for v in f.values]), max_size=12),
)
def test_no_text_is_longer_than_the_model_reads(limit: int, tags: list[tuple[str, str]]) -> None:
    taxonomy = load_taxonomy()
    directives, _ = direct(BRIEF, dict(tags), taxonomy)
    prompt = compose(directives, taxonomy, excluded=tags, avoid="a b c", count=words, limit=limit)
    assert words(prompt.positive) == prompt.length <= limit and words(prompt.negative) <= limit
    said = {f"{v.field}={v.value}" for v in directives.values()} - set(prompt.dropped)
    for tag in said:
        assert tag.partition("=")[2].replace("_", " ") in prompt.positive


def test_what_the_brief_excludes_is_avoided(tmp_path: Path) -> None:
    taxonomy = load_taxonomy()
    directives, matches = direct("She runs, no lens flare, never in the rain.", {}, taxonomy)
    (tmp_path / "matches.json").write_text(json.dumps({"words": [vars(match) for match in matches]}))
    excluded = excluded_tags(tmp_path, directives)
    prompt = compose(directives, taxonomy, excluded=excluded, avoid="text", count=words, limit=500)
    assert prompt.negative == "lens flare, weather rain, text"
    wanted, _ = direct("no lens flare", {"vfx.light": "lens_flare"}, taxonomy)
    assert ("vfx.light", "lens_flare") not in excluded_tags(tmp_path, wanted), "the artist asks for it all the same"
    assert excluded_tags(tmp_path / "nowhere", directives) == ()


def test_a_studio_s_own_tags_are_said_by_name() -> None:
    taxonomy = load_taxonomy()
    directives, _ = direct(BRIEF, EXPLICIT, taxonomy)
    own = (DirectiveValue(field="style.house", value="deep_ink", origin="artist"),)
    wider = directives.model_copy(update={"style": (*directives.style, *own)})
    prompt = compose(wider, taxonomy, count=words, limit=10_000)
    assert "house deep ink" in prompt.positive and prompt.positive.count("pan left (") == 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("camera.move", "pan_left", "camera move pan left"),
        ("vfx.element", "dust", "dust"),
        ("x.y", "some_z", "y some z"),
    ],
)
def test_tags_in_words(field: str, value: str, said: str) -> None:
    assert in_words(field, value, load_taxonomy()) == said
