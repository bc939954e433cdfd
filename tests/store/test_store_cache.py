"""The read cache: verified at every use, bounded, least recently used first, safe between processes."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store import PayloadCache, Store, content_hash, digest_folder
from studio_pipeline.store.manifest import FileEntry
from studio_pipeline.store.records import RecordCache


def entries(files: dict[str, bytes]) -> list[FileEntry]:
    return [FileEntry(name, len(data), hashlib.sha256(data).hexdigest(), "") for name, data in files.items()]


class Source:
    """Somewhere far away, with what was fetched from it."""

    def __init__(self) -> None:
        self.fetched: list[str] = []

    def payload(self, label: int, size: int = 1000) -> tuple[str, list[FileEntry], Callable[[FileEntry, Path], None]]:
        files = {"a.bin": random.Random(label).randbytes(size - 100), "sub/b.bin": b"%08d" % label + b"x" * 92}

        def fetch(file: FileEntry, target: Path) -> None:
            self.fetched.append(file.name)
            target.write_bytes(files[file.name])

        found = entries(files)
        return content_hash({file.name: file.sha256 for file in found}), found, fetch


@pytest.fixture
def source() -> Source:
    return Source()


def disk_bytes(cache: PayloadCache) -> int:
    """What lies there; others may be fetching and removing meanwhile."""
    total = 0
    for folder, _, names in os.walk(cache.root / "payload"):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(folder) / name).stat().st_size
    return total


def test_a_payload_is_fetched_once_and_hashed_at_every_use(tmp_path: Path, source: Source):
    cache = PayloadCache(tmp_path / "cache")
    content, files, fetch = source.payload(1)
    folder = cache.checkout(content, files, fetch)
    assert digest_folder(folder) == content and sorted(source.fetched) == ["a.bin", "sub/b.bin"]
    assert PayloadCache(tmp_path / "cache").checkout(content, files, fetch) == folder
    assert len(source.fetched) == 2 and cache.size() == disk_bytes(cache) == 1000
    assert not os.access(folder / "a.bin", os.W_OK) or os.getuid() == 0


@pytest.mark.parametrize("how", ["flip", "truncate", "delete", "stranger", "link"])
def test_local_damage_is_repaired_by_the_next_use(tmp_path: Path, source: Source, how: str):
    cache = PayloadCache(tmp_path / "cache")
    content, files, fetch = source.payload(1)
    path = cache.checkout(content, files, fetch) / "a.bin"
    data, status = bytearray(path.read_bytes()), path.stat()
    path.chmod(0o644)
    if how == "flip":
        data[77] ^= 4
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif how == "truncate":
        path.write_bytes(data[:-1])
    elif how == "stranger":
        (path.parent / "stray.png").write_bytes(b"x")
    else:
        path.unlink()
    if how == "link":
        (tmp_path / "elsewhere").write_bytes(bytes(data))
        path.symlink_to(tmp_path / "elsewhere")
    source.fetched.clear()
    assert digest_folder(cache.checkout(content, files, fetch)) == content
    assert source.fetched == ([] if how == "stranger" else ["a.bin"]) and not path.is_symlink()


def test_the_least_recently_used_goes_and_the_limit_holds(tmp_path: Path, source: Source):
    cache = PayloadCache(tmp_path / "cache", limit=3500)
    stamps = {}

    def use(label: int) -> None:
        with cache.using():
            content, files, fetch = source.payload(label)
            cache.checkout(content, files, fetch)
            stamps[label] = next((cache.root / "used").glob(f"{content}.*"))
        for index, one in enumerate(sorted(stamps, key=lambda other: (other == label, stamps[other].stat().st_mtime))):
            os.utime(stamps[one], (index, index))  # no clock is fine enough for a test

    for label in (1, 2, 3, 1):
        use(label)
    content, files, fetch = source.payload(4)
    with cache.using():
        cache.checkout(content, files, fetch)
    source.fetched.clear()
    assert not stamps[2].exists() and stamps[1].exists() and stamps[3].exists()
    assert cache.size() == disk_bytes(cache) == 3000


def test_what_is_in_use_stays_and_a_full_cache_is_one_clear_line(tmp_path: Path, source: Source):
    cache, other = (PayloadCache(tmp_path / "cache", limit=2500) for _ in range(2))
    with cache.using():
        kept = [cache.checkout(*source.payload(label)) for label in (1, 2)]
        with pytest.raises(StorageError, match="STUDIO_CACHE_GB") as error:
            other.checkout(*source.payload(3))
        assert "\n" not in str(error.value) and error.value.exit_code == 4
        assert all(len(list(folder.rglob("*.bin"))) == 2 for folder in kept)
    with other.using():
        other.checkout(*source.payload(3))
    assert cache.size() <= 2500 and disk_bytes(cache) <= 2500


def test_a_fetch_that_fails_leaves_nothing_half(tmp_path: Path, source: Source):
    cache = PayloadCache(tmp_path / "cache")
    content, files, fetch = source.payload(1)

    def broken(file: FileEntry, target: Path) -> None:
        target.write_bytes(b"half")
        raise StorageError("connection lost")

    with pytest.raises(StorageError, match="connection lost"):
        cache.checkout(content, files, broken)
    assert disk_bytes(cache) == 0 and not list((cache.root / "tmp").iterdir())
    assert digest_folder(cache.checkout(content, files, fetch)) == content


WORKER = """
import random, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from store.test_store_cache import Source, disk_bytes
from studio_pipeline.store import PayloadCache, digest_folder
cache, source, rng = PayloadCache(Path({root!r}), limit=5000), Source(), random.Random(int(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    content, files, fetch = source.payload(rng.randrange(12))
    def slow(file, target):
        time.sleep(rng.random() * 0.01)
        fetch(file, target)
    with cache.using():
        folder = cache.checkout(content, files, slow)
        time.sleep(rng.random() * 0.005)
        assert digest_folder(folder) == content
        assert disk_bytes(cache) <= 5000
print("fine", flush=True)
"""


@pytest.mark.slow
def test_several_processes_share_it_and_some_are_killed(tmp_path: Path):
    code = WORKER.format(tests=str(Path(__file__).parent.parent), root=str(tmp_path / "cache"))

    def start(seed: int, count: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(seed), str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    workers, doomed = [start(seed, 60) for seed in range(3)], start(99, 100_000)
    time.sleep(4)
    doomed.kill()
    doomed.communicate()
    for worker in workers:
        said, wrong = worker.communicate(timeout=240)
        assert said == "fine\n", wrong
    cache, source = PayloadCache(tmp_path / "cache", limit=5000), Source()
    for label in range(12):
        with cache.using():
            content, files, fetch = source.payload(label)
            assert digest_folder(cache.checkout(content, files, fetch)) == content
    assert cache.size() <= 5000 and disk_bytes(cache) <= 5000


def test_a_store_that_is_local_uses_no_cache(disk_store: Store, key, payload, tmp_path: Path):
    made = disk_store.commit(key(1), payload(), {})
    assert disk_store.cache is None and disk_store.checkout(made).is_relative_to(tmp_path / "store")
    assert disk_store.snapshot([]).primitive is disk_store.primitive


def test_records_are_kept_by_etag_and_never_believed_when_they_changed(tmp_path: Path):
    from studio_pipeline.store.manifest import encode_record

    path = tmp_path / "records.sqlite"
    cache = RecordCache(path, store="s3://a", limit=10_000)
    good = encode_record({"key": "x", "n": 1})
    cache.put("m", "e1", good)
    cache.put("bad", "e1", good.replace(b"1", b"2"))
    cache.trim()
    again = RecordCache(path, store="s3://a", limit=10_000)
    assert again.get("m", "e1") == good and again.get("m", "e2") is None and again.get("bad", "e1") is None
    assert RecordCache(path, store="s3://b", limit=10_000).get("m", "e1") is None
    import sqlite3
    import zlib

    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE records SET data=?", (zlib.compress(good.replace(b"x", b"y")),))
    assert RecordCache(path, store="s3://a", limit=10_000).get("m", "e1") is None
    path.write_bytes(b"no database at all" * 100)
    broken = RecordCache(path, store="s3://a", limit=10_000)
    broken.put("m", "e1", good)
    assert broken.get("m", "e1") in (good, None)


def test_records_are_bounded(tmp_path: Path):
    from studio_pipeline.store.manifest import encode_record

    cache = RecordCache(tmp_path / "records.sqlite", store="s3://a", limit=20_000)
    for index in range(40):
        cache.put(f"m{index}", "e", encode_record({"data": random.Random(index).randbytes(1000).hex()}))
        cache.trim()
    kept = [index for index in range(40) if cache.get(f"m{index}", "e") is not None]
    assert 39 in kept and 0 not in kept and 5 < len(kept) < 25


def test_a_process_that_lives_long_doesn_t_lock_the_others_out(tmp_path: Path):
    import sqlite3

    from studio_pipeline.store.manifest import encode_record

    path, record = tmp_path / "records.sqlite", encode_record({"key": "x"})
    worker = RecordCache(path, store="s3://a", limit=100_000)
    worker.put("m", "e1", record)
    assert worker.get("m", "e1") == record, "before it is in the file, too"
    with sqlite3.connect(path, timeout=0) as other:  # waits for nobody
        other.execute("INSERT INTO records VALUES ('s3://a', 'n', 'e1', x'00', x'00', 0.0)")
    worker.trim()
    assert RecordCache(path, store="s3://a", limit=100_000).get("m", "e1") == record
