"""Where subjects come from: files with a rig of their own, or arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from studio_pipeline.evaluation.rigs.subjects import Movement, Subject, truth_of
from studio_pipeline.geometry.bones import bone_ends
from studio_pipeline.geometry.meshes import largest_extent, vertex_normals
from studio_pipeline.geometry.skinning import posed_world, skinning_transforms
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Motion, Rig

__all__ = ["CHARACTERS", "PROCEDURAL", "RiggedArrays", "RiggedFile", "Source", "choose_sources"]

CHARACTERS, PROCEDURAL = "characters", "procedural"
"""Groups of subjects, which have medians and goals of their own."""

CLIP_FRAMES = 16  # of every clip, spread evenly over it
_FORMATS = ("*.glb", "*.gltf")


class Source(Protocol):
    """Where a subject comes from; small and picklable, so that processes can share the work."""

    @property
    def name(self) -> str:
        """Told in tables and pictures."""
        ...

    @property
    def group(self) -> str:
        """`CHARACTERS`, `PROCEDURAL` or another."""
        ...

    def digest(self) -> str:
        """Of all that the subject depends on but code: results are kept under it."""
        ...

    def open(self) -> Subject:
        """The subject.

        Raises:
            InputError: It can't be had; the message says why.
        """
        ...


@dataclass(frozen=True)
class RiggedFile:
    """A GLB, glTF or USD file with a rig of its own, and its animations where they can be read."""

    path: Path
    group: str = CHARACTERS

    @property
    def name(self) -> str:
        """The file's."""
        return self.path.stem

    def digest(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def open(self) -> Subject:
        """Load the file.

        Raises:
            InputError: It is malformed or has no rig.
        """
        from studio_pipeline.stages.character.animation import animations, sample_joints
        from studio_pipeline.stages.character.load import load_character, read_model
        from studio_pipeline.stages.character.own_rig import plan_rig

        loaded = load_character(self.path)
        plan = plan_rig(read_model(self.path)) if loaded.own_rig is not None else None
        if loaded.own_rig is None or plan is None:
            raise InputError("has no rig of its own", where=self.path, do="give a character with skin or moving parts")
        truth, kept = truth_of(loaded.own_rig, made_up_root=plan.nodes[0] < 0)
        truth = replace(truth, tails=bone_ends(truth.joints, truth.parents, loaded.character.vertices))
        movements = []
        for clip in {clip.name: clip for clip in reversed(animations(self.path))}.values():
            played = sample_joints(self.path, clip.name, np.linspace(0.0, clip.duration, CLIP_FRAMES))
            posed = posed_world(played.rig, played.rotations, played.translations)
            movements.append(Movement(clip.name, (posed @ np.linalg.inv(played.rig.rest_world))[:, kept]))
        return Subject(character=loaded.character, truth=truth, movements=tuple(reversed(movements)))


@dataclass(frozen=True, kw_only=True, eq=False)
class RiggedArrays:
    """A character that is no file, such as a procedural one."""

    name: str
    vertices: np.ndarray  # [V, 3] [m], Y up
    faces: np.ndarray  # [F, 3], counter-clockwise outward
    rig: Rig  # the truth; its tails count as known
    motions: tuple[tuple[str, Motion], ...] = ()  # clips by name
    group: str = PROCEDURAL

    def digest(self) -> str:
        """Of all arrays."""
        made = hashlib.sha256(repr((self.rig.names, [name for name, _ in self.motions])).encode())
        arrays = [self.vertices, self.faces, self.rig.parents, self.rig.rest_world, self.rig.tails, self.rig.weights]
        for _, motion in self.motions:
            arrays += [motion.rotations, motion.translations]
        for array in arrays:
            made.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return made.hexdigest()

    def open(self) -> Subject:
        """Make a plain grey character of the arrays."""
        truth, kept = truth_of(self.rig)
        movements = [Movement(name, skinning_transforms(self.rig, motion)[:, kept]) for name, motion in self.motions]
        return Subject(character=self._character(), truth=truth, movements=tuple(movements))

    def _character(self) -> Character:
        count = len(self.vertices)
        return Character(
            name=self.name,
            vertices=self.vertices.astype(np.float32),
            normals=vertex_normals(self.vertices, self.faces).astype(np.float32),
            faces=self.faces.astype(np.int32),
            uv=np.zeros((count, 2), np.float32),
            atlas=np.full((4, 4, 4), (190, 190, 194, 255), np.uint8),
            vertex_colors=np.ones((count, 3), np.float32),
            height_m=largest_extent(self.vertices),
            unit_scale=1.0,
        )


def choose_sources(characters: Sequence[str], data: Path | None) -> list[RiggedFile]:
    """Files asked for by name, else those of ``data``/rigs, else the shipped characters.

    Raises:
        InputError: A named file isn't there.
    """
    for name in characters:
        if not Path(name).is_file():
            raise InputError("no such file", where=name, do="give a GLB, glTF or USD file with a rig")
    if characters:
        return [RiggedFile(Path(name)) for name in characters]
    folder = data / "rigs" if data else assets_folder() / "characters"
    return [RiggedFile(path) for path in sorted(path for form in _FORMATS for path in folder.glob(form))]
