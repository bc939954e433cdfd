"""UsdSkel at rest: joints become nodes, joint influences a `Binding`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character.model import MAX_JOINTS, Binding, Model

__all__ = ["JOINT_NAMES", "Skeletons"]

MAX_INFLUENCES = 64
MAX_NAMES = 1 << 20  # characters of the table below
JOINT_NAMES = "userProperties:joint_names"  # on any prim: JSON from joints' prim names to their names


class Skeletons:
    """The skeletons of a stage; each becomes nodes of the model when a mesh first needs it."""

    def __init__(self, model: Model, stage: Any, add_node: Callable[[str, int, np.ndarray], int]) -> None:
        self.model, self.stage, self.add_node = model, stage, add_node
        self._known: dict[str, tuple[list[str], np.ndarray, np.ndarray] | None] = {}

    def _skeleton(self, prim: Any) -> tuple[list[str], np.ndarray, np.ndarray] | None:
        """Joint paths, their nodes [S] and inverse bind transforms [S, 4, 4] of a skeleton prim."""
        key = str(prim.GetPath())
        if key not in self._known:
            self._known[key] = self._read(prim)
        return self._known[key]

    def _read(self, prim: Any) -> tuple[list[str], np.ndarray, np.ndarray] | None:
        from pxr import Usd, UsdGeom, UsdSkel

        skeleton = UsdSkel.Skeleton(prim)
        joints = [str(joint) for joint in skeleton.GetJointsAttr().Get() or []]
        bind = _matrices(skeleton.GetBindTransformsAttr().Get())
        rest = _matrices(skeleton.GetRestTransformsAttr().Get())
        where = f"{self.model.path}: {prim.GetPath()}"
        if not joints or len(bind) != len(joints):
            self.model.warnings.append(f"{prim.GetPath()}: no usable bind transforms, its skinning is left out")
            return None
        if not (np.isfinite(bind).all() and np.isfinite(rest).all()):
            raise InputError("has joint transforms that are not finite", where=where, do="export it again")
        if len(joints) > MAX_JOINTS:
            raise InputError(f"has {len(joints)} joints, at most {MAX_JOINTS}", where=where, do="reduce the skeleton")
        topology = UsdSkel.Topology(skeleton.GetJointsAttr().Get())
        ok, reason = topology.Validate()
        if not ok:
            raise InputError(f"has no valid joint tree ({reason})", where=where, do="export it again")
        parents = [topology.GetParent(index) for index in range(len(joints))]
        if len(rest) != len(joints):
            up = [np.eye(4) if p < 0 else bind[p] for p in parents]
            rest = np.array([np.linalg.pinv(u) @ b for u, b in zip(up, bind, strict=True)])
        world = np.array(UsdGeom.XformCache(Usd.TimeCode.Default()).GetLocalToWorldTransform(prim)).T
        base = self.add_node(prim.GetName(), 0, world)
        nodes: list[int] = []
        for name, parent, local in zip(_names(skeleton, joints), parents, rest, strict=True):
            nodes.append(self.add_node(name, base if parent < 0 else nodes[parent], local))
        return joints, np.array(nodes), np.linalg.pinv(bind)

    def binding(self, prim: Any, rows: np.ndarray, point_count: int, where: str) -> Binding | None:
        """The skin of a mesh on the points ``rows`` [n]; None when it has none.

        Raises:
            InputError: Weights are not finite, or name joints that aren't there.
        """
        from pxr import UsdSkel

        api = UsdSkel.BindingAPI(prim)
        bound = api.GetInheritedSkeleton()
        if not bound:
            return None
        indices, weights = self._influences(api, point_count, where)
        skeleton = self._skeleton(bound.GetPrim()) if indices is not None else None
        if indices is None or weights is None or skeleton is None:
            return None
        joints, nodes, inverse = skeleton
        order = [str(joint) for joint in api.GetJointsAttr().Get() or []]
        if order and not set(order) <= set(joints):
            raise InputError("is skinned to joints that its skeleton lacks", where=where, do="export it again")
        lookup = np.array([joints.index(joint) for joint in order] if order else range(len(joints)))
        if (indices[weights > 0.0] >= len(lookup)).any() or (indices < 0).any():
            raise InputError("is skinned to joints that aren't there", where=where, do="export it again")
        placed = _matrices([value] if (value := api.GetGeomBindTransformAttr().Get()) is not None else None)
        if len(placed):
            inverse = inverse @ placed[0]
        local = lookup[np.where(weights > 0.0, indices, 0)]
        total = weights.sum(1, keepdims=True)
        weights = np.where(total > 0.0, weights / np.where(total > 0.0, total, 1.0), np.eye(1, weights.shape[1]))
        return Binding(nodes, inverse, local[rows], weights[rows])

    def _influences(self, api: Any, count: int, where: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Joint indices and weights [count, k], constant ones repeated."""
        index_var, weight_var = api.GetJointIndicesPrimvar(), api.GetJointWeightsPrimvar()
        if not (index_var and weight_var and index_var.HasValue() and weight_var.HasValue()):
            return None, None
        width = index_var.GetElementSize()
        indices = np.asarray(index_var.Get(), dtype=np.int64).reshape(-1)
        weights = np.asarray(weight_var.Get(), dtype=np.float64).reshape(-1)
        rows = 1 if str(index_var.GetInterpolation()) == "constant" else count
        if not 1 <= width <= MAX_INFLUENCES or len(indices) != rows * width or len(weights) != rows * width:
            raise InputError("has joint influences that don't match its points", where=where, do="export it again")
        indices, weights = (np.broadcast_to(v.reshape(rows, width), (count, width)) for v in (indices, weights))
        if bad := int((~np.isfinite(weights).all(1)).sum()):
            raise InputError(
                f"has {bad} of {count} vertices with NaN or infinite skin weights",
                where=where,
                do="normalise the weights in its program and export it again",
            )
        return indices, np.maximum(weights, 0.0)


def _names(skeleton: Any, joints: list[str]) -> list[str]:
    """Names of joints: as the skeleton lists them, by a table that a DCC has kept, or those of their paths."""
    listed = [str(name) for name in skeleton.GetJointNamesAttr().Get() or []]
    if len(listed) == len(set(listed)) == len(joints) and all(listed):
        return listed
    table: Any = {}
    for prim in skeleton.GetPrim().GetStage().Traverse():
        written = prim.GetAttribute(JOINT_NAMES).Get() if prim.HasAttribute(JOINT_NAMES) else None
        if isinstance(written, str) and len(written) <= MAX_NAMES:
            with contextlib.suppress(ValueError, RecursionError):
                table = json.loads(written)
                break
    plain = [joint.rsplit("/", 1)[-1] for joint in joints]
    known = table if isinstance(table, dict) else {}
    return [name if isinstance(name := known.get(p), str) and name else p for p in plain]


def _matrices(values: Any) -> np.ndarray:
    """Gf matrices (row vectors) as column-vector matrices. [n, 4, 4] float64"""
    return np.array([np.array(value, dtype=np.float64).T for value in values or []]).reshape(-1, 4, 4)
