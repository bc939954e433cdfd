"""The animations that a character file brings along, at any time, on the loaded mesh and on its own rig."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio_pipeline.geometry.gltf import Clip, Document, NodeGraph, read_clip, read_clip_names
from studio_pipeline.geometry.gltf.nodes import compose, world_matrices
from studio_pipeline.geometry.rotations import matrix_to_sixd
from studio_pipeline.geometry.skinning import delta_matrices, pose_vertices, rest_local
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Rig
from studio_pipeline.stages.character.formats import kind_of
from studio_pipeline.stages.character.load import check_model, file_scale
from studio_pipeline.stages.character.model import Model, pose_model
from studio_pipeline.stages.character.own_rig import build_rig, plan_rig, rigid_part
from studio_pipeline.stages.character.source_gltf import read_gltf

__all__ = [
    "Animated",
    "AnimationInfo",
    "JointMotion",
    "animations",
    "joint_motion",
    "open_animated",
    "sample_animation",
    "sample_joints",
]


@dataclass(frozen=True)
class AnimationInfo:
    """One animation of a file."""

    name: str
    duration: float  # [s]


@dataclass(frozen=True)
class JointMotion:
    """An animation as rigid joint motion on the file's own rig (see `schema.records.Rig`)."""

    rotations: np.ndarray  # [T, J, 6] float32
    translations: np.ndarray  # [T, J, 3] float32 [m]
    rig: Rig
    residual_m: float  # largest distance to the true vertices [m]: scale, shear and morphs that joints can't carry


@dataclass(frozen=True)
class Locals:
    """Local node transforms over time. T frames, N nodes."""

    translations: np.ndarray  # [T, N, 3]
    rotations: np.ndarray  # [T, N, 4] unit quaternions
    scales: np.ndarray  # [T, N, 3]
    morphs: dict[int, np.ndarray]  # node -> [T, K] morph weights


class Animated:
    """A glTF file opened for sampling its animations."""

    def __init__(self, path: Path, height_m: float | None = None) -> None:
        self.path = Path(path)
        self.model, self.document, self.nodes = _read(self.path)
        self.rest = pose_model(self.model, self.model.world())
        self.scale, _ = file_scale(self.model, self.rest, height_m)

    def clip(self, name: str) -> Clip:
        """The animation called ``name``.

        Raises:
            InputError: The file has no such animation.
        """
        names = read_clip_names(self.document)
        if name not in names:
            known = ", ".join(names[:20]) or "none"
            raise InputError(f"has no animation {name!r}", where=self.path, do=f"choose one of: {known}")
        return read_clip(self.document, names.index(name))

    def rest_locals(self, frames: int) -> Locals:
        """The default transforms, ``frames`` times."""
        nodes = self.nodes
        translations, rotations, scales = (
            np.repeat(v[None], frames, axis=0) for v in (nodes.translations, nodes.rotations, nodes.scales)
        )
        return Locals(translations, rotations, scales, self._rest_morphs(frames))

    def _rest_morphs(self, frames: int) -> dict[int, np.ndarray]:
        weights = {p.node: p.morph_weights for p in self.model.parts if p.morph_weights is not None}
        return {node: np.repeat(value[None], frames, axis=0) for node, value in weights.items()}

    def locals(self, clip: Clip, times: np.ndarray) -> Locals:
        """Local transforms while ``clip`` plays, at ``times`` [T] in seconds."""
        times = np.asarray(times, dtype=np.float64).reshape(-1)
        state = self.rest_locals(len(times))
        tables = {"translation": state.translations, "rotation": state.rotations, "scale": state.scales}
        for channel in clip.channels:
            values = channel.sample(times)
            if channel.path in tables:
                tables[channel.path][:, channel.node] = values
            elif channel.node in state.morphs:
                count = min(values.shape[1], state.morphs[channel.node].shape[1])
                state.morphs[channel.node][:, :count] = values[:, :count]
        return state

    def worlds(self, state: Locals) -> np.ndarray:
        """World transforms of all nodes. [T, N, 4, 4] float64"""
        local = compose(state.translations, state.rotations, state.scales)
        still = [node for node in range(len(self.nodes.names)) if node not in self.model.moving]
        local[:, still] = self.nodes.matrices[still]
        return world_matrices(self.nodes.parents, self.nodes.order, local)

    def vertices(self, state: Locals) -> np.ndarray:
        """Posed vertices in metres, in the order of the loaded character. [T, V, 3] float32"""
        worlds = self.worlds(state)
        posed = np.empty((len(worlds), len(self.rest), 3), dtype=np.float32)
        for frame, world in enumerate(worlds):
            morphs = {node: weights[frame] for node, weights in state.morphs.items()}
            posed[frame] = pose_model(self.model, world, morphs) * self.scale
        return posed


def _read(path: Path) -> tuple[Model, Document, NodeGraph]:
    if kind_of(path) != "gltf":
        raise InputError("has no animations that can be read", where=path, do="give a GLB or glTF file")
    model, document, nodes = read_gltf(path)
    check_model(model)
    return model, document, nodes


def open_animated(path: Path, *, height_m: float | None = None) -> Animated:
    """Open a GLB or glTF for sampling.

    Raises:
        InputError: The file cannot be loaded, or is of a kind whose animations aren't read.
    """
    return Animated(path, height_m)


def animations(path: Path) -> list[AnimationInfo]:
    """The animations of a file, in its order; none for OBJ and USD."""
    if kind_of(Path(path)) != "gltf":
        return []
    _, document, _ = _read(Path(path))
    clips = [read_clip(document, index) for index in range(len(document.list("animations")))]
    return [AnimationInfo(clip.name, clip.duration) for clip in clips]


def sample_animation(path: Path, name: str, times: np.ndarray, *, height_m: float | None = None) -> np.ndarray:
    """Vertices at ``times`` [T] seconds of the animation ``name``, as a glTF viewer shows them.

    Returns:
        [T, V, 3] float32, metres; the order, scale and frame of `load_character`.
    """
    opened = open_animated(path, height_m=height_m)
    return opened.vertices(opened.locals(opened.clip(name), times))


def sample_joints(path: Path, name: str, times: np.ndarray, *, height_m: float | None = None) -> JointMotion:
    """The animation ``name`` at ``times`` [T] as rigid motion of the file's own rig.

    Raises:
        InputError: The file has no rig.
    """
    opened = open_animated(path, height_m=height_m)
    return joint_motion(opened, opened.locals(opened.clip(name), times))


def joint_motion(opened: Animated, state: Locals) -> JointMotion:
    """Local transforms over time as rigid motion of the file's own rig.

    Raises:
        InputError: The file has no rig.
    """
    plan = plan_rig(opened.model)
    if plan is None:
        raise InputError("has no rig of its own", where=opened.path, do="choose a rigged file")
    rest_vertices = opened.rest * opened.scale
    rig = build_rig(opened.model, plan, rest_vertices, opened.scale)
    worlds = opened.worlds(state)
    still = opened.model.world()
    posed = np.repeat(rig.rest_world[None], len(worlds), axis=0)
    for joint, node in enumerate(plan.nodes):
        if node < 0:
            continue
        change = worlds[:, node, :3, :3] @ _inverse(still[node, :3, :3])
        posed[:, joint, :3, :3] = rigid_part(change) @ rig.rest_world[joint, :3, :3]
        posed[:, joint, :3, 3] = worlds[:, node, :3, 3] * opened.scale
    local = rest_local(rig.parents, rig.rest_world)
    parent = np.where(rig.parents[None, :, None, None] >= 0, posed[:, rig.parents], np.eye(4))
    delta = np.linalg.inv(parent @ local) @ posed
    rotations, translations = matrix_to_sixd(delta[..., :3, :3]), delta[..., :3, 3]
    skinned = pose_vertices(rest_vertices, rig.weights, _chain(rig, local, rotations, translations))
    residual = np.linalg.norm(skinned - opened.vertices(state), axis=-1).max()
    return JointMotion(rotations.astype(np.float32), translations.astype(np.float32), rig, float(residual))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    # A joint scaled to nothing at rest has no inverse; the pseudo-inverse keeps the rest of it.
    return np.linalg.pinv(matrix)


def _chain(rig: Rig, local: np.ndarray, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
    steps = local @ delta_matrices(rotations, translations)
    world = np.empty_like(steps)
    for joint, parent in enumerate(rig.parents):
        world[:, joint] = steps[:, joint] if parent < 0 else world[:, parent] @ steps[:, joint]
    return world @ np.linalg.inv(rig.rest_world)
