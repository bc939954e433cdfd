"""A process that commits and publishes, telling on standard output where it is, so that it can be killed there.

Arguments: store, key, payload folder, shot id. Each line is "begin NAME" or "end NAME" of one write to the store.
A store on S3 is found by the environment (``AWS_*``).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from studio_pipeline.store import Store
from studio_pipeline.store.disk import DiskPrimitive
from studio_pipeline.store.leases import Lease
from studio_pipeline.store.primitive import Written
from studio_pipeline.store.s3 import S3Primitive


class Telling:
    """Tells of every `create` of a primitive."""

    def create(self, name: str, data: bytes | Path) -> Written:
        os.write(1, f"begin {name}\n".encode())
        written = super().create(name, data)
        os.write(1, f"end {name}\n".encode())
        return written


class TellingDisk(Telling, DiskPrimitive):
    pass


class TellingS3(Telling, S3Primitive):
    parallel = 4


def main(root: str, key: str, folder: str, shot_id: str) -> None:
    on_s3 = root.startswith("s3:")
    store = Store(TellingS3(root, part_bytes=5 << 20) if on_s3 else TellingDisk(Path(root)))
    lease = store.leases.acquire(key, ttl=3600)
    assert isinstance(lease, Lease), f"the killed worker's lease is still held: {lease}"
    with lease:
        artifact = store.commit(key, Path(folder), {"stage": "test", "provenance": {"pid": os.getpid()}}, lease=lease)
        store.shots.publish(shot_id, "test", artifact)


if __name__ == "__main__":
    main(*sys.argv[1:])
