"""Backend `network`: a transformer writes the skeleton from points on the surface, in the style of UniRig.

Several skeletons are drawn, of the shape and of its mirror image; the one is taken that fits the body and is least
unlike the others, and its joints go where all agree that they are. A second network ties the surface to the bones.
Both were trained by this project, on procedural characters only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio_pipeline.geometry.bones import bone_ends
from studio_pipeline.geometry.heat import keep_largest
from studio_pipeline.geometry.meshes import vertex_normals
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.rig import geometric
from studio_pipeline.stages.rig.agreement import agreed, unlikeness
from studio_pipeline.stages.rig.candidates import Candidate, Judge, joined, symmetrised
from studio_pipeline.stages.rig.geometric import bone_frames
from studio_pipeline.stages.rig.naming import named
from studio_pipeline.stages.rig.report import report
from studio_pipeline.stages.rig.settings import NetworkSettings

if TYPE_CHECKING:
    from studio_pipeline.models.rig.clouds import Cloud

__all__ = ["NoSkeletonError", "Proposal", "build_rig", "propose", "rig_of", "run", "skin", "weights_files"]

_POINTS = 1024  # as in training
_SURFACE = 4096  # points over which distances along the body are taken
_LEAST = 0.02  # weights below this are left out
_UNLIKE = 33.0  # what a skeleton's mean distance to the others counts against one nat a token of the judge
_WARMTH = 0.6  # temperature of the draws after the first


def run(context: StageContext) -> StageResult:
    """Make the rig of the stage's character."""
    character = Character.load(context.inputs["character"])
    context.progress(0.1, "skeleton")
    rig, symmetric = build_rig(character.vertices, character.faces, context.settings, seed=character.seed)
    rig.save(context.out)
    context.progress(0.8, "checks and preview")
    return report(character, rig, context.out, symmetric=symmetric)


def weights_files(settings: NetworkSettings | None = None) -> tuple[Path, Path]:
    """Where the weights of the two networks are, for skeletons and skins: as set, or those that are shipped."""
    folder = (None if settings is None else settings.weights) or assets_folder() / "weights" / "rig"
    return folder / "skeleton.safetensors", folder / "skin.safetensors"


def build_rig(
    vertices: np.ndarray, faces: np.ndarray, settings: NetworkSettings | None = None, *, seed: int = 0
) -> tuple[Rig, bool]:
    """A rig for any mesh, and whether the body mirrors itself.

    Args:
        vertices: Positions [V, 3], any unit, Y up.
        faces: Triangles [F, 3].
        settings: See `NetworkSettings`.
        seed: Of the points that are seen and of the draws.

    Raises:
        InputError: The mesh has no area, or the weights are missing or of another network.
    """
    settings = settings or NetworkSettings()
    proposal = propose(vertices, faces, settings, seed=seed)
    return rig_of(proposal, vertices, faces, settings), proposal.judge.plane is not None


class NoSkeletonError(InputError):
    """The network can't see the mesh, or finished no skeleton of it."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The best skeleton that the network drew of a mesh."""

    skeleton: Candidate
    judge: Judge  # who found it the best
    cloud: Cloud  # the mesh as the network saw it

    @property
    def joints(self) -> np.ndarray:
        """[J, 3] float64, in the mesh's unit."""
        return self.cloud.to_mesh(self.skeleton.joints)


def propose(vertices: np.ndarray, faces: np.ndarray, settings: NetworkSettings, *, seed: int = 0) -> Proposal:
    """Draw skeletons of a mesh, choose one, and move it to what all agree on.

    Arguments and errors are those of `build_rig`, `NoSkeletonError` among them.
    """
    from studio_pipeline.models.rig.clouds import cloud_of

    try:
        cloud = cloud_of(vertices, faces, _POINTS, seed=seed)
    except ValueError as error:
        raise NoSkeletonError(str(error), where="stages.rig", do="give a mesh with faces that have an area") from None
    judge = Judge(cloud.from_mesh(vertices), faces, cloud.points, mirrored=settings.symmetry == "auto")
    candidates = [symmetrised(c, judge.plane) for c in _drawn(cloud, settings, seed)]
    scores = np.array([judge.score(c) for c in candidates]) - _UNLIKE * unlikeness(candidates)
    best = candidates.pop(int(np.argmax(scores)))
    skeleton = symmetrised(agreed(best, candidates), judge.plane)
    return Proposal(skeleton=judge.pulled(joined(skeleton)), judge=judge, cloud=cloud)


def rig_of(proposal: Proposal, vertices: np.ndarray, faces: np.ndarray, settings: NetworkSettings) -> Rig:
    """The proposed skeleton with its skin, named."""
    joints, parents = proposal.joints, proposal.skeleton.parents
    tails = bone_ends(joints, parents, vertices)
    rig = Rig(
        names=tuple(f"joint_{index}" for index in range(len(joints))),
        parents=parents,
        rest_world=bone_frames(joints, tails),
        tails=tails.astype(np.float32),
        weights=skin(vertices, faces, joints, tails, parents, settings),
        backend="network",
    )
    return named(rig, vertices)


def skin(
    vertices: np.ndarray,
    faces: np.ndarray,
    heads: np.ndarray,
    tails: np.ndarray,
    parents: np.ndarray,
    settings: NetworkSettings | None = None,
) -> np.ndarray:
    """Weights of a skeleton that is given.

    Args:
        vertices: Positions [V, 3], any unit, Y up.
        faces: Triangles [F, 3].
        heads: Joints [J, 3], in the unit of the vertices.
        tails: Ends of bones [J, 3].
        parents: Parent of each joint [J], -1 for roots.
        settings: See `NetworkSettings`.

    Returns:
        [V, J] float32, rows sum to one, at most 8 non-zero a row.
    """
    from studio_pipeline.models.rig.clouds import cloud_of
    from studio_pipeline.models.rig.skin import load_skin_net
    from studio_pipeline.models.rig.skinning import network_weights
    from studio_pipeline.models.threads import one_thread

    settings = settings or NetworkSettings()
    if settings.skin == "heat":
        return geometric.skin(vertices, faces, heads, tails, parents)
    cloud = cloud_of(vertices, faces, _SURFACE, seed=0)
    welded, twin = np.unique(np.asarray(vertices, dtype=np.float64), axis=0, return_inverse=True)
    normals = vertex_normals(welded, twin.ravel()[faces])
    ends = cloud.from_mesh(heads), cloud.from_mesh(tails)
    net = _network(load_skin_net, weights_files(settings)[1])
    with one_thread():
        weights = network_weights(net, cloud, *ends, cloud.from_mesh(welded), normals)
    return keep_largest(weights[twin.ravel()], least=_LEAST)


def _drawn(cloud: Cloud, settings: NetworkSettings, seed: int) -> list[Candidate]:
    """Skeletons of the cloud and of its mirror image, the latter mirrored back."""
    from studio_pipeline.models.rig.sampling import draw_skeletons
    from studio_pipeline.models.rig.skeleton import load_skeleton_net
    from studio_pipeline.models.threads import one_thread

    net = _network(load_skeleton_net, weights_files(settings)[0])
    plan = _plan(settings, net.config.plans)
    flips = (False, True)[: settings.candidates]
    views = [cloud.mirrored() if flip else cloud for flip in flips]
    warmth = (0.0, *([_WARMTH] * (-(-settings.candidates // len(flips)) - 1)))
    clouds = [(view.points, view.normals) for view in views]
    with one_thread():
        drawn = draw_skeletons(net, clouds, temperatures=warmth, seed=seed, plan=plan, most=settings.max_joints)
    candidates = [
        Candidate(
            joints=one.skeleton.joints * np.array([-1.0 if flip else 1.0, 1.0, 1.0]),
            parents=one.skeleton.parents,
            likelihood=one.likelihood,
        )
        for flip, found in zip(flips, drawn, strict=True)
        for one in found
    ]
    if not candidates:
        raise NoSkeletonError(
            "no skeleton was finished", where="stages.rig", do="raise rig.candidates or use geometric"
        )
    return candidates


def _plan(settings: NetworkSettings, plans: tuple[str, ...]) -> int | None:
    if settings.body_plan == "auto":
        return None
    if settings.body_plan not in plans:
        raise InputError(
            f"there is no body plan {settings.body_plan!r}", where="rig.body_plan", do=f"auto or {', '.join(plans)}"
        )
    return plans.index(settings.body_plan)


@lru_cache(maxsize=4)
def _loaded(load: Callable[[Path], Any], path: Path, stamp: tuple[int, int]) -> Any:
    """The network in a file; the stamp tells a changed file."""
    return load(path)


def _network(load: Callable[[Path], Any], path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            "there are no weights here",
            where=path,
            do="train some (studio train rig) and name their folder as rig.weights, or use backend geometric",
        )
    stat = path.stat()
    return _loaded(load, path, (stat.st_size, stat.st_mtime_ns))
