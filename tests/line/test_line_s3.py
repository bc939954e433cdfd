"""The whole line and every command over a real S3 service, with the toy studio's five stages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from support.command import Command
from support.s3proxy import S3Proxy
from support.s3server import BUCKET, S3Server, s3, s3_server, use

from studio_pipeline.line.home import open_home
from studio_pipeline.line.make import make_stage
from studio_pipeline.line.overrides import with_overrides
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.shots import open_studio
from studio_pipeline.schema.errors import InputError, StorageError
from studio_pipeline.store.pins import PinBook

__all__ = ["s3", "s3_server"]

STAGES = ["character", "rig", "directives", "takes", "reference_clip"]


@pytest.fixture
def place(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of its own, which the environment names."""
    found = s3.place()
    monkeypatch.setenv("STUDIO_STORE", found)
    return found


@pytest.fixture
def studio(command: Command) -> Command:
    """The command in the home that the environment names."""
    return command


def states(printed: str) -> dict[str, str]:
    return {row["stage"]: row["state"] for row in json.loads(printed)["stages"]}


def planned(printed: str) -> dict[str, str]:
    return {row["stage"]: row["state"] for row in json.loads(printed)["shots"][0]["stages"]}


def objects(server: S3Server, place: str) -> dict[str, bytes]:
    client, prefix = server.client(), place.removeprefix(f"s3://{BUCKET}/") + "/"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    names = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return {name.removeprefix(prefix): client.get_object(Bucket=BUCKET, Key=name)["Body"].read() for name in names}


@pytest.mark.slow
def test_run_plan_status_why_verify_gc_and_a_second_machine(toy, place, s3, studio: Command, shots, tmp_path: Path):
    shots()
    code, printed, _ = studio("run", "shots.yaml", "--json")
    assert code == 0 and states(printed) == dict.fromkeys(STAGES, "made") and sorted(toy.calls) == sorted(STAGES)
    assert all(row["artifact"].startswith(place + "/artifacts/") for row in json.loads(printed)["stages"])
    before = objects(s3, place)
    assert not list((tmp_path / "home").rglob("manifest.json"))

    code, printed, _ = studio("plan", "shots.yaml", "--json")
    assert code == 0 and planned(printed) == dict.fromkeys(STAGES, "cached")
    code, printed, _ = studio("status", "--json")
    assert planned(printed) == dict.fromkeys(STAGES, "cached")
    code, printed, _ = studio("verify")
    assert code == 0 and printed.startswith("5 artifacts") and "0 damaged" in printed
    assert studio("gc", "--dry-run", "--days", "0")[1].startswith("would remove 0 artifacts")
    assert objects(s3, place) == before  # looking wrote nothing
    code, printed, _ = studio("run", "shots.yaml", "--json")
    assert code == 0 and states(printed) == dict.fromkeys(STAGES, "cached") and len(toy.calls) == 5

    shutil.rmtree(tmp_path / "home")  # another machine: the home is new, the artifacts are there
    open_studio.__globals__["_open"].cache_clear()
    code, printed, _ = studio("run", "shots.yaml", "--json")
    assert states(printed) == dict.fromkeys(STAGES, "cached") and len(toy.calls) == 5

    shots("  brief: a longer one\n")
    code, printed, _ = studio("run", "shots.yaml", "--json")
    assert states(printed)["character"] == "cached" and states(printed)["takes"] == "made"
    assert "shot.brief" in studio("why", "toy_a_0010", "directives")[1]
    assert [row["version"] for row in json.loads(studio("history", "toy_a_0010", "--json")[1])["versions"]].count(
        "v002"
    ) == 3


def test_damage_is_found_by_plan_and_made_again_alone(toy, place, s3, shots):
    (shot,) = shots()
    store = open_studio()
    for stage in STAGES:
        make_stage(store, shot, stage)
    client, prefix = s3.client(), place.removeprefix(f"s3://{BUCKET}/")
    for how in ("flip", "truncate", "delete", "manifest"):
        toy.calls.clear()
        rig = store.shots.published(shot.id, "rig")
        artifact = store.get(rig.key, rig.generation)
        name = f"{artifact.payload}value.json"
        if how == "manifest":
            name = f"artifacts/{rig.key[:2]}/{rig.key}/g{rig.generation:04d}/manifest.json"
        where, data = {"Bucket": BUCKET, "Key": f"{prefix}/{name}"}, store.primitive.read(name).data
        if how == "delete":
            client.delete_object(**where)
        else:
            client.put_object(Body=data[:-1] if how == "truncate" else bytes([data[0] ^ 1]) + data[1:], **where)
        plan = plan_shot(store, shot)
        assert {item.stage: item.state for item in plan.stages}["rig"] == "would run", how
        assert (
            next(item for item in plan.stages if item.stage == "rig").reason.startswith("damaged: ") and not toy.calls
        )
        for stage in plan.to_launch():
            make_stage(store, shot, stage)
        assert toy.calls == ["rig"]  # the same content comes out: nothing below it runs
        assert {item.state for item in plan_shot(store, shot).stages} == {"cached"}
    assert store.generations(store.shots.published(shot.id, "rig").key) == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_an_input_that_rots_unseen_is_made_again_by_the_same_run(toy, place, studio: Command, shots, monkeypatch):
    """Its etag says nothing; the stage that reads it finds out."""
    shots()
    assert studio("run", "shots.yaml", "--stage", "rig", "--json")[0] == 0
    store = open_studio()
    rig = store.shots.published("toy_a_0010", "rig")
    payload, real, hit = store.get(rig.key, 1).payload, store.primitive.open, []

    def rotten(name: str):
        stream = real(name)
        if name.startswith(payload):
            import io

            hit.append(name)
            return io.BytesIO(stream.read()[:-1] + b"9")
        return stream

    monkeypatch.setattr(store.primitive, "open", rotten)
    toy.calls.clear()
    assert studio("run", "shots.yaml", "--json")[0] == 0 and hit
    assert toy.calls == ["directives", "rig", "takes", "reference_clip"]
    assert store.is_quarantined(rig.key, 1) and store.generations(rig.key) == [1, 2]


def test_pinned_files_go_through_the_store(toy, place, shots, tmp_path: Path):
    (shot,) = shots()
    store, book = open_studio(), PinBook(open_studio().primitive)
    from studio_pipeline.line.digests import digest_input
    from studio_pipeline.stages.base import Override

    rig = next(stage for stage in __import__("support.toys", fromlist=["STAGES"]).STAGES if stage.name == "rig")
    object.__setattr__(rig, "override", Override(backend="toy", setting="file"))
    try:
        hand = tmp_path / "hand.txt"
        hand.write_bytes(b"by hand")
        kept = book.keep(digest_input(hand), {"hand.txt": hand}, "hand.txt")
        pin = book.pin(shot.id, "rig", file=kept, content=digest_input(hand), source=str(hand))
        hand.unlink()
        found = with_overrides(store, shot).setups["rig"].settings.file
        assert found.read_bytes() == b"by hand" and found.is_relative_to(open_home().cache)
        assert make_stage(store, shot, "character").made
        assert make_stage(store, shot, "rig").figures["value"] == 1 + len(b"by hand")
        store.primitive.client.call("put_object", Key=store.primitive._key(pin.file), Body=b"by hanD")
        with pytest.raises(StorageError, match="override it again"):
            plan_shot(store, shot)
    finally:
        object.__setattr__(rig, "override", None)


@pytest.mark.slow
def test_no_secret_is_written_or_said(toy, place, s3, studio: Command, shots, tmp_path: Path, monkeypatch):
    """The key is planted; a run, a failure, a refusal and a crash of the service: it is nowhere that anybody reads."""
    said = []
    shots()
    said += studio("run", "shots.yaml", "--json")
    toy.during["rig"] = lambda context: (_ for _ in ()).throw(RuntimeError("boom"))
    shots("  stages: {rig: {gain: 2}}\n")
    code, *printed = studio("run", "shots.yaml")
    assert code == 1
    said += [*printed, *studio("status"), *studio("verify")]
    with S3Proxy(s3, lambda method, path, number: 403) as proxy:
        use(monkeypatch, {**proxy.environment, "AWS_SESSION_TOKEN": "token-" + s3.secret})
        open_studio.__globals__["_open"].cache_clear()
        code, *printed = studio("status")
        assert code == 4
        said += printed
    wrong = "wrong-" + uuid.uuid4().hex
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", wrong)
    open_studio.__globals__["_open"].cache_clear()
    code, *printed = studio("run", "shots.yaml")
    assert code == 4 and len(printed[1].strip().splitlines()) == 1
    said += printed
    everything = "\n".join(map(str, said)).encode() + b"".join(objects(s3, place).values())
    for path in tmp_path.rglob("*"):
        if path.is_file():
            everything += path.read_bytes()
    for secret in (s3.secret, wrong):
        assert secret.encode() not in everything
    assert len(everything) > 20_000


def test_pictures_are_fetched_for_the_ui(toy, place, studio: Command, shots):
    from studio_pipeline.dag.ui import picture_path

    shots()
    store = open_studio()
    folder = Path("work")
    folder.mkdir()
    (folder / "preview.png").write_bytes(b"pixels")
    made = store.commit("ab" * 32, folder, {"stage": "rig"})
    assert picture_path(store, made.key, "1", "preview.png").read_bytes() == b"pixels"
    for key, generation, name in ((made.key, "2", "preview.png"), (made.key, "1", "other.png"), ("x", "1", "a.png")):
        assert picture_path(store, key, generation, name) is None


def test_the_home_may_name_the_store(s3, tmp_path: Path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("STUDIO_HOME", str(home))
    (home / "studio.yaml").write_text(f"store: {s3.place()}\ncache: {tmp_path / 'elsewhere'}\ncache_gb: 0.5\n")
    found = open_home()
    assert (found.store.startswith("s3://"), found.cache, found.cache_bytes) == (
        True, tmp_path / "elsewhere", 500_000_000,
    )  # fmt: skip
    assert open_studio().url == found.store and not (home / "store").exists()
    monkeypatch.setenv("STUDIO_STORE", str(tmp_path / "disk"))  # the environment wins
    assert open_studio().url == str(tmp_path / "disk")
    for wrong in ("stor: x\n", "- a\n", "store: [\n", "cache_gb: lots\n", "!!python/object/apply:os.system ['x']\n"):
        (home / "studio.yaml").write_text(wrong)
        with pytest.raises(InputError) as error:
            open_studio()
        assert "\n" not in str(error.value)


def test_a_temporary_home_is_local_whatever_the_environment_says(place, s3):
    from studio_pipeline.cli.adhoc import temporary_home

    with temporary_home() as store:
        assert store.primitive.folder("") is not None
    assert os.environ["STUDIO_STORE"] == place and objects(s3, place) == {}


def test_a_plan_takes_few_requests(toy, place, shots):
    listed = shots(ids=tuple(f"{number:04d}" for number in range(16)))
    store = open_studio()
    for shot in listed:
        for stage in STAGES:
            make_stage(store, shot, stage)
    counted = store.primitive.client.requests
    counted.clear()
    seen = store.snapshot([shot.id for shot in listed])
    plans = [plan_shot(seen, shot) for shot in listed]
    assert all(item.state == "cached" for plan in plans for item in plan.stages)
    # A listing or two a shot; nothing is asked for file by file.
    assert set(counted) <= {"list_objects_v2", "get_object"} and counted["list_objects_v2"] <= 3 * len(listed)
    counted.clear()
    seen = store.snapshot([shot.id for shot in listed])
    assert [plan_shot(seen, shot) for shot in listed] and set(counted) == {"list_objects_v2"}


@pytest.mark.slow
def test_a_plan_in_a_process_of_its_own_needs_the_environment_only(place, s3, tmp_path: Path):
    environment = {**os.environ, "STUDIO_HOME": str(tmp_path / "home")}
    environment.pop("DAGSTER_HOME", None)
    (tmp_path / "shots.yaml").write_text("- {show: a, sequence: b, shot: '1', character: mochi, frames: [1, 4]}\n")
    done = subprocess.run(
        [sys.executable, "-m", "studio_pipeline.cli", "plan", str(tmp_path / "shots.yaml"), "--json"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["would_run"] == 13 and objects(s3, place) == {}
