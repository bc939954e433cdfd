"""Commit, find, verify, checkout: on the disk and on a primitive without a file system."""

from __future__ import annotations

import errno
import os
import random
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store import Corrupt, LeaseLost, Store, digest_folder, key_of
from studio_pipeline.store.artifacts import payload_files
from studio_pipeline.store.disk import DiskPrimitive
from studio_pipeline.store.s3 import S3Primitive


def names(store: Store) -> list[str]:
    return [entry.name for entry in store.primitive.list("")]


def test_a_commit_is_found_with_its_manifest_and_its_files(store: Store, key, payload):
    folder = payload()
    upstream = store.commit(key("character"), payload(mesh=b"faces"), {"stage": "character"})
    fields = {
        "stage": "rig",
        "ingredients": {"settings": {"joints": 20}},
        "inputs": [asdict(upstream.as_input("character"))],
        "figures": {"joints": 20, "worst": float("nan")},
        "verdicts": [{"name": "joints_inside", "passed": True}],
        "previews": ("preview.png",),
        "provenance": {"host": "here", "seconds": 1.5},
    }
    made = store.commit(key(1), folder, fields)
    found = store.find(key(1), thorough=True)
    assert found == made and found == store.find(key(1)) and not made.joined
    assert (found.generation, found.stage, found.figures) == (1, "rig", {"joints": 20, "worst": None})
    assert found.inputs == (upstream.as_input("character"),) and found.previews == ("preview.png",)
    assert found.content_hash == digest_folder(folder) and found.size == 705
    assert store.verify(found) == []
    checked_out = store.checkout(found)
    assert digest_folder(checked_out) == found.content_hash
    assert folder.exists() and store.find(key(2)) is None


def test_the_content_hash_knows_nothing_of_time_host_or_manifest(store: Store, key, payload):
    one = store.commit(key(1), payload(a=b"1", b__c=b"2"), {"provenance": {"host": "x"}})
    two = store.commit(key(2), payload(b__c=b"2", a=b"1"), {"provenance": {"host": "y"}, "stage": "rig"})
    assert one.content_hash == two.content_hash != store.commit(key(3), payload(a=b"1", b__c=b"3"), {}).content_hash


def test_the_first_commit_wins_and_nothing_is_overwritten(store: Store, key, payload):
    first = store.commit(key(1), payload(a=b"first"), {"stage": "first"})
    before = names(store)
    second = store.commit(key(1), payload(a=b"second"), {"stage": "second"})
    assert second.joined and second.content_hash == first.content_hash and second.stage == "first"
    assert names(store) == before and store.generations(key(1)) == [1]


def test_a_zombie_that_wakes_before_its_last_write_joins_the_winner(disk_store: Store, tmp_path: Path, key, payload):
    asleep, wake = threading.Event(), threading.Event()

    class Sleeper(DiskPrimitive):
        def create(self, name, data):
            if name.endswith("manifest.json"):
                asleep.set()
                wake.wait(20)
            return super().create(name, data)

    results = []
    zombie = Store(Sleeper(tmp_path / "store"))
    thread = threading.Thread(target=lambda: results.append(zombie.commit(key(1), payload(a=b"zombie"), {})))
    thread.start()
    assert asleep.wait(20)
    assert disk_store.find(key(1)) is None
    winner = disk_store.commit(key(1), payload(a=b"winner"), {})
    wake.set()
    thread.join()
    assert results[0].joined and results[0].content_hash == winner.content_hash
    assert disk_store.find(key(1), thorough=True) == winner
    assert not any("zombie" in (disk_store.primitive.root / name).read_text() for name in names(disk_store))


def test_a_commit_under_a_lost_lease_is_refused_until_the_other_commits(store: Store, key, payload):
    lease = store.leases.acquire(key(1), ttl=0.05)
    lease._stop.set()  # the renewing thread dies, as in a process that was suspended
    while store.leases.holder(key(1)):
        pass
    other = store.leases.acquire(key(1))
    with pytest.raises(LeaseLost):
        store.commit(key(1), payload(a=b"zombie"), {}, lease=lease)
    assert store.find(key(1)) is None and not [name for name in names(store) if name.startswith("artifacts")]
    winner = store.commit(key(1), payload(a=b"other"), {}, lease=other)
    other.release()
    assert store.commit(key(1), payload(a=b"zombie"), {}, lease=lease).content_hash == winner.content_hash


def damage(store: Store, name: str, how: str, rng: random.Random) -> None:
    """Change one file of the store behind its back; sizes and times stay where the trick allows."""
    if isinstance(store.primitive, DiskPrimitive):
        path = store.primitive.root / name
        status, data = path.stat(), bytearray(path.read_bytes())
        if how == "delete":
            return path.unlink()
        data = data[:-1] if how == "truncate" else data
        if how == "flip":
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        return os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    if isinstance(store.primitive, S3Primitive):  # as another program with the same keys would
        if how == "delete":
            return store.primitive.delete(name)
        data = bytearray(store.primitive.read(name).data)
        data = data[:-1] if how == "truncate" else data
        if how == "flip":
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        store.primitive.client.call("put_object", Key=store.primitive._key(name), Body=bytes(data))
        return None
    data, etag, modified = store.primitive.objects.pop(name)
    if how != "delete":
        data = bytearray(data[:-1] if how == "truncate" else data)
        if how == "flip":
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        store.primitive.objects[name] = (bytes(data), etag, modified)
    return None


@pytest.mark.parametrize("how", ["flip", "truncate", "delete"])
def test_every_damage_is_found_and_repaired_by_a_new_generation(store: Store, key, payload, how: str):
    rng = random.Random(7)
    source = payload(a=os.urandom(5000), frames__1=b"x" * 10, frames__2=b"y", empty_not=b"1")
    for trial in range(10 if isinstance(store.primitive, DiskPrimitive) else 4):
        made = store.commit(key(trial), source, {"stage": "rig"})
        targets = [entry.name for entry in store.primitive.list(f"artifacts/{made.key[:2]}/{made.key}/")]
        target = rng.choice(targets)
        damage(store, target, how, rng)
        assert store.verify(made), f"{how} of {target} was not found"
        assert store.find(made.key, thorough=True) is None
        if how != "flip" or target.endswith("manifest.json") or store.primitive.trusted_etags:
            assert store.find(made.key) is None
        again = store.commit(made.key, source, {"stage": "rig"})
        assert not again.joined and again.content_hash == made.content_hash
        # With its manifest gone, a generation is as if never committed; anything else is kept aside.
        vanished = how == "delete" and target.endswith("manifest.json")
        assert again.generation == (1 if vanished else 2)
        assert vanished or store.is_quarantined(made.key, 1)
        assert store.find(made.key, thorough=True) == again


def test_a_damaged_artifact_is_never_checked_out(store: Store, key, payload):
    made = store.commit(key(1), payload(a=b"good bytes"), {"stage": "rig"})
    damage(store, made.payload + "a.bin", "flip", random.Random(1))
    with pytest.raises(Corrupt, match="bytes have changed") as error:
        store.checkout(made)
    assert "make rig again" in str(error.value) and "\n" not in str(error.value)


def test_a_stranger_among_the_files_is_a_problem(disk_store: Store, key, payload):
    made = disk_store.commit(key(1), payload(), {})
    (disk_store.checkout(made) / "stray.png").write_bytes(b"x")
    assert [problem.what for problem in disk_store.verify(made)] == ["is not part of what was committed"]
    assert disk_store.find(key(1)) is None


def test_a_changed_time_alone_is_no_damage(disk_store: Store, key, payload):
    made = disk_store.commit(key(1), payload(), {})
    for file in made.files:
        os.utime(disk_store.checkout(made) / file.name, (1, 1))
    assert disk_store.find(key(1)) == made and disk_store.damage(key(1), thorough=True) == []


def test_quarantine_keeps_the_files_and_moves_current_on(store: Store, key, payload):
    first = store.commit(key(1), payload(a=b"1"), {})
    store.quarantine(key(1), 1, "looks wrong")
    store.quarantine(key(1), 1, "twice is fine")
    assert store.find(key(1)) is None and store.is_quarantined(key(1), 1)
    second = store.commit(key(1), payload(a=b"2"), {})
    assert (second.generation, store.generations(key(1))) == (2, [1, 2])
    assert store.get(key(1), 1) == first and store.verify(first) == []
    store.quarantine(key(1), 2, "too")
    assert store.commit(key(1), payload(a=b"3"), {}).generation == 3


def test_a_full_disk_during_a_commit_leaves_no_trace(disk_store: Store, key, payload, monkeypatch):
    good = disk_store.commit(key(0), payload(), {})
    before, real, budget = names(disk_store), os.write, [30_000]

    def filling(descriptor: int, data) -> int:
        if len(data) > budget[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        budget[0] -= len(data)
        return real(descriptor, data)

    monkeypatch.setattr("studio_pipeline.store.disk.os.write", filling)
    with pytest.raises(StorageError, match="disk is full"):
        disk_store.commit(key(1), payload(a=bytes(20_000), b=bytes(20_000), c=b"1"), {})
    monkeypatch.undo()
    assert names(disk_store) == before and list((disk_store.primitive.root / ".tmp").iterdir()) == []
    assert disk_store.find(key(1)) is None and disk_store.find(key(0), thorough=True) == good
    assert disk_store.commit(key(1), payload(a=bytes(20_000)), {}).generation == 1


def test_an_interrupt_right_after_the_last_write_keeps_the_version(disk_store: Store, tmp_path: Path, key, payload):
    class Interrupted(DiskPrimitive):
        def create(self, name, data):
            written = super().create(name, data)
            if name.endswith("manifest.json"):
                raise KeyboardInterrupt
            return written

    with pytest.raises(KeyboardInterrupt):
        Store(Interrupted(tmp_path / "store")).commit(key(1), payload(), {})
    assert disk_store.verify(disk_store.find(key(1))) == []


def test_payloads_with_links_or_nothing_are_refused(tmp_path: Path, disk_store: Store, key):
    folder = tmp_path / "work"
    folder.mkdir()
    with pytest.raises(StorageError, match="no file"):
        disk_store.commit(key(1), folder, {})
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(StorageError, match="link"):
        payload_files(folder)


def test_manifest_fields_cannot_pose_as_the_stores_own(store: Store, key, payload):
    with pytest.raises(StorageError, match="content_hash"):
        store.commit(key(1), payload(), {"content_hash": "0" * 64})
    assert store.find(key(1)) is None


@pytest.mark.parametrize("bad", ["", "../x", "A" * 64, "f" * 63, "f" * 65, "f" * 63 + "\n"])
def test_keys_are_hex_digits_only(store: Store, payload, bad: str):
    with pytest.raises(StorageError):
        store.commit(bad, payload(), {})


def test_a_repair_with_the_same_bytes_leaves_downstream_keys_alone(disk_store: Store, key, payload):
    source = payload(a=b"bones")
    made = disk_store.commit(key(1), source, {})
    downstream = key_of({"inputs": {"rig": made.content_hash}})
    damage(disk_store, made.payload + "a.bin", "flip", random.Random(3))
    same = disk_store.commit(key(1), source, {})
    assert same.generation == 2 and key_of({"inputs": {"rig": same.content_hash}}) == downstream
    damage(disk_store, same.payload + "a.bin", "flip", random.Random(3))
    other = disk_store.commit(key(1), payload(a=b"other"), {})
    assert other.generation == 3 and key_of({"inputs": {"rig": other.content_hash}}) != downstream
