"""Structural rules of glTF 2.0 that our files must keep, checked at run time; tests add Khronos' own validator."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio_pipeline.stages.delivery.glb_reading import GlbFile

__all__ = ["glb_faults"]


def glb_faults(path: Path) -> list[str]:
    """What is wrong with the GLB at ``path``, a clause each; empty when nothing is."""
    try:
        file = GlbFile(path)
        faults = _accessors(file) + _nodes(file) + _geometry(file) + _animations(file)
    except (ValueError, KeyError, IndexError, OSError) as error:
        faults = [f"cannot be read ({type(error).__name__}: {error})"]
    return [f"{path.name}: {fault}" for fault in faults]


def _accessors(file: GlbFile) -> list[str]:
    faults = []
    for index, entry in enumerate(file.document["accessors"]):
        values = file.accessor(index)
        if not np.isfinite(values).all():
            faults.append(f"accessor {index} is not finite")
        flat = values.reshape(len(values), -1)
        for name, bound in (("min", flat.min(0)), ("max", flat.max(0))):
            if name in entry and not np.array_equal(np.float32(entry[name]), bound.astype(np.float32)):
                faults.append(f"accessor {index} states a wrong {name}")
    for index, view in enumerate(file.document["bufferViews"]):
        if view["byteOffset"] + view["byteLength"] > len(file.binary):
            faults.append(f"buffer view {index} ends beyond the buffer")
    return faults


def _nodes(file: GlbFile) -> list[str]:
    nodes = file.document["nodes"]
    parents = [child for node in nodes for child in node.get("children", ())]
    roots = file.document["scenes"][file.document["scene"]]["nodes"]
    faults = []
    if sorted(parents + roots) != list(range(len(nodes))):
        faults.append("the nodes are no forest that the scene holds completely")
    for index, node in enumerate(nodes):
        if "skin" in node and index not in roots:
            faults.append("the skinned mesh is not a root of the scene")
        if abs(np.linalg.norm(node.get("rotation", (0.0, 0.0, 0.0, 1.0))) - 1.0) > 1e-5:
            faults.append(f"node {index} has a rotation that is not unit")
    names = [node["name"] for node in nodes]
    if len(set(names)) != len(names):
        faults.append("node names repeat")
    return faults


def _geometry(file: GlbFile) -> list[str]:
    primitive = file.primitive()
    values = {name: file.accessor(index) for name, index in primitive["attributes"].items()}
    count, faults = len(values["POSITION"]), []
    if any(len(value) != count for value in values.values()):
        faults.append("vertex attributes differ in length")
    if file.accessor(primitive["indices"]).max() >= count:
        faults.append("a face names a vertex that is not there")
    if np.abs(np.linalg.norm(values["NORMAL"].astype(np.float64), axis=1) - 1.0).max() > 1e-3:
        faults.append("a normal is not unit")
    for target in primitive.get("targets", ()):
        if any(len(file.accessor(index)) != count for index in target.values()):
            faults.append("a morph target differs in length")
    if "JOINTS_0" in values:
        faults += _skin(file)
    return faults


def _skin(file: GlbFile) -> list[str]:
    skin, (joints, weights) = file.document["skins"][0], file.influences()
    faults = []
    if len(file.accessor(skin["inverseBindMatrices"])) != len(skin["joints"]):
        faults.append("the skin has another number of bind matrices than joints")
    if joints.max() >= len(skin["joints"]):
        faults.append("a vertex names a joint that is not there")
    if weights.min() < 0.0 or np.abs(weights.sum(1) - 1.0).max() > 8e-7:
        faults.append("skin weights do not sum to one")
    if joints[weights == 0.0].any():
        faults.append("a joint without weight is not joint 0")
    return faults


def _animations(file: GlbFile) -> list[str]:
    faults = []
    targets = len(file.primitive().get("targets", ()))
    for animation in file.document.get("animations", ()):
        seen = [(c["target"]["node"], c["target"]["path"]) for c in animation["channels"]]
        if len(set(seen)) != len(seen):
            faults.append("two channels drive the same property")
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            times, output = file.accessor(sampler["input"]), file.accessor(sampler["output"])
            path = channel["target"]["path"]
            if times[0] < 0.0 or (np.diff(times) <= 0.0).any():
                faults.append("animation times do not increase from zero")
            if len(output) != len(times) * (targets if path == "weights" else 1):
                faults.append(f"a {path} channel has a wrong number of keys")
            if path == "rotation" and np.abs(np.linalg.norm(output.astype(np.float64), axis=1) - 1.0).max() > 1e-4:
                faults.append("a rotation key is not unit")
    return faults
