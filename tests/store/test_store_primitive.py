"""The disk primitive: atomic, exclusive, conditional, told apart from places that aren't."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store import open_store
from studio_pipeline.store.disk import DiskPrimitive
from studio_pipeline.store.primitive import Changed, Entry, Exists, Missing, check_name, probe


@pytest.fixture
def disk(tmp_path: Path) -> DiskPrimitive:
    return DiskPrimitive(tmp_path / "store")


def leftovers(disk: DiskPrimitive) -> list[Path]:
    return list((disk.root / ".tmp").iterdir())


def test_create_is_exclusive_and_leaves_the_first_bytes(disk: DiskPrimitive):
    written = disk.create("a/b/c.json", b"first")
    assert (written.size, written.sha256) == (5, hashlib.sha256(b"first").hexdigest())
    with pytest.raises(Exists):
        disk.create("a/b/c.json", b"second")
    assert disk.read("a/b/c.json").data == b"first"
    assert disk.stat("a/b/c.json") == Entry("a/b/c.json", 5, written.etag, disk.stat("a/b/c.json").modified)
    assert leftovers(disk) == []


def test_files_are_streamed_not_loaded(disk: DiskPrimitive, tmp_path: Path):
    big = tmp_path / "big.bin"
    with big.open("wb") as stream:
        stream.truncate(150 << 20)
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom studio_pipeline.store.disk import DiskPrimitive\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"written = DiskPrimitive(Path({str(disk.root)!r})).create('big', Path({str(big)!r}))\n"
        "print(written.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    size, grown_kib = map(int, subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert size == 150 << 20
    assert grown_kib < 50_000


def test_replace_if_wants_the_current_etag(disk: DiskPrimitive):
    first = disk.create("lease", b"one")
    second = disk.replace_if("lease", b"two", first.etag)
    with pytest.raises(Changed):
        disk.replace_if("lease", b"three", first.etag)
    with pytest.raises(Changed):
        disk.replace_if("other", b"three", first.etag)
    assert disk.read("lease").data == b"two" and disk.read("lease").etag == second.etag


def test_quick_replacements_of_one_size_have_different_etags(disk: DiskPrimitive):
    etag = disk.create("lease", b"0").etag
    seen = {etag}
    for index in range(50):
        etag = disk.replace_if("lease", str(index % 10).encode(), etag).etag
        seen.add(etag)
    assert len(seen) == 51


def test_of_many_threads_with_one_etag_exactly_one_replaces(disk: DiskPrimitive):
    etag, won = disk.create("lease", b"start").etag, []
    barrier = threading.Barrier(8)

    def take(name: str) -> None:
        barrier.wait()
        try:
            disk.replace_if("lease", name.encode(), etag)
            won.append(name)
        except Changed:
            pass

    threads = [threading.Thread(target=take, args=(f"t{index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and disk.read("lease").data == won[0].encode()


def test_a_killed_replacer_leaves_no_lock(disk: DiskPrimitive):
    etag = disk.create("lease", b"start").etag
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom studio_pipeline.store.disk import DiskPrimitive\n"
        f"disk = DiskPrimitive(Path({str(disk.root)!r}))\n"
        "with disk._locked('lease'):\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    disk.replace_if("lease", b"next", etag)


def test_list_is_sorted_and_ignores_the_stores_own_folders(disk: DiskPrimitive):
    for name in ("b/2", "a/1", "b/10", "b/x/y"):
        disk.create(name, name.encode())
    assert [entry.name for entry in disk.list("")] == ["a/1", "b/10", "b/2", "b/x/y"]
    assert [entry.name for entry in disk.list("b/")] == ["b/10", "b/2", "b/x/y"]
    assert list(disk.list("nothing/")) == []


def test_delete_removes_empty_folders_and_missing_is_fine(disk: DiskPrimitive):
    disk.create("a/b/c", b"")
    disk.create("a/d", b"")
    disk.delete("a/b/c")
    disk.delete("a/b/c")
    assert not (disk.root / "a/b").exists() and (disk.root / "a").exists()
    with pytest.raises(Missing):
        disk.read("a/b/c")
    with pytest.raises(Missing):
        disk.open("a/b")


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a/./b", "a\\b", "a\nb", "a\0b", "x" * 201, "\udc80"],
)
def test_names_that_climb_out_or_hide_are_refused(disk: DiskPrimitive, name: str):
    for act in (lambda: disk.create(name, b""), lambda: disk.read(name), lambda: disk.delete(name)):
        with pytest.raises(StorageError):
            act()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.sampled_from("ab./\\.~ é\x00\n\x7f-_:*?$"), max_size=12))
def test_any_name_is_kept_inside_the_store_or_refused(tmp_path: Path, name: str):
    root = tmp_path / "names"
    disk = DiskPrimitive(root)
    try:
        check_name(name)
    except StorageError:
        return
    target = (root / name).resolve()
    assert target != root and root.resolve() in target.parents
    try:
        disk.create(name, b"x")
    except (Exists, StorageError):  # one part is a file already
        return
    assert name in {entry.name for entry in disk.list("")} and target.read_bytes() == b"x"
    disk.delete(name)


class Careless(DiskPrimitive):
    """What fsspec's local file system or a careless object service does."""

    def create(self, name, data):
        self.delete(name)
        return super().create(name, data)


class Forgetful(DiskPrimitive):
    def replace_if(self, name, data, etag):
        return super().replace_if(name, data, self.read(name).etag)


class Stale(DiskPrimitive):
    def list(self, prefix):
        return iter(())


def test_the_probe_accepts_a_disk_and_leaves_nothing(disk: DiskPrimitive, memory):
    probe(disk)
    probe(memory)
    assert list(disk.list("")) == [] and memory.objects == {} and leftovers(disk) == []


@pytest.mark.parametrize(
    ("kind", "said"), [(Careless, "create-only"), (Forgetful, "conditional replacement"), (Stale, "doesn't list")]
)
def test_the_probe_refuses_a_store_that_ignores_conditions(tmp_path: Path, kind, said: str):
    with pytest.raises(StorageError, match=said) as error:
        probe(kind(tmp_path / "store"))
    assert "\n" not in str(error.value)


def test_a_url_is_refused_with_one_line():
    with pytest.raises(StorageError, match="a store is a folder or"):
        open_store("https://bucket/show")


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(disk: DiskPrimitive, monkeypatch: pytest.MonkeyPatch):
    real = os.write

    def full(descriptor: int, data) -> int:
        if len(data) > 100:
            return real(descriptor, data[:100])  # a short write first, as the kernel does
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("studio_pipeline.store.disk.os.write", full)
    with pytest.raises(StorageError, match="disk is full") as error:
        disk.create("a/b", b"x" * 1000)
    monkeypatch.undo()
    assert error.value.exit_code == 4 and "\n" not in str(error.value)
    assert leftovers(disk) == [] and list(disk.list("")) == []


def test_a_file_size_limit_is_one_clear_line(disk: DiskPrimitive, tmp_path: Path):
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(1 << 20))
    code = (
        "from pathlib import Path\nfrom studio_pipeline.schema.errors import StorageError\n"
        "from studio_pipeline.store.disk import DiskPrimitive\n"
        f"try: DiskPrimitive(Path({str(disk.root)!r})).create('big', Path({str(big)!r}))\n"
        "except StorageError as error: print(error)"
    )
    said = subprocess.check_output(
        [sys.executable, "-c", code],
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16)),
    )
    assert "size limit" in said and said.count("\n") == 1
    assert leftovers(disk) == [] and list(disk.list("")) == []


def test_a_folder_without_permission_is_one_clear_line(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    code = (
        "import os\nfrom studio_pipeline.schema.errors import StorageError\n"
        "from studio_pipeline.store import open_store\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        f"try: open_store({str(closed / 'store')!r})\nexcept StorageError as error: print(error)"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert "permission" in said and said.count("\n") == 1


def test_sweep_removes_what_killed_writers_left(disk: DiskPrimitive):
    stale = disk.root / ".tmp" / "dead"
    stale.write_bytes(b"half")
    os.utime(stale, (1, 1))
    fresh = disk.root / ".tmp" / "alive"
    fresh.write_bytes(b"half")
    assert disk.sweep(3600) == 1 and leftovers(disk) == [fresh]


def test_the_clock_is_the_file_systems(disk: DiskPrimitive, tmp_path: Path):
    (tmp_path / "mark").write_bytes(b"")
    assert abs(disk.now() - (tmp_path / "mark").stat().st_mtime) < 5.0
