"""Leases: one holder, expiry by the store's clock, renewal, takeover, dead holders."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from studio_pipeline.store import Busy, Lease, Store


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
    assert isinstance(lease, Lease)
    lease.release()


def test_a_damaged_lease_is_free(disk_store: Store, key):
    disk_store.leases.acquire(key(1)).release()
    entry = next(disk_store.primitive.list("leases/"))
    (disk_store.primitive.root / entry.name).write_bytes(b"{half")
    assert disk_store.leases.holder(key(1)) is None
    lease = disk_store.leases.acquire(key(1))
    assert isinstance(lease, Lease)
    lease.release()
