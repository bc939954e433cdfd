"""The harness: results are kept and taken up again, tables tell the truth, the command runs from pixels to figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.cli.evaluate import RigChoice
from studio_pipeline.evaluation import summary, trials
from studio_pipeline.evaluation.cases import parse_case
from studio_pipeline.evaluation.lift import choose_cases, evaluate, trials_of
from studio_pipeline.evaluation.rigs.backends import BACKENDS
from studio_pipeline.evaluation.shots import HARD, film_shot
from studio_pipeline.evaluation.trials import Trial, Work
from studio_pipeline.geometry.cameras import project
from studio_pipeline.schema.errors import BackendUnavailable, InputError
from studio_pipeline.schema.records import Character, Observations
from studio_pipeline.stages.character.load import load_character


@pytest.fixture(scope="module")
def character(repository: Path) -> Character:
    return load_character(repository / "assets" / "characters" / "mochi.glb").character


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch) -> list[Trial]:
    """A lift that knows the truth; lists the trials it was asked for."""
    asked: list[Trial] = []

    def know(subject, rig, filmed, trial, seed):
        asked.append(trial)
        if "smooth" in trial.without:
            raise InputError("no motion found", where="clip")
        frames, height, width = filmed.plate.masks.shape
        seen = Observations(
            masks=np.zeros((frames, height, width), np.uint8),
            tracks=np.zeros((frames, 1, 2), np.float32),
            visibility=np.ones((frames, 1), bool),
            track_faces=np.zeros(1, np.int32),
            track_barycentrics=np.array([[1.0, 0.0, 0.0]], np.float32),
        )
        spent = {"observations": 1.0, "lift": 2.0, "processor": 3.0}
        return trials.Lifted(filmed.vertices, seen, filmed.plate.clip.frames, spent, None)

    monkeypatch.setattr(trials, "lift_plate", know)
    return asked


def test_results_are_kept_and_taken_up_again(repository: Path, tmp_path: Path, perfect: list[Trial]) -> None:
    case = parse_case(f"{repository / 'assets/characters/pip.glb'}:previz:wave")[0]
    variants = (Trial("provided", False), Trial("provided", False, ("smooth",)))
    work = Work(case, variants, frames=8, size=64, out=tmp_path)
    told: list[tuple[bool, bool]] = []
    rows = evaluate([work], tell=lambda row, kept: told.append(("lift" in row, kept)))
    assert told == [(True, False), (False, False)]
    assert rows[0]["lift"]["spatial_percent"] == 0.0 and rows[0]["still"]["spatial_percent"] > 0.5
    assert rows[1]["error"] == "clip: no motion found"
    assert (tmp_path / rows[0]["video"]).stat().st_size > 500
    again = evaluate([work])
    assert len(perfect) == 3, "only what failed is tried again"
    assert again[0] == json.loads(json.dumps(rows[0]))
    evaluate([Work(case, variants[:1], frames=9, size=64, out=tmp_path)])
    assert len(perfect) == 4, "other numbers are another result"


def test_the_geometric_rig_never_meets_its_own_truth(repository: Path, perfect: list[Trial]) -> None:
    case = parse_case(f"{repository / 'assets/characters/mochi.glb'}:previz:wave")[0]
    rows = evaluate([Work(case, (Trial("geometric", False),), frames=8, size=64)])
    assert "geometric rig" in rows[0]["skipped"] and not perfect


def test_trials_in_order() -> None:
    assert [t.label for t in trials_of("both", "both")] == [
        "provided-nodepth", "provided-depth", "geometric-nodepth", "geometric-depth",
    ]  # fmt: skip
    dropped = [t.without for t in trials_of("provided", "without", ablate=True)]
    assert dropped == [(), ("rgb",), ("mask",), ("track",), ("smooth",), ("start",)]
    assert {(t.rig, t.depth) for t in trials_of("both", "both", ablate=True)} == {("provided", True)}


def test_every_choice_of_a_rig_is_a_way_of_making_one() -> None:
    ways = {choice.value for choice in RigChoice} - {"provided", "both"}
    assert ways == set(BACKENDS)
    for way in ways:
        assert [trial.label for trial in trials_of(way, "without")] == [f"{way}-nodepth"]


def test_chosen_cases(repository: Path) -> None:
    cases, _ = choose_cases([], None, 3)
    assert {case.path.stem for case in cases} == {"mochi", "pip", "tumble"}


def row(character: str, error: float, still: float = 6.0, **more) -> dict:
    figures: dict = dict.fromkeys(("iou_mean", "iou_min", "ssim", "psnr", "flip", "ssim_full"), 0.9)
    figures |= {"in_plane_percent": error, "spatial_percent": 2.0 * error, "foot_slide": {"planted": 0}}
    lifted = figures | {"diverged": error > 5.0, "track_px": 1.0}
    base = {"character": character, "clip": "walk", "kind": "walk", "hard": None, "rig": "provided", "depth": False}
    spent = {"observations": 1.0, "lift": 9.0, "processor": 10.0}
    return base | {
        "without": [], "still": figures | {"in_plane_percent": still}, "lift": lifted, "seconds": spent,
    } | more  # fmt: skip


def test_medians_leave_quiet_clips_apart_and_weigh_characters_alike() -> None:
    rows = [row("a", 0.2), row("a", 0.4), row("a", 0.6), row("b", 8.0), row("c", 9.0, still=2.9)]
    (group,) = summary.medians(rows)
    assert group["over_clips"]["in_plane_percent"] == pytest.approx(0.5)
    assert group["over_characters"]["in_plane_percent"] == pytest.approx(4.2)
    assert (group["clips"], group["characters"], group["diverged"]) == (4, 2, 1)
    table = summary.medians_table([group])
    assert "≤ 0.50 MISSED" in table and "≥ 0.95 MISSED" in table and "≥ 0.75 met" in table
    assert len({len(line) for line in table.splitlines()}) == 1
    failed = {key: value for key, value in row("d", 0.1).items() if key != "lift"} | {"error": "lost"}
    assert "failed: lost" in summary.case_table([*rows, failed])
    assert summary.medians([*rows, failed])[0]["failed"] == 1


def test_ablation_compares_the_same_clips() -> None:
    rows = [row("a", 0.2), row("b", 0.4), row("a", 1.0, without=["mask"])]
    rows.append({key: value for key, value in row("b", 9.0, without=["mask"]).items() if key != "lift"})
    lines = summary.ablation_table(rows).splitlines()
    assert "0.20" in lines[2] and "0.30" not in lines[2]
    assert lines[3].startswith("| mask") and lines[3].rstrip(" |").endswith("1")


def test_hard_cases_are_what_they_say(character: Character) -> None:
    up = np.linspace(0, 0.3, 16)[:, None, None] * np.array([0.0, 1.0, 0.0])
    motion = (character.vertices[None] + up).astype(np.float32)
    shots = {name: film_shot(character, motion, size=64, seed=0, hard=name) for name in HARD}
    for shot in shots.values():
        assert shot.plate.clip.frames.shape == (16, 64, 64, 3) and shot.plate.clip.alpha is None
        np.testing.assert_allclose(shot.vertices[0], character.vertices, atol=1e-6)
        assert np.isfinite(shot.vertices).all() and shot.vertices.dtype == np.float32
    outside = project(shots["leaves_frame"].camera, shots["leaves_frame"].vertices)[0][-1, :, 0] > 64.0
    assert 0.3 < outside.mean() < 0.7
    spun, last = (v - v.mean(0) for v in (shots["turn_180"].vertices[-1], motion[-1]))
    np.testing.assert_allclose(spun, last * (-1.0, 1.0, -1.0), atol=1e-5)
    twos = shots["on_twos"].vertices
    np.testing.assert_array_equal(twos[0::2], twos[1::2])
    assert (twos[2] != twos[0]).any()
    clean = film_shot(character, motion, size=64, seed=0)
    blurred = shots["motion_blur"].plate.rendered.astype(int)
    assert (
        np.abs(np.diff(blurred[8], axis=0)).max() < np.abs(np.diff(clean.plate.rendered[8].astype(int), axis=0)).max()
    )
    np.testing.assert_array_equal(blurred[0], clean.plate.rendered[0])
    damaged = np.abs(shots["damaged_plate"].plate.rendered.astype(int) - clean.plate.rendered).mean((1, 2, 3))
    assert damaged.min() > 2.0


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flip_evaluator", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'studio_pipeline\[evaluate\]'"):
        evaluate([])


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "studio_pipeline.cli", "evaluate", "lift", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=540)


def test_bad_options_get_one_line(tmp_path: Path) -> None:
    for arguments, said in (
        (("--size", "65"), "65 is odd"),
        (("--data", str(tmp_path)), "has no folder rigs"),
        (("nobody.glb",), "no such file"),
        (("--cases", "1", "--lpips", "."), "no LPIPS weights"),
    ):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_from_pixels_to_figures(repository: Path, tmp_path: Path) -> None:
    pip = f"{repository / 'assets/characters/pip.glb'}:previz:wave"
    arguments = ("--characters", pip, "--rig", "provided", "--depth", "without", "--frames", "10", "--size", "96")
    done = run(*arguments, "--out", "here", "--json", "figures.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| pip" in done.stdout and "[1/1] pip previz:wave" in done.stderr
    found = json.loads((tmp_path / "figures.json").read_text())
    lifted, still = found["rows"][0]["lift"], found["rows"][0]["still"]
    assert lifted["iou_mean"] > still["iou_mean"] and 0.0 < lifted["ssim"] <= 1.0
    assert lifted["in_plane_percent"] < still["in_plane_percent"]
    again = run(*arguments, "--out", "here", cwd=tmp_path)
    assert "kept from an earlier run" in again.stderr and again.stdout == done.stdout
