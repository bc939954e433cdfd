"""Measuring the physics: figures against closed forms, the wobble's order, and the command from a file to a verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from character.conftest import skinned

from studio_pipeline.evaluation.cases import open_subject, parse_case, true_motion
from studio_pipeline.evaluation.framing import motion_camera
from studio_pipeline.evaluation.plates import film
from studio_pipeline.evaluation.refine import summary
from studio_pipeline.evaluation.refine.creature import arm, pouncer
from studio_pipeline.evaluation.refine.evaluate import choose_cases, parse_settings
from studio_pipeline.evaluation.refine.measures import (
    ImageFit,
    jerk_percent,
    new_intersections,
    surface_volume,
    volume_figures,
)
from studio_pipeline.evaluation.refine.trials import TRUE, Work, cached, run_work
from studio_pipeline.evaluation.refine.wobble import ELBOW_GOAL, measure_elbow, measure_wobble, swing_of
from studio_pipeline.evaluation.scores import FIRST, Judge
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.physics.scenes import bar_character, bar_solid
from studio_pipeline.schema.errors import InputError

SOLID = bar_solid(2, 2)
BAR = bar_character(SOLID)


def test_jerk_of_a_cubic_path_is_its_third_difference() -> None:
    time = np.arange(FIRST + 9.0)
    path = np.zeros((len(time), 2, 3))
    path[:, 0, 1] = 0.01 * time**3  # third difference 6 x 0.01
    path[:, 1, 0] = 0.3 * time**2  # none
    assert jerk_percent(path, np.array([0.25, 0.75]), 2.0) == pytest.approx(100.0 * 0.25 * 0.06 / 2.0)
    assert jerk_percent(path[: FIRST + 3], np.array([0.25, 0.75]), 2.0) == 0.0


def test_volumes_of_stretched_and_reflected_bodies() -> None:
    stretched = np.stack([SOLID.vertices * scale for scale in ([1, 1, 1], [1.2, 1, 1], [1, 0.5, 1])])
    found = volume_figures(SOLID, stretched)
    assert found["volume_worst_percent"] == pytest.approx(50.0, rel=1e-5)
    assert found["volume_mean_percent"] == pytest.approx(70.0 / 3.0, rel=1e-5)
    assert found["min_det_f"] == pytest.approx(0.5, rel=1e-5) and found["inverted"] == 0
    assert volume_figures(SOLID, SOLID.vertices[None] * [-1.0, 1.0, 1.0])["inverted"] == len(SOLID.tets)
    inside = surface_volume(np.stack([BAR.vertices, 2.0 * BAR.vertices]), BAR.faces)
    assert inside == pytest.approx([0.25 * 0.25, 8.0 * 0.25 * 0.25], rel=1e-5)


def test_a_bar_folded_through_itself_has_new_pairs() -> None:
    folded = BAR.vertices.copy()
    high = folded[:, 1] > 0.5
    folded[high, 1] = 1.0 - folded[high, 1]
    folded[high] += [0.05, 0.03, 0.04]  # no faces that merely lie in each other
    found = new_intersections(BAR, np.stack([BAR.vertices, folded]))
    assert found["worst_pairs"] > 0 and found["mean_pairs"] == found["worst_pairs"] / 2


def test_the_truth_fits_and_a_shifted_one_does_not() -> None:
    truth = np.repeat(BAR.vertices[None], FIRST + 2, axis=0) + np.linspace(0, 0.2, FIRST + 2)[:, None, None]
    camera = motion_camera(truth, size=48)
    plate = film(BAR, truth, camera, seed=3)
    fit = ImageFit(Judge(BAR, camera, truth, plate.stage), plate)
    same, pictures = fit.measure(truth)
    assert set(same) == {"clip", "plus45", "minus45"} and pictures.shape == (2, 48, 48, 3)
    assert all(view["iou"] == 1.0 for view in same.values())
    assert same["plus45"]["ssim"] == pytest.approx(1.0) and same["clip"]["ssim"] > 0.9  # the clip went through H.264
    shifted, _ = fit.measure(truth + np.array([0.0, 0.05, 0.0]))
    assert all(shifted[view]["iou"] < 0.95 and shifted[view]["ssim"] < same[view]["ssim"] for view in same)


@pytest.mark.parametrize("moment", [1.0, 2.3, 2.7])
def test_swing_is_read_off_a_known_path(moment: float) -> None:
    time = np.arange(20.0)
    stood = np.zeros((20, 3))
    stood[:, 0] = 0.4 * np.clip(time / 5.0, 0.0, 1.0)
    path = stood.copy()
    path[5:, 0] += 0.1 - 0.002 * (time[5:] - 5.0 - moment) ** 2  # a parabola: read exactly
    path[:, 2] = 7.0  # across the way: counts for nothing
    lag, overshoot = swing_of(path, stood, 5)
    assert lag == pytest.approx(moment) and overshoot == pytest.approx(25.0)


def test_softer_flesh_lags_and_overshoots_more() -> None:
    soft, hard = measure_wobble(softness=(0.3, 3.0), creature=pouncer(0.06))
    assert soft.youngs_modulus == pytest.approx(hard.youngs_modulus / 10.0)
    assert set(soft.tips) == {"tail", "ear", "belly"} and soft.fallback_frames == hard.fallback_frames == 0
    for tip in soft.tips:
        assert soft.tips[tip][0] > hard.tips[tip][0] > 0.5, f"{tip}: lag"
        assert soft.tips[tip][1] > 1.3 * hard.tips[tip][1] > 0.0, f"{tip}: overshoot"


def test_the_elbow_keeps_its_volume() -> None:
    elbow = measure_elbow()
    assert elbow.skinned_loss > 5.0
    assert elbow.ratio <= ELBOW_GOAL


def test_the_arm_is_a_closed_cylinder_with_round_ends() -> None:
    made = arm()
    volume = float(surface_volume(made.character.vertices[None], made.character.faces)[0])
    assert volume == pytest.approx(np.pi * 0.1**2 * (1.0 + 4.0 / 3.0 * 0.1), rel=0.02)
    assert np.abs(made.rig.weights.sum(1) - 1.0).max() < 1e-5


def test_true_joints_pose_the_true_vertices(tmp_path: Path, repository: Path) -> None:
    played = parse_case(f"{repository / 'assets/characters/pip.glb'}:previz:wave")[0]
    own = parse_case(str(skinned().save(tmp_path / "bar.glb")))[0]
    for case in (played, own):
        subject = open_subject(case, frames=12, fps=Fraction(24))
        motion = true_motion(case, subject, frames=12, fps=Fraction(24))
        assert subject.rig is not None
        posed = pose_vertices(subject.character.vertices, subject.rig.weights, skinning_transforms(subject.rig, motion))
        assert np.abs(posed - subject.vertices).max() < 1e-4 * subject.character.diagonal


def _row(motion: str, without: float, with_: float) -> dict[str, Any]:
    def side(iou: float) -> dict[str, Any]:
        views = {view: {"iou": iou, "iou_min": iou, "ssim": 0.9} for view in ("clip", "plus45", "minus45")}
        figures = ("jerk_percent", "volume_worst_percent", "volume_mean_percent", "flesh_percent", "min_det_f")
        return dict.fromkeys(figures, 0.5) | {"inverted": 0, "worst_pairs": 3, "mean_pairs": 1.0, "views": views}

    return {
        "character": "c", "clip": "k", "motion": motion, "without": side(without), "with": side(with_),
        "fallback_frames": 0, "tets": 9, "moved_percent": 1.0, "seconds": {"processor": 1.0},
    }  # fmt: skip


def test_the_verdict_is_that_of_the_worst_clip() -> None:
    rows = [_row("true", 1.0, 0.999), _row("true", 0.99, 0.984), _row("lifted", 0.90, 0.91)]
    true, lifted = summary.fit_verdicts(rows)
    assert not true["passed"] and true["worst_drop"] == pytest.approx(0.006) and "LOST" in true["line"]
    assert lifted["passed"] and lifted["worst_drop"] == pytest.approx(-0.01)
    assert summary.case_table(rows).count("\n") == 1 + 2 * len(rows)
    assert "| lifted | 1     | with    |" in summary.medians_table(rows)


def test_settings_and_clips_that_are_not_there() -> None:
    assert parse_settings(["youngs_modulus=2e4", "ground=rest"]) == (("ground", "rest"), ("youngs_modulus", "2e4"))
    for wrong, said in (
        ("poisson=0.6", "poisson"),
        ("bounce=1", "bounce"),
        ("poisson", "key=value"),
        ("a=[", "key"),
    ):
        with pytest.raises(InputError, match=said):
            parse_settings([wrong])
    with pytest.raises(InputError, match="no such file"):
        choose_cases(["none.glb:Run"], None, 3)
    cases, _ = choose_cases([], None, 2)
    assert len({case.path for case in cases}) == 2


@pytest.mark.slow
def test_a_clip_from_the_file_to_the_verdict(tmp_path: Path) -> None:
    path = skinned().save(tmp_path / "bar.glb")
    out = tmp_path / "out"
    work = Work(parse_case(str(path))[0], (TRUE,), frames=11, size=64, out=out)
    (row,) = run_work(work)
    assert "error" not in row and (out / row["video"]).is_file() and (out / row["video"]).with_suffix(".png").is_file()
    assert row["without"]["views"]["clip"]["iou"] > 0.99 and row["fallback_frames"] == 0
    assert row["with"]["min_det_f"] > 0.0
    kept, left = cached(work)
    assert kept == [json.loads(json.dumps(row))] and left.motions == ()
    command = [sys.executable, "-m", "studio_pipeline.cli", "evaluate", "refine", str(path), "--out", str(out)]
    done = subprocess.run(
        [*command, "--frames", "11", "--size", "64", "--json", str(tmp_path / "told.json")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "image fit, true joints:" in done.stdout and "kept from an earlier run" in done.stderr
    assert json.loads((tmp_path / "told.json").read_text())["rows"] == kept
