"""Every file of a finished shot's store is flipped, cut, deleted, swapped: it is found, and made again alone."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from support.s3server import BUCKET, S3Server, s3, s3_server
from support.toys import Toy

from studio_pipeline.line.deliverable import Allowed, choose
from studio_pipeline.line.deliveries import leave, verify_delivery
from studio_pipeline.line.make import make_stage
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.reviews import say
from studio_pipeline.line.shots import open_studio
from studio_pipeline.schema.errors import StudioError
from studio_pipeline.store import Store
from studio_pipeline.store.maintenance import verify_all

__all__ = ["s3", "s3_server"]

HOW = ("flip", "truncate", "delete", "swap")
FIELDS = "  frames: [1001, 1003]\n"


class Medium(Protocol):
    """What lies in the store, looked at and meddled with from outside."""

    def names(self) -> list[str]: ...
    def get(self, name: str) -> bytes: ...
    def put(self, name: str, data: bytes) -> None: ...
    def drop(self, name: str) -> None: ...


@dataclass
class Disk:
    root: Path

    def names(self) -> list[str]:
        found = (path.relative_to(self.root).as_posix() for path in sorted(self.root.rglob("*")) if path.is_file())
        return [name for name in found if not name.startswith((".", "leases/"))]

    def get(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        """With the time that it had: whoever looks at times alone sees nothing."""
        path = self.root / name
        state = path.stat() if path.exists() else None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if state:
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    def drop(self, name: str) -> None:
        (self.root / name).unlink()


@dataclass
class Bucket:
    server: S3Server
    prefix: str

    def names(self) -> list[str]:
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=self.prefix)
        found = [item["Key"].removeprefix(self.prefix) for page in pages for item in page.get("Contents", ())]
        return sorted(name for name in found if not name.startswith(("leases/", ".")))

    def get(self, name: str) -> bytes:
        return self.server.client().get_object(Bucket=BUCKET, Key=self.prefix + name)["Body"].read()

    def put(self, name: str, data: bytes) -> None:
        self.server.client().put_object(Bucket=BUCKET, Key=self.prefix + name, Body=data)

    def drop(self, name: str) -> None:
        self.server.client().delete_object(Bucket=BUCKET, Key=self.prefix + name)


@dataclass
class House:
    """A shot that is made, reviewed twice, delivered; and its neighbour."""

    toy: Toy
    store: Store
    shot: ResolvedShot
    other: ResolvedShot
    medium: Medium
    folder: Path
    before: dict[str, bytes]

    def stage_of(self, name: str) -> str:
        """The stage whose artifact a file belongs to; empty for records."""
        for stage, artifact in self.artifacts().items():
            if name.startswith(f"artifacts/{artifact[:2]}/{artifact}/"):
                return stage
        return ""

    def artifacts(self) -> dict[str, str]:
        return self._keys

    def __post_init__(self) -> None:
        plan = plan_shot(self.store, self.shot)
        self._keys = {item.stage: item.key for item in plan.stages if item.key}

    def restore(self, damaged: list[str]) -> None:
        for name in self.medium.names():
            if name not in self.before:
                self.medium.drop(name)
        for name in damaged:
            self.medium.put(name, self.before[name])


@pytest.fixture
def house(delivering: Toy, shots, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], House]]:
    def build(kind: str) -> House:
        if kind == "s3":
            server: S3Server = request.getfixturevalue("s3")
            place = server.place()
            request.getfixturevalue("monkeypatch").setenv("STUDIO_STORE", place)
            medium: Medium = Bucket(server, place.removeprefix(f"s3://{BUCKET}/") + "/")
        else:
            medium = Disk(tmp_path / "home" / "store")
        store = open_studio()
        both = shots(FIELDS, ids=("0010", "0020"), s0020=FIELDS + "  brief: another one\n")
        from studio_pipeline.line.graph import graph
        from studio_pipeline.line.shots import save_shot

        for shot in both:
            save_shot(store, shot)
            for name in graph():
                make_stage(store, shot, name)
            say(store, shot.id, "v001", status="changes", text="darker", by="bo")
            say(store, shot.id, "v001", status="approved", by="bo")
        left = leave(store, choose(store, both, allowed=Allowed(), review=True), "first", tmp_path / "to", by="ana")
        before = {name: medium.get(name) for name in medium.names()}
        return House(delivering, store, both[0], both[1], medium, left.folder, before)

    yield build


def hurt(house: House, name: str, how: str, seed: int) -> list[str]:
    """Damage one file; gives what was damaged, nothing where there is nothing to swap it with."""
    data, rng = house.before[name], random.Random(seed)
    if how == "delete":
        house.medium.drop(name)
    elif how == "truncate":
        house.medium.put(name, data[: rng.randrange(len(data))])
    elif how == "flip":
        at = rng.randrange(len(data))
        house.medium.put(name, data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :])
    else:
        # With its likeliest double: the same kind of file, of another artifact, stage, shot or delivery.
        kind = name.rpartition("/")[2]
        others = [n for n, d in house.before.items() if n != name and n.rpartition("/")[2] == kind and d != data]
        others = others or [n for n, d in house.before.items() if n[:5] == name[:5] and n != name and d != data]
        if not others:
            return []
        other = rng.choice(others)
        house.medium.put(name, house.before[other])
        house.medium.put(other, data)
        return [name, other]
    return [name]


def found(house: House, name: str) -> list[str]:
    """What `verify` and a plan of the shots say; nothing may have been made."""
    store = house.store
    told = [str(problem) for problem in verify_all(store).problems]
    for shot in (house.shot, house.other):
        try:
            plan = plan_shot(store, shot, deep=True)
            told += [f"{item.stage}: {item.reason}" for item in plan.stages if item.state != "cached"]
            told += [f"{item.stage}: no version" for item in plan.stages if item.state == "cached" and not item.version]
        except StudioError as error:
            told.append(str(error))
    return told


def is_last_word(house: House, name: str, how: str) -> bool:
    """An entry whose absence nobody can tell: it is the last of its kind, and nothing refers to it."""
    parts = name.split("/")
    if how != "delete" or parts[0] != "shots" or parts[2] in ("published",):
        return False
    beside = [n for n in house.before if n.rpartition("/")[0] == name.rpartition("/")[0]]
    return name == max(beside)


def check(house: House, names: list[str], *, seed: int) -> dict[str, int]:
    """Hurt every one of these files in every way; returns how many were, by what they are."""
    count: dict[str, int] = {}
    assert found(house, "") == []
    for name in names:
        for how in HOW:
            seed += 1
            damaged = hurt(house, name, how, seed)
            if not damaged or is_last_word(house, name, how):
                house.restore(damaged)
                continue
            told = found(house, name)
            assert told, f"{how} of {name} (seed {seed}) isn't found"
            house.toy.calls.clear()
            if stages := {house.stage_of(item) for item in damaged} - {""}:
                remade(house, stages)
            count[name.split("/")[0]] = count.get(name.split("/")[0], 0) + 1
            house.restore(damaged)
    assert found(house, "") == []
    return count


def remade(house: House, stages: set[str]) -> None:
    """These stages and no others, with the content that they had."""
    plan = plan_shot(house.store, house.shot, deep=True)
    hashes = {item.stage: item.artifact.content_hash for item in plan.stages if item.artifact}
    for again in plan.to_launch():
        make_stage(house.store, house.shot, again)
    assert set(house.toy.calls) == stages and len(house.toy.calls) == len(stages)
    after = plan_shot(house.store, house.shot, deep=True)
    assert {item.state for item in after.stages} == {"cached"}
    found = {item.stage: item.artifact.content_hash for item in after.stages if item.artifact}
    assert {name: found[name] for name in hashes} == hashes and len(found) == len(after.stages)


def test_every_file_of_a_store_on_disk(house) -> None:
    made = house("disk")
    # Of each kind some: all of them are in the soak.
    rng, names = random.Random(2), sorted(made.before)
    kinds = [[n for n in names if n.startswith(part)] for part in ("artifacts", "shots", "deliveries")]
    chosen = [n for kind in kinds for n in rng.sample(kind, min(4, len(kind)))]
    count = check(made, chosen, seed=1)
    assert len(count) == 3 and min(count.values()) >= 6, count


@pytest.mark.soak
def test_all_files_of_a_store_on_disk(house) -> None:
    made = house("disk")
    print("soak:", check(made, sorted(made.before), seed=100))


@pytest.mark.slow
def test_some_files_of_a_store_on_s3(house) -> None:
    made = house("s3")
    names = random.Random(3).sample(sorted(made.before), 8)
    assert sum(check(made, names, seed=300).values()) >= 24


@pytest.mark.soak
def test_every_file_of_a_store_on_s3(house) -> None:
    made = house("s3")
    print("soak:", check(made, sorted(made.before), seed=7))


def test_every_file_of_a_delivered_folder(house) -> None:
    made = house("disk")
    names = sorted(path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*") if path.is_file())
    assert len(names) > 8 and not verify_delivery(made.store, made.folder).problems
    for path in [made.folder, *made.folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    bytes_of = {name: (made.folder / name).read_bytes() for name in names}
    rng = random.Random(5)
    for name in names:
        for how in HOW:
            path, data = made.folder / name, bytes_of[name]
            other = rng.choice([n for n in names if bytes_of[n] != data])
            if how == "delete":
                path.unlink()
            elif how == "swap":
                path.write_bytes(bytes_of[other])
                (made.folder / other).write_bytes(data)
            else:
                at = rng.randrange(len(data))
                path.write_bytes(data[:at] if how == "truncate" else data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
            try:
                told = list(verify_delivery(made.store, made.folder).problems)
            except StudioError as error:
                told = [str(error)]
            assert told, (how, name)
            path.write_bytes(data)
            (made.folder / other).write_bytes(bytes_of[other])
