"""The S3 primitive against a real service: conditions, parts, retries, what it refuses, what it never tells."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.s3proxy import S3Proxy
from support.s3server import BUCKET, S3Server, use

import studio_pipeline.store.bulk as bulk
from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store import Lease, Store, open_store, verify_all
from studio_pipeline.store.maintenance import repair
from studio_pipeline.store.primitive import Changed, Exists, Missing, Written, probe
from studio_pipeline.store.records import RecordCache
from studio_pipeline.store.s3 import S3Primitive, parse_url

PART = 5 << 20  # the smallest that S3 allows


@pytest.fixture
def bucket(s3: S3Server) -> S3Primitive:
    return S3Primitive(s3.place(), part_bytes=PART)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.bin"
    path.write_bytes(os.urandom(2 * PART + 17))
    return path


def at_once(count: int, act: Callable[[int], object]) -> list[object]:
    """What ``count`` threads that start together got: a result or an exception."""
    barrier, got = threading.Barrier(count), []

    def run(index: int) -> None:
        barrier.wait()
        try:
            got.append(act(index))
        except (Exists, Changed) as error:
            got.append(type(error))
        except BaseException as error:  # a test shows what it was
            got.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == count
    return got


def test_create_is_exclusive_and_says_what_it_stored(bucket: S3Primitive):
    written = bucket.create("a/b c+é&.json", b"first")
    assert (written.size, written.sha256) == (5, hashlib.sha256(b"first").hexdigest())
    assert written.etag == hashlib.md5(b"first").hexdigest()
    with pytest.raises(Exists):
        bucket.create("a/b c+é&.json", b"second")
    content, entry = bucket.read("a/b c+é&.json"), bucket.stat("a/b c+é&.json")
    assert (content.data, content.etag) == (b"first", written.etag)
    assert [entry] == list(bucket.list("a/")) == list(bucket.list("")) and abs(entry.modified - time.time()) < 30
    bucket.create("empty", b"")
    assert bucket.open("empty").read() == b"" and bucket.stat("empty").size == 0
    bucket.delete("empty")
    bucket.delete("empty")
    assert bucket.stat("empty") is None
    for read in (bucket.read, bucket.open):
        with pytest.raises(Missing):
            read("a")  # a folder, if it were a disk


def test_replace_wants_the_current_etag(bucket: S3Primitive):
    first = bucket.create("lease", b"one")
    second = bucket.replace_if("lease", b"two", first.etag)
    for name, etag in (("lease", first.etag), ("other", first.etag)):
        with pytest.raises(Changed):
            bucket.replace_if(name, b"three", etag)
    assert bucket.read("lease").data == b"two" and bucket.read("lease").etag == second.etag


@pytest.mark.slow
def test_of_32_at_once_exactly_one_creates_and_one_replaces(bucket: S3Primitive):
    got = at_once(32, lambda index: bucket.create("key", b"%d" % index))
    assert got.count(Exists) == 31
    etag = bucket.read("key").etag
    got = at_once(32, lambda index: bucket.replace_if("key", b"next %d" % index, etag))
    won = [item for item in got if item is not Changed]
    assert len(won) == 1 and bucket.read("key").etag == won[0].etag


def test_large_files_go_in_parts_and_are_created_once(bucket: S3Primitive, s3: S3Server, big: Path):
    written = bucket.create("big", big)
    assert bucket.client.requests["upload_part"] == 3 and written.etag.endswith("-3")
    assert written.sha256 == hashlib.sha256(big.read_bytes()).hexdigest() and written.size == big.stat().st_size
    with bucket.open("big") as stream:
        assert stream.read() == big.read_bytes()
    assert bucket.stat("big").etag == written.etag == next(bucket.list("big")).etag
    with pytest.raises(Exists):
        bucket.create("big", big)
    # At the very same moment SeaweedFS lets two win now and then: no two writers of the store share such a name.
    got = at_once(4, lambda _: bucket.create("contested", big))
    assert {type(item) for item in got if item is not Exists} == {Written}
    assert bucket.read("contested").data == big.read_bytes()
    prefix = bucket.url.removeprefix(f"s3://{BUCKET}/")
    assert not s3.client().list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads")


def test_racers_with_large_files_commit_once(s3: S3Server, tmp_path: Path, key, big: Path):
    """Whatever the service makes of two uploads of one name: the store's racers never write the same one."""
    stores = [Store(S3Primitive(place, part_bytes=PART)) for place in [s3.place()] * 4]
    got = at_once(4, lambda index: stores[index].commit(key(1), big.parent, {"stage": "rig"}))
    assert [item.joined for item in got].count(False) == 1 and len({item.payload for item in got}) == 1
    assert stores[0].verify(got[0]) == [] and stores[0].generations(key(1)) == [1]


@pytest.mark.slow
def test_a_large_file_is_streamed_not_loaded(s3: S3Server, tmp_path: Path):
    with (tmp_path / "huge.bin").open("wb") as stream:
        stream.truncate(96 << 20)
    code = (
        "import resource\nfrom pathlib import Path\nfrom studio_pipeline.store.s3 import S3Primitive\n"
        f"store = S3Primitive({s3.place()!r})\nstore.create('warm', b'up')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"written = store.create('huge', Path({str(tmp_path / 'huge.bin')!r}))\n"
        "print(written.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    size, grown_kib = map(int, subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert size == 96 << 20 and grown_kib < 60_000


def test_uploads_that_a_killed_writer_left_are_swept(bucket: S3Primitive, s3: S3Server):
    prefix = bucket.url.removeprefix(f"s3://{BUCKET}/")
    s3.client().create_multipart_upload(Bucket=BUCKET, Key=f"{prefix}/half")
    assert bucket.sweep(3600) == 0 and bucket.sweep(-60) == 1 and bucket.sweep(-60) == 0
    assert list(bucket.list("")) == []


def test_listings_go_on_after_a_page(bucket: S3Primitive, s3: S3Server):
    client, prefix = s3.client(), bucket.url.removeprefix(f"s3://{BUCKET}/")
    names = [f"n/{index:04d} +&" for index in range(1003)]
    for name in names:
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=b"x")
    assert [entry.name for entry in bucket.list("")] == names
    assert bucket.client.requests["list_objects_v2"] == 2
    theirs = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]  # botocore's own reading of a page
    ours = list(bucket.list(""))[:1000]
    assert [(i["Key"], i["Size"], i["ETag"].strip('"'), i["LastModified"].timestamp()) for i in theirs] == [
        (f"{prefix}/{e.name}", e.size, e.etag, e.modified) for e in ours
    ]


def test_the_clock_is_the_services(bucket: S3Primitive):
    bucket.create("mark", b"")
    assert abs(bucket.now() - bucket.stat("mark").modified) <= 2.0


def test_the_probe_accepts_it_and_leaves_nothing(bucket: S3Primitive):
    probe(bucket)
    assert bucket.broken_promise() == "" and list(bucket.list("")) == []


def test_the_probe_refuses_a_service_that_ignores_conditions(s3: S3Server, monkeypatch: pytest.MonkeyPatch):
    with S3Proxy(s3, lambda method, path, number: "strip" if method in ("PUT", "POST") else "pass") as proxy:
        use(monkeypatch, proxy.environment)
        with pytest.raises(StorageError, match="ignores create-only writes") as error:
            open_store(s3.place())
    assert "\n" not in str(error.value) and error.value.exit_code == 4


def test_the_probe_refuses_a_service_that_ignores_them_for_large_files(s3: S3Server, monkeypatch):
    with S3Proxy(s3, lambda method, path, number: "strip" if method == "POST" else "pass") as proxy:
        use(monkeypatch, proxy.environment)
        with pytest.raises(StorageError, match="ignores create-only writes of large files"):
            open_store(s3.place())


@pytest.mark.parametrize("how", ["lose", "cut", 503, 500])
def test_a_write_whose_answer_got_lost_has_won(s3: S3Server, monkeypatch, how: str | int, big: Path):
    """The first try is carried out, or not; either way the caller learns that its own write stands."""
    place, failed = s3.place(), []

    def rule(method: str, path: str, number: int) -> str | int:
        condition = (method == "PUT" and "partNumber" not in path) or (method == "POST" and "uploadId" in path)
        if condition and len(failed) % 2 == 0:  # every write's first try
            failed.append(path)
            return how
        if condition:
            failed.append("")
        return "pass"

    with S3Proxy(s3, rule) as proxy:
        use(monkeypatch, proxy.environment)
        bucket = S3Primitive(place, part_bytes=PART)
        bucket.now()  # the client is made
        written = bucket.create("a", b"mine")
        second = bucket.replace_if("a", b"mine too", written.etag)
        large = bucket.create("large", big)
        # One failure each. (aiohttp repeats a request on its own when a kept connection turns out to be closed.)
        assert len([path for path in failed if path]) == 3
    use(monkeypatch, s3.environment)
    direct = S3Primitive(place)
    assert direct.read("a").data == b"mine too" and direct.read("a").etag == second.etag
    assert direct.stat("large").etag == large.etag and direct.read("large").data == big.read_bytes()


def test_a_lost_race_is_told_from_a_lost_answer(s3: S3Server, monkeypatch):
    place = s3.place()
    other = S3Primitive(place)
    other.now()  # its client has the direct address

    def rule(method: str, path: str, number: int) -> str | int:
        if method == "PUT" and number == 1:  # somebody else gets in before the second try
            other.create("a", b"same bytes")
            return "cut"
        return "pass"

    with S3Proxy(s3, rule) as proxy:
        use(monkeypatch, proxy.environment)
        with pytest.raises(Exists):
            S3Primitive(place).create("a", b"same bytes")


def test_refusals_are_not_repeated_and_are_one_line(s3: S3Server, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-private")
    bucket = S3Primitive(s3.place())
    for act in (lambda: bucket.create("a", b""), lambda: bucket.read("a"), lambda: list(bucket.list("")), bucket.now):
        with pytest.raises(StorageError) as error:
            act()
        assert "\n" not in str(error.value) and "wrong-and-private" not in str(error.value)
        assert "AWS_SECRET_ACCESS_KEY" in str(error.value) and error.value.__cause__ is None
    assert bucket.client.retries == 0 and bucket.client.requests.total() == 4


def test_a_missing_bucket_is_one_line(s3: S3Server):
    with pytest.raises(StorageError, match=r"no such bucket|access denied|refuses"):
        list(S3Primitive("s3://there-is-none/x").list(""))


def test_without_credentials_in_the_environment_nothing_is_tried(monkeypatch):
    use(monkeypatch, {})
    with pytest.raises(StorageError, match="no credentials") as error:
        open_store("s3://bucket/show")
    assert "AWS_ACCESS_KEY_ID" in str(error.value)


def test_an_address_where_nobody_listens_is_told_soon(monkeypatch):
    use(monkeypatch, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    bucket = S3Primitive("s3://bucket/show", patience=0.5)
    with pytest.raises(StorageError, match="AWS_ENDPOINT_URL"):
        bucket.now()


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3://B", "s3://key:secret@bucket/x", "s3://b/x", "s3://bucket/../x", "s3://bucket/a?x=secret", "s3:/b"],
)
def test_places_that_are_none_are_refused_without_repeating_them(url: str):
    with pytest.raises(StorageError) as error:
        parse_url(url)
    assert "secret" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("broken", [False, True])
def test_many_records_are_read_by_several_processes_and_without_them_all_the_same(
    s3: S3Server, tmp_path: Path, key, payload, monkeypatch: pytest.MonkeyPatch, broken: bool
):
    place = s3.place()
    use(monkeypatch, s3.environment)
    store = open_store(place, cache=tmp_path / "first")
    shots = [f"s_{index}_1" for index in range(12)]
    made = {shot: store.commit(key(shot), payload(a=shot.encode()), {"stage": "rig"}) for shot in shots}
    for shot, artifact in made.items():
        store.shots.publish(shot, "rig", artifact)
    monkeypatch.setattr(bulk, "FROM", 8)
    monkeypatch.setattr(bulk.os, "cpu_count", lambda: 3)
    if broken:
        monkeypatch.setattr(bulk.sys, "executable", "/bin/false")
    looker = open_store(place, reading=True, cache=tmp_path / "second")
    seen = looker.snapshot(shots)
    client = looker.primitive.client
    # Of 24 records this process has read its share, or what nobody else brought.
    assert client.requests["get_object"] == (24 if broken else 4 + 4)
    assert {shot: seen.find(key(shot)) for shot in shots} == made
    assert all(seen.shots.published(shot, "rig").content_hash == made[shot].content_hash for shot in shots)
    assert client.requests["get_object"] == (24 if broken else 4 + 4)


def test_helpers_end_with_who_asked_for_them(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, s3.environment)
    monkeypatch.setattr(bulk, "FROM", 2)
    monkeypatch.setattr(bulk.os, "cpu_count", lambda: 2)
    started: list[subprocess.Popen] = []
    popen = subprocess.Popen

    def start(*words, **how):
        started.append(popen(*words, **how))
        return started[-1]

    monkeypatch.setattr(bulk.subprocess, "Popen", start)
    records = RecordCache(tmp_path / "records.sqlite", store=s3.place(), limit=1 << 20)
    with pytest.raises(KeyboardInterrupt), bulk.helped(records, s3.place(), ["a", "b"] * 4):
        raise KeyboardInterrupt
    assert started and all(process.returncode is not None for process in started)


def test_a_prefix_keeps_two_studios_apart(s3: S3Server):
    place = s3.place()
    one, two = S3Primitive(place + "/one"), S3Primitive(place + "/one2")
    one.create("a", b"1")
    assert list(two.list("")) == [] and [entry.name for entry in S3Primitive(place).list("")] == ["one/a"]


def test_a_forked_child_can_use_it(bucket: S3Primitive):
    bucket.create("before", b"1")
    if (child := os.fork()) == 0:
        try:
            bucket.create("child", b"2")
            os._exit(0 if bucket.read("before").data == b"1" else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0 and bucket.read("child").data == b"2"


def test_a_holder_that_slept_finds_its_lease_taken_and_its_commit_refused(s3: S3Server, tmp_path: Path, key, payload):
    place = s3.place()
    sleeper = open_store(place, reading=True, cache=tmp_path / "a")
    waker = open_store(place, reading=True, cache=tmp_path / "b")
    lease = sleeper.leases.acquire(key(1), ttl=2.0)
    lease._stop.set()  # a suspended process renews nothing
    while not isinstance(taken := waker.leases.acquire(key(1), ttl=60), Lease):
        time.sleep(0.2)
    with pytest.raises(StorageError, match="took this step over"):
        sleeper.commit(key(1), payload(a=b"zombie"), {}, lease=lease)
    won = waker.commit(key(1), payload(a=b"winner"), {}, lease=taken)
    taken.release()
    assert sleeper.commit(key(1), payload(a=b"zombie"), {}, lease=lease).content_hash == won.content_hash


@pytest.mark.slow
def test_a_restart_in_mid_write_is_waited_for(tmp_path: Path, monkeypatch, key, payload):
    """Its own server, killed while a commit runs: the commit is whole or absent, and goes through."""
    server = S3Server(tmp_path / "weed")
    server.start()
    try:
        server.wait()
        use(monkeypatch, server.environment)
        store = open_store(server.place(), reading=True, cache=tmp_path / "cache")
        good = store.commit(key("good"), payload(), {})
        folder, result = payload(**{f"f{index}": os.urandom(200_000) for index in range(60)}), []
        writer = threading.Thread(target=lambda: result.append(store.commit(key("cut"), folder, {})))
        writer.start()
        before = store.primitive.client.requests["put_object"]
        while store.primitive.client.requests["put_object"] < before + 20:
            time.sleep(0.005)
        server.stop(kill=True)
        server.start()
        server.wait()
        writer.join(120)
        assert store.primitive.client.retries > 0
        for artifact in (good, result[0]):
            assert store.verify(artifact) == [] and store.find(artifact.key) == artifact
    finally:
        server.stop(kill=True)


@pytest.mark.slow
def test_damage_below_the_service_is_found_when_it_is_read(s3: S3Server, tmp_path: Path, key, payload):
    """A bit rots in the service's own volume file: no etag changes, but no reader gets wrong bytes."""
    store: Store = open_store(s3.place(), reading=True, cache=tmp_path / "cache")
    mark = os.urandom(4000)
    made = store.commit(key(1), payload(a=mark), {"stage": "rig"})
    volumes = [path for path in (s3.folder / "data").rglob("*.dat") if mark in path.read_bytes()]
    assert len(volumes) == 1
    with volumes[0].open("r+b") as stream:
        at = volumes[0].read_bytes().index(mark) + 1234
        stream.seek(at)
        stream.write(bytes([mark[1234] ^ 1]))
    store.primitive.client._patience = 1.0
    assert store.find(made.key) == made  # nothing was written: a plan can't see it
    with pytest.raises(StorageError, match="verify --repair"):
        store.checkout(made)
    assert not list(store.cache.root.rglob("a.bin"))
    report = verify_all(store)
    assert report.damaged == [(made.key, 1)] and "unreadable" in report.problems[0].what
    assert repair(store, report) == 1 and store.find(made.key) is None and store.generations(made.key) == [1]
    again = store.commit(made.key, payload(a=mark), {"stage": "rig"})
    assert again.generation == 2 and (store.checkout(again) / "a.bin").read_bytes() == mark
