"""The taxonomy and what is read from briefs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio_pipeline.geometry.cameras import look_at
from studio_pipeline.schema.directives import GROUPS, Directives
from studio_pipeline.schema.errors import BackendUnavailable, InputError
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.schema.taxonomy import AXES, load_taxonomy
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.directives import STAGE, validate_directives
from studio_pipeline.stages.directives.brief import direct

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


class _Shot:
    def __init__(self, **fields: object) -> None:
        self.__dict__.update({"brief": "", "directives": {}, "reference": None, **fields})


def _context(tmp_path: Path, **fields: object) -> StageContext:
    camera = CameraPath(
        world_to_camera=np.repeat(look_at(np.array([0.0, 1, 4]), np.zeros(3), np.array([0.0, 1, 0]))[None], 3, 0),
        focal=np.full(3, 100.0), width=64, height=64,
    )  # fmt: skip
    (tmp_path / "view").mkdir(exist_ok=True)
    (tmp_path / "out").mkdir(exist_ok=True)
    camera.save(tmp_path / "view")
    settings = STAGE.backends["brief"].settings()
    return StageContext(
        settings=settings, inputs={"canonical_view": tmp_path / "view"}, shot=_Shot(**fields), out=tmp_path / "out"
    )


def test_the_stage_writes_a_record_that_reads_back(tmp_path: Path) -> None:
    result = STAGE.backends["brief"].load()(_context(tmp_path, brief="Pip jumps", directives={"style.line": "thick"}))
    record = Directives.model_validate(json.loads((tmp_path / "out" / "directives.json").read_text()))
    assert record.get("motion.performance") == "jump" and record.get("style.line") == "thick"
    assert {v.name: v.passed for v in result.verdicts} == {"directives_valid": True}
    assert tuple(v.name for v in result.verdicts) == STAGE.checks


def test_a_reference_is_never_ignored(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="measured"):
        STAGE.backends["brief"].load()(_context(tmp_path, reference="/x.png"))
