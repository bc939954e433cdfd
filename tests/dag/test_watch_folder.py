"""The watched folder: what a new, a changed, a half-written, a broken, a hostile and a vanished list lead to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from support.toys import Toy

import studio_pipeline.dag.launch as launch
import studio_pipeline.line.watching as watching
from studio_pipeline.dag.assets import SHOTS, Studio
from studio_pipeline.dag.build import build_definitions
from studio_pipeline.dag.watch import Watched, watch_folder
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.shots import load_shot
from studio_pipeline.schema.errors import InputError, StorageError

ENTRY = "- show: toy\n  sequence: a\n  shot: '{code}'\n  character: ../hero.obj\n"
ALL = ["character", "rig", "directives", "takes", "reference_clip"]


class Desk:
    """A folder, an instance, and the looks at it."""

    def __init__(self, folder: Path, store, instance: dg.DagsterInstance) -> None:
        self.folder, self.store, self.instance, self.cursor = folder, store, instance, ""

    def write(self, name: str, text: str, *, ago: float = 60.0) -> Path:
        path = self.folder / name
        path.write_text(text)
        self.settle(path, ago)
        return path

    def settle(self, path: Path, ago: float = 60.0) -> None:
        os.utime(path, (time.time() - ago, time.time() - ago))

    def look(self) -> Watched:
        found = watch_folder(self.instance, self.store, self.folder, self.cursor)
        self.cursor = found.cursor
        return found

    def launched(self) -> list[str]:
        return sorted(request.partition_key for request in self.look().requests)

    def run(self, found: Watched) -> None:
        for request in found.requests:
            stages = [key.to_user_string() for key in request.asset_selection]
            launch.run_shot(self.instance, request.partition_key, stages)


@pytest.fixture
def desk(toy: Toy, store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in ("STUDIO_HOOK_URL", "STUDIO_HOOK_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "lists").mkdir()
    launch._job.cache_clear()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Desk(tmp_path / "lists", store, instance)
    launch._job.cache_clear()


def entries(*codes: str, extra: str = "") -> str:
    return "".join(ENTRY.format(code=code) + extra for code in codes)


def test_a_new_list_is_launched_once_and_a_changed_shot_alone(toy: Toy, desk: Desk) -> None:
    desk.write("one.yaml", entries("0010", "0020"))
    found = desk.look()
    assert [request.partition_key for request in found.requests] == ["toy_a_0010", "toy_a_0020"]
    (first, _) = found.requests
    assert [key.to_user_string() for key in first.asset_selection] == ALL
    assert first.tags["studio/show"] == "toy" and first.tags["studio/batch"] == "watch:one.yaml"
    assert set(desk.instance.get_dynamic_partitions(SHOTS.name)) == {"toy_a_0010", "toy_a_0020"}
    desk.run(found)
    assert desk.launched() == []
    desk.write("one.yaml", entries("0010") + entries("0020", extra="  stages: {rig: {gain: 3}}\n"))
    found = desk.look()
    (request,) = found.requests
    assert request.partition_key == "toy_a_0020"
    assert {key.to_user_string() for key in request.asset_selection} == {"rig", "takes", "reference_clip"}
    toy.calls.clear()
    desk.run(found)
    assert toy.calls == ["rig", "takes", "reference_clip"]
    desk.settle(desk.folder / "one.yaml", 30.0)  # touched, not changed
    assert desk.launched() == []


def test_what_is_cached_is_published_and_reported_and_launches_nothing(toy: Toy, desk: Desk) -> None:
    desk.write("one.yaml", entries("0010"))
    desk.run(desk.look())
    toy.calls.clear()
    desk.write("two.yaml", entries("0030"))  # the same ingredients: another shot's work
    assert desk.launched() == [] and toy.calls == []
    assert {item.version for item in plan_shot(desk.store, load_shot(desk.store, "toy_a_0030")).stages} == {"v001"}
    wanted = dg.EventRecordsFilter(
        event_type=dg.DagsterEventType.ASSET_MATERIALIZATION,
        asset_key=dg.AssetKey("rig"),
        asset_partitions=["toy_a_0030"],
    )
    assert len(desk.instance.get_event_records(wanted)) == 1


def test_a_list_that_is_still_being_written_waits(desk: Desk) -> None:
    path = desk.write("one.yaml", entries("0010")[:-20], ago=1.0)
    assert desk.look().told == []  # half a list is no broken list
    path.write_text(entries("0010"))
    desk.settle(path, 0.5)
    assert desk.launched() == []
    assert desk.launched() == ["toy_a_0010"]  # it hasn't moved since the look before
    desk.settle(desk.write("two.yaml", entries("0020")), -3600.0)  # another machine's clock is fast
    assert desk.launched() == [] and desk.launched() == ["toy_a_0020"]
    path = desk.write("two.yaml", entries("0020") + entries("0030"), ago=1.0)
    assert desk.launched() == []
    desk.settle(path)
    assert "toy_a_0030" in desk.launched()  # changed while it was unsettled, and not forgotten


def test_a_broken_list_is_told_once_harms_no_other_and_is_quietly_tried_again(
    toy: Toy, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_HOOK_FILE", str(tmp_path / "told.jsonl"))
    desk.write("bad.yaml", entries("0010", extra="  stages: {rig: {gian: 2}}\n") + entries("0011"))
    desk.write("good.yaml", entries("0020"))
    found = desk.look()
    assert [request.partition_key for request in found.requests] == ["toy_a_0020"]
    (line,) = found.told
    assert "bad.yaml:5" in line and "gian" in line
    assert [json.loads(text)["cause"] for text in (tmp_path / "told.jsonl").read_text().splitlines()] == [line]
    assert desk.look().told == [] and len((tmp_path / "told.jsonl").read_text().splitlines()) == 1
    desk.write("bad.yaml", entries("0010", extra="  character: none.obj\n").replace("  character: ../hero.obj\n", ""))
    (line,) = desk.look().told  # other content: told anew
    assert "none.obj" in line
    (desk.folder / "none.obj").write_text("v 0 0 0\n")
    assert desk.launched() == []
    monkeypatch.setattr(watching, "AGAIN", 0.0)
    assert desk.launched() == ["toy_a_0010"]  # what it lacked is there now


def test_a_vanished_list_and_a_vanished_folder_do_nothing(desk: Desk) -> None:
    path = desk.write("one.yaml", entries("0010"))
    desk.run(desk.look())
    text = path.read_text()
    path.unlink()
    assert desk.look() == Watched([], [], "{}")
    desk.write("one.yaml", text)
    assert desk.launched() == []
    away = desk.folder.rename(desk.folder.with_name("away"))
    before = desk.cursor
    assert desk.look() == Watched([], [], before)
    away.rename(desk.folder)
    assert desk.launched() == []


def test_what_is_no_shot_list_is_not_opened(desk: Desk) -> None:
    os.mkfifo(desk.folder / "pipe.yaml")
    (desk.folder / "folder.yaml").mkdir()
    (desk.folder / "dangling.yaml").symlink_to("nowhere.yaml")
    for name in (".hidden.yaml", "one.yaml~", "one.yaml.part", "notes.txt"):
        desk.write(name, entries("0010"))
    assert desk.look() == Watched([], [], "{}")


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{n}: &{n} [{','.join('*' + m for _ in range(9))}]\n" for m, n in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "hostile.yaml"),
        ("!!python/object/apply:os.system ['touch owned']\n", "hostile.yaml"),
        ("- " * 5000 + "x\n", "hostile.yaml"),
        ("\x00\x01\x02", "hostile.yaml"),
        ("x" * (9 << 20), "larger than 8 MB"),
        ("- show: ../../etc\n  sequence: a\n  shot: '1'\n  character: ../hero.obj\n", "show"),
        ("", "hostile.yaml"),
    ],
)
def test_hostile_yaml_is_bounded_and_told(desk: Desk, tmp_path: Path, text: str, said: str) -> None:
    desk.write("hostile.yaml", text)
    desk.write("z_good.yaml", entries("0020"))
    found = desk.look()
    assert [request.partition_key for request in found.requests] == ["toy_a_0020"]
    assert found.told and said in found.told[0] and all("\n" not in line for line in found.told)
    assert not (tmp_path / "owned").exists() and len(found.cursor) < 1000


def test_many_problems_and_many_lists_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("bad.yaml", "".join(entries(f"{n:04d}", extra="  stages: {rig: {gian: 2}}\n") for n in range(60)))
    assert len(desk.look().told) == watching.MOST_LINES + 1
    monkeypatch.setattr(watching, "MOST_FILES", 3)
    for n in range(5):
        desk.write(f"list{n}.yaml", entries(f"1{n:03d}"))
    found = desk.look()
    assert len(found.requests) == 2 and "only the first 3 of 6" in found.told[-1]


def test_a_shot_belongs_to_one_list(desk: Desk) -> None:
    desk.write("one.yaml", entries("0010"))
    assert desk.launched() == ["toy_a_0010"]
    desk.write("two.yaml", entries("0010", extra="  stages: {rig: {gain: 3}}\n"))
    found = desk.look()
    assert found.requests == [] and "shot toy_a_0010 is given by one.yaml already" in found.told[0]
    (desk.folder / "one.yaml").unlink()  # renamed, in effect
    desk.write("two.yaml", entries("0010", extra="  stages: {rig: {gain: 3}}\n") + "\n")
    assert desk.launched() == ["toy_a_0010"]


def test_what_failed_just_so_before_is_left_to_people(toy: Toy, desk: Desk) -> None:
    desk.write("one.yaml", entries("0010"))
    toy.broken["character"] = InputError("no limbs")
    desk.run(desk.look())
    desk.write("one.yaml", entries("0010") + entries("0020"))
    toy.broken.clear()
    assert desk.launched() == ["toy_a_0020"]
    desk.write("one.yaml", entries("0010", extra="  stages: {character: {gain: 2}}\n") + entries("0020"))
    assert "toy_a_0010" in desk.launched()


def test_a_store_that_is_away_costs_one_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import studio_pipeline.dag.watch as watch

    desk.write("one.yaml", entries("0010"))
    keep = watch.save_shot

    def away(*_: object) -> None:
        raise StorageError("no answer")

    monkeypatch.setattr(watch, "save_shot", away)
    found = desk.look()
    assert found.requests == [] and "no answer; it is looked at again" in found.told[0]
    monkeypatch.setattr(watch, "save_shot", keep)
    assert desk.launched() == ["toy_a_0010"]


def test_the_sensor_looks_where_the_setting_says(desk: Desk, monkeypatch: pytest.MonkeyPatch, toy: Toy) -> None:
    def sensor() -> dg.SensorDefinition:
        return build_definitions().resolve_sensor_def("watch")

    def evaluate(cursor: str | None = None):
        with dg.build_sensor_context(instance=desk.instance, resources={"studio": Studio()}, cursor=cursor) as context:
            return sensor()(context)

    monkeypatch.delenv("STUDIO_WATCH", raising=False)
    assert sensor().default_status == dg.DefaultSensorStatus.STOPPED
    assert isinstance(evaluate(), dg.SkipReason)
    (toy.home / "studio.yaml").write_text(f"watch: {desk.folder}\n")
    assert sensor().default_status == dg.DefaultSensorStatus.RUNNING
    desk.write("one.yaml", entries("0010"))
    result = evaluate()
    assert [request.partition_key for request in result.run_requests] == ["toy_a_0010"]
    assert evaluate(result.cursor).run_requests == []
