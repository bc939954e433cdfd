"""Run as a script: reads mutations of one parser's valid file, one after the other; a crash is this process's own."""

from __future__ import annotations

import importlib
import json
import random
import resource
import sys
from pathlib import Path

from memory import own_peak
from readers import READERS
from test_fuzz import PARSERS, mutated

from studio_pipeline.schema.errors import StudioError


def main(name: str, folder: Path, first: int, count: int) -> None:
    """Exit 0 when all were read or refused; else the seed is the last line that was printed."""
    kind, file, seed = PARSERS[name]
    module, _, function = READERS[kind].partition(":")
    read = getattr(importlib.import_module(module), function)
    valid, refused = seed(folder), 0
    for number in range(first, first + count):
        sys.stdout.write(f"seed {number}\n")
        sys.stdout.flush()
        path = folder / file
        path.write_bytes(mutated(valid, random.Random(f"{name} {number}")))
        try:
            read(path)
        except StudioError as error:
            refused += 1
            for line in getattr(error, "lines", None) or [str(error)]:
                assert line.isprintable() and len(line) < 4000, repr(line)[:500]
    used = max(own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    sys.stdout.write("\n" + json.dumps({"refused": refused, "resident_mb": used >> 10}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
