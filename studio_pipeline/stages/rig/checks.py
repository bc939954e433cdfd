"""What makes a rig usable, as verdicts."""

from __future__ import annotations

import numpy as np

from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import Verdict
from studio_pipeline.stages.rig.stress import StressTest, stress_test

__all__ = ["check_rig", "is_whole", "outside_distance"]

_SUM_TOLERANCE = 1e-4
_OUTSIDE_SHARE = 0.02  # of the diagonal that a joint may lie outside of the surface
_SHORTEST = 1e-6  # of the diagonal
_OWNS = 0.05  # a joint whose largest weight is below this moves nothing that shows
_INFLUENCES = 8


def outside_distance(character: Character, points: np.ndarray) -> np.ndarray:
    """How far points [N, 3] lie outside of the character's surface, zero inside. [N] float64 [m]"""
    import igl

    from studio_pipeline.geometry.voxels import oriented_faces, winding_inside

    vertices = np.ascontiguousarray(character.vertices, dtype=np.float64)
    points = np.ascontiguousarray(points, dtype=np.float64)
    faces = np.ascontiguousarray(character.faces, dtype=np.int64)
    squared = np.asarray(igl.point_mesh_squared_distance(points, vertices, faces)[0]).ravel()
    welded, twin = np.unique(vertices, axis=0, return_inverse=True)
    inside = winding_inside(welded, oriented_faces(welded, twin.ravel()[faces]), points)
    return np.where(inside, 0.0, np.sqrt(np.maximum(squared, 0.0)))


def is_whole(rig: Rig) -> str:
    """What keeps the rig from being one tree of finite joints, empty when nothing does."""
    count, parents = len(rig.names), np.asarray(rig.parents)
    shapes = {parents.shape: (count,), rig.rest_world.shape: (count, 4, 4), rig.tails.shape: (count, 3)}
    if not count or any(found != expected for found, expected in shapes.items()) or rig.weights.shape[1:] != (count,):
        return "names, parents, frames, tails and weights differ in number"
    if len(set(rig.names)) != count:
        return "joint names repeat"
    below = parents[1:]
    if parents[0] != -1 or not bool(((below >= 0) & (below < np.arange(1, count))).all()):
        return "not one tree, parents first"
    if not (np.isfinite(rig.rest_world).all() and np.isfinite(rig.tails).all()):
        return "joints that are not finite"
    turn = rig.rest_world[:, :3, :3]
    if np.abs(turn @ np.swapaxes(turn, 1, 2) - np.eye(3)).max() > 1e-4 or (np.linalg.det(turn) < 0.0).any():
        return "joint frames that are not rigid"
    return ""


def check_rig(character: Character, rig: Rig, stress: StressTest | None = None) -> tuple[Verdict, ...]:
    """The rig stage's verdicts, always all six.

    Whether joints lie inside and whether the skin bears random poses only warns for a skeleton that the artist
    provided: helper joints of real files may lie anywhere, and an artist's skin is the artist's.

    Args:
        character: Whose rig it is.
        rig: The rig; it may be wrong in any way.
        stress: Its stress test, made here when it isn't given.
    """
    weights = rig.weights.astype(np.float64)
    summed, covered = _weight_verdicts(weights)
    broken, blocking = is_whole(rig), rig.backend != "provided"
    tree = Verdict("tree_connected", not broken, broken or f"{len(rig.names)} joints, one root, parents first")
    if broken:
        untold = [
            Verdict(name, False, f"not measured: {broken}") for name in ("joints_inside", "no_zero_bones", "stress")
        ]
        return summed, untold[0], tree, untold[1], covered, untold[2]
    lengths = np.linalg.norm(rig.tails - rig.heads, axis=1) / character.diagonal
    short = [rig.names[j] for j in np.flatnonzero(~(lengths > _SHORTEST))]
    if not np.isfinite(weights).all():
        strain = Verdict("stress", False, "not measured: weights that are not finite", blocking=blocking)
    else:
        strain = (stress or stress_test(character, rig)).verdict(blocking=blocking)
    return (
        summed,
        _inside_verdict(character, rig, blocking=blocking),
        tree,
        Verdict(
            "no_zero_bones",
            not short,
            f"shortest bone {lengths.min():.1%} of the diagonal" + "".join(f", {n}" for n in short[:4]),
        ),
        covered,
        strain,
    )


def _inside_verdict(character: Character, rig: Rig, *, blocking: bool) -> Verdict:
    owners = np.flatnonzero(rig.weights.max(0, initial=0.0) > _OWNS)
    outside = outside_distance(character, rig.heads[owners]) / character.diagonal
    far = [rig.names[j] for j in owners[outside > _OUTSIDE_SHARE]]
    return Verdict(
        "joints_inside",
        not far,
        f"{len(owners) - len(far)} of {len(owners)} joints that own weight inside, {outside.max(initial=0.0):.1%} "
        f"of the diagonal off at most (bound {_OUTSIDE_SHARE:.0%})" + (f": {', '.join(far[:4])}" if far else ""),
        blocking=blocking,
    )


def _weight_verdicts(weights: np.ndarray) -> tuple[Verdict, Verdict]:
    """Whether weights [V, J] sum to one, and whether every vertex has some."""
    finite = bool(np.isfinite(weights).all())
    sums = weights.sum(1)
    error = float(np.abs(sums - 1.0).max(initial=0.0)) if finite else float("inf")
    worst = int(np.argmax(np.abs(sums - 1.0))) if finite else int(np.argmin(np.isfinite(weights).all(1)))
    influences = int((weights > 0.0).sum(1).max(initial=0))
    negative = bool((weights < 0.0).any())
    bare = np.flatnonzero(~(weights.max(1, initial=0.0) > 0.0))
    summed = Verdict(
        "weights_sum_to_one",
        error <= _SUM_TOLERANCE and influences <= _INFLUENCES and not negative,
        f"largest error {error:.1e} at vertex {worst} (bound {_SUM_TOLERANCE:.0e}), up to {influences} influences"
        + (", some negative" if negative else ""),
    )
    covered = Verdict(
        "every_vertex_weighted",
        len(bare) == 0 and finite,
        f"{len(bare)} vertices without weight" + (f", first {bare[0]}" if len(bare) else ""),
    )
    return summed, covered
