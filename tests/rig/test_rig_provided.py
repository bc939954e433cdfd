"""The rig that a file carries, on the sample characters and on made-up records."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.rig import STAGE
from studio_pipeline.stages.rig.checks import check_rig


def run(tmp_path: Path, character: Character, own: Rig | None, backend: str, **settings) -> tuple[StageResult, Rig]:
    folder = tmp_path / "character"
    out = tmp_path / "rig"
    folder.mkdir()
    out.mkdir()
    character.save(folder)
    if own is not None:
        (folder / "own_rig").mkdir()
        own.save(folder / "own_rig")
    spec = STAGE.backends[backend]
    context = StageContext(settings=spec.settings(**settings), inputs={"character": folder}, shot=None, out=out)
    return spec.load()(context), Rig.load(out)


def load(shared_data: Path, name: str):
    from studio_pipeline.stages.character.load import load_character

    return load_character(shared_data / "rigs" / name)


@pytest.mark.parametrize("name", ["khronos_CesiumMan.glb", "bevy_Fox.glb"])
def test_own_rig_is_taken_as_it_is(tmp_path, shared_data, name: str) -> None:
    loaded = load(shared_data, name)
    result, rig = run(tmp_path, loaded.character, loaded.own_rig, "provided")
    assert tuple(v.name for v in result.verdicts) == STAGE.checks
    assert all(v.passed for v in result.verdicts if v.blocking)
    assert rig.names == loaded.own_rig.names and np.array_equal(rig.weights, loaded.own_rig.weights)
    assert (tmp_path / "rig" / "preview.png").stat().st_size > 10_000


def test_rig_of_another_file_follows_positions(tmp_path, shared_data) -> None:
    loaded = load(shared_data, "bevy_Fox.glb")
    order = np.random.default_rng(1).permutation(len(loaded.character.vertices))
    mixed = dataclasses.replace(loaded.character, vertices=loaded.character.vertices[order])
    _, rig = run(tmp_path, mixed, None, "provided", file=shared_data / "rigs" / "bevy_Fox.glb")
    assert np.abs(rig.weights - loaded.own_rig.weights[order]).max() < 1e-6


def test_rig_of_another_shape_is_refused(tmp_path, shared_data) -> None:
    loaded = load(shared_data, "bevy_Fox.glb")
    with pytest.raises(InputError, match="is not the shape of character"):
        run(tmp_path, loaded.character, None, "provided", file=shared_data / "rigs" / "khronos_CesiumMan.glb")


def test_no_rig_is_one_clear_line(tmp_path, shared_data) -> None:
    loaded = load(shared_data, "bevy_Fox.glb")
    with pytest.raises(InputError, match="has no skeleton of its own - use backend geometric"):
        run(tmp_path, loaded.character, None, "provided")


@pytest.mark.parametrize("name", ["khronos_CesiumMan.glb", "bevy_Fox.glb"])
def test_geometric_rig_of_the_same_characters(tmp_path, shared_data, name: str) -> None:
    loaded = load(shared_data, name)
    result, rig = run(tmp_path, loaded.character, loaded.own_rig, "geometric")
    assert all(v.passed for v in result.verdicts) and rig.backend == "geometric"
    assert result.figures["symmetric"] is True and result.figures["bones_inside_fraction"] > 0.95
    assert sum("thigh" in name or "shin" in name for name in rig.names) >= 4


@pytest.mark.slow
def test_the_default_says_whose_rig_it_took(tmp_path, shared_data) -> None:
    loaded = load(shared_data, "khronos_CesiumMan.glb")
    result, rig = run(tmp_path, loaded.character, loaded.own_rig, STAGE.default)
    assert STAGE.default == "auto" and all(v.passed for v in result.verdicts if v.blocking)
    assert result.figures["chosen"] == rig.backend == "network"  # a plain biped
    assert -2.5 <= result.figures["network_sureness"] < 0.0
    assert {"hips", "head"} <= set(rig.names)


def test_verdicts_find_what_is_wrong(shared_data) -> None:
    loaded = load(shared_data, "bevy_Fox.glb")
    good, character = loaded.own_rig, loaded.character

    def failed(**changes) -> set[str]:
        rig = dataclasses.replace(good, backend="geometric", **changes)
        return {v.name for v in check_rig(character, rig) if not v.passed}

    assert failed() == set()
    bare = good.weights.copy()
    bare[7] = 0.0
    assert failed(weights=bare) == {"weights_sum_to_one", "every_vertex_weighted", "stress"}
    away = good.rest_world.copy()
    away[good.weights.max(0).argmax(), :3, 3] += 1.0
    assert failed(rest_world=away) == {"joints_inside"}
    stubs = good.tails.copy()
    stubs[3] = good.heads[3]
    assert failed(tails=stubs) == {"no_zero_bones"}
    parents = good.parents.copy()
    parents[2] = 5
    assert failed(parents=parents) >= {"tree_connected"}
