"""Procedural characters of many body plans for training the rig network: shape, skeleton and weights are known.

`draw_example` streams points straight from a body's implicit surface; `body_mesh` and `held_out` make meshes.
"""

from studio_pipeline.training.rig_data.body import Body, Example
from studio_pipeline.training.rig_data.draw import PLANS, draw_body, draw_example, example_of
from studio_pipeline.training.rig_data.held_out import HeldOut, held_out, rough
from studio_pipeline.training.rig_data.meshing import body_mesh

__all__ = [
    "PLANS",
    "Body",
    "Example",
    "HeldOut",
    "body_mesh",
    "draw_body",
    "draw_example",
    "example_of",
    "held_out",
    "rough",
]
