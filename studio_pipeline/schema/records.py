"""What passes between stages, as plain arrays with stated shapes, units and frames.

Letters: T frames, V surface vertices, F faces, J joints, N tracked points, P solid vertices,
E tetrahedra, H and W image rows and columns. World frame: metres, Y up, right-handed, +Z towards
the viewer of the canonical view. Arrays at rest are float32 and int32 unless said otherwise.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from studio_pipeline.schema.arrays import load_arrays, load_json, save_arrays, save_json
from studio_pipeline.schema.errors import InputError

__all__ = ["CameraPath", "Character", "Motion", "Observations", "PointCache", "Record", "Rig", "Solid"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record that is kept as ``<stem>.npz`` (arrays) and ``<stem>.json`` (everything else)."""

    stem: ClassVar[str] = "record"

    def save(self, folder: Path) -> None:
        """Write the record into ``folder``, which must exist."""
        arrays: dict[str, np.ndarray] = {}
        rest: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                arrays[item.name] = value
            elif isinstance(value, Fraction):
                rest[item.name] = str(value)
            elif value is not None:
                rest[item.name] = list(value) if isinstance(value, tuple) else value
        save_arrays(folder / f"{self.stem}.npz", **arrays)
        save_json(folder / f"{self.stem}.json", rest)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the record back from ``folder``.

        Raises:
            InputError: A file is missing, unreadable, or lacks a field.
        """
        values: dict[str, Any] = {**load_json(folder / f"{cls.stem}.json"), **load_arrays(folder / f"{cls.stem}.npz")}
        known = {item.name: item for item in fields(cls)}
        if unknown := set(values) - set(known):
            raise InputError(f"has unknown fields {sorted(unknown)}", where=folder / cls.stem)
        for name, item in known.items():
            if name not in values and item.default is MISSING and item.default_factory is MISSING:
                raise InputError(f"lacks the field {name!r}", where=folder / cls.stem)
            if name in values and item.type == "Fraction":
                values[name] = Fraction(values[name])
            elif isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class CameraPath(Record):
    """A pinhole camera per frame, in the OpenGL convention: it looks down its own -Z, +Y up.

    A world point p has camera coordinates ``q = world_to_camera @ [p, 1]`` and, in pixels with the
    origin at the top left corner and pixel centres at +0.5,
    ``x = width / 2 + focal * q.x / -q.z``, ``y = height / 2 - focal * q.y / -q.z``. Depth is ``-q.z``.
    """

    stem: ClassVar[str] = "camera"

    world_to_camera: np.ndarray  # [T, 4, 4] float64, rigid
    focal: np.ndarray  # [T] float64 [px], focal = height / 2 / tan(fov_y / 2)
    width: int  # [px]
    height: int  # [px]

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return len(self.world_to_camera)

    def at(self, indices: slice | np.ndarray | list[int]) -> CameraPath:
        """The same camera restricted to some frames."""
        return CameraPath(
            world_to_camera=self.world_to_camera[indices],
            focal=self.focal[indices],
            width=self.width,
            height=self.height,
        )

    def resized(self, width: int, height: int) -> CameraPath:
        """The same view at another picture size of the same aspect ratio."""
        return CameraPath(
            world_to_camera=self.world_to_camera, focal=self.focal * (height / self.height), width=width, height=height
        )


@dataclass(frozen=True, kw_only=True)
class Rig(Record):
    """A skeleton and skin weights on one character's vertices.

    Parents come before children; the first joint is the only root. ``rest_world`` is rigid (no scale):
    its translation is the joint's head in the world. A pose is, per joint, a rigid ``delta`` in the
    joint's own rest frame: ``posed_i = posed_parent @ rest_local_i @ delta_i`` with
    ``rest_local_i = inv(rest_world_parent) @ rest_world_i``; the skinning transform is
    ``posed_i @ inv(rest_world_i)``. Identity deltas give the rest pose.
    """

    stem: ClassVar[str] = "rig"

    names: tuple[str, ...]  # J unique names
    parents: np.ndarray  # [J] int32, -1 for the root, parents[i] < i
    rest_world: np.ndarray  # [J, 4, 4] float64, rigid
    tails: np.ndarray  # [J, 3] float32, end of the bone that the joint moves, world
    weights: np.ndarray  # [V, J] float32, rows sum to one, at most 8 non-zero a row
    backend: str = ""  # which backend made it
    stiffness: np.ndarray | None = None  # [J] float32, painted factor on the flesh's stiffness, NaN where none is

    @property
    def joint_count(self) -> int:
        """Number of joints J."""
        return len(self.parents)

    @property
    def heads(self) -> np.ndarray:
        """Joint heads at rest, world. [J, 3]"""
        return self.rest_world[:, :3, 3]


@dataclass(frozen=True, kw_only=True)
class Character(Record):
    """One static character: a single triangle mesh with one texture atlas, in metres.

    Parts and materials of the source file are merged: flat material colours live in the atlas or in
    ``vertex_colors``, so that renderer, GLB and USD see the same single material.
    ``base_color = atlas(uv) * vertex_colors`` in linear light. Faces are counter-clockwise seen from
    outside. Vertices may repeat a position (texture seams).
    """

    stem: ClassVar[str] = "character"

    name: str
    vertices: np.ndarray  # [V, 3] float32 [m], rest pose, world
    normals: np.ndarray  # [V, 3] float32, unit
    faces: np.ndarray  # [F, 3] int32
    uv: np.ndarray  # [V, 2] float32, glTF convention: origin at the top left of the atlas
    atlas: np.ndarray  # [h, w, 4] uint8, sRGB colour, linear alpha
    vertex_colors: np.ndarray  # [V, 3] float32, linear factor, ones when the file has none
    height_m: float  # largest extent of the character in metres
    unit_scale: float  # metres = unit_scale * file units; delivery divides by it to return the file's own scale
    double_sided: bool = True
    seed: int = 0  # what character stages draw their randomness from
    source: str = ""  # base name of the source file

    @property
    def diagonal(self) -> float:
        """Length of the rest bounding box's diagonal [m]."""
        return float(np.linalg.norm(np.ptp(self.vertices.astype(np.float64), axis=0)))


@dataclass(frozen=True, kw_only=True)
class Motion(Record):
    """Joint motion on a rig: per frame and joint a delta in the joint's own rest frame (see `Rig`)."""

    stem: ClassVar[str] = "motion"

    rotations: np.ndarray  # [T, J, 6] float32, first two columns of the rotation matrix, column by column
    translations: np.ndarray  # [T, J, 3] float32 [m]
    fps: Fraction
    first_frame: int  # the shot's frame number of index 0

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return len(self.rotations)


def _nothing() -> np.ndarray:
    return np.zeros(0, np.int32)


@dataclass(frozen=True, kw_only=True)
class Observations(Record):
    """What was seen in a clip: masks, tracks bound to the surface, depth. Pixels of the clip's size.

    Late tracks begin on surface that came into view after index 0. They are seen but carried by no face yet:
    `stages.observations.binding.bind_tracks` turns them into ordinary ones once a pose is known.
    """

    stem: ClassVar[str] = "observations"

    masks: np.ndarray  # [T, H, W] uint8, foreground coverage, 255 = character
    tracks: np.ndarray  # [T, N, 2] float32 [px], pixel centres at +0.5
    visibility: np.ndarray  # [T, N] bool
    track_faces: np.ndarray  # [N] int32, face of the character that carries the point
    track_barycentrics: np.ndarray  # [N, 3] float32
    track_births: np.ndarray = field(default_factory=_nothing)  # [N] int32, frame index of birth; left out: zeros
    late_tracks: np.ndarray = field(default_factory=_nothing)  # [T, M, 2] float32 [px]; left out: none, as below
    late_visibility: np.ndarray = field(default_factory=_nothing)  # [T, M] bool
    late_births: np.ndarray = field(default_factory=_nothing)  # [M] int32
    depth: np.ndarray | None = None  # [T, H, W] float32 as `depth_kind` says, NaN where unknown
    depth_is_metric: bool = False  # True: depth is -z in the camera [m]
    depth_kind: str = "metric"  # of d: "metric" z = d, "affine" z = a d + b, "inverse" 1/z = a d + b
    sources: dict[str, str] = field(default_factory=dict)  # e.g. {"masks": "alpha", "tracks": "lk", "depth": "none"}

    def __post_init__(self) -> None:
        """Fill in what records of earlier versions and callers without late tracks leave out."""
        frames, count = self.visibility.shape
        if not len(self.track_births):
            object.__setattr__(self, "track_births", np.zeros(count, np.int32))
        if not len(self.late_births):
            object.__setattr__(self, "late_tracks", np.zeros((frames, 0, 2), np.float32))
            object.__setattr__(self, "late_visibility", np.zeros((frames, 0), bool))


@dataclass(frozen=True, kw_only=True)
class Solid(Record):
    """A tetrahedral body around the character's surface and its binding to the rig."""

    stem: ClassVar[str] = "solid"

    vertices: np.ndarray  # [P, 3] float32 [m], rest
    tets: np.ndarray  # [E, 4] int32, positive volume: det[b - a, c - a, d - a] > 0
    surface_tets: np.ndarray  # [V] int32, tetrahedron that carries each surface vertex
    surface_barycentrics: np.ndarray  # [V, 4] float32, may lie slightly outside [0, 1] for vertices outside the solid
    tet_joints: np.ndarray  # [E] int32, joint whose bone drives the tetrahedron, -1 when it moves freely
    vertex_weights: np.ndarray  # [P, J] float32, skin weights carried over to the solid's vertices, rows sum to one


@dataclass(frozen=True, kw_only=True)
class PointCache(Record):
    """Posed surface vertices per frame, as the physics left them."""

    stem: ClassVar[str] = "points"

    points: np.ndarray  # [T, V, 3] float32 [m], world
    stiffness: np.ndarray  # [E] float32 [Pa], Young's modulus per tetrahedron
    fallback: np.ndarray  # [T] bool, frames where the solver gave up and the skinned pose stands in
    fps: Fraction
    first_frame: int

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return len(self.points)
