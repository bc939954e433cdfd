"""What leaves the house: whole, unmixed, verified, under a name that never stands for two contents."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import shutil
from pathlib import Path

import pytest
from support.toys import Toy

import studio_pipeline.line.deliveries as deliveries
import studio_pipeline.line.graph as graph_module
from studio_pipeline.line.chain import chain_of, check_unmixed
from studio_pipeline.line.deliverable import Allowed, choose
from studio_pipeline.line.deliveries import leave, verify_delivery
from studio_pipeline.line.history import history_of
from studio_pipeline.line.overrides import override
from studio_pipeline.line.reviews import say
from studio_pipeline.line.scrub import scrub
from studio_pipeline.schema.errors import InputError, StorageError
from studio_pipeline.stages.base import Override
from studio_pipeline.store import Corrupt, Store, gc
from studio_pipeline.store.deliveries import DeliveryBook

NAMES = ("manifest.json", "provenance.json")


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def deliver(store: Store, shots, name: str, to: Path, *, review: bool = False, version: str = "", **allowed: bool):
    chosen = choose(store, shots, allowed=Allowed(**allowed), review=review, version=version)
    return leave(store, chosen, name, to, by="ana")


def test_the_manifest_is_what_lies_there(delivering: Toy, store: Store, shots, make_all, tmp_path: Path) -> None:
    both = shots(ids=("0010", "0020"))
    for shot in both:
        make_all(shot)
    say(store, both[0].id, "v001", status="approved", by="bo")
    left = deliver(store, both, "first", tmp_path / "to", review=True)
    assert left.folder == tmp_path / "to" / "first" and not left.before
    found, files = digests(left.folder), left.manifest["files"]
    assert {name: said["sha256"] for name, said in files.items()} == {n: d for n, d in found.items() if n != NAMES[0]}
    assert all((left.folder / name).stat().st_size == said["size"] for name, said in files.items())
    assert json.loads((left.folder / "manifest.json").read_text()) == left.manifest
    assert "toy_a_0010/toy_a_0010.mp4" in files and "toy_a_0020/review.html" in files
    assert not any("stage.json" in name for name in files)
    row = files["toy_a_0010/frames/toy_a_0010.1001.png"]
    assert (row["show"], row["shot"], row["version"], row["generation"], row["status"]) == (
        "toy", "toy_a_0010", "v001", 1, "approved"
    )  # fmt: skip
    assert left.manifest["shots"]["toy_a_0020"]["status"] == "pending" and left.manifest["time"].endswith("+00:00")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["first"]
    assert not (left.folder / "manifest.json").stat().st_mode & 0o222
    events = history_of(store, "toy_a_0020")["events"]
    assert [(event["what"], event["stage"], event["text"]) for event in events] == [
        ("delivered", "delivery", "as first"), ("delivered", "review", "as first")
    ]  # fmt: skip


def test_a_name_never_stands_for_two_contents(delivering: Toy, store: Store, shots, make_all, tmp_path: Path) -> None:
    (shot,) = shots()
    make_all(shot)
    first = deliver(store, [shot], "one", tmp_path)
    before = digests(first.folder)
    say(store, shot.id, "v001", status="approved")  # the same bytes, approved since: still the same delivery
    assert deliver(store, [shot], "one", tmp_path).before and digests(first.folder) == before
    shutil.rmtree(first.folder)  # lost: the same bytes come back, the manifest's time included
    again = deliver(store, [shot], "one", tmp_path)
    assert not again.before and digests(again.folder) == before
    elsewhere = deliver(store, [shot], "one", tmp_path / "usb")
    assert digests(elsewhere.folder) == before
    (shot,) = shots("  stages: {delivery: {gain: 2}}\n")
    make_all(shot)
    with pytest.raises(InputError, match=r"toy_a_0010 delivery was v001, is v002 - choose another name"):
        deliver(store, [shot], "one", tmp_path)
    assert digests(first.folder) == before
    assert deliver(store, [shot], "one", tmp_path, version="v001").before
    for name in ("../up", "", "a b", "x" * 300):
        with pytest.raises(InputError, match="cannot name a delivery"):
            deliver(store, [shot], name, tmp_path)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("x")
    with pytest.raises(InputError, match="is there already"):
        deliver(store, [shot], "theirs", tmp_path)


def test_every_tampering_is_found(delivering: Toy, store: Store, shots, make_all, tmp_path: Path) -> None:
    (shot,) = shots()
    make_all(shot)
    folder = deliver(store, [shot], "one", tmp_path).folder
    assert verify_delivery(store, folder).problems == ()
    name = "toy_a_0010/frames/toy_a_0010.1003.png"
    victim = folder / name

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)

    def forge() -> None:
        flip(victim)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"][name]["sha256"] = hashlib.sha256(victim.read_bytes()).hexdigest()
        (folder / "manifest.json").chmod(0o644)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    for harm, said in (
        (lambda: flip(victim), "its bytes have changed"),
        (victim.unlink, "is missing"),
        (lambda: (folder / "extra.txt").write_text("x"), "is not part of the delivery"),
        (lambda: (victim.unlink(), victim.symlink_to(folder / "manifest.json")), "is missing"),
        (forge, "manifest"),
    ):
        harm()
        assert said in " ".join(verify_delivery(store, folder).problems)
        with pytest.raises(Corrupt, match="move the folder away and deliver again"):
            deliver(store, [shot], "one", tmp_path)
        shutil.rmtree(folder)
        deliver(store, [shot], "one", tmp_path)
    for text in ("", "[]", '{"files": {"../x": {"sha256": "", "size": 1}}}', '{"files": {"x": 1}}', "[" * 100_000):
        (tmp_path / "fake").mkdir(exist_ok=True)
        (tmp_path / "fake" / "manifest.json").write_text(text)
        with pytest.raises(InputError, match="is no manifest of a delivery"):
            verify_delivery(store, tmp_path / "fake")


def test_damage_in_the_store_never_leaves_the_house(delivering: Toy, store: Store, shots, make_all, tmp_path) -> None:
    (shot,) = shots()
    make_all(shot)
    published = store.shots.published(shot.id, "delivery")
    payload = store.primitive.root / store.get(published.key, 1).payload
    victim = payload / "frames" / "toy_a_0010.1002.png"
    status = victim.stat()
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(data)
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))  # neither size nor time tells
    with pytest.raises(Corrupt, match=r"1002\.png: its bytes have changed since the commit - studio run"):
        deliver(store, [shot], "one", tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == [] and DeliveryBook(store.primitive).names() == []


def test_what_is_not_up_to_date_is_refused_unless_said(delivering: Toy, store, shots, make_all, tmp_path: Path) -> None:
    (shot,) = shots()
    with pytest.raises(InputError, match=r"toy_a_0010 delivery: is outdated: after .* - studio run it$"):
        deliver(store, [shot], "a", tmp_path, outdated=True)  # nothing was ever made
    make_all(shot)
    one, two = shots(
        ids=("0010", "0020"), s0010="  stages: {rig: {gain: 3}}\n", s0020="  stages: {rig: {gate: false}}\n"
    )
    with pytest.raises(InputError) as told:
        deliver(store, [one, two], "a", tmp_path)
    assert len(told.value.lines) == 2 and "--even-outdated delivers v001" in told.value.lines[0]
    left = deliver(store, [one], "a", tmp_path, outdated=True)
    assert left.manifest["shots"]["toy_a_0010"]["outdated"].startswith("is outdated: ")
    delivering.broken["rig"] = InputError("no limbs", where="/home/ana/hero.obj")
    with pytest.raises(InputError):
        make_all(one)
    with pytest.raises(InputError, match="is outdated: after|waits|failed"):
        deliver(store, [one], "b", tmp_path)
    (failed,) = shots("  stages: {delivery: {gate: false}}\n")
    delivering.broken.clear()
    with pytest.raises(Exception, match="delivery failed sane"):
        make_all(failed)
    with pytest.raises(InputError, match=r"v002: failed sane: value 2 - --even-failed delivers it"):
        deliver(store, [failed], "c", tmp_path)
    assert deliver(store, [failed], "c", tmp_path, failed=True).manifest


def test_a_word_of_a_reviewer_counts(delivering: Toy, store: Store, shots, make_all, tmp_path: Path) -> None:
    (shot,) = shots()
    make_all(shot)
    with pytest.raises(InputError, match="is pending - studio approve it"):
        deliver(store, [shot], "a", tmp_path, pending=False)
    say(store, shot.id, "v001", status="changes", text="softer", by="bo")
    with pytest.raises(InputError, match="bo asked for changes - studio approve it, or --even-changes"):
        deliver(store, [shot], "a", tmp_path)
    assert deliver(store, [shot], "a", tmp_path, changes=True).manifest["shots"][shot.id]["status"] == "changes"
    say(store, shot.id, "v001", status="approved")
    deliver(store, [shot], "b", tmp_path, pending=False)


def test_a_review_goes_with_its_own_delivery_only(delivering: Toy, store: Store, shots, make_all, tmp_path) -> None:
    make_all(*shots())
    (shot,) = shots("  stages: {delivery: {gain: 2}, review: {gate: true}}\n")
    from studio_pipeline.line.make import make_stage

    make_stage(store, shot, "delivery")
    with pytest.raises(InputError, match="has no review of this delivery"):
        deliver(store, [shot], "a", tmp_path, review=True)
    old = deliver(store, [shot], "a", tmp_path, review=True, version="v001").manifest
    assert old["shots"][shot.id]["stages"]["review"]["version"] == "v001"


def test_two_makings_of_a_stage_never_leave_together(store: Store, tmp_path: Path) -> None:
    """The chain behind a delivery is put together by hand: its own rig, and takes that were made from another one."""

    def made(stage: str, text: str, *inputs) -> object:
        folder = tmp_path / f"{stage}-{text}"
        folder.mkdir()
        (folder / "value.json").write_text(text)
        fields = {"stage": stage, "inputs": [vars(item.as_input(item.stage)) for item in inputs]}
        return store.commit(hashlib.sha256(f"{stage}{text}".encode()).hexdigest(), folder, fields)

    old, new = made("rig", "1"), made("rig", "2")
    takes = made("takes", "1", old)
    good, bad = made("delivery", "1", takes, old), made("delivery", "2", takes, new)
    check_unmixed(chain_of(store, [good]).values(), where="shot")
    with pytest.raises(StorageError, match="shot: mixes two different results of rig - studio run it again"):
        check_unmixed(chain_of(store, [bad]).values(), where="shot")


def test_gc_never_takes_what_is_delivered(delivering: Toy, store: Store, shots, make_all, tmp_path: Path) -> None:
    (shot,) = shots()
    make_all(shot)
    deliver(store, [shot], "one", tmp_path)
    # The worst case: nothing else refers to the delivery or to what it was made from any more.
    for path in (delivering.home / "store" / "shots" / shot.id / "published").rglob("*.json"):
        path.chmod(0o644)
        path.unlink()
    report = gc(store, older_than_days=0.0, dry_run=True)
    assert [item.stage for item in report.removed] == ["review"] and report.kept == len(graph_module.graph()) - 1
    assert report.removed[0].shot == shot.id and report.removed[0].size > 0
    record = delivering.home / "store" / "deliveries" / "one" / "record.json"
    record.chmod(0o644)
    record.write_text(record.read_text().replace("ana", "bob"))
    with pytest.raises(StorageError, match="what must stay can't be told"):
        gc(store, older_than_days=0.0, dry_run=False)


def test_two_at_once_agree(delivering: Toy, store: Store, shots, make_all, tmp_path: Path, monkeypatch) -> None:
    """Somebody takes the name while the folder is being written: the same content joins, other is refused."""
    (shot,) = shots()
    make_all(shot)
    real = deliveries.write_folder

    def late(*words, **more):
        monkeypatch.setattr(deliveries, "write_folder", real)
        first = deliver(store, [shot], "one", tmp_path / "first")
        assert not first.before
        return real(*words, **more)

    monkeypatch.setattr(deliveries, "write_folder", late)
    second = deliver(store, [shot], "one", tmp_path / "second")
    assert digests(second.folder) == digests(tmp_path / "first" / "one")
    assert [path.name for path in (tmp_path / "second").iterdir()] == ["one"]


@pytest.fixture
def handmade(delivering: Toy, store: Store, shots, make_all, tmp_path: Path, monkeypatch) -> Path:
    """A delivery with a hand-made rig in it, and things in the shot that must not leave the house."""
    stages = [
        dataclasses.replace(stage, override=Override("toy", "file")) if stage.name == "rig" else stage
        for stage in graph_module.graph().values()
    ]
    monkeypatch.setattr(graph_module, "_load", lambda: stages)
    graph_module.graph.cache_clear()
    monkeypatch.setenv("RENDER_API_KEY", "planted-secret-1234")
    (tmp_path / "rig.bin").write_bytes(b"hand made")
    (shot,) = shots("  brief: 'see /home/ana/notes.txt planted-secret-1234'\n")
    make_all(shot)
    override(store, shot, "rig", tmp_path / "rig.bin", note="knees", by="cy")
    make_all(shot)
    return deliver(store, [shot], "one", tmp_path / "to").folder


def test_every_file_goes_back_to_bytes_and_settings(handmade: Path) -> None:
    found = json.loads((handmade / "provenance.json").read_text())
    assert set(found["files"]) == set(digests(handmade)) - set(NAMES)
    for name, place in found["files"].items():
        artifact = found["artifacts"][place["artifact"]]
        assert artifact["files"][place["file"]]["sha256"] == digests(handmade)[name]
        pending = [place["artifact"]]
        while pending:  # every chain ends at files from outside
            item = found["artifacts"][pending.pop()]
            assert item["ingredients"]["inputs"] == {
                stage: found["artifacts"][other]["content_hash"] for stage, other in item["inputs"].items()
            }
            pending += item["inputs"].values()
    whole = [item for item in found["artifacts"].values() if not item["scrubbed"]]
    assert len(whole) == 5  # all but directives, whose brief held a path and a secret
    for item in whole:
        spelled = json.dumps(item["ingredients"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(spelled.encode()).hexdigest() == item["key"]
    for item in found["artifacts"].values():
        content = json.dumps(sorted((n, f["sha256"]) for n, f in item["files"].items()), separators=(",", ":"))
        assert hashlib.sha256(content.encode()).hexdigest() == item["content_hash"]


def test_provenance_names_files_and_hands_and_no_place_or_secret(handmade: Path, tmp_path: Path) -> None:
    found = json.loads((handmade / "provenance.json").read_text())
    stages = {item["stage"]: item for item in found["artifacts"].values()}
    assert stages["directives"]["scrubbed"] == ["shot.brief"]
    assert stages["directives"]["ingredients"]["shot"]["brief"] == "see notes.txt (removed)"
    content = hashlib.sha256(b"v 0 0 0\n").hexdigest()
    assert stages["character"]["input_files"] == [{"field": "shot.character", "name": "hero.obj", "content": content}]
    (pin,) = found["shots"]["toy_a_0010"]["pins"]
    assert (pin["stage"], pin["file"], pin["by"], pin["note"]) == ("rig", "rig.bin", "cy", "knees")
    assert pin["content"] == hashlib.sha256(b"hand made").hexdigest()
    assert found["shots"]["toy_a_0010"]["versions"]["rig"]["version"] == "v002"
    for name in NAMES:
        text = (handmade / name).read_text()
        for place in ("planted-secret", "/home", str(tmp_path)):
            assert place not in text
        assert f'"{platform.node()}"' not in text


class Hidden:
    """A store into whose folders nobody may look."""

    def __init__(self, primitive: object) -> None:
        self._primitive = primitive

    def __getattr__(self, name: str) -> object:
        return getattr(self._primitive, name)

    def folder(self, prefix: str) -> None:
        return None


def test_a_store_without_a_file_system_delivers_too(
    delivering: Toy, store: Store, shots, make_all, tmp_path: Path
) -> None:
    """Everything goes through the store's own interface, as on S3."""
    (shot,) = shots()
    make_all(shot)
    say(store, shot.id, "v001", status="approved")
    remote = Store(Hidden(store.primitive))
    left = deliver(remote, [shot], "far", tmp_path / "to", review=True, pending=False)
    assert {n: said["sha256"] for n, said in left.manifest["files"].items()} == {
        n: d for n, d in digests(left.folder).items() if n != NAMES[0]
    }
    assert deliver(remote, [shot], "far", tmp_path / "to", review=True).before
    assert gc(remote, older_than_days=0.0, dry_run=True).generations == []


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ("/home/ana/shots/hero one.glb", "hero one.glb"),
        ("~/x/y.glb", "y.glb"),
        ("C:\\Users\\ana\\y.glb", "y.glb"),
        ("run /opt/tools/seg --in /mnt/a/b.mp4", "run seg --in b.mp4"),
        ("file:///home/ana/a.exr", "a.exr"),
        ("https://ana:pass@api.example.com/v1?sig=abc", "https://api.example.com/v1"),
        ("24000/1001", "24000/1001"),
        ("owner/model@main", "owner/model@main"),
        ("value 3/4, 1/2/3", "value 3/4, 1/2/3"),
        ("on node7: crashed", "on (removed): crashed"),
        ({"api_key": "k", "tokens": 20, "x": [True]}, {"api_key": "(removed)", "tokens": 20, "x": [True]}),
    ],
)  # fmt: skip
def test_what_must_not_leave_is_taken_out(value: object, clean: object) -> None:
    assert scrub(value, hosts=["node7"])[0] == clean
