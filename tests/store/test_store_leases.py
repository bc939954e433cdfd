"""Leases: one holder, expiry by the store's clock, renewal, takeover, dead holders."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from studio_pipeline.store import Busy, Lease, Store, Work
from studio_pipeline.store.leases import RELEASED_BYTES
from studio_pipeline.store.manifest import decode_record, encode_record


def test_one_holds_the_others_are_told_who_and_until_when(store: Store, key):
    with store.leases.acquire(key(1), ttl=30, who="run 17") as lease:
        busy = store.leases.acquire(key(1))
        assert isinstance(busy, Busy) and busy.holder == lease.holder and "run 17" in busy.holder
        assert 25 < busy.seconds_left <= 30
        other = store.leases.acquire(key(2))
        assert isinstance(other, Lease)
        other.release()
        assert not lease.lost()
    assert store.leases.holder(key(1)) is None
    again = store.leases.acquire(key(1))
    assert isinstance(again, Lease)
    again.release()


def test_a_lease_is_renewed_while_it_is_held(store: Store, key, clock_step: float):
    with store.leases.acquire(key(1), ttl=1.0 + 3 * clock_step) as lease:
        time.sleep(1.3 + 3 * clock_step)
        assert isinstance(store.leases.acquire(key(1)), Busy) and not lease.lost()


def test_an_expired_lease_is_taken_over_and_its_old_holder_knows(store: Store, key, clock_step: float):
    old = store.leases.acquire(key(1), ttl=0.8 + 4 * clock_step)
    old._stop.set()  # suspended: nothing renews it
    old._thread.join()
    assert isinstance(store.leases.acquire(key(1)), Busy)
    time.sleep(0.9 + 5 * clock_step)
    new = store.leases.acquire(key(1), ttl=30)
    assert isinstance(new, Lease) and old.lost() and not new.lost()
    old._stop.clear()
    assert old.renew() is False
    old.release()  # must not free the new holder's lease
    assert store.leases.holder(key(1)).holder == new.holder
    new.release()


def test_expiry_goes_by_the_stores_clock(memory, key):
    store = Store(memory)
    clock = [1000.0]
    memory.now = lambda: clock[0]
    lease = store.leases.acquire(key(1), ttl=60)
    clock[0] = 1059.0
    assert isinstance(store.leases.acquire(key(1)), Busy)
    clock[0] = 1061.0
    taken = store.leases.acquire(key(1), ttl=60)
    assert isinstance(taken, Lease) and lease.lost()
    taken.release()
    lease.release()


def test_of_many_at_once_exactly_one_gets_it(store: Store, key):
    barrier, got = threading.Barrier(12), []

    def take() -> None:
        barrier.wait()
        if isinstance(lease := store.leases.acquire(key(1)), Lease):
            got.append(lease)

    for _ in range(3):
        threads = [threading.Thread(target=take) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        got.pop().release()


@pytest.mark.skipif(sys.platform != "linux", reason="who is dead is read from /proc")
def test_a_killed_holder_of_this_machine_is_not_waited_for(disk_store: Store, key):
    code = (
        "import os, signal, sys\nfrom studio_pipeline.store import open_store\n"
        f"open_store({disk_store.url!r}).leases.acquire({key(1)!r}, ttl=3600)\n"
        "print('held', flush=True)\nsys.stdin.read()"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert worker.stdout.readline() == b"held\n"
        assert isinstance(disk_store.leases.acquire(key(1)), Busy)
    finally:
        worker.kill()
        worker.communicate()
    lease = disk_store.leases.acquire(key(1))
    assert isinstance(lease, Lease) and lease.attempt == 2
    assert lease.losses[0].worker.endswith(f"pid {worker.pid}")
    lease.release()


def test_a_damaged_lease_is_free(disk_store: Store, key):
    disk_store.leases.acquire(key(1)).release()
    entry = next(disk_store.primitive.list("leases/"))
    (disk_store.primitive.root / entry.name).write_bytes(b"{half")
    assert disk_store.leases.holder(key(1)) is None
    lease = disk_store.leases.acquire(key(1))
    assert isinstance(lease, Lease)
    lease.release()


def die(lease: Lease) -> None:
    """What a kill leaves: a record that nobody renews or releases any more."""
    lease._stop.set()
    lease._thread.join()


def lapse(store: Store, key: str) -> None:
    """Let a lease whose holder has died expire without waiting for it."""
    name = f"leases/{key[:2]}/{key}.json"
    content = store.primitive.read(name)
    record = decode_record(content.data, name) | {"expires": 1.0, "place": "elsewhere"}
    store.primitive.replace_if(name, encode_record(record), content.etag)


def test_a_lease_says_what_is_made_by_whom_and_how_far_it_is(store: Store, key) -> None:
    work = Work(shot="demo_a_0010", stage="rig", run="run-7", queue="gpu")
    before = store.primitive.now()
    with store.leases.acquire(key(1), ttl=60, work=work) as lease:
        lease.progress(0.25, "bones\nand joints")
        (state,) = store.leases.standing()
        assert (state.state, state.work, state.attempt, state.losses) == ("live", work, 1, ())
        assert state.key == key(1) and state.pid == os.getpid() and state.host == socket.gethostname()
        assert before - 1 <= state.began <= state.renewed and state.expires > state.began + 50
        assert (state.fraction, state.message, state.moved) == (0.0, "", 0.0)  # the call itself wrote nothing
        assert lease.renew()
        (state,) = store.leases.standing()
        assert (state.fraction, state.message) == (0.25, "bones and joints") and state.moved >= before - 1
        lease.progress(float("nan"), "x" * 10_000)
        lease.renew()
        assert store.leases.standing()[0].fraction == 0.0 and len(store.leases.standing()[0].message) <= 200
    assert store.leases.standing() == []


def test_progress_is_told_by_the_renewing_thread_and_bounded(memory, key, monkeypatch) -> None:
    import studio_pipeline.store.leases as module

    store, writes = Store(memory), []
    replace = memory.replace_if
    monkeypatch.setattr(memory, "replace_if", lambda *words: (writes.append(time.monotonic()), replace(*words))[1])
    monkeypatch.setattr(module, "REMOTE_BEAT", 0.2)
    with store.leases.acquire(key(1), ttl=60) as lease:
        end = time.monotonic() + 1.1
        while time.monotonic() < end:
            lease.progress(0.5, str(time.monotonic()))
            time.sleep(0.001)
        assert 2 <= len(writes) <= 6  # a thousand calls, one write a beat
        time.sleep(0.3)
        count = len(writes)
        time.sleep(0.5)
        assert len(writes) == count  # nothing moved, and the lease isn't near its end


def test_an_attempt_that_was_not_released_counts(store: Store, key) -> None:
    for number in (1, 2, 3):
        lease = store.leases.acquire(key(1), work=Work(shot="s", stage="rig", run=f"run-{number}"))
        assert isinstance(lease, Lease) and lease.attempt == number and len(lease.losses) == number - 1
        lease.progress(number / 10, f"at {number}")
        lease.renew()
        die(lease)
        lapse(store, key(1))
    (state,) = store.leases.standing()
    assert (state.state, state.attempt, state.work.run) == ("lost", 3, "run-3")
    lease = store.leases.acquire(key(1))
    assert [(loss.fraction, loss.message) for loss in lease.losses] == [(0.1, "at 1"), (0.2, "at 2"), (0.3, "at 3")]
    assert all(f"pid {os.getpid()}" in loss.worker for loss in lease.losses)
    lease.release()  # it ended well: what was lost before is forgotten
    with store.leases.acquire(key(1)) as again:
        assert again.attempt == 1 and again.losses == ()


def test_what_was_given_up_stays_so_until_it_is_forgiven(store: Store, key) -> None:
    die(store.leases.acquire(key(1)))
    lapse(store, key(1))
    with store.leases.acquire(key(1)) as lease:
        assert lease.attempt == 2
        lease.give_up()
    assert store.leases.holder(key(1)) is None
    assert [state.state for state in store.leases.standing()] == ["given up"]
    with store.leases.acquire(key(1)) as lease:  # another shot needs the same artifact
        assert lease.attempt == 3 and len(lease.losses) == 1
        assert not store.leases.forgive(key(1))  # somebody is at it
        lease.give_up()
    assert store.leases.forgive(key(1)) and not store.leases.forgive(key(1)) and not store.leases.forgive(key(2))
    with store.leases.acquire(key(1)) as lease:
        assert lease.attempt == 1


def test_a_listing_tells_released_leases_from_others(store: Store, key) -> None:
    store.leases.acquire(key(1)).release()
    with store.leases.acquire(key(2), who="w"):
        sizes = {entry.name.rpartition("/")[2]: entry.size for entry in store.primitive.list("leases/")}
        assert sizes[f"{key(1)}.json"] <= RELEASED_BYTES < sizes[f"{key(2)}.json"]


def test_records_of_earlier_versions_are_read(store: Store, key) -> None:
    def left(label: int, expires: float) -> None:
        record = {"holder": "a rig on h [0123abcd]", "key": key(label), "expires": expires}
        record |= {"place": "elsewhere/0f0f0f0f-0f0f/pid:[4026531836]", "pid": 7, "started": "1"}
        data = encode_record(record)
        assert len(data) > RELEASED_BYTES
        store.primitive.create(f"leases/{key(label)[:2]}/{key(label)}.json", data)

    left(1, store.primitive.now() + 60)
    left(2, 5.0)
    left(3, 0.0)  # as they were released
    assert isinstance(store.leases.acquire(key(1)), Busy)
    found = {state.key: (state.state, state.attempt, state.holder) for state in store.leases.standing()}
    assert found == {key(1): ("live", 1, "a rig on h [0123abcd]"), key(2): ("lost", 1, "a rig on h [0123abcd]")}
    for label, attempt in ((2, 2), (3, 1)):
        with store.leases.acquire(key(label)) as lease:
            assert lease.attempt == attempt
