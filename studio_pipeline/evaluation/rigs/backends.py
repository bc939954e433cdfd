"""The ways of making a rig that are measured. A new one is one entry of `BACKENDS`."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Rig

__all__ = ["BACKENDS", "RigBackend", "auto_rig", "choose_backends", "geometric_rig", "network_rig"]


@dataclass(frozen=True)
class RigBackend:
    """One way of making a rig. Functions are named as ``"package.module:function"`` and imported when they run."""

    rig: str  # (vertices [V, 3], faces [F, 3]) -> Rig
    skin: str  # (vertices, faces, heads [J, 3], tails [J, 3], parents [J]) -> weights [V, J]; roots have parent -1
    seconds: float  # the goal for one character on two cores [s]
    files: str = ""  # () -> paths of files (weights) on which the result depends; none when empty

    def make_rig(self, vertices: np.ndarray, faces: np.ndarray) -> Rig:
        """A rig for a mesh."""
        return _function(self.rig)(vertices, faces)

    def make_skin(
        self, vertices: np.ndarray, faces: np.ndarray, heads: np.ndarray, tails: np.ndarray, parents: np.ndarray
    ) -> np.ndarray:
        """Weights of a given skeleton on a mesh. [V, J]"""
        return _function(self.skin)(vertices, faces, heads, tails, parents)

    def paths(self) -> Sequence[Path]:
        """Files on which the result depends."""
        return _function(self.files)() if self.files else ()


def _function(name: str) -> Callable:
    return pkgutil.resolve_name(name)


BACKENDS: Mapping[str, RigBackend] = {
    "geometric": RigBackend(
        rig="studio_pipeline.evaluation.rigs.backends:geometric_rig",
        skin="studio_pipeline.stages.rig.geometric:skin",
        seconds=15.0,
    ),
    "auto": RigBackend(
        rig="studio_pipeline.evaluation.rigs.backends:auto_rig",
        skin="studio_pipeline.stages.rig.geometric:skin",
        seconds=15.0,
        files="studio_pipeline.stages.rig.network:weights_files",
    ),
    "network": RigBackend(
        rig="studio_pipeline.evaluation.rigs.backends:network_rig",
        skin="studio_pipeline.stages.rig.network:skin",
        seconds=5.0,
        files="studio_pipeline.stages.rig.network:weights_files",
    ),
}


def geometric_rig(vertices: np.ndarray, faces: np.ndarray) -> Rig:
    """The backend `geometric` with its default settings."""
    from studio_pipeline.stages.rig.geometric import build_rig

    return build_rig(vertices, faces)[0]


def auto_rig(vertices: np.ndarray, faces: np.ndarray) -> Rig:
    """The backend `auto` with its default settings."""
    from studio_pipeline.stages.rig.auto import build_rig

    return build_rig(vertices, faces)[0]


def network_rig(vertices: np.ndarray, faces: np.ndarray) -> Rig:
    """The backend `network` with its default settings."""
    from studio_pipeline.stages.rig.network import build_rig

    return build_rig(vertices, faces)[0]


def choose_backends(names: str) -> dict[str, RigBackend]:
    """Backends by their names, separated by commas; all whose weights are there when ``names`` is empty.

    Raises:
        InputError: One isn't known.
    """
    asked = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    asked = asked or [name for name, backend in BACKENDS.items() if all(path.is_file() for path in backend.paths())]
    for name in asked:
        if name not in BACKENDS:
            raise InputError(f"there is no backend {name!r}", where="--backends", do=f"choose of {', '.join(BACKENDS)}")
    return {name: BACKENDS[name] for name in asked}
