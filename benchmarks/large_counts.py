"""What large counts cost: planning 1,000 unchanged shots, re-running 100, a home that knows 10,000.

``python benchmarks/large_counts.py plan --shots 1000 --files 12`` fills a store on disk (or, with ``--s3``, a weed of
its own) with the artifacts of that many shots of all stages - made-up payload, which planning never reads - and calls
`studio plan` on them, in processes of their own. ``rerun --shots 100`` calls `studio run` on as many. ``registered
--shots 10000`` keeps that many shots' records (of ``--made`` of them the artifacts too) and calls `status`, `plan
--shot`, `history`, and registers them as Dagster's partitions.

Every figure is wall seconds and the CPU seconds of the process, which on shared cores say more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]


def fill_disk(root: Path, shots: list[Any], files: int) -> int:
    """`store_s3_plan.fill` for a folder: written as the store writes, without syncing every file."""
    from studio_pipeline.line.graph import graph
    from studio_pipeline.line.keys import code_parts, ingredients
    from studio_pipeline.store import FileEntry, key_of
    from studio_pipeline.store.artifacts import generation_prefix
    from studio_pipeline.store.manifest import artifact_of, encode_record, manifest_record

    parts = {name: code_parts(shots[0], name) for name in graph()}
    count = 0

    def write(name: str, data: bytes) -> str:
        nonlocal count
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        count += 1
        return f"{path.stat().st_mtime_ns:x}"

    now = time.time()
    for shot in shots:
        found: dict[str, Any] = {}
        for name, stage in graph().items():
            made_of = ingredients(shot, name, {parent: found[parent].content_hash for parent in stage.inputs})
            key = key_of(made_of)
            base = generation_prefix(key, 1)
            payload, listed = base + "0" * 12 + "/", []
            for index in range(files):
                data = f"{key} {index}".encode() * 10
                etag = write(f"{payload}frame.{index:04d}.bin", data)
                listed.append(FileEntry(f"frame.{index:04d}.bin", len(data), hashlib.sha256(data).hexdigest(), etag))
            fields = {
                "stage": name, "backend": shot.setups[name].backend, "figures": {}, "verdicts": [],
                "ingredients": made_of, "code_parts": parts[name], "provenance": {"seconds": 1.0},
                "inputs": [vars(found[parent].as_input(parent)) for parent in stage.inputs],
            }  # fmt: skip
            record = manifest_record(key, 1, payload, tuple(listed), fields, now)
            write(base + "manifest.json", encode_record(record))
            found[name] = artifact_of(record, base)
            version = {
                "shot_id": shot.id, "stage": name, "version": 1, "revision": 1, "key": key, "generation": 1,
                "content_hash": found[name].content_hash, "time": now,
                "note": {"ingredients": made_of, "backend": shot.setups[name].backend, "figures": {}},
            }  # fmt: skip
            write(f"shots/{shot.id}/published/{name}/v001_r01.json", encode_record(version))
    return count


def fill_records(root: Path, shots: list[Any]) -> None:
    """The records of shots as `save_shot_record` keeps them, without syncing every file."""
    from studio_pipeline.line.resolve import to_record
    from studio_pipeline.store.keys import plain
    from studio_pipeline.store.manifest import encode_record

    for shot in shots:
        folder = root / "shots" / shot.id / "record"
        folder.mkdir(parents=True, exist_ok=True)
        record = {"shot_id": shot.id, "version": 1, "shot": plain(to_record(shot)), "time": time.time()}
        (folder / "v0001.json").write_bytes(encode_record(record))


def listing(path: Path, shots: int) -> Path:
    """A list of that many shots of the shipped characters."""
    path.write_text(
        "".join(
            f"- {{show: bench, sequence: a, shot: '{index:05d}', seed: {index},"
            f" character: {('pip', 'tumble', 'mochi')[index % 3]}, frames: [1, 24],"
            " resolution: [64, 64], brief: walks}\n"
            for index in range(shots)
        )
    )
    return path


def command(environment: dict[str, str], *words: str, folder: Path) -> tuple[dict[str, Any], str]:
    """A command as an artist calls it: Python's start, imports and reading the list included."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    line = [sys.executable, "-m", "studio_pipeline.cli", *words]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, cwd=folder)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done.returncode == 0, done.stderr[-2000:]
    found = {"command": " ".join(words[:1]), "seconds": round(took, 2), "cpu_seconds": round(cpu, 2)}
    return found | {"resident_mb": after.ru_maxrss >> 10}, done.stdout


def told(**values: Any) -> None:
    print(json.dumps(values | {"load": round(os.getloadavg()[0], 1)}), flush=True)


@contextmanager
def place(scratch: Path, *, s3: bool) -> Iterator[tuple[str, dict[str, str]]]:
    """Where the store is, and the environment of a process that uses it."""
    environment = {**os.environ, "STUDIO_HOME": str(scratch / "home"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("DAGSTER_HOME", None)
    if not s3:
        yield str(scratch / "home" / "store"), environment
        return
    from support.s3server import S3Server

    server = S3Server(scratch / "weed")
    server.start()
    try:
        server.wait()
        os.environ.update(server.environment)
        url = server.place()
        yield url, {**environment, **server.environment, "STUDIO_STORE": url, "STUDIO_CACHE": str(scratch / "cache")}
    finally:
        server.stop(kill=True)


def fill(where: str, shots: list[Any], files: int) -> int:
    from studio_pipeline.store import open_store

    if "://" not in where:
        return fill_disk(Path(where), shots, files)
    import store_s3_plan

    return store_s3_plan.fill(open_store(where, reading=True), shots, files)


def plan(arguments: argparse.Namespace, scratch: Path) -> None:
    """`studio plan` of unchanged shots."""
    from studio_pipeline.line.shots import read_shot_lists

    path = listing(scratch / "shots.yaml", arguments.shots)
    with place(scratch, s3=arguments.s3) as (where, environment):
        told(objects=fill(where, read_shot_lists([path]), arguments.files))
        for again in ("first", "again", "once more"):
            found, said = command(environment, "plan", str(path), "--json", folder=scratch)
            assert json.loads(said)["would_run"] == 0
            told(shots=arguments.shots, files=arguments.files, s3=arguments.s3, which=again, **found)


def rerun(arguments: argparse.Namespace, scratch: Path) -> None:
    """`studio run` of shots of which everything is made: what launches nothing."""
    from studio_pipeline.line.shots import read_shot_lists

    path = listing(scratch / "shots.yaml", arguments.shots)
    with place(scratch, s3=arguments.s3) as (where, environment):
        told(objects=fill(where, read_shot_lists([path]), arguments.files))
        until = ("--stage", "refined_motion")  # a delivery of made-up files can't be left in a folder
        for again in ("first", "again"):
            found, said = command(environment, "run", str(path), "--json", *until, folder=scratch)
            states = {row["state"] for row in json.loads(said)["stages"]} if "stages" in said else set()
            told(shots=arguments.shots, s3=arguments.s3, which=again, states=sorted(states), **found)


def registered(arguments: argparse.Namespace, scratch: Path) -> None:
    """A home that knows many shots, some of them made."""
    from studio_pipeline.line.shots import read_shot_lists

    path = listing(scratch / "shots.yaml", arguments.shots)
    shots = read_shot_lists([path])
    with place(scratch, s3=False) as (where, environment):
        fill_records(Path(where), shots)
        told(objects=fill(where, shots[: arguments.made], arguments.files))
        one = shots[arguments.made // 2].id
        for words in (
            ("plan", str(path), "--shot", one), ("history", one), ("status", "--shot", one, "--json"),
            ("status", "--json"), ("plan", str(path), "--json"),
        ):  # fmt: skip
            found, _ = command(environment, *words, folder=scratch)
            told(registered=arguments.shots, made=arguments.made, words=" ".join(words[2:]), **found)
        partitions(environment, [shot.id for shot in shots])


def partitions(environment: dict[str, str], ids: list[str]) -> None:
    """What Dagster's instance takes to learn every shot as a partition, and to list them."""
    os.environ["STUDIO_HOME"] = environment["STUDIO_HOME"]
    from studio_pipeline.dag.launch import open_instance, register_shots
    from studio_pipeline.line.home import open_home

    open_home()
    with open_instance() as instance:
        for what in ("register", "register again"):
            began, cpu = time.monotonic(), time.process_time()
            register_shots(instance, ids)
            took, used = time.monotonic() - began, time.process_time() - cpu
            told(partitions=len(ids), what=what, seconds=round(took, 2), cpu_seconds=round(used, 2))


def main() -> None:
    """Print the figures, a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("plan", "rerun", "registered"))
    parser.add_argument("--shots", type=int, default=1000)
    parser.add_argument("--files", type=int, default=4, help="payload files an artifact")
    parser.add_argument("--made", type=int, default=300, help="of the registered shots, those that are made")
    parser.add_argument("--s3", action="store_true", help="on SeaweedFS instead of a folder")
    parser.add_argument("--scratch", type=Path, help="folder for everything; a temporary one when absent")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.scratch, ignore_cleanup_errors=True) as scratch:
        {"plan": plan, "rerun": rerun, "registered": registered}[arguments.what](arguments, Path(scratch))


if __name__ == "__main__":
    main()
