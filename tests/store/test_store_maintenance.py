"""`verify_all` finds everything, `gc` takes only what nobody needs."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from studio_pipeline.store import Store, gc, verify_all

SHOT = "demo_010_0010"
DAY = 86400.0


def age(store: Store, days: float, prefix: str = "artifacts/") -> None:
    for entry in store.primitive.list(prefix):
        then = entry.modified - days * DAY
        os.utime(store.primitive.root / entry.name, (then, then))


def test_a_sound_store_has_no_problems_and_everything_is_counted(disk_store: Store, key, payload):
    for index in range(3):
        disk_store.shots.publish(SHOT, "rig", disk_store.commit(key(index), payload(), {}))
    report = verify_all(disk_store)
    assert (report.problems, report.generations, report.files, report.size) == ([], 3, 6, 3 * 705)


def test_verify_finds_every_kind_of_damage_and_changes_nothing(disk_store: Store, key, payload):
    made = [disk_store.commit(key(index), payload(), {}) for index in range(5)]
    for artifact in made:
        disk_store.shots.publish(SHOT, "rig", artifact)
    root = disk_store.primitive.root
    flipped = root / made[0].payload / "rig.bin"
    status = flipped.stat()
    flipped.write_bytes(b"bonez")
    os.utime(flipped, ns=(status.st_atime_ns, status.st_mtime_ns))
    (root / made[1].payload / "frames/0001.bin").unlink()
    (root / f"artifacts/{made[2].key[:2]}/{made[2].key}/g0001/manifest.json").unlink()
    manifest = root / f"artifacts/{made[3].key[:2]}/{made[3].key}/g0001/manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"size": 5', b'"size": 6'))
    before = [(entry.name, entry.etag) for entry in disk_store.primitive.list("")]
    report = verify_all(disk_store)
    assert sorted(report.damaged) == sorted((artifact.key, 1) for artifact in made[:4])
    assert len(report.problems) == 4 and report.unfinished == 1
    assert [(entry.name, entry.etag) for entry in disk_store.primitive.list("")] == before
    for key_, generation in report.damaged:
        disk_store.quarantine(key_, generation, "verify")
    after = verify_all(disk_store)
    assert (after.problems, after.quarantined) == ([], 4)


def test_gc_keeps_what_is_published_its_inputs_the_young_and_the_asked_for(disk_store: Store, key, payload):
    upstream = disk_store.commit(key("up"), payload(a=b"up"), {})
    fields = {"inputs": [asdict(upstream.as_input("rig"))]}
    old = disk_store.commit(key("old"), payload(a=b"1"), fields)
    disk_store.shots.publish(SHOT, "solid", old)
    disk_store.shots.publish(SHOT, "solid", disk_store.commit(key("new"), payload(a=b"2"), {}))
    loose = disk_store.commit(key("loose"), payload(a=b"loose"), {})
    asked = disk_store.commit(key("asked"), payload(a=b"asked"), {})
    age(disk_store, 8)
    young = disk_store.commit(key("young"), payload(a=b"young"), {})
    dry = gc(disk_store, keep=[(asked.key, 1)])
    assert dry.dry_run and dry.generations == [(loose.key, 1)] and dry.kept == 5 and dry.size > 5
    assert disk_store.find(loose.key) == loose
    done = gc(disk_store, dry_run=False, keep=[(asked.key, 1)])
    assert done.generations == dry.generations and done.size == dry.size
    assert disk_store.find(loose.key) is None
    for artifact in (upstream, old, asked, young):
        assert disk_store.verify(artifact) == []
    assert not list(disk_store.primitive.list(f"artifacts/{loose.key[:2]}/{loose.key}/"))
    assert gc(disk_store, dry_run=False, keep=[(asked.key, 1)]).generations == []


def test_gc_leaves_a_key_alone_that_is_being_made(disk_store: Store, key, payload):
    loose = disk_store.commit(key(1), payload(), {})
    age(disk_store, 8)
    with disk_store.leases.acquire(key(1)):
        for dry_run in (True, False):
            report = gc(disk_store, dry_run=dry_run)
            assert (report.generations, report.busy) == ([], 1)
    assert disk_store.find(key(1)) == loose
    assert gc(disk_store, dry_run=False).generations == [(loose.key, 1)]


def test_gc_removes_cut_off_commits_and_stale_temporary_files(disk_store: Store, tmp_path: Path, key, payload):
    good = disk_store.commit(key(1), payload(), {})
    disk_store.shots.publish(SHOT, "rig", good)
    base = f"artifacts/{good.key[:2]}/{good.key}/g0001/"
    disk_store.primitive.create(base + "deadbeef0000/rig.bin", b"half")
    lone = f"artifacts/{key(2)[:2]}/{key(2)}/g0001/deadbeef0001/rig.bin"
    disk_store.primitive.create(lone, b"half")
    temporary = disk_store.primitive.root / ".tmp" / "dead"
    temporary.write_bytes(b"x")
    assert verify_all(disk_store).unfinished == 2
    assert gc(disk_store, dry_run=False).unfinished == 0
    age(disk_store, 8)
    os.utime(temporary, (1, 1))
    report = gc(disk_store, dry_run=False)
    assert (report.generations, report.unfinished) == ([], 3)
    assert disk_store.find(key(1), thorough=True).content_hash == good.content_hash
    assert verify_all(disk_store).unfinished == 0 and not temporary.exists()


def test_gc_takes_old_quarantined_generations_and_the_number_stays_safe(disk_store: Store, key, payload):
    disk_store.commit(key(1), payload(a=b"1"), {})
    disk_store.quarantine(key(1), 1, "damaged")
    second = disk_store.commit(key(1), payload(a=b"2"), {})
    disk_store.shots.publish(SHOT, "rig", second)
    age(disk_store, 8)
    assert gc(disk_store, dry_run=False).generations == [(key(1), 1)]
    assert disk_store.find(key(1), thorough=True).generation == 2
    assert disk_store.commit(key(1), payload(a=b"3"), {}).joined
