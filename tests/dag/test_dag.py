from __future__ import annotations

import json
from types import SimpleNamespace

import dagster as dg
import pytest
from support.toys import STAGES, Toy

import studio_pipeline.dag.launch as launch
import studio_pipeline.line.trouble as trouble
from studio_pipeline.dag.assets import RefusingIOManager
from studio_pipeline.dag.build import build_definitions
from studio_pipeline.dag.ui import _provenance_endpoint, _review_endpoint, picture_path
from studio_pipeline.line.make import make_stage, outcome_of
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.shots import save_shot
from studio_pipeline.schema.errors import InputError, StorageError, StorageFull

ALL = [stage.name for stage in STAGES]


@pytest.fixture
def instance(toy: Toy):
    launch._job.cache_clear()
    with dg.DagsterInstance.ephemeral() as made:
        yield made
    launch._job.cache_clear()


def prepared(store, shots, instance, text: str = ""):
    (shot,) = shots(text)
    save_shot(store, shot)
    launch.register_shots(instance, [shot.id])
    return shot


def latest(instance, stage: str):
    event = instance.get_latest_materialization_event(dg.AssetKey(stage))
    return event.asset_materialization if event else None


def test_a_run_makes_every_asset_with_its_content_as_data_version(toy: Toy, shots, store, instance) -> None:
    shot = prepared(store, shots, instance)
    assert launch.run_shot(instance, shot.id, ALL) == []
    assert sorted(toy.calls) == sorted(ALL)
    for item in plan_shot(store, shot).stages:
        found = latest(instance, item.stage)
        assert found.partition == shot.id
        assert found.tags["dagster/data_version"] == item.artifact.content_hash
        assert found.metadata["value"].value == item.figures["value"]


def test_a_failed_stage_leaves_the_others_results(toy: Toy, shots, store, instance) -> None:
    shot = prepared(store, shots, instance)
    toy.broken["rig"] = InputError("no limbs")
    assert launch.run_shot(instance, shot.id, ALL)
    assert toy.calls == ["character", "rig", "directives"] or toy.calls == ["character", "directives", "rig"]
    assert latest(instance, "directives") and not latest(instance, "takes")
    toy.broken.clear()
    toy.calls.clear()
    assert launch.run_shot(instance, shot.id, plan_shot(store, shot).to_launch()) == []
    assert toy.calls == ["rig", "takes", "reference_clip"]


@pytest.mark.parametrize(("error", "calls"), [(StorageError("no answer"), 4), (StorageFull("the disk is full"), 1)])
def test_hiccups_are_tried_again_so_often_and_a_full_disk_at_a_desk_is_not(
    toy: Toy, shots, store, instance, monkeypatch, error: Exception, calls: int
) -> None:
    monkeypatch.setitem(trouble.DESK, "hiccup", (0.01, 0.02, 0.03))
    shot = prepared(store, shots, instance)
    toy.broken["rig"] = error
    (line,) = launch.run_shot(instance, shot.id, ["character", "rig"])
    assert toy.calls.count("rig") == calls and str(error) in line
    failures = list((store.primitive.root / "shots" / shot.id / "failures" / "rig").iterdir())
    assert len(failures) == 1  # what was tried again was no failure yet


def test_a_hiccup_that_passes_leaves_no_failure(toy: Toy, shots, store, instance, monkeypatch) -> None:
    monkeypatch.setitem(trouble.DESK, "hiccup", (0.01, 0.02, 0.03))
    shot, hiccups = prepared(store, shots, instance), [1, 2]

    def flaky(context) -> None:
        if hiccups:
            hiccups.pop()
            raise ConnectionResetError(104, "Connection reset by peer")

    toy.during["rig"] = flaky
    assert launch.run_shot(instance, shot.id, ["character", "rig"]) == [] and toy.calls.count("rig") == 3
    assert store.shots.last_failure(shot.id, "rig") is None and store.leases.standing() == []


def test_a_blocking_gate_stops_the_run_and_a_warning_does_not(toy: Toy, shots, store, instance) -> None:
    shot = prepared(store, shots, instance, "  stages: {rig: {gate: false}}\n")
    launch.run_shot(instance, shot.id, ALL)
    assert "takes" not in toy.calls and latest(instance, "rig")
    check = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(dg.AssetKey("rig"), "sane")]
    )
    assert [record.status.value for record in check.values()] == ["FAILED"]


def test_a_fresh_instance_is_told_of_what_is_cached_once(toy: Toy, shots, store, instance) -> None:
    shot = prepared(store, shots, instance)
    outcomes = [(shot.id, name, make_stage(store, shot, name)) for name in ALL]
    assert launch.report_known(instance, outcomes) == len(ALL)
    assert launch.report_known(instance, outcomes) == 0
    assert latest(instance, "rig").tags["dagster/data_version"] == outcomes[1][2].content_hash
    assert instance.get_runs_count() == 0


def test_nothing_passes_through_the_io_manager() -> None:
    with pytest.raises(TypeError):
        RefusingIOManager().load_input(dg.build_input_context())
    with pytest.raises(TypeError):
        RefusingIOManager().handle_output(dg.build_output_context(), {"a": 1})


def test_the_assets_follow_the_graph(toy: Toy) -> None:
    graph = build_definitions().resolve_asset_graph()
    for stage in STAGES:
        node = graph.get(dg.AssetKey(stage.name))
        assert {key.path[0] for key in node.parent_keys} == set(stage.inputs)
        assert {key.name for key in node.check_keys} == set(stage.checks)
        assert node.partitions_def.name == "shots"


def test_pictures_are_served_from_committed_payloads_only(toy: Toy, shots, store) -> None:
    (shot,) = shots()
    toy.during["character"] = lambda context: (context.out / "a.png").write_bytes(b"png")
    outcome = make_stage(store, shot, "character")
    path = picture_path(store, outcome.key, str(outcome.generation), "a.png")
    assert path is not None and path.read_bytes() == b"png"
    for key, generation, name in [
        (outcome.key, "1", "../../a.png"),
        (outcome.key, "1", "value.json"),
        (outcome.key, "2", "a.png"),
        ("0" * 64, "1", "a.png"),
        ("../" * 10, "1", "a.png"),
        (outcome.key, "1/..", "a.png"),
    ]:
        assert picture_path(store, key, generation, name) is None


def test_the_ui_answers_with_provenance_and_the_page_as_it_is_now(toy: Toy, shots, store) -> None:
    (shot,) = shots()
    outcomes = {name: make_stage(store, shot, name) for name in ALL}
    rig = outcomes["rig"]
    answer = _provenance_endpoint(store)(asked(key=rig.key, generation=1))
    found = json.loads(answer.body)["artifacts"]
    assert answer.media_type == "application/json" and {item["stage"] for item in found.values()} == {
        "character",
        "rig",
    }
    for key, generation in (("0" * 64, 1), ("../" * 20, 1), (rig.key, 7)):
        assert _provenance_endpoint(store)(asked(key=key, generation=generation)).status_code == 404
    for name in (shot.id, "none", "../../x"):  # no review stage in this graph: no page
        assert _review_endpoint(store)(asked(shot=name)).status_code == 404


def asked(**values: object) -> SimpleNamespace:
    return SimpleNamespace(path_params=values)


def test_metadata_points_at_pictures_under_the_uis_own_origin(toy: Toy, shots, store) -> None:
    from studio_pipeline.dag.assets import describe

    (shot,) = shots()
    make_stage(store, shot, "character")
    artifact = plan_shot(store, shot).stages[0].artifact
    metadata = describe(outcome_of(store, artifact, version="v001", made=True))
    assert metadata["version"] == "v001" and "http" not in str(metadata)
