"""Python imports this at its start where this folder is on PYTHONPATH: the farm's processes see the toy graph."""

import os

from toyfarm import STAGES

import studio_pipeline.line.graph as graph
import studio_pipeline.line.keys as keys
from studio_pipeline.store.leases import Leases

graph._load = lambda: list(STAGES)
keys.code_digest = lambda target: "toy"
keys.code_units = lambda target: {}

# A test doesn't wait a minute for a lease to run out.
if ttl := os.environ.get("TOYFARM_TTL"):
    Leases.acquire.__kwdefaults__["ttl"] = float(ttl)
