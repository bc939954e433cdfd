"""The character's one texture as a file, and its tint by vertex colours where a format cannot multiply them."""

from __future__ import annotations

import numpy as np

from studio_pipeline.media.srgb import linear_to_srgb
from studio_pipeline.render.surface import linear_atlas
from studio_pipeline.schema.records import Character

__all__ = ["bake_tint", "has_tint", "png_bytes"]

_BAKED_SIDE = 2048  # [px] most of a baked texture's side
_MARGIN = 1  # [px] between a cell's border and its triangle


def has_tint(character: Character) -> bool:
    """Whether vertex colours change anything."""
    return bool(np.abs(character.vertex_colors - 1.0).max(initial=0.0) > 1e-4)


def png_bytes(picture: np.ndarray) -> bytes:
    """Encode [h, w, 3 or 4] uint8 sRGB as PNG; an alpha that is opaque everywhere is left out."""
    import cv2

    if picture.shape[-1] == 4 and (picture[..., 3] == 255).all():
        picture = picture[..., :3]
    order = [2, 1, 0, 3][: picture.shape[-1]]
    done, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., order]), [cv2.IMWRITE_PNG_COMPRESSION, 6])
    if not done:
        raise OSError("could not encode a picture")
    return data.tobytes()


def bake_tint(character: Character) -> tuple[np.ndarray, np.ndarray]:
    """Texture and vertex colours multiplied into a new texture in which every face has its own half cell.

    UsdPreviewSurface has no multiplication, so a tinted character's USD carries this texture instead of the atlas.

    Returns:
        texture [s, s, 3] uint8 sRGB, and uv [F, 3, 2] float32 of each face's corners, origin at the top left.
    """
    count = len(character.faces)
    columns = int(np.ceil(np.sqrt(np.ceil(count / 2.0))))
    cell = int(np.clip(_BAKED_SIDE // columns, 8, 64))
    side, inner = columns * cell, cell - 4 * _MARGIN
    index = np.arange(count)
    origin = np.stack([(index // 2) % columns, (index // 2) // columns], axis=1) * cell  # [F, 2]
    corners = _MARGIN + inner * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    upper = (index % 2 == 1)[:, None, None]
    uv = (origin[:, None] + np.where(upper, cell - corners, corners)) / side

    y, x = np.divmod(np.arange(side * side), side)
    local_x, local_y = x % cell + 0.5, y % cell + 0.5
    second = local_x + local_y > cell
    face = ((y // cell) * columns + x // cell) * 2 + second
    b1 = (np.where(second, cell - local_x, local_x) - _MARGIN) / inner
    b2 = (np.where(second, cell - local_y, local_y) - _MARGIN) / inner
    bary = np.clip(np.stack([1.0 - b1 - b2, b1, b2], axis=1), 0.0, None)
    bary = (bary / bary.sum(1, keepdims=True)).astype(np.float32)
    texture = np.zeros((side * side, 3), dtype=np.uint8)
    atlas = linear_atlas(character)
    used = np.flatnonzero(face < count)
    for part in np.array_split(used, max(1, len(used) // 500_000)):
        at = character.faces[face[part]]
        place = np.einsum("nk,nkc->nc", bary[part], character.uv[at])
        tint = np.einsum("nk,nkc->nc", bary[part], character.vertex_colors[at])
        light = _sample(atlas, place) * tint
        texture[part] = np.round(linear_to_srgb(light) * 255.0).astype(np.uint8)
    return texture.reshape(side, side, 3), uv.astype(np.float32)


def _sample(atlas: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear, repeating look-up. atlas [h, w, 3], uv [N, 2] -> [N, 3]"""
    height, width = atlas.shape[:2]
    at = uv * (width, height) - 0.5
    low = np.floor(at).astype(np.int64)
    fraction = (at - low)[:, :, None]

    def texel(dx: int, dy: int) -> np.ndarray:
        return atlas[(low[:, 1] + dy) % height, (low[:, 0] + dx) % width]

    top = texel(0, 0) * (1.0 - fraction[:, 0]) + texel(1, 0) * fraction[:, 0]
    bottom = texel(0, 1) * (1.0 - fraction[:, 0]) + texel(1, 1) * fraction[:, 0]
    return top * (1.0 - fraction[:, 1]) + bottom * fraction[:, 1]
