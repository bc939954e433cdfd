"""What planning many shots may do: counted, not timed (the seconds are in benchmarks/large_counts.py)."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest
from support.toys import STAGES, Toy

import studio_pipeline.line.digests as digests
import studio_pipeline.store.codehash as codehash
import studio_pipeline.store.manifest as manifest
from studio_pipeline.line.make import make_stage
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.store import Corrupt, Store
from studio_pipeline.store.disk import DiskPrimitive


def test_a_plan_reads_each_record_once_and_writes_none_anew(toy: Toy, shots, store: Store, monkeypatch) -> None:
    listed = shots(ids=tuple(f"{number:04d}" for number in range(20)))
    for shot in listed:
        for stage in STAGES:
            make_stage(store, shot, stage.name)
    reads: collections.Counter[str] = collections.Counter()
    real = DiskPrimitive.read

    def read(self: DiskPrimitive, name: str):
        reads[name] += 1
        return real(self, name)

    def refuse(*_: object) -> bytes:
        raise AssertionError("a plan must not encode a record again to check it")

    monkeypatch.setattr(DiskPrimitive, "read", read)
    monkeypatch.setattr(manifest, "_as_once", refuse)
    monkeypatch.setattr(manifest, "encode_record", refuse)
    for shot in listed:
        reads.clear()
        assert {item.state for item in plan_shot(store, shot).stages} == {"cached"}
        # Of each stage its manifest and its latest version.
        assert max(reads.values()) == 1 and len(reads) == 2 * len(STAGES)


def test_what_shots_share_is_looked_at_once_a_plan_and_again_in_the_next(
    toy: Toy, shots, store: Store, monkeypatch
) -> None:
    listed = shots(ids=tuple(f"{number:04d}" for number in range(6)))
    for shot in listed:
        for stage in STAGES:
            make_stage(store, shot, stage.name)
    character = Path(listed[0].shot.character.file)
    looked: collections.Counter[str] = collections.Counter()
    real = digests._digest

    def digest(path: Path) -> str:
        looked[path.name] += 1
        return real(path)

    monkeypatch.setattr(digests, "_digest", digest)
    seen = store.snapshot([shot.id for shot in listed])
    assert {item.state for shot in listed for item in plan_shot(seen, shot).stages} == {"cached"}
    assert looked[character.name] == 1
    character.write_text(character.read_text() + "v 1 2 3\n")
    later = store.snapshot([shot.id for shot in listed])
    assert plan_shot(later, listed[0]).stages[0].state == "would run" and looked[character.name] == 2


def test_digests_of_unchanged_code_are_not_worked_out_again(tmp_path: Path, monkeypatch) -> None:
    target = "studio_pipeline.stages.character.stage:run"
    alone = codehash.CodeIndex("studio_pipeline").digest(target)
    monkeypatch.setattr(codehash, "_folder", [])
    codehash.remember_in(tmp_path / "code")
    assert codehash.CodeIndex("studio_pipeline").digest(target) == alone
    (kept,) = (tmp_path / "code").glob("*.json")

    class Parsed(Exception):
        pass

    def parse(*_: object) -> None:
        raise Parsed

    monkeypatch.setattr(codehash, "CodeModule", parse)
    again = codehash.CodeIndex("studio_pipeline")
    assert again.digest(target) == alone  # nothing was parsed
    changed = codehash.CodeIndex("studio_pipeline")
    source = changed._sources["studio_pipeline.stages.character.stage"]
    changed._sources["studio_pipeline.stages.character.stage"] = type(source)(
        source.module, source.path, source.text + b"# x\n", source.is_package
    )
    with pytest.raises(Parsed):  # other bytes, other file: it isn't asked what changed
        changed.digest(target)
    kept.write_bytes(kept.read_bytes().replace(alone.encode(), b"0" * 64))
    with pytest.raises(Parsed):  # a file that somebody changed is no answer
        codehash.CodeIndex("studio_pipeline").digest(target)


def test_records_of_both_kinds_are_read_and_every_bit_counts() -> None:
    record = {"shot_id": "a", "n": {"digest": "x", "deep": ['\n "digest": "' + "0" * 64]}, "empty": "", "text": "ü\n"}
    now = manifest.encode_record(record)
    _, before = manifest._as_once(record)
    assert now != before
    for data in (now, before):
        assert manifest.decode_record(data, "here") == record
        for at in range(len(data)):
            for bit in (1, 32, 128):
                with pytest.raises(Corrupt):
                    manifest.decode_record(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :], "here")
        for broken in (data[:-1], data + b" ", data[1:], b"", data.replace(b"\n", b"", 1)):
            with pytest.raises(Corrupt):
                manifest.decode_record(broken, "here")
