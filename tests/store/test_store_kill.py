"""Kill the writing process, again and again: no good version is lost, nothing half-written is ever read.

A worker commits an artifact of 24 files (64 MiB, on S3 24) and publishes it; it dies by SIGKILL at a seeded random
moment, most often between the commit's first and last write. After each death the earlier versions must verify, the
interrupted key must be absent or whole, and the next run must simply work, not waiting for the dead worker's lease.
"""

from __future__ import annotations

import collections
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.s3server import S3Server

from studio_pipeline.store import Store, digest_folder, gc, open_store, verify_all

WORKER = Path(__file__).with_name("commit_worker.py")
FILES, BYTES = 24, 64 << 20
S3_BYTES = 24 << 20  # a file in parts among them
SHOT = "kill_010_0010"
# Of 20 kills: 1 before the first write, 17 between the first and the last, 1 during the last, 1 after it.
AIMS = ["before"] + ["between"] * 17 + ["last"] + ["after"]


def big_payload(folder: Path, rng: np.random.Generator, size: int) -> Path:
    """Files of uneven sizes, at least ``size`` bytes together."""
    shares = rng.dirichlet([24.0] + [2.0] * (FILES - 1))  # the first is large enough to go in parts on S3
    for index, share in enumerate(shares):
        path = folder / ("frames" if index % 3 else "arrays") / f"{index:04d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.bytes(int(share * size) + 1))
    return folder


def run_and_kill(store: Store, key: str, folder: Path, aim: str, rng: random.Random, pace: float) -> str:
    """Start a worker, kill it where it was aimed at, and say in which phase of the commit it really died."""
    worker = subprocess.Popen(
        [sys.executable, str(WORKER), store.url, key, str(folder), SHOT], stdout=subprocess.PIPE, text=True
    )
    killed = threading.Event()

    def kill(delay: float) -> None:
        time.sleep(delay)
        killed.set()
        worker.kill()

    # Payload write number k begins: the kill falls somewhere within it. The lease is the write before them all.
    at = {"before": 0, "between": rng.randrange(FILES), "last": FILES, "after": FILES}[aim]
    delay = {"before": 0.0, "between": rng.random() * pace, "last": rng.random() * 0.002, "after": 0.05}[aim]
    lines, writes = [], 0
    assert worker.stdout is not None
    for line in worker.stdout:
        lines.append(line.split())
        if lines[-1][0] == "begin":
            writes += 1
            if (aim == "before" and writes == 1) or (aim != "before" and writes == at + 2):
                threading.Thread(target=kill, args=(delay,)).start()
    worker.wait()
    if not killed.is_set():
        killed.wait(10)
    return phase(lines)


def phase(lines: list[list[str]]) -> str:
    payload = [kind for kind, name in lines if name.startswith("artifacts/") and not name.endswith("manifest.json")]
    manifest = [kind for kind, name in lines if name.endswith("manifest.json")]
    if not payload:
        return "before the first write"
    if not manifest:
        return "between the first and the last write"
    return "after the last write" if "end" in manifest else "during the last write"


def drill(
    tmp_path: Path, key, kills: int, seed: int, *, place: str = "", size: int = BYTES
) -> collections.Counter[str]:
    rng = random.Random(seed)
    folder = big_payload(tmp_path / "payload", np.random.default_rng(seed), size)
    expected = digest_folder(folder)
    store = open_store(place or tmp_path / "store", cache=tmp_path / "cache")
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.bin").write_bytes(b"an older version")
    good = [store.commit(key("older"), other, {"stage": "test"})]
    store.shots.publish(SHOT, "test", good[0])
    phases: collections.Counter[str] = collections.Counter()
    aims = [AIMS[index % len(AIMS)] for index in range(kills)]
    rng.shuffle(aims)
    pace = 0.02
    for index, aim in enumerate(aims):
        target = key((seed, index))
        if index % 3 == 0:  # every third time, a version that failed verification is being replaced
            store.commit(target, other, {"stage": "test"})
            store.quarantine(target, 1, "drill")
        phases[run_and_kill(store, target, folder, aim, rng, pace)] += 1

        found = store.find(target, thorough=True)
        assert found is None or (found.content_hash == expected and store.verify(found) == [])
        assert store.damage(target) == []
        published = store.shots.published(SHOT, "test")
        assert published is not None and store.verify(store.get(published.key, published.generation)) == []
        assert all(store.find(artifact.key, thorough=True) == artifact for artifact in good[-2:])

        started = time.monotonic()
        subprocess.run([sys.executable, str(WORKER), store.url, target, str(folder), SHOT], check=True, stdout=-3)
        pace = 0.5 * pace + 0.5 * (time.monotonic() - started) / FILES
        again = store.find(target, thorough=True)
        assert again is not None and again.content_hash == expected
        assert again.generation == (2 if index % 3 == 0 else 1)
        assert store.shots.published(SHOT, "test").key == target
        good = [good[0], again]
        age_and_forget(store, keep=[(again.key, again.generation), (good[0].key, 1)])
    report = verify_all(store)
    assert report.problems == [] and report.unfinished == 0
    return phases


def age_and_forget(store: Store, keep: list[tuple[str, int]]) -> None:
    """Free the disk between kills: everything but the latest version goes, dead workers' leftovers too."""
    for entry in list(store.primitive.list(f"shots/{SHOT}/")):
        store.primitive.delete(entry.name)
    for item in keep:
        store.shots.publish(SHOT, "test", store.get(*item))
    store.shots.publish(SHOT, "test", store.get(*keep[0]))
    gc(store, older_than_days=-1.0, dry_run=False)


def tell(phases: collections.Counter[str], capsys: pytest.CaptureFixture[str], *, size: int, where: str) -> None:
    with capsys.disabled():
        print(
            f"\nsoak: {sum(phases.values())} kills on {where} of a commit of {size >> 20} MiB in {FILES} files: "
            f"{dict(phases)}"
        )


@pytest.mark.slow
def test_twelve_kills_lose_nothing(tmp_path: Path, key, capsys: pytest.CaptureFixture[str]):
    phases = drill(tmp_path, key, kills=12, seed=12)
    tell(phases, capsys, size=BYTES, where="disk")
    assert phases["between the first and the last write"] >= 8


@pytest.mark.slow
def test_six_kills_on_s3_lose_nothing(tmp_path: Path, key, capsys: pytest.CaptureFixture[str], s3: S3Server):
    phases = drill(tmp_path, key, kills=6, seed=6, place=s3.place(), size=S3_BYTES)
    tell(phases, capsys, size=S3_BYTES, where="S3")
    assert phases["between the first and the last write"] >= 3


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_kills_lose_nothing(tmp_path: Path, key, capsys: pytest.CaptureFixture[str]):
    phases = drill(tmp_path, key, kills=200, seed=100)
    tell(phases, capsys, size=BYTES, where="disk")
    assert phases["between the first and the last write"] >= 140


@pytest.mark.soak
@pytest.mark.timeout(10800)
def test_two_hundred_kills_on_s3_lose_nothing(tmp_path: Path, key, capsys: pytest.CaptureFixture[str], s3: S3Server):
    phases = drill(tmp_path, key, kills=200, seed=200, place=s3.place(), size=S3_BYTES)
    tell(phases, capsys, size=S3_BYTES, where="S3")
    assert phases["between the first and the last write"] >= 140
