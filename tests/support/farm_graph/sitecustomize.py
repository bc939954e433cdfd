"""Python imports this at its start where this folder is on PYTHONPATH: the farm's processes see the toy graph."""

from toyfarm import STAGES

import studio_pipeline.line.graph as graph
import studio_pipeline.line.keys as keys

graph._load = lambda: list(STAGES)
keys.code_digest = lambda target: "toy"
keys.code_units = lambda target: {}
