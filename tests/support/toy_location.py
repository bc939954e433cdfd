"""The toy studio as a code location that Dagster's own daemon loads; its rig waits or fails as files say."""

from __future__ import annotations

import functools
import time
from pathlib import Path

import support.toys as toys

import studio_pipeline.dag.sensors as sensors
import studio_pipeline.line.graph as graph
import studio_pipeline.line.keys as keys
import studio_pipeline.line.rescue as rescue
import studio_pipeline.line.watching as watching
from studio_pipeline.schema.errors import InputError

graph._load = lambda: toys.STAGES
keys.code_digest, keys.code_units = lambda target: "code", lambda target: {}
rescue.Patience = functools.partial(rescue.Patience, lease=1.0)
watching.SETTLED = 0.5
sensors.RESCUE_EVERY = sensors.WATCH_EVERY = sensors.TELL_EVERY = 2
sensors._when = lambda present: sensors.RUNNING


def _as_files_say(context) -> None:
    if Path("no_limbs").exists():
        raise InputError("no limbs")
    while Path("hold").exists():
        context.progress(0.5, "holding")
        time.sleep(0.05)


toys.CURRENT.during["rig"] = _as_files_say

from studio_pipeline.dag.build import build_definitions  # noqa: E402

defs = build_definitions()
