"""Which of several skeletons fits a body best, told without the truth, and the small corrections it then gets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from studio_pipeline.geometry.bones import bone_segments, segment_distances
from studio_pipeline.geometry.symmetry import MirrorPlane, find_mirror_plane
from studio_pipeline.geometry.voxels import oriented_faces, winding_inside

__all__ = ["Candidate", "Judge", "joined", "symmetrised"]

_OUTSIDE, _LOPSIDED, _UNCOVERED = 6.0, 12.0, 4.0  # what each counts against one nat a token
_OUTSIDE_AT_MOST = 0.01  # of the diagonal: half of what the stage's gate allows
_POINTS = 600  # of the surface, for coverage
_PAIR = 0.10  # of half the longest side: a joint this near to another's mirror image is its partner
_APART = 0.008  # of half the longest side: joints nearer than this become one


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A skeleton and how likely the one who wrote it found it."""

    joints: np.ndarray  # [J, 3] float64, in the box [-1, 1]
    parents: np.ndarray  # [J] int32
    likelihood: float  # mean log-probability of its tokens


class Judge:
    """Scores skeletons of one body, all in the box [-1, 1]^3 that holds it.

    Args:
        vertices: Positions [V, 3].
        faces: Triangles [F, 3].
        points: Points on the surface [N, 3].
        mirrored: Look for a mirror plane.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, points: np.ndarray, *, mirrored: bool = True) -> None:
        self.vertices, twin = np.unique(vertices.astype(np.float64), axis=0, return_inverse=True)
        self.faces = oriented_faces(self.vertices, twin.ravel()[faces])
        self.plane: MirrorPlane | None = find_mirror_plane(self.vertices, self.faces) if mirrored else None
        self.points = points[:_POINTS].astype(np.float64)

    def outside(self, points: np.ndarray) -> np.ndarray:
        """How far points [N, 3] lie outside of the surface; zero inside. [N]"""
        import igl

        points = np.ascontiguousarray(points, dtype=np.float64)
        squared = np.asarray(igl.point_mesh_squared_distance(points, self.vertices, self.faces)[0]).ravel()
        inside = winding_inside(self.vertices, self.faces, points)
        return np.where(inside, 0.0, np.sqrt(np.maximum(squared, 0.0)))

    def pulled(self, candidate: Candidate) -> Candidate:
        """The same skeleton; joints that lie farther outside than a rig's may come to the surface."""
        import igl

        joints = candidate.joints.copy()
        away = np.flatnonzero(self.outside(joints) > _OUTSIDE_AT_MOST * np.linalg.norm(np.ptp(self.vertices, axis=0)))
        if len(away):
            found = igl.point_mesh_squared_distance(np.ascontiguousarray(joints[away]), self.vertices, self.faces)
            joints[away] = np.asarray(found[2]).reshape(-1, 3)
        return Candidate(joints=joints, parents=candidate.parents, likelihood=candidate.likelihood)

    def score(self, candidate: Candidate) -> float:
        """Higher is better: likelihood, less what lies outside, what has no partner, and surface far from any bone."""
        bones = bone_segments(candidate.joints, candidate.parents)
        middles = np.concatenate([candidate.joints, bones.mean(1)])
        reach = segment_distances(self.points, bones).min(1)
        score = candidate.likelihood
        score -= _OUTSIDE * float(np.minimum(self.outside(middles), 0.2).mean())
        score -= _UNCOVERED * float(np.percentile(reach, 90.0))
        if self.plane is not None:
            gap = cKDTree(candidate.joints).query(self.plane.reflect(candidate.joints))[0]
            score -= _LOPSIDED * float(np.minimum(gap, 0.2).mean())
        return score


def symmetrised(candidate: Candidate, plane: MirrorPlane | None) -> Candidate:
    """Partners moved onto each other's mirror images, and joints that are their own onto the plane."""
    if plane is None:
        return candidate
    joints = candidate.joints
    image = plane.reflect(joints)
    gap, partner = cKDTree(joints).query(image)
    mutual = (partner[partner] == np.arange(len(joints))) & (gap < _PAIR)
    moved = np.where(mutual[:, None], (joints + image[partner]) / 2.0, joints)
    return Candidate(joints=moved, parents=candidate.parents, likelihood=candidate.likelihood)


def joined(candidate: Candidate) -> Candidate:
    """The same skeleton with joints that lie on their parents left out; their children hang on those.

    One whose joints all lie together stays as it is: a rig has a bone.
    """
    number, kept, parents = {-1: -1}, [], []
    for joint, parent in enumerate(candidate.parents.tolist()):
        above = number[parent]
        near = above >= 0 and np.linalg.norm(candidate.joints[joint] - candidate.joints[kept[above]]) < _APART
        if near:
            number[joint] = above
            continue
        number[joint] = len(kept)
        kept.append(joint)
        parents.append(above)
    if len(kept) < 2:
        return candidate
    return Candidate(
        joints=candidate.joints[kept], parents=np.array(parents, dtype=np.int32), likelihood=candidate.likelihood
    )
