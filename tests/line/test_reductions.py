"""After memory ran out a stage is made with the next smaller settings, everybody is told, and people can undo it."""

from __future__ import annotations

import dataclasses
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
from support.command import caller
from support.toys import STAGES, Gain, Toy

import studio_pipeline.dag.launch as launch
import studio_pipeline.line.graph as graph_module
from studio_pipeline.line.graph import _load
from studio_pipeline.line.history import history_of
from studio_pipeline.line.make import make_stage
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.provenance import artifact_provenance
from studio_pipeline.line.reductions import full_size, memory_settings, with_reductions
from studio_pipeline.line.shots import save_shot
from studio_pipeline.line.why import explain
from studio_pipeline.schema.errors import OutOfMemory
from studio_pipeline.stages.base import Backend, Settings, StageContext
from studio_pipeline.stages.observations.settings import ExternalSettings, Sam2Settings
from studio_pipeline.stages.takes.diffusers_settings import DiffusersSettings
from studio_pipeline.store.reductions import ReductionBook

HOST = platform.node()


def halved(settings: Gain) -> Gain | None:
    return settings.changed(gain=settings.gain / 2) if settings.gain > 2 else None


@pytest.fixture
def shrinking(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy studio, whose rig gets along with less memory at half the gain, and has enough from a gain of 4 down."""
    rig = STAGES[1]
    backends = {
        name: dataclasses.replace(backend, smaller="toy_memory:halved") for name, backend in rig.backends.items()
    }
    stages = [dataclasses.replace(rig, backends=backends) if stage is rig else stage for stage in STAGES]
    monkeypatch.setattr(graph_module, "_load", lambda: stages)
    memory = ModuleType("toy_memory")
    memory.halved = halved
    monkeypatch.setitem(sys.modules, "toy_memory", memory)
    graph_module.graph.cache_clear()

    def hungry(context: StageContext) -> None:
        if context.settings.gain > 4:
            raise MemoryError("unable to allocate")

    toy.during["rig"] = hungry
    launch._job.cache_clear()
    yield toy
    launch._job.cache_clear()


def rig_of(store, shot) -> Any:
    return plan_shot(store, shot).stages[1]


WORDS = f"reduced after out of memory on {HOST}: gain 16.0 -> 4.0"


def test_a_run_ends_well_with_smaller_settings_and_says_so(shrinking: Toy, shots, store, capsys) -> None:
    (shot,) = shots("  stages: {rig: {gain: 16}}\n")
    save_shot(store, shot)
    with dg.DagsterInstance.ephemeral() as instance:
        launch.register_shots(instance, [shot.id])
        assert launch.run_shot(instance, shot.id, ["character", "rig"]) == []
        (run,) = instance.get_runs()
        retries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
        said = [event.dagster_event.step_retry_data.error.cause.message for event in retries]
    assert len(said) == 2 and f"memory: reduced after out of memory on {HOST}: gain 16.0 -> 8.0" in said[0]
    assert shrinking.calls == ["character", "rig", "rig", "rig"]
    item = rig_of(store, shot)
    assert item.state == "cached" and item.artifact.figures["value"] == 4 and item.reduced == WORDS
    assert WORDS in item.reason and WORDS in explain(store, shot, "rig").headline
    assert item.ingredients["settings"]["gain"] == 4.0 and item.artifact.provenance["reduced"] == WORDS
    assert store.shots.last_failure(shot.id, "rig") is None
    found = artifact_provenance(store, item.artifact)
    (told,) = [entry for entry in found["artifacts"].values() if entry["stage"] == "rig"]
    assert "gain 16.0 -> 4.0" in told["made_with"]["reduced"]
    events = [event for event in history_of(store, shot.id)["events"] if event["stage"] == "rig"]
    assert [event["what"] for event in events] == ["reduced", "reduced"] and "gain 16.0 -> 4.0" in events[-1]["text"]


def test_what_hangs_on_it_and_other_shots_follow_their_own(shrinking: Toy, shots, store) -> None:
    one, two = shots("  stages: {rig: {gain: 8}}\n", ids=("0010", "0020"))
    make_stage(store, one, "character")
    with pytest.raises(OutOfMemory, match="from now on after out of memory"):
        make_stage(store, one, "rig")
    assert rig_of(store, one).reduced and not rig_of(store, two).reduced
    assert make_stage(store, one, "rig").figures["value"] == 4
    with pytest.raises(OutOfMemory):
        make_stage(store, two, "rig")
    assert not make_stage(store, two, "rig").made  # the same smaller settings, made before


def test_the_shot_s_own_change_makes_it_void_and_people_take_it_off(shrinking: Toy, shots, store) -> None:
    (shot,) = shots("  stages: {rig: {gain: 8}}\n")
    make_stage(store, shot, "character")
    with pytest.raises(OutOfMemory):
        make_stage(store, shot, "rig")
    (other,) = shots("  stages: {rig: {gain: 6}}\n")
    assert not rig_of(store, other).reduced
    (moved,) = shots("  stages: {rig: {backend: plate, gain: 8}}\n")
    assert not rig_of(store, moved).reduced
    assert rig_of(store, shot).reduced  # written again as it was
    (entry,) = full_size(store, [shot], by="td")
    assert (entry.label, entry.changes, entry.by) == ("r0002", {}, "td") and full_size(store, [shot]) == []
    shrinking.during.clear()  # a larger machine
    assert make_stage(store, shot, "rig").figures["value"] == 8
    assert not rig_of(store, shot).reduced


def test_when_nothing_gets_smaller_the_settings_are_named(shrinking: Toy, shots, store) -> None:
    def starving(context: StageContext) -> None:
        raise MemoryError

    shrinking.during["rig"] = starving
    (shot,) = shots("  stages: {rig: {gain: 4}}\n")
    make_stage(store, shot, "character")
    with pytest.raises(OutOfMemory, match="gain 4.0 -> 2.0"):
        make_stage(store, shot, "rig")
    with pytest.raises(OutOfMemory) as told:
        make_stage(store, shot, "rig")
    line = str(told.value)
    assert line.startswith("toy_a_0010 rig: out of memory (MemoryError)") and "\n" not in line
    assert "gain 4.0 -> 2.0" in line and "nothing gets smaller any more" in line and "set gain of rig smaller" in line
    assert line in rig_of(store, shot).failure
    shrinking.during["directives"] = starving
    with pytest.raises(OutOfMemory, match="no setting of directives makes it smaller, or give the workers more memory"):
        make_stage(store, shot, "directives")


def test_a_damaged_entry_reduces_nothing(shrinking: Toy, shots, store) -> None:
    (shot,) = shots("  stages: {rig: {gain: 8}}\n")
    make_stage(store, shot, "character")
    with pytest.raises(OutOfMemory):
        make_stage(store, shot, "rig")
    path = next((store.primitive.root / "shots" / shot.id / "reduced").rglob("*.json"))
    path.chmod(0o644)
    path.write_text(path.read_text().replace("4.0", "5.0"))
    assert with_reductions(store, shot).setups["rig"].settings.gain == 8 and not rig_of(store, shot).reduced


EXAMPLES: dict[tuple[str, str], Settings] = {
    ("takes", "diffusers"): DiffusersSettings(pipeline="WanImageToVideoPipeline", model="a/b", size=(832, 480)),
}


def real_backends() -> list[tuple[str, str, Backend]]:
    return [
        (stage.name, name, backend) for stage in _load() for name, backend in stage.backends.items() if backend.smaller
    ]


@pytest.mark.parametrize(
    ("stage", "name", "backend"), real_backends(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_real_chain_gets_smaller_and_ends(stage: str, name: str, backend: Backend, monkeypatch) -> None:
    """Whatever is a number never grows (but for lengths that make a mesh coarser), and every step changes something."""
    settings = EXAMPLES.get((stage, name))
    if settings is None:
        fields = backend.settings.model_fields
        settings = backend.settings(**({"model": "a/b", "dtype": "float32"} if "model" in fields else {}))
    if stage == "refined_motion":
        settings = settings.changed(precision="float64", fit="clip", substeps=4)
    steps = 0
    while (following := backend.reduced(settings)) is not None:
        old, new = settings.model_dump(), following.model_dump()
        changed = {field for field in new if new[field] != old[field]}
        assert changed and type(following) is type(settings)
        for field in changed - {"epsilon", "edge_length"}:
            if isinstance(new[field], int | float) and not isinstance(new[field], bool) and old[field] is not None:
                assert new[field] < old[field]
        settings, steps = following, steps + 1
        assert steps < 30
    assert steps >= 1


def test_diffusers_spares_the_picture_first() -> None:
    settings: Any = EXAMPLES["takes", "diffusers"]
    backend = next(backend for stage, name, backend in real_backends() if name == "diffusers")
    seen = []
    while (following := backend.reduced(settings)) is not None:
        seen.append(
            {
                f: getattr(following, f)
                for f in type(settings).model_fields
                if getattr(following, f) != getattr(settings, f)
            }
        )
        settings = following
    assert seen[:3] == [{"offload": "model"}, {"offload": "sequential"}, {"tiling": True}]
    assert seen[3] == {"most_frames": 41} and seen[-1]["size"][0] % 16 == 0 and min(seen[-1]["size"]) >= 256
    fixed = DiffusersSettings(pipeline="StableVideoDiffusionPipeline", model="a/b", offload="sequential", tiling=True)
    assert backend.reduced(fixed) is None  # it makes one count of frames, and no size was set


def test_who_has_nothing_to_make_smaller_says_so() -> None:
    stages = {stage.name: stage for stage in _load()}
    for settings in (Sam2Settings(masks_model="a/b"), ExternalSettings(command=("t", "{input}", "{output}"))):
        name = "sam2" if isinstance(settings, Sam2Settings) else "external"
        assert stages["observations"].backends[name].reduced(settings) is None


def test_the_settings_that_govern_memory_are_named(shrinking: Toy, shots, store, tmp_path: Path) -> None:
    (shot,) = shots("  stages: {rig: {gain: 16}}\n")
    assert memory_settings(shot, "rig") == ["gain"] and memory_settings(shot, "takes") == []
    assert ReductionBook(store.primitive).history(shot.id, "rig") == []


def test_the_command_takes_it_off(shrinking: Toy, shots, store, monkeypatch, capsys) -> None:
    studio = caller(monkeypatch, capsys)

    def call(*words: str) -> tuple[int, str]:
        code, *printed = studio(*words)
        return code, "".join(printed)

    (shot,) = shots("  stages: {rig: {gain: 8}}\n")
    code, text = call("run", "shots.yaml")
    assert code == 0 and "rig tried again: reduced after out of memory" in text and "failed" not in text
    assert "gain 8.0 -> 4.0" in call("plan", "shots.yaml")[1] and "gain 8.0 -> 4.0" in call("status")[1]
    shrinking.during.clear()
    assert call("retry") == (0, "studio: nothing has failed\n")
    code, text = call("retry", "--full-size")
    assert code == 0 and rig_of(store, shot).artifact.figures["value"] == 8 and "3 made, 2 cached" in text
