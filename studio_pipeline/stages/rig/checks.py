"""What makes a rig usable, as verdicts."""

from __future__ import annotations

import numpy as np

from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import Verdict

__all__ = ["check_rig", "outside_distance"]

_SUM_TOLERANCE = 1e-4
_OUTSIDE_SHARE = 0.02  # of the diagonal that a joint may lie outside of the surface
_OWNS = 0.05  # a joint whose largest weight is below this moves nothing that shows


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


def check_rig(character: Character, rig: Rig) -> tuple[Verdict, ...]:
    """The rig stage's verdicts, always all five.

    Whether joints lie inside only warns for a skeleton that the artist provided: helper joints of real
    files may lie anywhere.
    """
    weights = rig.weights.astype(np.float64)
    summed, covered = _weight_verdicts(weights)
    owners = np.flatnonzero(weights.max(0, initial=0.0) > _OWNS)
    outside = outside_distance(character, rig.heads[owners]) / character.diagonal
    far = [rig.names[j] for j in owners[outside > _OUTSIDE_SHARE]]
    parents = np.asarray(rig.parents)
    rooted = parents[0] == -1 and bool((parents[1:] >= 0).all() and (parents[1:] < np.arange(1, len(parents))).all())
    lengths = np.linalg.norm(rig.tails - rig.heads, axis=1) / character.diagonal
    short = [rig.names[j] for j in np.flatnonzero(~(lengths > 1e-6))]
    return (
        summed,
        Verdict(
            "joints_inside",
            not far,
            f"{len(owners) - len(far)} of {len(owners)} joints that own weight inside, {outside.max(initial=0.0):.1%} "
            f"of the diagonal off at most (bound {_OUTSIDE_SHARE:.0%})" + (f": {', '.join(far[:4])}" if far else ""),
            blocking=rig.backend != "provided",
        ),
        Verdict(
            "tree_connected", rooted, f"{len(parents)} joints, one root, parents first" if rooted else "not one tree"
        ),
        Verdict(
            "no_zero_bones",
            not short,
            f"shortest bone {lengths.min():.1%} of the diagonal" + "".join(f", {n}" for n in short[:4]),
        ),
        covered,
    )


def _weight_verdicts(weights: np.ndarray) -> tuple[Verdict, Verdict]:
    """Whether weights [V, J] sum to one, and whether every vertex has some."""
    finite = bool(np.isfinite(weights).all())
    sums = weights.sum(1)
    error = float(np.abs(sums - 1.0).max(initial=0.0)) if finite else float("inf")
    worst = int(np.argmax(np.abs(sums - 1.0))) if finite else int(np.argmin(np.isfinite(weights).all(1)))
    influences = int((weights > 0.0).sum(1).max(initial=0))
    bare = np.flatnonzero(~(weights.max(1, initial=0.0) > 0.0))
    summed = Verdict(
        "weights_sum_to_one",
        error <= _SUM_TOLERANCE and influences <= 8,
        f"largest error {error:.1e} at vertex {worst} (bound {_SUM_TOLERANCE:.0e}), up to {influences} influences",
    )
    covered = Verdict(
        "every_vertex_weighted",
        len(bare) == 0 and finite,
        f"{len(bare)} vertices without weight" + (f", first {bare[0]}" if len(bare) else ""),
    )
    return summed, covered
