"""What a reference and a plate show becomes directives, and belongs to the stage's key."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.moving import filmed

from studio_pipeline.line.keys import ingredients
from studio_pipeline.line.resolve import from_record, to_record
from studio_pipeline.line.shots import read_shot_lists
from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.directives import Directives, DirectiveValue
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.directives import STAGE, validate_directives
from studio_pipeline.stages.directives.making import make
from studio_pipeline.stages.directives.network import missing
from studio_pipeline.store import key_of

SHOT = "- {show: t, sequence: a, shot: '0010', character: pip, frames: [1001, 1016], resolution: [96, 96]"


def pan(sign: float) -> np.ndarray:
    """A camera that turns: what is seen moves evenly across the picture. [T, 128, 128, 3]"""
    return filmed(lambda t: (sign * 0.5 * t, 0.0), count=24, size=128)


def made(given: StageContext) -> Directives:
    STAGE.backends["measured"].load()(given)
    return Directives.model_validate(json.loads((given.out / "directives.json").read_text()))


def origin(record: Directives, field: str) -> tuple[str, str]:
    (value,) = (value for value in record.values() if value.field == field)
    return value.value, value.origin


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A pan to the left in blues."""
    frames = (pan(-1.0) * np.array([0.3, 0.6, 1.0])).astype(np.uint8)
    write_mp4(tmp_path / "pan.mp4", frames, Fraction(24))
    return tmp_path / "pan.mp4"


def test_a_known_pan_and_palette_are_measured(context, clip: Path) -> None:
    given = context(reference=str(clip), brief="Pip waves")
    record = made(given)
    assert origin(record, "camera.move") == ("pan_left", "measured")
    assert origin(record, "style.palette") == ("cool", "measured")
    assert origin(record, "motion.performance") == ("wave", "brief")
    caption = json.loads((given.out / "captions.json").read_text())["reference"]
    assert caption["frame_count"] == 24 and caption["measures"]


def test_what_is_asked_for_still_wins_over_the_reference(context, clip: Path) -> None:
    record = made(context(reference=str(clip), brief="neon colours", directives={"camera.move": "fix"}))
    assert origin(record, "camera.move") == ("fix", "artist") and origin(record, "style.palette") == ("neon", "brief")
    assert any("the reference has pan_left, the artist says fix" in line for line in record.conflicts)


def test_the_plate_counts_before_the_reference(context, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plate"
    folder.mkdir()
    for number, frame in enumerate(pan(1.0)):
        cv2.imwrite(str(folder / f"{number:04d}.png"), frame[..., ::-1])
    given = context(reference=str(clip), settings={"plate": folder})
    record = made(given)
    assert origin(record, "camera.move") == ("pan_right", "measured")
    assert sorted(json.loads((given.out / "captions.json").read_text())) == ["plate", "reference"]
    # The plate is the motion: nothing is chosen from the body.
    assert origin(record, "motion.performance")[1] != "model"


def test_a_picture_is_a_reference_too(context, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "look.png"), pan(1.0)[0][..., ::-1])
    record = made(context(reference=str(tmp_path / "look.png")))
    assert origin(record, "camera.move")[1] == "default"


def test_a_backend_may_read_and_propose_more(context, clip: Path) -> None:
    def model(field: str, value: str) -> DirectiveValue:
        return DirectiveValue(field=field, value=value, confidence=0.7, origin="model")

    def read(footage, taxonomy) -> list[DirectiveValue]:
        assert footage.frames.shape == (24, 128, 128, 3) and footage.fps == 24
        return [model("environment.place", "forest"), model("camera.move", "roll"), model("no.field", "x")]

    def propose(taxonomy) -> list[DirectiveValue]:
        return [model("motion.performance", "dance"), model("environment.place", "city")]

    given = context(reference=str(clip))
    make(given, read=read, propose=propose)
    record = Directives.model_validate(json.loads((given.out / "directives.json").read_text()))
    assert origin(record, "environment.place") == ("forest", "model")
    assert origin(record, "camera.move") == ("pan_left", "measured")  # a measure stands before a model
    assert origin(record, "motion.performance") == ("dance", "model")  # and a proposal before the body plan
    given = context(brief="Pip waves in the city")
    make(given, propose=propose)
    record = Directives.model_validate(json.loads((given.out / "directives.json").read_text()))
    assert origin(record, "motion.performance") == ("wave", "brief")


def test_without_its_weights_the_network_is_refused_before_any_work(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("characters", "taxonomy"):
        (tmp_path / "library").mkdir(exist_ok=True)
        (tmp_path / "library" / name).symlink_to(repository / "assets" / name)
    monkeypatch.setenv("STUDIO_ASSETS", str(tmp_path / "library"))
    with pytest.raises(
        InputError, match=r"stages\.directives\.backend.*weights/caption.*studio train caption"
    ) as refused:
        resolved(tmp_path, ", stages: {directives: {backend: network}}")
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(bool(missing()), reason="the captioner's weights are not in the asset library")
def test_the_network_reads_what_the_taxonomy_says_it_reads() -> None:
    from studio_pipeline.models.caption import load_reader

    heads = {f"{name}={value}" for name, values, _ in load_reader().net.config["fields"] for value in values}
    said = {f"{field.field}={tag.value}" for field, tag in load_taxonomy().tags() if tag.measured_by == "network"}
    assert said <= heads


@pytest.mark.skipif(bool(missing()), reason="the captioner's weights are not in the asset library")
def test_the_network_reads_beside_beside_the_measures(context, clip: Path) -> None:
    given = context(reference=str(clip), directives={"style.palette": "sepia"})
    STAGE.backends["network"].load()(given)
    record = Directives.model_validate(json.loads((given.out / "directives.json").read_text()))
    assert origin(record, "style.palette") == ("sepia", "artist")
    caption = json.loads((given.out / "captions.json").read_text())["reference"]
    for value in caption["values"]:
        assert value["origin"] in ("measured", "model") and validate_directives({value["field"]: value["value"]}) == []


@pytest.mark.parametrize("size", [(1, 1), (8, 200), (16, 400)])
def test_a_speck_is_no_reference(context, tmp_path: Path, size: tuple[int, int]) -> None:
    cv2.imwrite(str(tmp_path / "look.png"), np.zeros((*size, 3), np.uint8))
    with pytest.raises(InputError, match=r"look\.png.*pixels"):
        made(context(reference=str(tmp_path / "look.png")))


@pytest.mark.parametrize("content", [b"", b"\x00\x00\x00\x18ftypmp42 and no more", b"#EXTM3U\n/etc/passwd\n"])
def test_a_hostile_reference_is_one_clear_line(context, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.mp4") as refused:
        made(context(reference=str(tmp_path / "bad.mp4")))
    assert "\n" not in str(refused.value)


def resolved(tmp_path: Path, more: str):
    (tmp_path / "shots.yaml").write_text(f"{SHOT}{more}}}\n")
    (shot,) = read_shot_lists([tmp_path / "shots.yaml"])
    return shot


def key(shot) -> str:
    return key_of(ingredients(shot, "directives", dict.fromkeys(STAGE.inputs, "0" * 64)))


def test_the_key_follows_the_content_of_reference_plate_and_vocabulary(clip: Path, tmp_path: Path) -> None:
    other = clip.with_name("other.mp4")
    write_mp4(other, pan(1.0), Fraction(24))
    own = tmp_path / "ours.yaml"
    text = (
        'studio: kumo\nversion: "1.0"\nextends: "2.0"\nfields:\n  - field: camera.move\n    tags:\n'
        "      - {value: spiral, meaning: It circles, appearance: All turns, synonyms: [spiral shot]}\n"
    )
    own.write_text(text)
    takes = "stages: {takes: {backend: plate, file: pan.mp4}"
    for more in (", reference: pan.mp4", f", {takes}}}", ", stages: {directives: {taxonomy: ours.yaml}}"):
        target = own if "ours" in more else clip
        before, kept = key(resolved(tmp_path, more)), target.read_bytes()
        assert before != key(resolved(tmp_path, "")) and before == key(resolved(tmp_path, more))
        target.write_bytes(text.replace("All turns", "All spins").encode() if target is own else other.read_bytes())
        assert key(resolved(tmp_path, more)) != before
        target.write_bytes(kept)
    # Under another name the same content is the same work; what a record says resolves to the same.
    (tmp_path / "copy.mp4").write_bytes(clip.read_bytes())
    one, two = (resolved(tmp_path, f", reference: {name}.mp4") for name in ("pan", "copy"))
    assert key(one) == key(two)
    plate = resolved(tmp_path, f", {takes}}}")
    assert plate.setups["directives"].settings.plate == clip.resolve()
    assert key(from_record(to_record(plate))) == key(plate)


def test_old_names_in_a_shot_list_resolve_to_the_same_work(tmp_path: Path) -> None:
    old = resolved(tmp_path, ", directives: {style.light: rim}, stages: {directives: {backend: brief}}")
    new = resolved(tmp_path, ", directives: {lighting.source: rim}")
    assert key(old) == key(new) and new.warnings == ()
    assert old.setups["directives"].backend == "measured" and len(old.warnings) == 2
    assert all("shots.yaml:1" in line for line in old.warnings)
    assert any("style.light" in line and "lighting.source" in line for line in old.warnings)
    assert any("'brief'" in line and "'measured'" in line for line in old.warnings)
    (told,) = resolved(tmp_path, ", brief: 'A portrait, style.light=rim'").warnings
    assert "field 'brief'" in told and "lighting.source" in told


def test_a_studios_own_value_is_valid_where_its_file_is_named(tmp_path: Path, context) -> None:
    (tmp_path / "ours.yaml").write_text(
        'studio: kumo\nversion: "1.2"\nextends: "2.0"\nfields:\n  - field: prop.lantern\n    group: subjects\n'
        "    meaning: The lantern\n    tags:\n"
        "      - {value: lit, meaning: It burns, appearance: A warm spot, synonyms: [lit lantern, 灯籠]}\n"
    )
    with pytest.raises(InputError, match=r"unknown directive 'prop\.lantern'"):
        resolved(tmp_path, ", directives: {prop.lantern: lit}")
    more = ", directives: {prop.lantern: lit}, stages: {directives: {taxonomy: ours.yaml}}"
    assert resolved(tmp_path, more).shot.directives == {"prop.lantern": "lit"}
    given = context(brief="a lit lantern", settings={"taxonomy": tmp_path / "ours.yaml"})
    record = made(given)
    assert record.taxonomy == "2.0+kumo-1.2" and origin(record, "prop.lantern") == ("lit", "brief")
    (tmp_path / "ours.yaml").write_text("studio: kumo\nfields: [\n")
    with pytest.raises(InputError, match=r"ours\.yaml:\d+: ") as refused:
        resolved(tmp_path, more)
    assert "\n" not in str(refused.value)
