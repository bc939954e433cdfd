"""Sixteen processes, one key: one current generation."""

from __future__ import annotations

import multiprocessing
import traceback
from pathlib import Path

import pytest

from studio_pipeline.store import Store, open_store, verify_all

PROCESSES = 16


def _commit(root: str, key: str, folder: str, number: int, gate, results) -> None:
    try:
        store = open_store(root)
        work = Path(folder) / str(number)
        work.mkdir(parents=True)
        for index in range(4):
            (work / f"{index}.bin").write_bytes(b"%d" % number * 5000)
        gate.wait(60)
        artifact = store.commit(key, work, {"stage": "race", "provenance": {"number": number}})
        version = store.shots.publish("race_1_1", "race", artifact)
        results.put((artifact.generation, artifact.content_hash, artifact.joined, version.version))
    except BaseException:
        results.put(traceback.format_exc())


def race(store: Store, key: str, folder: Path) -> list[tuple[int, str, bool, int]]:
    # Forked: sixteen fresh interpreters would spend their time importing, not racing.
    context = multiprocessing.get_context("fork")
    gate, results = context.Barrier(PROCESSES), context.Queue()
    workers = [
        context.Process(target=_commit, args=(store.url, key, str(folder), number, gate, results))
        for number in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    seen = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert all(isinstance(item, tuple) for item in seen), seen
    return seen


def rounds(tmp_path: Path, key, count: int) -> None:
    for number in range(count):
        store = open_store(tmp_path / f"store{number}")
        damaged = number % 2 == 1
        if damaged:  # all of them find the same damaged generation and repair it at once
            old = tmp_path / f"old{number}"
            old.mkdir()
            (old / "a.bin").write_bytes(b"old")
            made = store.commit(key(number), old, {})
            (store.checkout(made) / "a.bin").write_bytes(b"bad")
        seen = race(store, key(number), tmp_path / f"work{number}")
        current = store.find(key(number), thorough=True)
        assert current is not None and current.generation == (2 if damaged else 1)
        assert {item[:2] for item in seen} == {(current.generation, current.content_hash)}
        assert [item[2] for item in seen].count(False) == 1
        assert {item[3] for item in seen} == {1}
        assert store.generations(key(number)) == list(range(1, current.generation + 1))
        report = verify_all(store)
        assert report.problems == [] and report.unfinished == 0


def test_sixteen_processes_make_one_current_generation(tmp_path: Path, key):
    rounds(tmp_path, key, 2)


@pytest.mark.soak
def test_sixteen_processes_again_and_again(tmp_path: Path, key):
    rounds(tmp_path, key, 60)
