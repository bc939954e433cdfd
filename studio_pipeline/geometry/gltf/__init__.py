"""A small reader of glTF 2.0 (GLB and glTF + files) that trusts nothing in the file.

Every index, size and number is checked before it is used or allocates memory; what is wrong is told as
one `InputError` that names the file and the field.
"""

from __future__ import annotations

from studio_pipeline.geometry.gltf.document import Document, open_document
from studio_pipeline.geometry.gltf.files import folder_file
from studio_pipeline.geometry.gltf.nodes import NodeGraph, read_nodes
from studio_pipeline.geometry.gltf.samplers import Channel, Clip, read_clip, read_clip_names

__all__ = [
    "Channel",
    "Clip",
    "Document",
    "NodeGraph",
    "folder_file",
    "open_document",
    "read_clip",
    "read_clip_names",
    "read_nodes",
]
