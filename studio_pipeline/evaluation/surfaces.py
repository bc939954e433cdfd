"""What a plate's surface looks like: smooth normals of a posed mesh, texture lookup. Own code, none of `render`'s."""

from __future__ import annotations

import numpy as np

from studio_pipeline.evaluation.rays import Hits
from studio_pipeline.schema.records import Character

__all__ = ["Surface", "smoothing_groups", "to_linear", "to_srgb"]

SAME_SIDE = 0.985  # normals at one position within 10 degrees at rest belong to one smooth surface
DEEPEST = 5  # coarsest level of the texture pyramid


def to_linear(value: np.ndarray) -> np.ndarray:
    """sRGB (IEC 61966-2-1) 0..255 to linear light 0..1. float32"""
    scaled = np.arange(256) / 255.0
    table = np.where(scaled < 0.04045, scaled / 12.92, np.power((scaled + 0.055) / 1.055, 2.4))
    return table.astype(np.float32)[value]


def to_srgb(value: np.ndarray) -> np.ndarray:
    """Linear light to sRGB, rounded. uint8"""
    value = np.clip(value, 0.0, 1.0)
    coded = np.where(value < 0.0031308, 12.92 * value, 1.055 * np.power(value, 1.0 / 2.4) - 0.055)
    return np.rint(255.0 * coded).astype(np.uint8)


def smoothing_groups(vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Vertices that share a position and, within 10 degrees, a rest normal share a group. [V] int

    So texture seams stay smooth and hard edges stay hard.
    """
    _, place = np.unique(vertices, axis=0, return_inverse=True)
    place = place.reshape(-1)
    group = np.full(len(vertices), -1)
    made = 0
    while (open_ := np.flatnonzero(group < 0)).size:
        found, first = np.unique(place[open_], return_index=True)
        speaker = np.full(place.max() + 1, -1)
        speaker[found] = open_[first]
        leader = speaker[place[open_]]
        alike = ((normals[open_] * normals[leader]).sum(1) > SAME_SIDE) | (open_ == leader)
        number = np.full(len(vertices), -1)
        number[open_[first]] = made + np.arange(len(found))
        group[open_[alike]] = number[leader[alike]]
        made += len(found)
    return group


class Surface:
    """A character's base colour and normals at points that rays have hit."""

    def __init__(self, character: Character) -> None:
        self.character = character
        self.groups = smoothing_groups(character.vertices, character.normals.astype(np.float64))
        self.pyramid = [to_linear(character.atlas[..., :3])]
        while len(self.pyramid) <= DEEPEST and not any(side % 2 for side in self.pyramid[-1].shape[:2]):
            last = self.pyramid[-1]
            self.pyramid.append((last[0::2, 0::2] + last[1::2, 0::2] + last[0::2, 1::2] + last[1::2, 1::2]) / 4.0)
        height, width = character.atlas.shape[:2]
        corners = character.uv[character.faces].astype(np.float64) * (width, height)
        self.texels = 0.5 * np.abs(_cross2(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))

    def normals(self, vertices: np.ndarray, hits: Hits) -> np.ndarray:
        """Unit normals at the hits: area-weighted over each vertex's group, interpolated. [n, 3] world"""
        faces = self.character.faces
        a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
        across = np.cross(b - a, c - a)
        total = np.zeros((self.groups.max() + 1, 3))
        for axis in range(3):
            for corner in range(3):
                total[:, axis] += np.bincount(self.groups[faces[:, corner]], across[:, axis], len(total))
        total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)
        smooth = np.einsum("nk,nkc->nc", hits.barycentrics, total[self.groups[faces[hits.faces]]])
        length = np.linalg.norm(smooth, axis=1, keepdims=True)
        flat = across[hits.faces] / np.maximum(np.linalg.norm(across[hits.faces], axis=1, keepdims=True), 1e-300)
        return np.where(length > 1e-6, smooth / np.maximum(length, 1e-300), flat)

    def colours(self, hits: Hits, sample_area: np.ndarray) -> np.ndarray:
        """Base colour at the hits, linear light. [n, 3] float32

        Args:
            hits: Where.
            sample_area: Area of each face in samples of the picture, what the texture is filtered by. [F]
        """
        faces = self.character.faces[hits.faces]
        weights = hits.barycentrics.astype(np.float32)
        uv = np.einsum("nk,nkc->nc", weights, self.character.uv[faces])
        tint = np.einsum("nk,nkc->nc", weights, self.character.vertex_colors[faces])
        # Texels a sample covers along one side; neighbouring samples are averaged anyway, so the finer level is taken.
        ratio = np.sqrt(self.texels / np.maximum(sample_area, 1e-12))
        level = np.clip(np.floor(np.log2(np.maximum(ratio, 1.0))), 0, len(self.pyramid) - 1).astype(int)[hits.faces]
        colour = np.empty((len(uv), 3), np.float32)
        for step in np.unique(level):
            part = level == step
            colour[part] = _bilinear(self.pyramid[step], uv[part])
        return colour * tint


def _cross2(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _bilinear(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Values of ``picture`` [h, w, 3] at uv [n, 2], origin at the top left, clamped at the border."""
    height, width = picture.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0.0, width - 1.0)
    y = np.clip(uv[:, 1] * height - 0.5, 0.0, height - 1.0)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    u, v = (x - left)[:, None], (y - top)[:, None]
    above = picture[top, left] * (1.0 - u) + picture[top, right] * u
    below = picture[bottom, left] * (1.0 - u) + picture[bottom, right] * u
    return above * (1.0 - v) + below * v
