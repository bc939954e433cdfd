"""What the store promises, on every primitive alike: races, swaps, verification, gc, what a plan sees."""

from __future__ import annotations

import random
import threading
from dataclasses import asdict, replace

import pytest

import studio_pipeline.store.moment as moment
from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store import Corrupt, Store, digest_folder, gc, verify_all
from studio_pipeline.store.artifacts import generation_prefix
from studio_pipeline.store.disk import DiskPrimitive
from studio_pipeline.store.maintenance import repair
from studio_pipeline.store.pins import PinBook
from studio_pipeline.store.s3 import S3Primitive

SHOT = "demo_010_0010"
RACERS = 32


def overwrite(store: Store, name: str, data: bytes) -> None:
    """Change an object behind the store's back."""
    primitive = store.primitive
    if isinstance(primitive, DiskPrimitive):
        (primitive.root / name).write_bytes(data)
    elif isinstance(primitive, S3Primitive):
        primitive.client.call("put_object", Key=primitive._key(name), Body=data)
    else:
        _, etag, modified = primitive.objects[name]
        primitive.objects[name] = (data, etag + "'", modified)


def later(store: Store, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let the store's clock be some days on."""
    real = store.primitive.now
    monkeypatch.setattr(store.primitive, "now", lambda: real() + days * 86400.0)


def test_of_32_racers_for_one_key_one_commits_and_the_others_join(store: Store, key, payload):
    folders = [payload(a=b"racer %d" % number, b=bytes(3000)) for number in range(RACERS)]
    barrier, got = threading.Barrier(RACERS), []

    def race(folder) -> None:
        barrier.wait()
        try:
            artifact = store.commit(key(1), folder, {"stage": "race"})
            got.append((artifact, store.shots.publish(SHOT, "race", artifact).label))
        except BaseException as error:
            got.append(error)

    threads = [threading.Thread(target=race, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(item, tuple) for item in got), got
    assert [artifact.joined for artifact, _ in got].count(False) == 1 and len(got) == RACERS
    assert {(artifact.generation, artifact.content_hash, label) for artifact, label in got} == {
        (1, store.find(key(1), thorough=True).content_hash, "v001")
    }
    assert store.generations(key(1)) == [1] and len(store.shots.history(SHOT, "race", revisions=True)) == 1
    report = verify_all(store)
    assert (report.problems, report.unfinished, report.generations) == ([], 0, 1)


def test_two_swapped_artifacts_are_both_found_and_made_again_alone(store: Store, key, payload):
    sources = [payload(a=b"first!", same=b"s"), payload(a=b"second", same=b"s"), payload(a=b"third.")]
    made = [store.commit(key(index), source, {"stage": "rig"}) for index, source in enumerate(sources)]
    names = [generation_prefix(item.key, 1) + "manifest.json" for item in made]
    manifests = [store.primitive.read(name).data for name in names]
    files = [store.primitive.read(item.payload + "a.bin").data for item in made]
    overwrite(store, made[0].payload + "a.bin", files[1])
    overwrite(store, made[1].payload + "a.bin", files[0])
    report = verify_all(store)
    assert sorted(report.damaged) == sorted((item.key, 1) for item in made[:2])
    assert [store.find(item.key, thorough=True) is None for item in made] == [True, True, False]
    for index in (0, 1):
        again = store.commit(key(index), sources[index], {"stage": "rig"})
        assert (again.generation, again.content_hash) == (2, made[index].content_hash)
        assert digest_folder(store.checkout(again)) == again.content_hash
    overwrite(store, names[2], manifests[0])  # whole, with a right digest, but somebody else's
    assert store.find(made[2].key) is None and any("another artifact" in p.what for p in verify_all(store).problems)
    assert store.commit(key(2), sources[2], {"stage": "rig"}).generation == 2


def test_verify_finds_every_kind_of_damage_and_repair_takes_it_out(store: Store, key, payload):
    rng = random.Random(5)
    sources = [payload(a=b"%d" % index * 500, b__c=b"%d" % index) for index in range(4)]
    made = [store.commit(key(index), source, {"stage": "rig"}) for index, source in enumerate(sources)]
    flipped = bytearray(store.primitive.read(made[0].payload + "a.bin").data)
    flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    overwrite(store, made[0].payload + "a.bin", bytes(flipped))
    overwrite(store, made[1].payload + "a.bin", bytes(flipped[:-1]))
    store.primitive.delete(made[2].payload + "b/c.bin")
    for item in made[:3]:
        with pytest.raises(Corrupt):
            store.checkout(item)
    report = verify_all(store)
    assert sorted(report.damaged) == sorted((item.key, 1) for item in made[:3]) and report.generations == 4
    assert repair(store, report) == 3 and verify_all(store).problems == []
    assert [store.find(item.key) is None for item in made] == [True, True, True, False]


def test_gc_keeps_what_is_published_with_its_inputs_and_what_is_being_made(store: Store, key, payload, monkeypatch):
    upstream = store.commit(key("up"), payload(a=b"up"), {})
    old = store.commit(key("old"), payload(a=b"1"), {"inputs": [asdict(upstream.as_input("rig"))]})
    store.shots.publish(SHOT, "solid", old)
    store.shots.publish(SHOT, "solid", store.commit(key("new"), payload(a=b"2"), {}))
    loose = store.commit(key("loose"), payload(a=b"loose"), {})
    busy = store.commit(key("busy"), payload(a=b"busy"), {})
    store.primitive.create(f"artifacts/{key(9)[:2]}/{key(9)}/g0001/deadbeef0001/rig.bin", b"half")
    assert gc(store, dry_run=False).generations == []
    later(store, monkeypatch, 8)
    with store.leases.acquire(busy.key):
        dry = gc(store)
        assert (dry.generations, dry.kept, dry.busy, dry.unfinished) == ([(loose.key, 1)], 3, 1, 1)
        assert gc(store, dry_run=False).generations == dry.generations
    assert store.find(loose.key) is None and not list(store.primitive.list(f"artifacts/{key(9)[:2]}/{key(9)}/"))
    assert all(store.verify(artifact) == [] for artifact in (upstream, old, busy))


def test_a_plan_sees_what_the_store_holds_and_writes_nothing(store: Store, key, payload):
    for shot in range(3):
        for stage in range(3):
            for version in range(1 + (shot + stage) % 2):
                artifact = store.commit(key((shot, stage, version)), payload(a=b"%d%d%d" % (shot, stage, version)), {})
                store.shots.publish(f"s_{shot}_1", f"stage{stage}", artifact)
        store.shots.save_shot_record(f"s_{shot}_1", {"n": shot})
    store.shots.record_failure("s_1_1", "stage0", key("f"), "no faces")
    store.quarantine(key((2, 0, 0)), 1, "drill")
    for _ in range(2):  # the second time from what was kept of the first
        seen = store.snapshot([f"s_{shot}_1" for shot in range(3)])
        assert seen.shots.shot_ids() == store.shots.shot_ids()
        for shot in range(3):
            name = f"s_{shot}_1"
            assert seen.shots.latest_shot_record(name) == store.shots.latest_shot_record(name)
            for stage in range(3):
                assert seen.shots.history(name, f"stage{stage}") == store.shots.history(name, f"stage{stage}")
                assert seen.shots.last_failure(name, f"stage{stage}") == store.shots.last_failure(name, f"stage{stage}")
                for version in range(2):
                    wanted = key((shot, stage, version))
                    assert seen.find(wanted) == store.find(wanted) and seen.damage(wanted) == store.damage(wanted)
    with pytest.raises(StorageError, match="writes nothing"):
        seen.commit(key("new"), payload(), {})


def test_what_many_shots_share_is_looked_at_once_a_plan(store: Store, key, payload, monkeypatch: pytest.MonkeyPatch):
    artifact = store.commit(key(1), payload(), {})
    bad = store.commit(key(2), payload(a=b"one"), {})
    overwrite(store, bad.payload + "a.bin", b"two")
    seen = store.snapshot([])
    looked: list[str] = []
    examine = Store._examine
    monkeypatch.setattr(
        Store, "_examine", lambda self, key, *rest, **how: (looked.append(key), examine(self, key, *rest, **how))[1]
    )
    assert seen.snapshot(["s_1_1"]) is seen
    assert [seen.find(key(1)) for _ in range(5)] == [artifact] * 5 and looked == [key(1)]
    # Planned in passing and then in earnest: every byte is hashed then. What is damaged is never taken as known.
    assert seen.find(key(1), thorough=True) == artifact and looked == [key(1)] * 2
    assert seen.find(key(2)) is None and seen.find(key(2)) is None and looked == [key(1)] * 2 + [key(2)] * 2
    for number in range(3, 3 + moment.MOST):
        seen.moment.remember(replace(artifact, key=key(number)), thorough=False)
    assert len(seen.moment.artifacts) == moment.MOST


def test_a_later_snapshot_sees_damage_and_news(store: Store, key, payload):
    one = store.commit(key(1), payload(a=b"one one"), {})
    store.shots.publish(SHOT, "rig", one)
    assert store.snapshot([SHOT]).find(key(1)) == one
    overwrite(store, one.payload + "a.bin", b"two two")
    assert store.snapshot([SHOT]).find(key(1)) is None and store.snapshot([SHOT]).damage(key(1))
    two = store.commit(key(1), payload(a=b"one one"), {})
    store.shots.publish(SHOT, "rig", two)
    seen = store.snapshot([SHOT])
    assert seen.find(key(1)) == two and seen.shots.published(SHOT, "rig").generation == 2


def test_many_shots_are_listed_whole_and_few_are_not(store: Store, key, payload):
    """Either way of listing gives the same answers."""
    artifact = store.commit(key(1), payload(), {})
    for shot in range(20):
        store.shots.publish(f"s_{shot}_1", "rig", artifact)
    wanted = [f"s_{shot}_1" for shot in range(20)]
    for names in (wanted, wanted[:2]):
        seen = store.snapshot(names)
        assert [seen.shots.published(name, "rig").key for name in wanted] == [artifact.key] * 20
        assert seen.find(key(1)) == artifact and seen.find(key(2)) is None


def test_pinned_files_are_here_with_all_that_lies_beside_them(store: Store, payload):
    folder = payload(rig=b"bones", tex__skin=b"colour")
    book = PinBook(store.primitive)
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.bin")}
    kept = book.keep("c0ffee", names, "rig.bin")
    assert book.keep("c0ffee", names, "rig.bin") == kept
    path = store.pinned_file(kept, lambda found: found.read_bytes() == b"bones")
    assert path.name == "rig.bin" and (path.parent / "tex/skin.bin").read_bytes() == b"colour"
    assert store.pinned_file(kept, lambda found: False) is None
    if store.cache is not None:  # a local copy that rotted is fetched again
        path = store.pinned_file(kept, lambda found: found.read_bytes() == b"bones")
        path.chmod(0o644)
        path.write_bytes(b"bonez")
        assert store.pinned_file(kept, lambda found: found.read_bytes() == b"bones").read_bytes() == b"bones"


def test_one_file_of_a_payload_can_be_had_alone(store: Store, key, payload):
    made = store.commit(key(1), payload(picture=b"pixels", big=bytes(10_000)), {})
    assert store.local_file(made, "picture.bin").read_bytes() == b"pixels"
    assert store.local_file(made, "other.bin") is None and store.local_file(made, "../manifest.json") is None
    if store.cache is not None:
        assert store.cache.size() == 6
