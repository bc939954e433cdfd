"""The taxonomy and what is read from briefs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio_pipeline.geometry.bodyparts import BodyPlan, Limb
from studio_pipeline.schema.directives import GROUPS, Directives, DirectiveValue
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.tags import Rename
from studio_pipeline.schema.taxonomy import AXES, load_taxonomy
from studio_pipeline.stages.directives import STAGE, validate_directives
from studio_pipeline.stages.directives.bodies import performance_of
from studio_pipeline.stages.directives.brief import Seen, direct
from studio_pipeline.stages.directives.words import renamed_in

TAXONOMY = load_taxonomy()


def said(brief: str, explicit: dict[str, str] | None = None) -> dict[str, str]:
    record, _ = direct(brief, explicit or {}, TAXONOMY)
    return {value.field: value.value for value in record.values() if value.origin != "default"}


def test_the_taxonomy_is_complete_and_closed() -> None:
    assert sum(len(field.tags) for field in TAXONOMY.fields) >= 80
    assert {field.group for field in TAXONOMY.fields} == set(GROUPS)
    assert AXES == ("Style", "Motion", "Camera", "VFX", "Lighting", "Texture")
    for field in TAXONOMY.fields:
        for tag in field.tags:
            assert tag.meaning and tag.synonyms
            assert any(ord(c) > 0x2E80 for word in tag.synonyms for c in word), f"{tag.value} has no Japanese term"


@pytest.mark.parametrize(
    ("brief", "expected"),
    [
        ("Pip walks on the spot, cheerful.", {
            "motion.performance": "walk", "motion.path": "in_place", "subject.mood": "happy",
        }),
        ("She is waving", {"motion.performance": "wave"}),
        ("hopping, hopped, hops", {"motion.performance": "hop"}),
        ("He looks around the forest at night", {
            "motion.performance": "look_around", "environment.place": "forest", "environment.time": "night",
        }),
        ("pan left, Focus-Lines", {"camera.move": "pan_left", "vfx.impact": "focus_lines"}),
        ("no camera move", {"camera.move": "fix"}),
        ("not running but walking", {"motion.performance": "walk"}),
        ("He doesn't run; he dances", {"motion.performance": "dance"}),
        ("without rain or snow", {}),
        ("a rainbow on the runway, a pancake, the candlewick", {}),
        ("走る。つけパン、集中線、2コマ打ち、オバケ、入射光", {
            "motion.performance": "run", "camera.move": "follow_pan", "vfx.impact": "focus_lines",
            "motion.timing": "twos", "vfx.optical": "smear", "lighting.source": "shafts",
        }),
        ("止め、BG送り", {"motion.performance": "hold", "camera.move": "slide_right"}),
        ("パンダのパンフレット", {}),
        ("雨なし、夕焼け", {"environment.time": "sunset"}),
        ("ＦＩＸで", {"camera.move": "fix"}),
    ],
)  # fmt: skip
def test_words_become_values(brief: str, expected: dict[str, str]) -> None:
    assert said(brief) == expected


def test_the_artist_wins_and_the_conflict_is_told() -> None:
    record, _ = direct("Tumble trots", {"motion.performance": "run"}, TAXONOMY)
    value = next(v for v in record.values() if v.field == "motion.performance")
    assert (value.value, value.origin, value.confidence) == ("run", "artist", 1.0)
    assert any("trot" in line and "run is used" in line for line in record.conflicts)


def test_the_first_word_wins_and_the_rest_is_told() -> None:
    record, _ = direct("waves, then runs", {}, TAXONOMY)
    assert record.get("motion.performance") == "wave" and "run" in record.conflicts[0]


def test_fields_that_hold_several_values() -> None:
    record, _ = direct("sparkles", {"vfx.light": "glow, aura"}, TAXONOMY)
    assert [(v.value, v.origin) for v in record.effects] == [
        ("glow", "artist"),
        ("aura", "artist"),
        ("sparkle", "brief"),
    ]


def test_defaults_are_marked_and_a_moving_camera_has_none() -> None:
    record, _ = direct("", {}, TAXONOMY)
    assert record.get("motion.performance") == "idle" and record.get("camera.move") == "fix"
    assert {v.origin for v in record.values()} == {"default"}
    assert direct("", {}, TAXONOMY, moving_camera=True)[0].get("camera.move") is None


def test_the_narrative_keeps_its_order() -> None:
    text = direct("Pip walks in the rain", {"vfx.element": "dust"}, TAXONOMY)[0].narrative
    places = [text.index(word) for word in ("Pip walks", "Subject:", "Camera:", "Motion:", "Effects:", "Environment:")]
    assert places == sorted(places) and text.index("dust") > places[4]


def test_unknown_values_name_the_nearest() -> None:
    (clause,) = validate_directives({"motion.performance": "walkk"})
    assert "'walkk'" in clause and "walk" in clause.split("nearest:")[1]
    (clause,) = validate_directives({"motion.performance": "punch"})
    assert "attack" in clause  # by its synonym
    (clause,) = validate_directives({"motion.performence": "walk"})
    assert "nearest: motion.performance" in clause
    assert validate_directives({"camera.move": "fix", "vfx.light": "glow,sparkle"}) == []
    assert len(validate_directives({"camera.move": "", "vfx.light": ","})) == 2
    with pytest.raises(InputError, match="nearest"):
        direct("", {"camera.move": "nope"}, TAXONOMY)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=120))
def test_any_brief_gives_a_valid_record(brief: str) -> None:
    record, _ = direct(brief, {}, TAXONOMY)
    for value in record.values():
        assert validate_directives({value.field: value.value}) == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([w for f in TAXONOMY.fields for t in f.tags for w in t.synonyms]), max_size=6))
def test_every_synonym_alone_and_together_is_understood(words: list[str]) -> None:
    record, matches = direct(". ".join(words), {}, TAXONOMY)
    assert len(matches) == len(words) and all(value.value for value in record.values())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('version: "2.0"', "versoin: 1"), "version: field required"),
        (("value: fix\n", "value: pan_left\n"), "occurs twice"),
        (("default: fix", "default: nothing"), "no value of it"),
        (("fix, fixed camera", "zoom in, fixed camera"), "'zoom in' occurs twice"),
        (("value: fix\n", "value: !!python/name:os.system fix\n"), "not allowed"),
    ],
)
def test_a_broken_taxonomy_is_refused(tmp_path: Path, repository: Path, change: tuple[str, str], expected: str) -> None:
    folder = tmp_path / "taxonomy"
    shutil.copytree(repository / "assets" / "taxonomy", folder)
    text = (folder / "camera.yaml").read_text(encoding="utf-8")
    assert change[0] in text
    (folder / "camera.yaml").write_text(text.replace(change[0], change[1], 1), encoding="utf-8")
    with pytest.raises(InputError, match=expected) as refused:
        load_taxonomy(folder)
    assert "camera.yaml:" in str(refused.value) and "\n" not in str(refused.value)


def test_the_stage_writes_a_record_that_reads_back(context) -> None:
    given = context(brief="Pip jumps", directives={"style.line": "thick"})
    result = STAGE.backends["measured"].load()(given)
    record = Directives.model_validate(json.loads((given.out / "directives.json").read_text()))
    assert record.get("motion.performance") == "jump" and record.get("style.line") == "thick"
    assert {v.name: v.passed for v in result.verdicts} == {"directives_valid": True}
    assert tuple(v.name for v in result.verdicts) == STAGE.checks
    words = json.loads((given.out / "matches.json").read_text())
    assert [match["words"] for match in words["words"]] == ["jumps"] and words["chosen"] == ""


def test_contradictions_are_told_and_the_stronger_origin_stays() -> None:
    record, _ = direct("snow falls on the meadow", {"environment.place": "underwater"}, TAXONOMY)
    kept = {value.field: (value.value, value.origin) for value in record.values()}
    assert kept["environment.place"] == ("underwater", "artist") and "environment.weather" not in kept
    assert any("weather=snow" in line and "place=underwater" in line for line in record.conflicts)
    # The same the other way round: what the artist says of the weather keeps the place off, and no default contradicts.
    record, _ = direct("underwater", {"environment.weather": "snow"}, TAXONOMY)
    assert record.get("environment.weather") == "snow" and record.get("environment.place") == "studio"
    # Of two words of one brief the first stays.
    assert direct("fireflies at noon", {}, TAXONOMY)[0].get("environment.time") is None
    assert direct("at noon, fireflies", {}, TAXONOMY)[0].get("vfx.particle") is None


def test_no_record_contradicts_itself() -> None:
    pairs = [(f"{field.field}={tag.value}", other) for field, tag in TAXONOMY.tags() for other in tag.contradicts]
    assert pairs
    for one, two in pairs:
        assert (two, one) in pairs  # both sides know
        (field, value), (other_field, other_value) = one.split("="), two.split("=")
        explicit = {field: value, other_field: f"{value}, {other_value}" if field == other_field else other_value}
        record, _ = direct("", explicit, TAXONOMY)
        there = {f"{value.field}={value.value}" for value in record.values()}
        assert there & {one, two} == {one} and record.conflicts
        assert not any(other in there for name in there for other in TAXONOMY.tag(name).contradicts)  # pyright: ignore


def seen(field: str, value: str, origin: str = "measured", confidence: float = 0.8) -> Seen:
    return Seen(DirectiveValue(field=field, value=value, origin=origin, confidence=confidence), "the reference")  # pyright: ignore


def test_artist_over_brief_over_measured_over_model_over_default() -> None:
    field = "style.palette"
    voices = {
        "artist": {"explicit": {field: "sepia"}},
        "brief": {"brief": "neon"},
        "measured": {"seen": [seen(field, "cool")]},
        "model": {"seen": [seen(field, "warm", "model", 0.99)]},
        "default": {},
    }
    expected = {"artist": "sepia", "brief": "neon", "measured": "cool", "model": "warm", "default": "natural"}
    for first in range(len(voices)):
        brief, explicit, others = "", {}, []
        for voice in list(voices.values())[first:]:
            brief, explicit = voice.get("brief", brief), voice.get("explicit", explicit)
            others += voice.get("seen", [])
        record, _ = direct(brief, explicit, TAXONOMY, seen=others[::-1])
        (value,) = (value for value in record.values() if value.field == field)
        who = list(voices)[first]
        assert (value.origin, value.value) == (who, expected[who])
    record, _ = direct("neon", {}, TAXONOMY, seen=[seen(field, "cool")])
    assert any("the reference has cool, the brief says neon" in line for line in record.conflicts)


def test_what_is_seen_adds_to_fields_of_several_values_unless_the_brief_excludes_it() -> None:
    others = [
        seen("vfx.impact", "flash"),
        seen("vfx.impact", "speed_lines"),
        seen("vfx.optical", "vignette", "model", 0.1),
    ]
    record, _ = direct("focus lines, no white flash", {}, TAXONOMY, seen=others)
    assert [value.value for value in record.effects] == ["focus_lines", "speed_lines"]
    assert any("flash" in line and "excludes" in line for line in record.conflicts)


def test_old_names_still_work_and_the_new_one_is_told() -> None:
    record, _ = direct("", {"style.light": "rim"}, TAXONOMY)
    assert record.get("lighting.source") == "rim"
    values, told = TAXONOMY.migrate({"style.light": "rim", "style.line": "thin"})
    assert values == {"lighting.source": "rim", "style.line": "thin"}
    assert len(told) == 1 and "style.light" in told[0] and "lighting.source" in told[0]
    assert validate_directives({"style.light": "rimm"}) == ["lighting.source has no value 'rimm', nearest: rim"]
    values, told = TAXONOMY.migrate({"lighting.source": "backlight", "style.light": "rim"})
    assert values == {"lighting.source": "backlight"} and "holds" in told[0]
    # In a brief, spelt out.
    record, matches = direct("A portrait, Style.Light = backlight, camera.move=pan_left", {}, TAXONOMY)
    assert (record.get("lighting.source"), record.get("camera.move")) == ("backlight", "pan_left") and len(matches) == 2
    assert len(renamed_in("style.light=backlight", TAXONOMY)) == 1 and renamed_in("rim light", TAXONOMY) == []


def test_a_renamed_value_moves_within_a_list() -> None:
    notes = (
        Rename(old="vfx.light=halo", new="vfx.light=glow", since="3.0"),
        Rename(old="style.look=manga", new="style.look=comic", since="3.0"),
    )
    newer = TAXONOMY.model_copy(update={"renamed": notes})
    values, told = newer.migrate({"vfx.light": "sparkle, halo", "style.look": "manga", "camera.move": "fix"})
    assert values == {"vfx.light": "sparkle, glow", "style.look": "comic", "camera.move": "fix"} and len(told) == 2
    assert newer.problems({"vfx.light": "sparkle, halo"}) == []


def test_an_empty_brief_gets_what_the_body_can_do(context) -> None:
    given = context()
    result = STAGE.backends["measured"].load()(given)
    record = Directives.model_validate(json.loads((given.out / "directives.json").read_text()))
    (value,) = (value for value in record.motion if value.field == "motion.performance")
    assert (value.value, value.origin) == ("walk", "model") and result.figures["performance_from"] == "model"
    chosen = json.loads((given.out / "matches.json").read_text())["chosen"]
    assert "walk" in chosen and "two legs" in chosen
    # Whoever says anything of the motion, or hands in the clip, is not interrupted.
    for fields in ({"brief": "in the rain"}, {"directives": {"motion.performance": "nod"}}):
        given = context(**fields)
        STAGE.backends["measured"].load()(given)
        assert json.loads((given.out / "matches.json").read_text())["chosen"] == ""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"legs": 1, "arms": 1}, "walk"),
        ({"legs": 2, "upright": False}, "trot"),
        ({"legs": 3, "upright": False}, "walk"),
        ({"legs": 1, "wings": 1, "wing": 1.2}, "fly"),
        ({"legs": 1, "wings": 1, "wing": 0.3}, "walk"),
        ({"wings": 1, "wing": 0.2, "upright": False}, "swim"),
        ({"wings": 1, "wing": 0.9, "upright": False}, "fly"),
        ({"spine": 6, "upright": False, "height": 0.2}, "slither"),
        ({"spine": 4, "upright": False, "height": 0.9}, "swim"),
        ({"arms": 1}, "wave"),
        ({}, "hop"),
    ],
)
def test_the_performance_suits_the_body(body: dict[str, object], expected: str) -> None:
    def limb(side: int, length: float) -> Limb:
        points = np.array([[0.0, 0.0, 0.0], [side * length, 0.0, 0.0]])
        return Limb(joints=(1,), members=(1,), side=side, points=points, kind="leg", attach=0)

    def pairs(name: str, length: float) -> tuple[tuple[Limb, Limb], ...]:
        return tuple((limb(1, length), limb(-1, length)) for _ in range(int(body.get(name, 0))))  # pyright: ignore

    plan = BodyPlan(
        left=np.eye(3)[0], up=np.eye(3)[1], front=np.eye(3)[2], body=0, spine=tuple(range(int(body.get("spine", 1)))),  # pyright: ignore
        rear=(), head=(), tails=(), legs=pairs("legs", 0.7), arms=pairs("arms", 0.6),
        wings=pairs("wings", float(body.get("wing", 1.0))), loose=(), followers=(),  # pyright: ignore
        height=float(body.get("height", 1.7)), diagonal=2.0, upright=bool(body.get("upright", True)),  # pyright: ignore
    )  # fmt: skip
    assert performance_of(plan)[0] == expected
