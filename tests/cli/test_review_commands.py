"""Status and notes of versions: said by the commands, shown wherever somebody looks, never lost."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest
from support.toys import Toy

import studio_pipeline.dag.launch as launch
from studio_pipeline.line.review_page import review_page
from studio_pipeline.store import verify_all
from studio_pipeline.store.reviews import ReviewBook

SHOT = "toy_a_0010"


@pytest.fixture
def made(delivering: Toy, shots, make_all) -> Toy:
    make_all(*shots())
    return delivering


def row(hands, stage: str = "delivery") -> dict:
    found = json.loads(hands("status", "--json")[1])
    return next(item for item in found["shots"][0]["stages"] if item["stage"] == stage)


def test_a_version_begins_as_pending_and_the_last_word_stands(hands, made: Toy, shots, make_all) -> None:
    assert row(hands)["review"]["status"] == "pending" and "review" not in row(hands, "rig")
    assert hands("approve", SHOT, "v001")[1] == f"{SHOT} delivery v001 is approved by ana\n"
    assert (
        hands("note", SHOT, "1", "nice knees", "--by", "bo")[1] == f"{SHOT} delivery v001 noted by bo, it is approved\n"
    )
    assert row(hands)["review"]["status"] == "approved" and row(hands)["review"]["by"] == "ana"
    code, out, _ = hands("changes", SHOT, "v001", "--note", "softer\nlanding", "--json")
    assert code == 0 and [note["text"] for note in json.loads(out)["notes"]] == ["", "nice knees", "softer\nlanding"]
    assert "changes by ana: softer landing" in " ".join(hands("status")[1].split())
    assert hands("pending", SHOT, "v001", "--by", "")[1] == f"{SHOT} delivery v001 is pending\n"
    make_all(*shots("  stages: {delivery: {gain: 2}}\n"))
    assert (row(hands)["version"], row(hands)["review"]["status"]) == ("v002", "pending")
    history = json.loads(hands("history", SHOT, "--json")[1])
    assert [len(v["notes"]) for v in history["versions"] if v["stage"] == "delivery"] == [4, 0]
    assert [event["what"] for event in history["events"]] == ["approved", "note", "changes", "pending"]
    assert "nice knees" in hands("history", SHOT)[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("approve", SHOT, "v002"), "toy_a_0010 delivery: has no version 'v002' - one of: v001"),
        (("approve", SHOT, "latest"), "has no version 'latest'"),
        (("approve", "toy_a_0099", "v001"), "knows no shot toy_a_0099"),
        (("approve", SHOT, "v001", "--stage", "deliver"), "no stage is called 'deliver'"),
        (("note", SHOT, "v001", "  "), "says nothing"),
        (("changes", SHOT, "v001", "--note", " "), "changes need a note"),
        (("note", SHOT, "v001", "x" * 5000), "at most 4000 characters"),
        (("note", SHOT, "v001", "bad \udcff byte"), "is not text"),
    ],
)
def test_what_makes_no_sense_is_refused(hands, made: Toy, store, words: tuple[str, ...], said: str) -> None:
    code, out, err = hands(*words)
    assert code == 2 and said in err and err.count("\n") == 1 and out == ""
    assert not list(store.primitive.list(f"shots/{SHOT}/reviews/"))


def test_a_damaged_word_is_never_taken_for_an_approval(hands, made: Toy, store) -> None:
    for command in ("approve", "pending"):
        hands(command, SHOT, "v001")
    last = sorted((made.home / "store" / "shots" / SHOT / "reviews" / "delivery" / "v001").iterdir())[-1]
    last.chmod(0o644)
    last.write_text(last.read_text().replace("pending", "approved"))
    assert row(hands)["review"]["status"] == "unreadable"
    assert str(last.relative_to(made.home / "store")) in str(verify_all(store).problems[0])
    assert hands("approve", SHOT, "v001")[0] == 0 and row(hands)["review"]["status"] == "approved"


def test_the_page_shows_what_is_said_and_the_artifact_stays_as_it_is(hands, made: Toy, store) -> None:
    hands("changes", SHOT, "v001", "--note", "<b>softer</b> & slower")
    page = review_page(store, SHOT)
    assert "&lt;b&gt;softer&lt;/b&gt; &amp; slower" in page and "<b>" not in page
    assert page.index("delivery v001: changes") < page.index("<main>pictures")
    code, out, _ = hands("review", SHOT)
    assert code == 0 and Path(out.strip()).read_text() == page
    assert verify_all(store).problems == []
    assert "has no review page yet" in hands("review", "toy_a_0099")[2]


def test_dagster_shows_it_in_the_assets_timeline(hands, made: Toy) -> None:
    hands("approve", SHOT, "v001", "--note", "go")
    with launch.open_instance() as instance:
        (record,) = instance.fetch_observations(dg.AssetKey("delivery"), limit=5).records
    seen = record.event_log_entry.asset_observation
    assert seen.partition == SHOT
    assert {name: value.value for name, value in seen.metadata.items()} == {
        "review_version": "v001", "review_status": "approved", "review_note": "go", "review_by": "ana"
    }  # fmt: skip


def test_shots_of_a_list_that_is_wrong_now_cost_only_themselves(hands, made: Toy, shots, make_all, store) -> None:
    Path("shots.yaml").write_text("- nonsense\n")
    code, out, err = hands("status")
    assert (
        code == 2 and SHOT in out and "cached" in out and err.startswith(f"studio: {SHOT}: ") and "shots.yaml:1" in err
    )
    assert ReviewBook(store.primitive).of_shot(SHOT) == {}


def test_who_pinned_and_why_is_kept(hands, made: Toy, shots, store, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio_pipeline.store.pins import PinBook

    book = PinBook(store.primitive)
    first = book.pin(SHOT, "rig", file="pins/x/a.glb", content="x", source="/home/ana/a.glb", note="knees", by="ana")
    assert book.current(SHOT, "rig") == first and first.by == "ana"
    second = book.pin(SHOT, "rig", file="", content="", source="", by="bo")
    assert (second.label, book.current(SHOT, "rig")) == ("p0002", None)
    path = made.home / "store" / "shots" / SHOT / "pins" / "rig" / "p0002.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("bo", "cy"))
    with pytest.raises(Exception, match=r"a pin of toy_a_0010 rig is damaged - override or unpin it again"):
        book.current(SHOT, "rig")
    assert book.pin(SHOT, "rig", file="", content="", source="").label == "p0003" and book.current(SHOT, "rig") is None
