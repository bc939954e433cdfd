"""The studio's own motions: sound, loopable, and what their script makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.motions import MOTIONS

from studio_pipeline.geometry.bvh import read_bvh
from studio_pipeline.geometry.retarget import motion_fps
from studio_pipeline.geometry.retarget.figure import SIDES, figure_of_bvh


@pytest.mark.parametrize("name", MOTIONS)
def test_the_studios_own_motions_are_sound(motions, name: str) -> None:
    bvh = motions[name]
    figure = figure_of_bvh(bvh)
    turns, joints = bvh.world()
    assert motion_fps(bvh) == 30 and len(bvh.names) == 22
    for side in SIDES:
        thigh, shin, foot, toe = (figure.parts[p + side] for p in ("thigh", "shin", "foot", "toe"))
        upper, lower = joints[:, shin] - joints[:, thigh], joints[:, foot] - joints[:, shin]
        bend = (np.cross(upper, lower) * (turns[:, thigh] @ [1.0, 0, 0])).sum(1)
        assert bend.min() > 0.0
        sole_points = {
            "heel": (foot, [0.0, -0.085, -0.05]),
            "ball": (toe, [0.0, -0.025, 0.0]),
            "tip": (toe, [0.0, -0.025, 0.07]),
        }
        for joint, offset in sole_points.values():
            point = joints[:, joint] + turns[:, joint] @ np.array(offset)
            assert point[:, 1].min() > -0.004  # above the ground
            down = point[:, 1] < 0.001
            still = down[1:] & down[:-1]
            assert not still.any() or np.linalg.norm(np.diff(point, axis=0), axis=1)[still].max() < 0.004
    # It ends as it begins, one stride on.
    assert np.abs(bvh.rotations[-1] - bvh.rotations[0]).max() < 2e-3
    gone = joints[-1] - joints[0]
    assert np.abs(gone - gone[0]).max() < 2e-3 and (name in ("walk", "run")) == (gone[0, 2] > 1.0)


def test_the_studios_own_motions_come_from_their_script(repository: Path, tmp_path: Path, monkeypatch) -> None:
    import importlib.util

    folder = repository / "assets" / "motions"
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("make_motions", folder / "generate.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.setattr(made, "FOLDER", tmp_path)
    made.main([])
    for name in MOTIONS:
        one, two = read_bvh(tmp_path / f"{name}.bvh"), read_bvh(folder / f"{name}.bvh")
        assert np.abs(one.world()[1] - two.world()[1]).max() < 1e-4
