"""Which take is followed, why, and how an artist changes it: the real report, clip and commands on drawn takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import studio_pipeline.line.graph as graph_module
from studio_pipeline.line.make import make_stage
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.reference_clip.choosing import PinnedChoice, check_choice, choose


def said(index: int, score: float, *, passed: bool = True, lowest: float = 4.0, fidelity: float | None = None) -> dict:
    return {
        "take": index, "composite": score, "passed": passed, "lowest": lowest, "lowest_head": "limbs",
        "fidelity": fidelity, "filters": [{"name": "cut", "passed": passed}], "reasons": [] if passed else ["cut: new"],
    }  # fmt: skip


def report(*takes: dict) -> dict:
    order = sorted(range(len(takes)), key=lambda i: (not takes[i]["passed"], -takes[i]["composite"]))
    return {"takes": list(takes), "ranking": order}


def test_the_choice_is_explained() -> None:
    one = choose(report(said(0, 0.8)))
    assert (one.take, one.by, one.accepted) == (0, "only", True) and "the only take" in one.reason
    best = choose(report(said(0, 0.6, lowest=2.4), said(1, 0.8, lowest=4.0), said(2, 0.9, passed=False)))
    assert (best.take, best.by) == (1, "score")
    assert best.reason == (
        "Take 1 scores 0.800, ahead of take 0 with 0.600, mostly by its lowest head (4.0 of 5 against 2.4); "
        "take 2 failed."
    )
    asked = choose(report(said(0, 0.6, fidelity=0.2), said(1, 0.8, fidelity=0.9)))
    assert "doing what was asked (fidelity 0.90 against 0.20)" in asked.reason
    none = choose(report(said(0, 0.3, passed=False), said(1, 0.5, passed=False)))
    assert not none.accepted and none.take == 1 and "none of which passed" in none.reason


def test_a_person_may_choose_what_failed_but_not_what_isnt_there() -> None:
    found = choose(report(said(0, 0.6, passed=False), said(1, 0.8)), pinned=PinnedChoice(take=0))
    assert found.accepted and found.by == "artist" and "although it failed: cut: new" in found.reason
    assert choose(report(said(0, 0.6), said(1, 0.8)), take=0).by == "shot list"
    assert choose(report(said(0, 0.6), said(1, 0.8)), take=0, pinned=PinnedChoice(take=1)).take == 1
    with pytest.raises(InputError, match="take 2 was chosen, there are takes 0 to 1"):
        choose(report(said(0, 0.6), said(1, 0.8)), take=2)
    pinned = PinnedChoice(take=0, digest="a")
    assert not choose(report(said(0, 0.6)), pinned=pinned, digests=["b"]).current
    assert choose(report(said(0, 0.6)), pinned=pinned, digests=["a"]).current


def test_a_file_that_is_no_choice_is_refused(tmp_path: Path) -> None:
    for text in ('{"take": -1}', '{"take": "x"}', '{"taken": 1}', "{}", "[1]"):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(InputError):
            check_choice(tmp_path / "c.json", None)  # pyright: ignore


def make_all(store, shot) -> dict:
    return {name: make_stage(store, shot, name) for name in graph_module.graph()}


def states(store, shot) -> dict[str, str]:
    return {item.stage: item.state for item in plan_shot(store, shot).stages}


def test_the_best_take_is_followed_until_an_artist_says_otherwise(line, scene, cut, store, shots, studio) -> None:
    good = scene.sliding()
    line.clips = [replace(good, frames=cut(good.frames)), good, scene.sliding(speed=0.03)]
    (shot,) = shots()
    from studio_pipeline.line.shots import save_shot

    save_shot(store, shot)
    made = make_all(store, shot)
    clip = made["reference_clip"]
    assert clip.figures["take"] in (1, 2) and clip.figures["chosen_by"] == "score"
    assert np.array_equal(Clip.load(clip.folder).frames, line.clips[clip.figures["take"]].frames)
    choice = json.loads((clip.folder / "choice.json").read_text())
    assert "take 0 failed" in choice["reason"] and len(choice["scores"]) == 3 and choice["seed"] == 7 + choice["take"]
    assert made["take_report"].figures["passed"] == 2 and all(verdict.passed for verdict in clip.verdicts)

    code, out, _ = studio("takes", shot.id, "--json")
    shown = json.loads(out)
    assert code == 0 and shown["chosen"]["take"] == shown["followed"] == clip.figures["take"] and shown["pin"] is None
    assert [row["passed"] for row in shown["takes"]] == [False, True, True]
    code, out, _ = studio("takes", shot.id)
    assert code == 0 and "cut" in out and choice["reason"][:30] in out

    code, out, _ = studio("select", shot.id, "0", "--note", "I like it")
    assert code == 0 and "p0001, take 0 is followed" in out and "reference_clip" in out
    assert states(store, shot) == {**dict.fromkeys(graph_module.graph(), "cached"), "reference_clip": "would run"}
    assert "not followed yet" in studio("takes", shot.id)[1]
    line.calls.clear()
    hand = make_all(store, shot)["reference_clip"]
    assert line.calls == [] and (hand.version, hand.figures["take"], hand.figures["chosen_by"]) == ("v002", 0, "artist")
    assert all(verdict.passed for verdict in hand.verdicts)  # a person chose it although it failed

    code, out, _ = studio("select", shot.id, "--auto", "--json")
    assert code == 0 and json.loads(out)["label"] == "p0002"
    assert states(store, shot)["reference_clip"] == "cached"  # made before


def test_a_choice_among_older_takes_is_told(line, scene, store, shots, studio) -> None:
    line.clips = [scene.sliding(), scene.sliding(speed=0.02)]
    (shot,) = shots()
    from studio_pipeline.line.shots import save_shot

    save_shot(store, shot)
    make_all(store, shot)
    assert studio("select", shot.id, "1")[0] == 0
    line.clips = [scene.sliding(), scene.sliding(speed=0.03)]
    (again,) = shots("  seed: 4\n")  # other takes
    save_shot(store, again)
    clip = make_all(store, again)["reference_clip"]
    verdicts = {verdict.name: verdict for verdict in clip.verdicts}
    assert clip.figures["take"] == 1 and not verdicts["choice_current"].passed
    assert not verdicts["choice_current"].blocking and verdicts["take_accepted"].passed
    assert "made anew since" in json.loads((clip.folder / "choice.json").read_text())["reason"]


def test_when_no_take_passes_the_line_waits_and_says_what_to_do(line, scene, cut, store, shots, studio) -> None:
    good = scene.sliding()
    line.clips = [replace(good, frames=cut(good.frames))]
    (shot,) = shots()
    from studio_pipeline.line.shots import save_shot

    save_shot(store, shot)
    made = make_all(store, shot)
    left, accepted = made["take_report"].verdicts[0], made["reference_clip"].verdicts[0]
    assert (left.passed, left.blocking) == (False, False) and (accepted.passed, accepted.blocking) == (False, True)
    assert "studio select" in accepted.message
    assert studio("select", shot.id, "0")[0] == 0
    assert make_all(store, shot)["reference_clip"].verdicts[0].passed


def test_bad_orders_are_refused_in_one_line(line, store, shots, studio) -> None:
    (shot,) = shots()
    from studio_pipeline.line.shots import save_shot

    save_shot(store, shot)
    for words, text in (
        (("takes", shot.id), "its takes isn't there"),
        (("select", shot.id, "0"), "its takes aren't there"),
        (("select", shot.id), "needs the number of a take, or --auto"),
        (("select", shot.id, "0", "--auto"), "needs the number of a take, or --auto"),
        (("takes", "nobody"), "knows no shot nobody"),
    ):
        code, _, err = studio(*words)
        assert code != 0 and text in err and err.count("\n") == 1
    make_all(store, shot)
    code, _, err = studio("select", shot.id, "3")
    assert code != 0 and "has no take 3, but only take 0" in err
    assert "nobody had chosen" in studio("select", shot.id, "--auto")[1]


@pytest.mark.parametrize(
    ("captioner", "networks"), [("auto", [True, False]), ("network", [True, True]), ("measured", [False, False])]
)
def test_the_network_reads_what_previz_drew(line, scene, store, shots, captioner: str, networks: list[bool]) -> None:
    line.clips = [replace(scene.sliding(), source=source) for source in ("previz", "plate")]
    (shot,) = shots(f"  stages: {{take_report: {{captioner: {captioner}}}}}\n")
    report = json.loads((make_all(store, shot)["take_report"].folder / "report.json").read_text())
    origins = [{value["origin"] for value in take["caption"]["values"]} for take in report["takes"]]
    assert ["model" in found for found in origins] == networks
