from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import yaml
from support.toys import Toy

from studio_pipeline.line.afresh import start_afresh
from studio_pipeline.line.deliver import check_writable
from studio_pipeline.line.make import Busy, GateClosed, StageCrashed, WorkersLost, make_stage
from studio_pipeline.line.plan import plan_shot, selection
from studio_pipeline.line.shots import failed_shots, load_shot, save_shot
from studio_pipeline.line.shotview import ShotView
from studio_pipeline.line.why import explain
from studio_pipeline.schema.errors import InputError, StorageError, StorageFull
from studio_pipeline.store import Work
from studio_pipeline.store.manifest import decode_record, encode_record

ALL = ["character", "rig", "directives", "takes", "reference_clip"]


def states(store, shot) -> dict[str, str]:
    return {item.stage: item.state for item in plan_shot(store, shot).stages}


def make_all(store, shot, names=ALL):
    return {name: make_stage(store, shot, name) for name in names}


def test_everything_runs_once_and_then_nothing(toy: Toy, shots, store) -> None:
    (shot,) = shots()
    assert states(store, shot) == dict.fromkeys(ALL, "would run")
    made = make_all(store, shot)
    assert toy.calls == ALL and all(outcome.made and outcome.version == "v001" for outcome in made.values())
    assert states(store, shot) == dict.fromkeys(ALL, "cached")
    assert not any(outcome.made for outcome in make_all(store, shot).values())
    assert toy.calls == ALL


def test_a_changed_setting_reruns_what_hangs_on_it_only(toy: Toy, shots, store) -> None:
    make_all(store, shots()[0])
    toy.calls.clear()
    (shot,) = shots("  stages: {rig: {gain: 3}}\n")
    plan = {item.stage: item for item in plan_shot(store, shot).stages}
    assert [name for name in ALL if plan[name].state == "cached"] == ["character", "directives"]
    assert "settings.gain: 1.0 -> 3.0" in plan["rig"].reason
    made = make_all(store, shot)
    assert toy.calls == ["rig", "takes", "reference_clip"]
    assert made["rig"].version == "v002" and made["character"].version == "v001"


def test_equal_content_upstream_means_no_work_downstream(toy: Toy, shots, store) -> None:
    make_all(store, shots()[0])
    toy.calls.clear()
    (shot,) = shots("  stages: {rig: {gain: 1.1}}\n")
    made = make_all(store, shot)
    # The rig's code ran and gave the same bytes, so nothing after it did; its summary names no setting.
    assert toy.calls == ["rig"] and not made["takes"].made


def test_why_names_the_ingredient(toy: Toy, shots, store) -> None:
    make_all(store, shots()[0])
    toy.code["rig"] = "edited"
    (shot,) = shots("  brief: a longer story\n")
    assert "code" in explain(store, shot, "rig").headline
    assert "shot.brief" in explain(store, shot, "directives").headline
    make_all(store, shot)
    answer = explain(store, shot, "directives")
    assert answer.state == "cached" and any("shot.brief" in change for change in answer.changes)


def test_a_failure_is_kept_and_only_it_and_its_dependents_run_again(toy: Toy, shots, store) -> None:
    (shot,) = shots()
    save_shot(store, shot)
    toy.broken["rig"] = InputError("mesh has no limbs", where="hero.glb", do="draw some")
    make_stage(store, shot, "character")
    with pytest.raises(InputError, match="toy_a_0010 rig: hero.glb: mesh has no limbs - draw some"):
        make_stage(store, shot, "rig")
    make_stage(store, shot, "directives")
    with pytest.raises(GateClosed):
        make_stage(store, shot, "takes")
    plan = {item.stage: item for item in plan_shot(store, shot).stages}
    assert plan["rig"].failure and "failed before" in plan["rig"].reason
    assert [found.id for found in failed_shots(store)[0]] == [shot.id]
    toy.broken.clear()
    toy.calls.clear()
    make_all(store, shot)
    assert toy.calls == ["rig", "takes", "reference_clip"]
    assert failed_shots(store) == ([], {})


def test_a_crash_becomes_one_line_and_a_log(toy: Toy, shots, store) -> None:
    (shot,) = shots()
    toy.broken["character"] = ValueError("two\nlines")
    with pytest.raises(StageCrashed, match="ValueError: two lines"):
        make_stage(store, shot, "character")
    assert "two\nlines" in (toy.home / "logs" / "toy_a_0010.character.log").read_text()
    assert list((toy.home / "scratch").iterdir()) == []


def killed(store, key: str) -> None:
    """Leave what a killed worker of another machine leaves."""
    lease = store.leases.acquire(key, work=Work(shot="toy_a_0010", stage="rig", run="r"))
    lease.progress(0.6, "meshing")
    lease.renew()
    lease._stop.set()
    lease._thread.join()
    name = f"leases/{key[:2]}/{key}.json"
    content = store.primitive.read(name)
    record = decode_record(content.data, name) | {"expires": 1.0, "place": "elsewhere", "host": "node7"}
    store.primitive.replace_if(name, encode_record(record), content.etag)


def test_what_kills_its_workers_is_given_up_for_every_shot_and_retried_when_asked(toy: Toy, shots, store) -> None:
    one, two = shots(ids=("0010", "0020"))
    for shot in (one, two):
        save_shot(store, shot)
    make_stage(store, one, "character")
    key = plan_shot(store, one).stages[1].key
    for _ in range(2):
        killed(store, key)
    assert make_stage(store, one, "rig").made  # the third attempt is made as ever, and ends well
    again = shots("  stages: {rig: {gain: 2}}\n", ids=("0010", "0020"))
    for shot in again:
        save_shot(store, shot)
    key = plan_shot(store, again[0]).stages[1].key
    for _ in range(3):
        killed(store, key)
    toy.calls.clear()
    for shot in again:  # the second is told at once: the key was given up
        with pytest.raises(
            WorkersLost, match=r"rig: worker lost 3 times while .*node7 pid \d+ at 60% 'meshing'.*memory"
        ):
            make_stage(store, shot, "rig")
        assert "worker lost 3 times" in plan_shot(store, shot).stages[1].failure
        assert "worker lost 3 times" in explain(store, shot, "rig").headline
    failure = store.shots.last_failure(one.id, "rig")
    assert failure.details["kind"] == "WorkersLost" and failure.details["attempt"] == 4
    assert toy.calls == [] and len(failed_shots(store)[0]) == 2
    assert make_stage(store, shots("  stages: {rig: {gain: 3}}\n")[0], "rig").made  # a changed setting is another key
    assert start_afresh(store, again) == 1
    assert make_stage(store, again[1], "rig").made and toy.calls == ["rig", "rig"]


def test_a_worker_that_was_overtaken_waits_for_the_others_result(toy: Toy, shots, store) -> None:
    (shot,) = shots()

    def overtaken(context) -> None:
        (state,) = store.leases.standing()
        name = f"leases/{state.key[:2]}/{state.key}.json"
        content = store.primitive.read(name)
        record = decode_record(content.data, name) | {"holder": "another", "nonce": "x"}
        store.primitive.replace_if(name, encode_record(record), content.etag)

    toy.during["character"] = overtaken
    with pytest.raises(Busy, match="another worker took this step over"):
        make_stage(store, shot, "character")
    assert store.shots.last_failure(shot.id, "character") is None


def test_a_full_disk_is_said_and_leaves_nothing(toy: Toy, shots, store) -> None:
    (shot,) = shots()
    toy.broken["character"] = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StorageError, match="disk is full"):
        make_stage(store, shot, "character")
    assert states(store, shot)["character"] == "would run"
    assert list((toy.home / "scratch").iterdir()) == []


def test_a_disk_that_is_full_only_after_the_stage_is_said_as_well(toy: Toy, shots, store, monkeypatch) -> None:
    """The stage wrote its files, the line's own summary no longer fits; found by the farm's stress run."""
    import studio_pipeline.line.make as make

    def full(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    (shot,) = shots()
    monkeypatch.setattr(make, "save_json", full)
    with pytest.raises(StorageFull, match="disk is full"):
        make_stage(store, shot, "character")
    assert toy.calls == ["character"] and list((toy.home / "scratch").iterdir()) == []


def test_a_failed_gate_holds_what_comes_after(toy: Toy, shots, store) -> None:
    (shot,) = shots("  stages: {rig: {gate: false}}\n")
    make_all(store, shot, ["character", "rig", "directives"])
    plan = {item.stage: item for item in plan_shot(store, shot).stages}
    assert plan["rig"].state == "cached"
    assert plan["takes"].state == "waits" and plan["takes"].reason.startswith("rig failed sane")
    assert plan["reference_clip"].state == "waits"
    with pytest.raises(GateClosed, match="rig failed sane"):
        make_stage(store, shot, "takes")


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_damage_is_found_and_mended_alone(toy: Toy, shots, store, damage: str) -> None:
    (shot,) = shots()
    path = make_all(store, shot)["rig"].folder / "value.json"
    status, data = path.stat(), path.read_bytes()
    path.chmod(0o644)
    if damage == "flip":
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif damage == "truncate":
        path.write_bytes(b"")
    else:
        path.unlink()
    plan = {item.stage: item for item in plan_shot(store, shot, deep=True).stages}
    assert "damaged" in plan["rig"].reason and plan["takes"].state == "would run"
    toy.calls.clear()
    if damage == "flip":
        # The cheap look cannot see it; the run's deep plan did. The reader must see it too.
        store.quarantine(plan["rig"].key, 1, "found by the test")
    made = make_all(store, shot)
    assert toy.calls == ["rig"] and made["rig"].generation == 2


def test_a_file_setting_counts_by_content_not_by_path(toy: Toy, shots, store, tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "plate.mov").write_bytes(b"same")
    make_all(store, shots("  stages: {takes: {backend: plate, file: x/plate.mov}}\n")[0])
    (moved,) = shots("  stages: {takes: {backend: plate, file: y/plate.mov}}\n")
    assert set(states(store, moved).values()) == {"cached"}
    (tmp_path / "y" / "plate.mov").write_bytes(b"else!")
    (changed,) = shots("  stages: {takes: {backend: plate, file: y/plate.mov}}\n")
    # Digests are remembered by size and time, so the change shows in the same process too.
    assert states(store, changed)["takes"] == "would run"


def test_the_clip_block_may_stand_under_reference_clip(toy: Toy, shots, tmp_path: Path) -> None:
    (tmp_path / "p.mov").write_bytes(b"p")
    (shot,) = shots("  stages: {reference_clip: {backend: plate, file: p.mov}}\n")
    assert shot.setups["takes"].backend == "plate"
    assert shot.setups["takes"].settings.file == (tmp_path / "p.mov").resolve()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  stages: {rigg: {}}\n", "no stage is called 'rigg' - one of: rig"),
        ("  stages: {rig: {backend: unirig}}\n", "stage rig has no backend 'unirig'"),
        ("  stages: {rig: {gian: 2}}\n", "setting 'gian' is unknown here (known: backend, gain, gate, file)"),
        ("  stages: {rig: {gain: much}}\n", "setting 'gain'"),
        ("  stages: {takes: {backend: plate, file: none.mov}}\n", "no such file"),
    ],
)
def test_bad_blocks_are_named_with_file_and_line(toy: Toy, shots, text: str, said: str) -> None:
    with pytest.raises(InputError) as told:
        shots(text)
    assert said in str(told.value) and "shots.yaml:5" in str(told.value)


def test_all_problems_of_a_shot_are_told_together(toy: Toy, shots) -> None:
    with pytest.raises(InputError) as told:
        shots("  stages: {rig: {gian: 2}, takes: {backend: film}}\n")
    assert len(told.value.lines) == 2 and "gian" in told.value.lines[0] and "film" in told.value.lines[1]


def test_a_shot_comes_back_from_its_record(toy: Toy, shots, store) -> None:
    (shot,) = shots("  stages: {rig: {gain: 2}}\n")
    make_all(store, shot)
    save_shot(store, shot)
    assert set(states(store, load_shot(store, shot.id)).values()) == {"cached"}
    with pytest.raises(InputError, match="knows no shot toy_a_0011 - one of: toy_a_0010"):
        load_shot(store, "toy_a_0011")


def test_stages_share_work_between_shots(toy: Toy, shots, store) -> None:
    first, second = shots(ids=("0010", "0020"))
    make_all(store, first)
    toy.calls.clear()
    made = make_all(store, second)
    assert toy.calls == [] and made["rig"].version == "v001"


def test_selection() -> None:
    assert selection(None, None) is None


def test_selection_by_stage(toy: Toy) -> None:
    assert selection(["rig"], None) == {"character", "rig"}
    assert selection(None, "takes") == {"takes", "reference_clip"}
    with pytest.raises(InputError, match="no stage is called 'tekes' - one of: takes"):
        selection(["tekes"], None)


def test_a_stage_sees_only_what_it_declared(toy: Toy, shots) -> None:
    (shot,) = shots()
    view = ShotView(shot.shot, ("frames", "handles"))
    assert view.frame_count == 24
    with pytest.raises(AttributeError, match="does not declare"):
        _ = view.brief


def test_a_home_has_the_settings_of_the_repository(toy: Toy, store, repository: Path) -> None:
    ours, theirs = ((folder / "dagster.yaml").read_text() for folder in (toy.home / "dagster", repository))
    assert yaml.safe_load(ours) == yaml.safe_load(theirs)


def test_an_unwritable_output_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="can't be written"):
        check_writable(tmp_path / "file" / "out")
