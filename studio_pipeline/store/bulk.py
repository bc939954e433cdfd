"""Thousands of small records at once, by several processes: one alone signs and parses a thousand requests a second.

What they read goes into the file of the `RecordCache` that the caller reads from afterwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from studio_pipeline.schema.apart import child_environment
from studio_pipeline.store.parallel import each
from studio_pipeline.store.primitive import Missing
from studio_pipeline.store.records import RecordCache

__all__ = ["helped"]

FROM = 2000  # records for which processes are started: to start one takes as long as a thousand requests
MOST = 4  # processes, this one included
WIDTH = 32  # requests at a time of each


@contextmanager
def helped(records: RecordCache, url: str, names: Sequence[str]) -> Iterator[Sequence[str]]:
    """While the block reads the names that it gets, other processes read the rest; they have ended when it ends.

    They promise nothing: whatever ``records`` doesn't hold afterwards is the caller's to read, and to report.

    Args:
        records: Where they put what they read.
        url: The store, on S3; its credentials come from the environment.
        names: All that is wanted.
    """
    count = min(MOST, os.cpu_count() or 1, len(names) // (FROM // 2)) if len(names) >= FROM else 1
    if count < 2 or not url.startswith("s3://"):
        yield names
        return
    children = []
    try:
        for index in range(1, count):
            with tempfile.TemporaryFile() as given:
                given.write(json.dumps(names[index::count]).encode())
                given.seek(0)
                # -P: nothing in the folder where somebody calls the command may stand in for a module.
                command = [sys.executable, "-P", "-m", __name__, url, *records.place]
                children.append(
                    subprocess.Popen(
                        command,
                        stdin=given,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        env=child_environment(),
                    )
                )
        yield names[::count]
        for child in children:
            child.wait()
    finally:
        for child in children:
            child.kill()
            child.wait()
        records.reload()


def main() -> None:
    """Read the names on standard input, a JSON list, into the file of records that the arguments name."""
    from studio_pipeline.store.s3 import S3Primitive

    url, path, store, limit = sys.argv[1:]
    primitive, records = S3Primitive(url), RecordCache(Path(path), store=store, limit=int(limit))

    def read(name: str) -> None:
        with suppress(Missing):  # gone since it was listed
            content = primitive.read(name)
            records.put(name, content.etag, content.data)

    each(read, json.load(sys.stdin), width=WIDTH)
    records.trim()


if __name__ == "__main__":
    main()
