"""Results that outlive a code change: until anything else changes, and never silently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.toys import Toy

from studio_pipeline.line.accept import accept, withdraw
from studio_pipeline.line.history import history_of
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.provenance import provenance_of
from studio_pipeline.line.why import explain
from studio_pipeline.schema.errors import InputError
from studio_pipeline.store import Store


def states(store: Store, shot) -> dict[str, str]:
    return {item.stage: item.state for item in plan_shot(store, shot).stages}


def outdated(store: Store, shot) -> list[str]:
    return [name for name, state in states(store, shot).items() if state != "cached"]


def test_an_accepted_result_stands_and_nothing_runs(delivering: Toy, store: Store, shots, make_all) -> None:
    (shot,) = shots()
    made = make_all(shot)
    delivering.code.update(rig="edited", takes="edited")
    assert outdated(store, shot) == ["rig", "takes", "reference_clip", "delivery", "review"]
    done = accept(store, shot, reason="only a log line", by="ana")
    assert [entry.stage for entry in done.entries] == ["rig", "takes"] and done.refused == ()
    plan = {item.stage: item for item in plan_shot(store, shot).stages}
    assert not outdated(store, shot) and plan["rig"].reason.startswith("accepted by ana: only a log line")
    assert plan["rig"].version == "v001" and plan["delivery"].reason == "unchanged"
    delivering.calls.clear()
    assert make_all(shot) == made and delivering.calls == []
    answer = explain(store, shot, "rig")
    assert answer.state == "cached" and answer.headline.startswith("v001 stands, accepted by ana: only a log line")
    assert [(e["what"], e["stage"], e["which"]) for e in history_of(store, shot.id)["events"]] == [
        ("accepted", "rig", "v001"), ("accepted", "takes", "v001")
    ]  # fmt: skip
    version = store.shots.published(shot.id, "delivery")
    found = provenance_of(store, {shot.id: [(version, store.get(version.key, version.generation))]})
    assert [(item["stage"], item["by"], item["reason"]) for item in found["shots"][shot.id]["accepted"]] == [
        ("rig", "ana", "only a log line"), ("takes", "ana", "only a log line")
    ]  # fmt: skip


def test_anything_else_that_changes_ends_it(delivering: Toy, store: Store, shots, make_all, tmp_path: Path) -> None:
    (shot,) = shots()
    make_all(shot)
    delivering.code["rig"] = "edited"
    accept(store, shot, reason="log line")
    (changed,) = shots("  stages: {rig: {gain: 2}}\n")
    assert outdated(store, changed)[0] == "rig"  # a setting
    (tmp_path / "hero.obj").write_text("v 0 0 0\nv 1 0 0\n")
    assert "rig" in outdated(store, shots()[0])  # an input: the character is made anew, so is what hangs on it
    make_all(shots()[0])
    (tmp_path / "hero.obj").write_text("v 0 0 0\n")
    assert not outdated(store, shots()[0])  # all as it was: it stands again
    delivering.code["rig"] = "edited again"
    assert "code: " in next(i.reason for i in plan_shot(store, shots()[0]).stages if i.stage == "rig")  # more code


def test_what_changed_otherwise_is_refused(delivering: Toy, store: Store, shots, make_all) -> None:
    make_all(*shots())
    delivering.code.update(rig="edited", directives="edited")
    (shot,) = shots("  stages: {rig: {gain: 2}}\n")
    with pytest.raises(InputError, match=r"rig: not the code alone has changed since v001, but settings\.gain: 1\.0"):
        accept(store, shot, reason="x", stages=["rig"])
    done = accept(store, shot, reason="x")
    assert [entry.stage for entry in done.entries] == ["directives"] and "settings.gain" in done.refused[0]
    for reason in ("", "  ", "x" * 5000):
        with pytest.raises(InputError, match="needs a reason"):
            accept(store, shot, reason=reason)
    with pytest.raises(InputError, match="no stage is called 'rigs'"):
        accept(store, shot, reason="x", stages=["rigs"])
    with pytest.raises(InputError, match=r"takes: after rig"):
        accept(store, shot, reason="x", stages=["takes"])


def test_a_damaged_or_withdrawn_acceptance_accepts_nothing(delivering: Toy, store: Store, shots, make_all) -> None:
    (shot,) = shots()
    make_all(shot)
    delivering.code["rig"] = "edited"
    accept(store, shot, reason="x")
    assert [entry.stage for entry in withdraw(store, shot, reason="wrong")] == ["rig"]
    assert outdated(store, shot)[0] == "rig" and withdraw(store, shot) == []
    accept(store, shot, reason="y")
    assert not outdated(store, shot)
    path = delivering.home / "store" / "shots" / shot.id / "accepted" / "rig" / "a0003.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("toy", "tov"))
    assert outdated(store, shot)[0] == "rig"
    accept(store, shot, reason="z")
    published = store.shots.published(shot.id, "rig")
    victim = store.primitive.root / store.get(published.key, 1).payload / "value.json"
    victim.chmod(0o644)
    victim.write_text("77")
    assert outdated(store, shot)[0] == "rig"  # the bytes that were accepted are no longer there
    with pytest.raises(InputError, match="gone or damaged"):
        accept(store, shot, reason="z", stages=["rig"])


def test_a_show_on_versions_ignores_code(delivering: Toy, store: Store, shots, make_all) -> None:
    (shot,) = shots("  code_policy: version\n")
    make_all(shot)
    delivering.code.update(dict.fromkeys(states(store, shot), "edited"))
    assert not outdated(store, shot)
    with pytest.raises(
        InputError, match=r"shots\.yaml:6: shot toy_a_0020, field 'code_policy': is source, that of toy_a_"
    ):
        shots(ids=("0010", "0020"), s0010="  code_policy: version\n", s0020="  brief: x\n")
    with pytest.raises(InputError, match="expected source"):
        shots("  code_policy: never\n")


def test_a_show_that_is_locked_keeps_its_results(delivering: Toy, store: Store, shots, make_all) -> None:
    (shot,) = shots()
    made = make_all(shot)
    (locked,) = shots("  code_policy: version\n")
    assert outdated(store, locked)[0] == "character"
    accept(store, locked, reason="the show is locked")
    assert not outdated(store, locked)
    delivering.calls.clear()
    assert make_all(locked) == made and delivering.calls == []


def test_the_command_says_what_stands_and_what_does_not(hands, delivering: Toy, shots, make_all) -> None:
    make_all(*shots())
    delivering.code["rig"] = "edited"
    code, out, _ = hands("accept", "toy_a_0010", "--reason", "a comment", "--by", "bo")
    assert code == 0 and out.startswith("toy_a_0010 rig: v001 stands")
    assert "accepted by bo: a comment" in " ".join(hands("plan", "shots.yaml")[1].split())
    assert hands("accept", "shots.yaml", "--reason", "again")[1] == "nothing is outdated\n"
    assert hands("accept", "toy_a_0010", "--withdraw", "--reason", "no")[1] == "toy_a_0010 rig: is no longer accepted\n"
    row = json.loads(hands("accept", "toy_a_0010", "--reason", "x", "--json")[1])["accepted"][0]
    assert (row["stage"], row["version"]) == ("rig", 1)
    assert hands("accept", "toy_a_0010", "--reason", "")[0] == 2
