"""All materials of a file in one picture: textures packed, flat colours as swatches, UV moved accordingly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.meshes import connected_parts
from studio_pipeline.stages.character.model import Material, Part
from studio_pipeline.stages.character.textures import TextureCache, swatch

__all__ = ["build_atlas"]

MAX_SIDE = 4096  # of the atlas
MAX_TILES = 64  # of a repeated texture along one side
SWATCH = 8  # px; the UV lies in its middle, so that filtering never reaches a neighbour
PAD = 4  # px around every picture
_EDGE = 1e-4  # UV this little outside its tile is rounding of the file


@dataclass
class _Item:
    """One rectangle of the atlas: ``pixels`` cover ``tiles`` of a texture."""

    pixels: np.ndarray  # [h, w, 4] uint8
    tiles: tuple[int, int] = (1, 1)
    x: int = 0
    y: int = 0


def build_atlas(parts: list[Part], warnings: list[str]) -> tuple[np.ndarray, list[np.ndarray]]:
    """One atlas for all parts.

    Args:
        parts: Parts with their materials; UV only where the material has a texture.
        warnings: Gets a line for what could not be kept exactly.

    Returns:
        The atlas [h, w, 4] uint8 sRGB with linear alpha, and each part's UV in it [n, 2] float32.

    Raises:
        InputError: A texture is broken or too large.
    """
    textures = TextureCache()
    local = [_tile_uv(part, warnings) for part in parts]
    items: dict[object, _Item] = {}
    keys = []
    for part, (uv, tiles) in zip(parts, local, strict=True):
        key = _key(part.material, flat=uv is None)
        keys.append(key)
        if uv is None:
            items.setdefault(key, _Item(np.full((SWATCH, SWATCH, 4), _flat_color(part, textures), np.uint8)))
        elif key in items:
            known = items[key]
            known.tiles = (max(known.tiles[0], tiles[0]), max(known.tiles[1], tiles[1]))
        else:
            items[key] = _Item(textures.colored(part.material), tiles)
    for key, item in items.items():
        _repeat(item, next(p.material for p, k in zip(parts, keys, strict=True) if k == key), warnings)
    whole = len(items) == 1 and max(next(iter(items.values())).pixels.shape[:2]) <= MAX_SIDE
    pad = 0 if whole else PAD
    width, height = _pack(list(items.values()), pad, warnings)
    result = []
    for part, key, (uv, _) in zip(parts, keys, local, strict=True):
        item = items[key]
        h, w = item.pixels.shape[:2]
        inside = np.full((len(part.positions), 2), 0.5) if uv is None else uv / item.tiles
        placed = (inside * [w, h] + [item.x + pad, item.y + pad]) / [width, height]
        result.append(placed.astype(np.float32))
    return _painted(items.values(), width, height, pad), result


def _painted(items: Iterable[_Item], width: int, height: int, pad: int) -> np.ndarray:
    """The atlas [height, width, 4] uint8, black between its items."""
    atlas = np.zeros((height, width, 4), dtype=np.uint8)
    atlas[..., 3] = 255
    for item in items:
        h, w = item.pixels.shape[:2]
        padded = np.pad(item.pixels, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
        atlas[item.y : item.y + h + 2 * pad, item.x : item.x + w + 2 * pad] = padded
    return atlas


def _key(material: Material, *, flat: bool) -> object:
    look = (material.color, material.alpha_mode, material.alpha_cutoff)
    if flat and material.texture is None:
        return swatch(material)
    texture = material.texture
    assert texture is not None
    return (flat, texture.data, texture.label, texture.wrap, look)


def _flat_color(part: Part, textures: TextureCache) -> tuple[int, ...]:
    if part.material.texture is None:
        return swatch(part.material)
    mean = textures.colored(part.material).reshape(-1, 4).mean(0)
    return tuple(round(c) for c in mean)


def _tile_uv(part: Part, warnings: list[str]) -> tuple[np.ndarray | None, tuple[int, int]]:
    """UV [n, 2] in whole tiles from (0, 0), and how many tiles they need; None for a flat colour."""
    if part.uv is None or part.material.texture is None:
        return None, (1, 1)
    uv = part.uv.copy()
    for axis, wrap in enumerate(part.material.texture.wrap):
        if wrap == "clamp":
            uv[:, axis] = np.clip(uv[:, axis], 0.0, 1.0)
    # Islands move by whole tiles (two for mirrored ones): the picture they show stays the same.
    _, island = connected_parts(part.faces, len(uv))
    low = np.full((island.max() + 1, 2), np.inf)
    np.minimum.at(low, island, uv)
    period = np.array([2.0 if w == "mirror" else 1.0 for w in part.material.texture.wrap])
    uv -= (np.floor((low + _EDGE) / period) * period)[island]
    tiles = np.ceil(uv.max(0) - _EDGE).clip(1, None)
    if not np.isfinite(tiles).all() or (tiles > MAX_TILES).any():
        warnings.append(f"mesh {part.name!r}: its texture repeats more than {MAX_TILES} times, its mean colour is used")
        return None, (1, 1)
    return uv.clip(0.0, tiles), (int(tiles[0]), int(tiles[1]))


def _repeat(item: _Item, material: Material, warnings: list[str]) -> None:
    """Lay the picture out as many times as its UV need, smaller when that would exceed the atlas."""
    columns, rows = item.tiles
    if columns == rows == 1:
        return
    height, width = item.pixels.shape[:2]
    factor = min(1.0, MAX_SIDE / 2 / (columns * width), MAX_SIDE / 2 / (rows * height))
    if factor < 1.0:
        item.pixels = _resize(item.pixels, max(1, int(width * factor)), max(1, int(height * factor)))
        warnings.append(
            f"material {material.name!r}: its texture repeats {columns} x {rows} times and was made smaller"
        )
    assert material.texture is not None
    mirror_u, mirror_v = (wrap == "mirror" for wrap in material.texture.wrap)
    across = [item.pixels[:, ::-1] if mirror_u and c % 2 else item.pixels for c in range(columns)]
    band = np.concatenate(across, axis=1)
    item.pixels = np.concatenate([band[::-1] if mirror_v and r % 2 else band for r in range(rows)], axis=0)


def _resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    import cv2

    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def _pack(items: list[_Item], pad: int, warnings: list[str]) -> tuple[int, int]:
    """Give every item its place on shelves, the tallest first; returns the atlas' width and height."""
    while True:
        size = _shelves(items, pad)
        if max(size) <= MAX_SIDE:
            return size
        warnings.append("textures were made smaller to fit into one atlas")
        for item in (item for item in items if max(item.pixels.shape[:2]) > SWATCH):
            h, w = item.pixels.shape[:2]
            item.pixels = _resize(item.pixels, max(1, int(w * 0.8)), max(1, int(h * 0.8)))


def _shelves(items: list[_Item], pad: int) -> tuple[int, int]:
    order = sorted(range(len(items)), key=lambda i: (-items[i].pixels.shape[0], i))
    area = sum((i.pixels.shape[0] + 2 * pad) * (i.pixels.shape[1] + 2 * pad) for i in items)
    widest = max(i.pixels.shape[1] + 2 * pad for i in items)
    width = max(widest, int(np.ceil(np.sqrt(area))))
    x = y = shelf = used = 0
    for index in order:
        item = items[index]
        h, w = (s + 2 * pad for s in item.pixels.shape[:2])
        if x + w > width:
            x, y, shelf = 0, y + shelf, 0
        item.x, item.y = x, y
        x, shelf, used = x + w, max(shelf, h), max(used, x + w)
    return used, y + shelf
