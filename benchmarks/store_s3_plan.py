"""What planning unchanged shots costs on S3: seconds, CPU seconds and requests, cold and warm.

``python benchmarks/store_s3_plan.py --shots 100 --files 11`` fills a weed of its own with the artifacts of that many
shots of all stages (their payloads are made up: planning never reads one), then plans them: with an empty read cache
(another machine's first plan), again, one shot alone, and again by the command in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def fill(store: Any, shots: list[Any], files: int) -> int:
    """Put every stage's artifact of every shot into the store; returns how many objects."""
    from studio_pipeline.line.graph import graph
    from studio_pipeline.line.keys import code_parts, ingredients
    from studio_pipeline.store import FileEntry, key_of
    from studio_pipeline.store.artifacts import generation_prefix
    from studio_pipeline.store.manifest import artifact_of, encode_record, manifest_record
    from studio_pipeline.store.parallel import each

    parts = {name: code_parts(shots[0], name) for name in graph()}
    objects: dict[str, bytes] = {}
    now = store.primitive.now()
    import hashlib

    for shot in shots:
        found: dict[str, Any] = {}
        for name, stage in graph().items():
            made_of = ingredients(shot, name, {parent: found[parent].content_hash for parent in stage.inputs})
            key = key_of(made_of)
            base = generation_prefix(key, 1)
            payload, listed = base + "0" * 12 + "/", []
            for index in range(files):
                data = f"{key} {index}".encode() * 10
                objects[f"{payload}frame.{index:04d}.bin"] = data
                digests = hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()
                listed.append(FileEntry(f"frame.{index:04d}.bin", len(data), *digests))
            backend = shot.setups[name].backend
            fields = {
                "stage": name, "backend": backend, "figures": {}, "verdicts": [], "ingredients": made_of,
                "code_parts": parts[name], "provenance": {"seconds": 1.0},
                "inputs": [vars(found[parent].as_input(parent)) for parent in stage.inputs],
            }  # fmt: skip
            record = manifest_record(key, 1, payload, tuple(listed), fields, now)
            objects[base + "manifest.json"] = encode_record(record)
            found[name] = artifact_of(record, base)
            note = {"ingredients": made_of, "backend": backend, "figures": {}}
            version = {
                "shot_id": shot.id, "stage": name, "version": 1, "revision": 1, "key": key, "generation": 1,
                "content_hash": found[name].content_hash, "time": now, "note": note,
            }  # fmt: skip
            objects[f"shots/{shot.id}/published/{name}/v001_r01.json"] = encode_record(version)
    each(lambda name: store.primitive.create(name, objects[name]), objects, width=16)
    return len(objects)


def plan(place: str, shots: list[Any], cache: Path) -> dict[str, Any]:
    """Plan the shots as `studio plan` does."""
    from studio_pipeline.line.plan import plan_shot
    from studio_pipeline.store import open_store

    began, cpu = time.monotonic(), time.process_time()
    store = open_store(place, reading=True, cache=cache)
    seen = store.snapshot([shot.id for shot in shots])
    states = [item.state for shot in shots for item in plan_shot(seen, shot).stages]
    assert set(states) == {"cached"}, set(states)
    return {
        "shots": len(shots),
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "requests": dict(store.primitive.client.requests),  # type: ignore[attr-defined]
    }


def command(place: str, listing: Path, scratch: Path) -> dict[str, float]:
    """`studio plan` as an artist calls it: Python, imports and reading the list included."""
    environment = {**os.environ, "STUDIO_HOME": str(scratch / "home"), "STUDIO_STORE": place, "PYTHONPATH": str(ROOT)}
    environment["STUDIO_CACHE"] = str(scratch / "cache")
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    said = subprocess.check_output(
        [sys.executable, "-m", "studio_pipeline.cli", "plan", str(listing), "--json"], env=environment
    )
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(said)["would_run"] == 0
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(took, 2), "cpu_seconds": round(cpu, 2)}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=int, default=100)
    parser.add_argument("--files", type=int, default=11, help="payload files an artifact")
    arguments = parser.parse_args()
    from support.s3server import S3Server

    from studio_pipeline.line.shots import read_shot_lists
    from studio_pipeline.store import open_store

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        server = S3Server(Path(scratch) / "weed")
        server.start()
        try:
            server.wait()
            os.environ.update(server.environment)
            listing = Path(scratch) / "shots.yaml"
            listing.write_text(
                "".join(
                    f"- {{show: bench, sequence: a, shot: '{index:04d}', seed: {index},"
                    f" character: {('pip', 'tumble', 'mochi')[index % 3]}, frames: [1, 24],"
                    " resolution: [64, 64], brief: walks}\n"
                    for index in range(arguments.shots)
                )
            )
            shots = read_shot_lists([listing])
            place = server.place()
            found: dict[str, Any] = {"objects": fill(open_store(place, reading=True), shots, arguments.files)}
            for name, chosen in (("cold", shots), ("warm", shots), ("one_shot_warm", shots[:1])):
                found[name] = plan(place, chosen, Path(scratch) / "cache")
                print(json.dumps({name: found[name]}), flush=True)
            found["command_warm"] = command(place, listing, Path(scratch))
            print(json.dumps(found, indent=1))
        finally:
            server.stop(kill=True)


if __name__ == "__main__":
    main()
