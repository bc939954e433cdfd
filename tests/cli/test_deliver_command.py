"""`studio deliver`, `verify --delivery`, `provenance`, `gc --dry-run`, `retry`: as a TD meets them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from support.toys import Toy

import studio_pipeline.dag.launch as launch
from studio_pipeline.line.make import make_stage
from studio_pipeline.line.shots import save_shot
from studio_pipeline.schema.errors import InputError

SHOT = "toy_a_0010"


@pytest.fixture
def made(delivering: Toy, shots, make_all) -> Toy:
    for shot in shots(ids=("0010", "0020")):
        make_all(shot)
    return delivering


def test_a_shot_and_a_list_are_delivered_and_checked(hands, made: Toy) -> None:
    code, out, _ = hands("deliver", SHOT, "one", "--to", "to")
    assert code == 0 and f"{SHOT}  v001  pending\n" in out and "to/one: delivered, 27 files" in out
    assert "was there already, every byte checked" in hands("deliver", SHOT, "one", "--to", "to")[1]
    code, out, _ = hands("deliver", "shots.yaml", "both", "--to", "to", "--timeline", "--json")
    manifest = json.loads(out)
    assert code == 0 and sorted(manifest["shots"]) == [SHOT, "toy_a_0020"] and "both.otio" in manifest["files"]
    assert hands("deliver", "shots.yaml", "both", "--to", "to", "--timeline")[0] == 0
    code, _, err = hands("deliver", "shots.yaml", "one", "--to", "to")
    assert code == 2 and "toy_a_0020 delivery is only in the new one - choose another name" in err
    assert hands("verify", "--delivery", "to/both")[1].endswith("0 problems\n")
    victim = Path("to/both", SHOT, f"{SHOT}.mp4")
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    code, out, _ = hands("verify", "--delivery", "to/both")
    assert code == 1 and f"{SHOT}.mp4: its bytes have changed since the delivery" in out
    code, _, err = hands("deliver", "shots.yaml", "both", "--to", "to", "--timeline")
    assert code == 5 and "move the folder away" in err
    rows = json.loads(hands("history", SHOT, "--json")[1])["versions"]
    assert next(row["delivered"] for row in rows if row["stage"] == "delivery") == ["both", "one"]
    assert "as both" in hands("history", SHOT)[1]


def test_what_was_delivered_is_listed(hands, made: Toy, store) -> None:
    assert hands("deliveries")[1] == "nothing was delivered\n"
    assert hands("deliver", SHOT, "one", "--to", "to", "--by", "ana")[0] == 0
    assert hands("deliver", "shots.yaml", "both", "--to", "to", "--by", "bo")[0] == 0
    code, out, _ = hands("deliveries")
    rows = [line.split("  ") for line in out.splitlines()]
    assert code == 0 and [(row[0], *row[2:]) for row in rows] == [
        ("one", "ana", f"{SHOT} v001"),
        ("both", "bo", f"{SHOT} v001, toy_a_0020 v001"),
    ]
    found = json.loads(hands("deliveries", "--shot", "toy_a_0020", "--json")[1])
    assert [item["name"] for item in found["deliveries"]] == ["both"] and not found["problems"]
    assert hands("deliveries", "--shot", "toy_a_0099")[0] == 2
    record = made.home / "store" / "deliveries" / "one" / "record.json"
    record.chmod(0o644)
    record.write_text(record.read_text().replace("ana", "bob"))
    code, out, err = hands("deliveries")
    assert code == 1 and out.startswith("both") and "deliveries/one/record.json" in err


def test_only_what_is_approved_when_that_is_said(hands, made: Toy) -> None:
    hands("approve", SHOT, "v001")
    code, _, err = hands("deliver", "shots.yaml", "a", "--to", "to", "--approved")
    assert code == 2 and "toy_a_0020 delivery v001: is pending" in err and not Path("to").exists()
    assert hands("deliver", "shots.yaml", "a", "--to", "to", "--approved", "--shot", SHOT)[0] == 0
    hands("changes", SHOT, "v001", "--note", "softer")
    assert hands("deliver", SHOT, "b", "--to", "to")[0] == 2
    assert hands("deliver", SHOT, "b", "--to", "to", "--even-changes")[0] == 0


def test_a_folder_that_cannot_be_written_is_one_line_and_takes_no_name(hands, made: Toy) -> None:
    Path("file").write_text("x")
    code, out, err = hands("deliver", SHOT, "one", "--to", "file/below")
    assert code == 4 and err.count("\n") == 1 and out == ""
    assert hands("deliver", SHOT, "one", "--to", "to")[0] == 0


def test_provenance_is_told_to_people_and_to_programs(hands, made: Toy, tmp_path: Path) -> None:
    code, out, _ = hands("provenance", SHOT)
    assert code == 0 and [line.split()[0] for line in out.splitlines() if line[0] != " "] == [
        "character", "rig", "directives", "takes", "reference_clip", "delivery"
    ]  # fmt: skip
    assert f"hero.obj  {hashlib.sha256((tmp_path / 'hero.obj').read_bytes()).hexdigest()[:12]}" in out
    found = json.loads(hands("provenance", SHOT, "--stage", "rig", "--json")[1])
    assert {item["stage"] for item in found["artifacts"].values()} == {"character", "rig"}
    assert hands("provenance", SHOT, "--version", "v007")[0] == 2 and hands("provenance", "toy_a_0099")[0] == 2


def test_dagsters_metadata_leads_from_a_delivery_to_the_character(hands, delivering: Toy, shots, store) -> None:
    """Follow the links from asset to asset, as somebody clicks: each leads to the artifact that was really read."""
    (shot,) = shots()
    save_shot(store, shot)
    assert hands("run", "shots.yaml")[0] == 0
    from studio_pipeline.store import Store

    def links(instance, stage: str) -> dict[str, tuple[str, int]]:
        import dagster as dg

        event = instance.get_latest_materialization_event(dg.AssetKey(stage)).asset_materialization
        text = event.metadata["made_from"].md_str
        pattern = (
            r"\[(\w+)\]\(/assets/\1\?view=partitions&partition=toy_a_0010\) \[`\w+`\]\(/studio-provenance/(\w+)/(\d+)\)"
        )
        return {name: (key, int(number)) for name, key, number in re.findall(pattern, text)}

    assert isinstance(store, Store)
    with launch.open_instance() as instance:
        stage, trail = "delivery", []
        while found := links(instance, stage):
            artifact = store.get(*found[next(iter(found))])
            stage = artifact.stage
            trail.append(stage)
            assert (artifact.key, artifact.generation) == (
                store.shots.published(SHOT, stage).key, store.shots.published(SHOT, stage).generation
            )  # fmt: skip
    assert trail == ["reference_clip", "takes", "rig", "character"]


def test_gc_says_what_goes(hands, made: Toy, store, shots) -> None:
    (shot,) = shots("  stages: {rig: {gain: 2}}\n")
    outcome = make_stage(store, shot, "rig")
    for path in (made.home / "store" / "shots" / SHOT / "published" / "rig").glob("v002*"):
        path.unlink()
    code, out, _ = hands("gc", "--days", "0", "--dry-run")
    assert code == 0 and out.startswith(f"rig {outcome.key[:12]} g0001 ") and out.splitlines()[0].endswith(SHOT)
    assert "would remove 1 artifacts" in out and store.find(outcome.key) is not None
    found = json.loads(hands("gc", "--days", "0", "--json")[1])
    assert [item["stage"] for item in found["removed"]] == ["rig"] and store.find(outcome.key) is None


def test_retry_runs_the_list_as_it_was_mended(hands, delivering: Toy, shots) -> None:
    shots("  stages: {rig: {gain: 5}}\n")
    delivering.broken["rig"] = InputError("gain 5 is too much")
    assert hands("run", "shots.yaml")[0] == 1
    delivering.broken.clear()
    shots("  stages: {rig: {gain: 2}}\n")  # mended by hand: what failed failed under another key
    delivering.calls.clear()
    code, out, _ = hands("retry", "--json")
    rows = {row["stage"]: row for row in json.loads(out)["stages"]}
    assert code == 0 and rows["rig"]["figures"]["value"] == 2 and "character" not in delivering.calls
    assert hands("retry")[2] == "studio: nothing has failed\n"


def test_retry_of_one_shot_is_not_stopped_by_another(hands, made: Toy, shots, tmp_path: Path) -> None:
    made.broken["rig"] = InputError("no limbs")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "other.obj").write_text("v 1 0 0\n")
    text = "- {show: toy, sequence: b, shot: '0010', character: other.obj}\n"
    (tmp_path / "b" / "shots.yaml").write_text(text)
    shots("  stages: {rig: {gain: 3}}\n", ids=("0010", "0020"))
    assert hands("run", "shots.yaml", "b/shots.yaml")[0] == 1
    made.broken.clear()
    (tmp_path / "b" / "other.obj").unlink()
    code, out, err = hands("retry", "--json")
    assert code == 2 and "toy_b_0010" in err and "other.obj" in err
    assert {row["shot"] for row in json.loads(out)["stages"]} == {SHOT, "toy_a_0020"}
    code, out, err = hands("status")
    assert code == 2 and SHOT in out and err.count("\n") == 1 and "toy_b_0010" in err
