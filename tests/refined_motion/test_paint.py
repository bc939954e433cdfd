"""Stiffness painted by an artist: in settings, and in the rig's file."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from studio_pipeline.physics.scenes import bar_character, bar_rig, bar_solid, swing
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Rig
from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.delivery.rig_files import write_rig
from studio_pipeline.stages.refined_motion.fem import refine
from studio_pipeline.stages.refined_motion.paint import joints_of, painted
from studio_pipeline.stages.refined_motion.settings import FemSettings

JOINTS = 3
SOLID = bar_solid(2, JOINTS)
CHARACTER = bar_character(SOLID)
RIG = bar_rig(JOINTS, CHARACTER.vertices)
NAMES = ("hips", "spine_01", "ear.L", "ear_02.R", "earth", "upper_arm.L", "tail_01", "tail_02", "glass")


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("ears", ["ear.L", "ear_02.R"]),
        ("ear", ["ear.L", "ear_02.R"]),
        ("ear.L", ["ear.L"]),
        ("arm.L", ["upper_arm.L"]),
        ("arm.R", []),
        ("Tail", ["tail_01", "tail_02"]),
        ("tail_*", ["tail_01", "tail_02"]),
        ("glass", ["glass"]),
        ("fins", []),
        ("", []),
        ("01", []),
    ],
)
def test_names_that_artists_use(wanted: str, meant: list[str]) -> None:
    assert [NAMES[joint] for joint in joints_of(NAMES, wanted)] == meant


def test_flesh_follows_the_bones_that_move_it() -> None:
    young, held = painted(RIG, SOLID, {"bone2": "soft", "bone0": 4.0}, 1e4)
    height = SOLID.vertices[SOLID.tets].mean(1)[:, 1]
    assert young[height > 0.95] == pytest.approx(2e3) and young[height < 0.05] == pytest.approx(4e4)
    middle = (SOLID.tet_joints == 1) & (SOLID.tet_joints >= 0)
    assert young[middle] == pytest.approx(1e4) and not held[middle].any()
    assert held[height > 0.95].all() and held[height < 0.05].all()
    assert young.min() >= 2e3 * (1 - 1e-6) and young.max() <= 4e4 * (1 + 1e-6)


def test_settings_go_before_the_file_and_later_lines_before_earlier_ones() -> None:
    rig = dataclasses.replace(RIG, stiffness=np.array([np.nan, 0.5, 0.5], dtype=np.float32))
    young, held = painted(rig, SOLID, {"bone*": 3.0, "bone2": 7.0}, 1.0)
    assert held.all()
    expected = {0: 3.0, 1: 3.0, 2: 7.0}
    for joint, factor in expected.items():
        assert young[SOLID.tet_joints == joint] == pytest.approx(factor)
    young, held = painted(rig, SOLID, {}, 1.0)
    assert young[SOLID.tet_joints == 2] == pytest.approx(0.5) and not held[SOLID.tet_joints == 0].any()


def test_soft_flesh_swings_more_and_its_stiffness_is_kept() -> None:
    motion = swing(12, JOINTS)
    results = [refine(CHARACTER, RIG, SOLID, motion, FemSettings(stiffness=s)) for s in ({}, {"bone2": "very_soft"})]
    away = [np.linalg.norm(r.points.points - r.skinned, axis=-1).max() for r in results]
    assert away[1] > 1.3 * away[0]
    assert np.ptp(results[0].points.stiffness) == 0.0
    assert results[1].points.stiffness.min() == pytest.approx(0.05 * results[0].points.stiffness[0], rel=1e-3)


def test_an_unknown_name_is_one_clear_line() -> None:
    with pytest.raises(InputError, match="stages.refined_motion.stiffness: no joint is called 'ears'.*bone0"):
        try:
            painted(RIG, SOLID, {"ears": "soft"}, 1e4)
        except InputError as error:
            assert "\n" not in str(error)
            raise
    for bad in ("squishy", 0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(ValidationError):
            FemSettings(stiffness={"ears": bad})  # pyright: ignore[reportArgumentType]


def test_settings_that_would_do_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="friction needs ground"):
        FemSettings(friction=0.5)
    for bad in ((2.0, 50.0), (0.1, 0.5), (0.0, 2.0)):
        with pytest.raises(ValidationError, match="fit_range"):
            FemSettings(fit_range=bad)


def repaint(source: Path, target: Path, extras: dict[int, dict]) -> list[str]:
    """Copy a GLB with custom properties on some joints of its first skin; returns their names."""
    data = source.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + length])
    nodes = [document["nodes"][document["skins"][0]["joints"][joint]] for joint in extras]
    for node, values in zip(nodes, extras.values(), strict=True):
        node["extras"] = values
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    header = struct.pack("<III", 0x46546C67, 2, 20 + len(text) + len(rest))
    target.write_bytes(header + struct.pack("<II", len(text), 0x4E4F534A) + text + rest)
    return [node["name"] for node in nodes]


def test_factors_go_out_with_the_rig_s_file_and_come_back(tmp_path: Path) -> None:
    rig = dataclasses.replace(RIG, stiffness=np.array([np.nan, 0.25, 4.0], dtype=np.float32))
    path = write_rig(CHARACTER, rig, tmp_path / "bar.glb")[0]
    own = load_character(path).own_rig
    assert own is not None and own.names == rig.names
    np.testing.assert_array_equal(own.stiffness, rig.stiffness)
    own.save(tmp_path)
    np.testing.assert_array_equal(Rig.load(tmp_path).stiffness, rig.stiffness)


def test_what_is_no_factor_in_a_file_is_left_out_and_said(tmp_path: Path) -> None:
    source = write_rig(CHARACTER, RIG, tmp_path / "bar.glb")[0]
    repaint(source, tmp_path / "odd.glb", {0: {"stiffness": "soft"}, 1: {"stiffness": -3}, 2: {"other": 1}})
    loaded = load_character(tmp_path / "odd.glb")
    assert loaded.own_rig is not None and loaded.own_rig.stiffness is None
    assert sum("stiffness" in warning for warning in loaded.warnings) == 2
