"""Run as a script: reads a timeline's JSON from standard input, writes what OpenTimelineIO made of it, or says why not.

The library's parser corrupts its own memory on some wrong files (seen with 0.18.1: a crash some files later), so it
meets a file from elsewhere in a process that has nothing to lose; what comes out is the library's own writing.
"""

from __future__ import annotations

import contextlib
import sys

__all__ = ["main"]

MEMORY = 4 << 30  # [bytes]
CPU = 120  # [s]


def main() -> int:
    """Exit code 0: the timeline is on standard output; 3: the reason is on standard error."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import opentimelineio as otio

    try:
        timeline = otio.core.deserialize_json_from_string(sys.stdin.buffer.read().decode("utf-8"))
        if not isinstance(timeline, otio.schema.Timeline) or not isinstance(timeline.tracks, otio.schema.Stack):
            sys.stderr.write("it holds no timeline with tracks")
            return 3
        sys.stdout.write(timeline.to_json_string(indent=0))
    except Exception as error:  # whatever the library's parser says
        sys.stderr.write(str(error)[:400])
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
