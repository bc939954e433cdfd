"""The shots' books: versions, revisions, shot records, failures."""

from __future__ import annotations

import threading

import pytest

from studio_pipeline.schema.errors import InputError
from studio_pipeline.store import Store
from studio_pipeline.store.reductions import ReductionBook

SHOT = "demo_010_0010"


def test_versions_count_up_and_the_same_again_adds_none(store: Store, key, payload):
    one = store.commit(key(1), payload(a=b"1"), {})
    two = store.commit(key(2), payload(a=b"2"), {})
    assert store.shots.published(SHOT, "rig") is None
    first = store.shots.publish(SHOT, "rig", one, note={"origin": "made"})
    assert first == store.shots.publish(SHOT, "rig", one)
    assert (first.label, first.revision, first.key, first.generation) == ("v001", 1, one.key, 1)
    assert store.shots.publish(SHOT, "rig", two).label == "v002"
    assert store.shots.publish(SHOT, "rig", one).label == "v003"  # back again is a new version
    assert [version.content_hash for version in store.shots.history(SHOT, "rig")] == [
        one.content_hash,
        two.content_hash,
        one.content_hash,
    ]
    assert store.shots.history(SHOT, "rig")[0].note == {"origin": "made"}
    assert store.shots.stages(SHOT) == ["rig"] and store.shots.shot_ids() == [SHOT]
    assert store.shots.history("other_1_1", "rig") == []


def test_the_same_content_from_elsewhere_is_a_revision(store: Store, key, payload):
    one = store.commit(key(1), payload(a=b"1"), {})
    same = store.commit(key(2), payload(a=b"1"), {})
    store.shots.publish(SHOT, "rig", one)
    revised = store.shots.publish(SHOT, "rig", same)
    assert (revised.version, revised.revision, revised.key) == (1, 2, same.key)
    store.quarantine(same.key, 1, "damaged")
    again = store.shots.publish(SHOT, "rig", store.commit(same.key, payload(a=b"1"), {}))
    assert (again.version, again.revision, again.generation) == (1, 3, 2)
    assert store.shots.history(SHOT, "rig") == [again]
    assert len(store.shots.history(SHOT, "rig", revisions=True)) == 3
    assert store.shots.publish(SHOT, "rig", store.commit(key(3), payload(a=b"3"), {})).label == "v002"


def test_publishers_at_once_make_distinct_versions(store: Store, key, payload):
    artifacts = [store.commit(key(index), payload(a=b"%d" % index), {}) for index in range(6)]
    barrier, seen = threading.Barrier(6), []

    def publish(artifact) -> None:
        barrier.wait()
        seen.append(store.shots.publish(SHOT, "rig", artifact))

    threads = [threading.Thread(target=publish, args=(artifact,)) for artifact in artifacts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(version.version for version in seen) == [1, 2, 3, 4, 5, 6]
    assert sorted(store.shots.history(SHOT, "rig"), key=lambda v: v.version) == sorted(seen, key=lambda v: v.version)


def test_a_damaged_record_is_reported_and_its_number_stays_taken(disk_store: Store, key, payload):
    one = disk_store.commit(key(1), payload(a=b"1"), {})
    disk_store.shots.publish(SHOT, "rig", one)
    path = disk_store.primitive.root / "shots" / SHOT / "published" / "rig" / "v001_r01.json"
    path.write_bytes(path.read_bytes().replace(b'"generation": 1', b'"generation": 2'))
    assert disk_store.shots.published(SHOT, "rig") is None
    assert [name for name, _ in disk_store.shots.problems(SHOT)] == [f"shots/{SHOT}/published/rig/v001_r01.json"]
    assert disk_store.shots.publish(SHOT, "rig", one).label == "v002"


def test_shot_records_keep_every_state(store: Store):
    assert store.shots.latest_shot_record(SHOT) is None
    assert store.shots.save_shot_record(SHOT, {"seed": 1, "frames": (1, 2)}) == 1
    assert store.shots.save_shot_record(SHOT, {"frames": [1, 2], "seed": 1}) == 1
    assert store.shots.save_shot_record(SHOT, {"seed": 2}) == 2
    latest = store.shots.latest_shot_record(SHOT)
    assert (latest.version, latest.shot) == (2, {"seed": 2})


def test_a_failure_stands_until_a_later_version(store: Store, key, payload):
    assert store.shots.last_failure(SHOT, "rig") is None
    one = store.commit(key(1), payload(a=b"1"), {})
    store.shots.publish(SHOT, "rig", one)
    store.shots.record_failure(SHOT, "rig", key(2), "mesh has no faces", details={"kind": "InputError"})
    store.shots.record_failure(SHOT, "rig", key(2), "still no faces")
    failure = store.shots.last_failure(SHOT, "rig")
    assert (failure.error, failure.key, failure.after) == ("still no faces", key(2), (1, 1))
    assert store.shots.last_failure(SHOT, "rig", key=key(3)) is None
    assert store.shots.last_failure(SHOT, "rig", key=key(2)) == failure
    store.shots.publish(SHOT, "rig", store.commit(key(2), payload(a=b"2"), {}))
    assert store.shots.last_failure(SHOT, "rig") is None


@pytest.mark.parametrize("bad", ["../x", "a/b", "", ".", "a\n", "a b", "-x"])
def test_shots_and_stages_have_plain_names(store: Store, key, payload, bad: str):
    artifact = store.commit(key(1), payload(), {})
    with pytest.raises(InputError):
        store.shots.publish(bad, "rig", artifact)
    with pytest.raises(InputError):
        store.shots.publish(SHOT, bad, artifact)


def test_what_was_made_smaller_stands_until_it_is_taken_off(store: Store) -> None:
    book = ReductionBook(store.primitive)
    assert book.current("s", "rig") is None
    changes = {"size": ([512, 512], [384, 384])}
    first = book.add("s", "rig", base="b", backend="toy", changes=changes, host="h", reason="r")
    assert (first.label, first.changes) == ("r0001", changes)
    book.add("s", "rig", base="b", backend="toy", changes={"size": ([512, 512], [256, 256])}, host="h")
    assert book.current("s", "rig").changes["size"][1] == [256, 256] and book.current("s", "solid") is None
    book.add("s", "rig", base="b", backend="toy", changes={}, by="td")
    assert book.current("s", "rig") is None and [entry.number for entry in book.history("s", "rig")] == [1, 2, 3]
