"""Maps of what a collapse upsets, place by place: what the network that looks for damage is given.

The places are a grid of cells of about 4 x 4 pixels of the judge's picture. Every map compares a frame with its
neighbours, brought here by flow, with patches and with colours seen elsewhere; a few say what is drawn there.
"""

from __future__ import annotations

import numpy as np

from studio_pipeline.models.judge.footage import Footage
from studio_pipeline.models.judge.priors import Flows, Patches, fetched, patch_map

__all__ = ["CHANNELS", "local_maps", "subject_cells"]

_SIDES = ("before", "after")
CHANNELS = (
    *("light", "green_red", "blue_yellow", "edge", "ink", "mask", "mask_first"),
    *(f"{name}_{side}" for side in _SIDES for name in (
        "light", "green_red", "blue_yellow", "off", "off_rms", "colour_rms", "mask", "mask_still", "ink", "loop",
        "flow_x", "flow_y", "held", "none",
    )),
    *("off_either", "strain"),
    *("patch_first", "patch_before", "patch_after", "patch_either", "patch_apart"),
    *(f"{name}_{where}" for where in ("first", "before", "after", "apart") for name in ("colour", "chroma")),
)  # fmt: skip
"""Names of the maps."""

_OFF, _PATCH, _TINT, _FLOW = 12.0, 12.0, 30.0, 8.0  # factors that bring maps to a spread of about one

_SHOWN = 0.02  # of a cell that the subject covers at least


def local_maps(footage: Footage, flows: Flows, patches: Patches) -> np.ndarray:
    """All maps of a clip. [T, len(CHANNELS), h, w] float32"""
    import cv2

    grid = patches.masks[0].shape
    lab = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2LAB) for frame in footage.frames]).astype(np.float32) / 255.0
    inks = np.stack([_ink(frame) for frame in footage.frames])
    masks = footage.masks.astype(np.float32)
    seen = _appearance(footage, lab, inks, masks, grid)
    sides = [_against_neighbour(footage, lab, inks, masks, flows, grid, later=later) for later in (False, True)]
    near = seen["mask"] > _SHOWN
    either = np.minimum(sides[0].pop("pixels"), sides[1].pop("pixels"))
    maps = {
        **seen,
        **{f"{name}_{side}": values for side, part in zip(_SIDES, sides, strict=True) for name, values in part.items()},
        "off_either": _OFF * _cells(either, grid),
        "strain": _strain(flows, len(lab), grid),
        **_patch_maps(patches),
        **_colour_maps(_cells(lab, grid), near),
    }
    return np.stack([maps[name] for name in CHANNELS], axis=1).astype(np.float32)


def subject_cells(maps: np.ndarray) -> np.ndarray:
    """Cells that show the subject. [T, h, w] bool"""
    return maps[:, CHANNELS.index("mask")] > _SHOWN


def _cells(pictures: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Means over cells. [T, h, w, ...] float32"""
    import cv2

    size = (grid[1], grid[0])
    return np.stack([cv2.resize(np.ascontiguousarray(p, np.float32), size, interpolation=cv2.INTER_AREA)
                     for p in pictures])  # fmt: skip


def _ink(frame: np.ndarray) -> np.ndarray:
    """How much darker a pixel is than what is around it. [H, W] float32, 0-1"""
    import cv2

    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return cv2.morphologyEx(gray, cv2.MORPH_BLACKHAT, np.ones((7, 7), np.uint8)).astype(np.float32) / 255.0


def _appearance(
    footage: Footage, lab: np.ndarray, inks: np.ndarray, masks: np.ndarray, grid: tuple[int, int]
) -> dict[str, np.ndarray]:
    import cv2

    edges = np.stack([
        cv2.morphologyEx(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        for frame in footage.frames
    ])  # fmt: skip
    cells = _cells(lab, grid)
    found = {
        "light": 2.0 * (cells[..., 0] - 0.5),
        "green_red": 6.0 * (cells[..., 1] - 0.5),
        "blue_yellow": 6.0 * (cells[..., 2] - 0.5),
        "edge": 4.0 * _cells(edges / 255.0, grid),
        "ink": 8.0 * _cells(inks, grid),
        "mask": _cells(masks, grid),
    }
    return found | {"mask_first": np.broadcast_to(found["mask"][:1], found["mask"].shape)}


def _against_neighbour(
    footage: Footage,
    lab: np.ndarray,
    inks: np.ndarray,
    masks: np.ndarray,
    flows: Flows,
    grid: tuple[int, int],
    *,
    later: bool,
) -> dict[str, np.ndarray]:
    """Every frame against the one before, or after, it, which flow brings here; 0 where there is none."""
    count, shape = len(lab), lab.shape[1:3]
    off = np.zeros((count, *shape, 3), np.float32)
    mask_off, still, ink_off, loop = (np.zeros((count, *shape), np.float32) for _ in range(4))
    moves, held, none = np.zeros((count, *shape, 2), np.float32), np.zeros(count), np.ones(count)
    for index in range(count):
        other = index + 1 if later else index - 1
        if not 0 <= other < count:
            continue
        place = min(index, other)
        flow, back = (flows.ahead[place], flows.back[place]) if later else (flows.back[place], flows.ahead[place])
        none[index], held[index] = 0.0, float(np.abs(lab[other] - lab[index]).mean() < 0.002)
        off[index] = lab[index] - fetched(lab[other], flow)
        mask_off[index] = masks[index] - fetched(masks[other], flow)
        still[index], ink_off[index] = masks[index] - masks[other], inks[index] - fetched(inks[other], flow)
        loop[index] = np.linalg.norm(flow + fetched(back, flow), axis=-1) / footage.extent
        usual = np.median(flow[footage.masks[index]], axis=0) if footage.masks[index].any() else np.zeros(2)
        moves[index] = (flow - usual) / footage.extent
    cells, move = _cells(off, grid), _cells(moves, grid)
    size = np.abs(off)
    level = (size[..., 0] + size[..., 1] + size[..., 2]) / 3.0
    ones = np.ones((1, *grid), np.float32)
    return {
        "light": _OFF * cells[..., 0],
        "green_red": 2.0 * _OFF * cells[..., 1],
        "blue_yellow": 2.0 * _OFF * cells[..., 2],
        "off": _OFF * _cells(level, grid),
        "off_rms": _OFF * np.sqrt(_cells(off[..., 0] ** 2, grid)),
        "colour_rms": _OFF * np.sqrt(_cells(off[..., 1] ** 2 + off[..., 2] ** 2, grid)),
        "mask": 2.0 * _cells(mask_off, grid),
        "mask_still": _cells(still, grid),
        "ink": _OFF * _cells(ink_off, grid),
        "loop": np.minimum(_FLOW * _cells(loop, grid), 4.0),
        "flow_x": _FLOW * move[..., 0],
        "flow_y": _FLOW * move[..., 1],
        "held": held[:, None, None] * ones,
        "none": none[:, None, None] * ones,
        "pixels": level + none[:, None, None].astype(np.float32),
    }


def _strain(flows: Flows, count: int, grid: tuple[int, int]) -> np.ndarray:
    import cv2

    result = np.zeros((count, *grid), np.float32)
    for index, flow in enumerate(flows.back):
        dx, dy = (cv2.Sobel(flow, cv2.CV_32F, *way, ksize=3) / 8.0 for way in ((1, 0), (0, 1)))
        bent = np.sqrt((dx[..., 0] - dy[..., 1]) ** 2 + (dx[..., 1] + dy[..., 0]) ** 2 + (dx[..., 0] + dy[..., 1]) ** 2)
        result[index + 1] = np.minimum(2.0 * _cells(bent[None], grid)[0], 4.0)
    return result


def _patch_maps(patches: Patches) -> dict[str, np.ndarray]:
    lags = {"before": (-1,), "after": (1,), "either": (-1, 1), "apart": (-3, -2, 2, 3)}
    values = {"patch_first": patches.first}
    values |= {f"patch_{name}": [patches.nearest(index, lag) for index in range(len(patches.masks))]
               for name, lag in lags.items()}  # fmt: skip
    return {name: _PATCH * np.stack([patch_map(mask, row) for mask, row in zip(patches.masks, rows, strict=True)])
            for name, rows in values.items()}  # fmt: skip


def _colour_maps(cells: np.ndarray, near: np.ndarray) -> dict[str, np.ndarray]:
    """How far a cell's colour is from any that the subject has in other frames; with and without lightness.

    Args:
        cells: Lab of the cells, 0-1. [T, h, w, 3] float32
        near: Cells that show the subject. [T, h, w] bool
    """
    weight = np.array([0.5, 1.0, 1.0], np.float32)
    lists = [frame[mask] * weight for frame, mask in zip(cells, near, strict=True)]
    count = len(lists)

    def distance(index: int, others: list[int], *, chroma: bool) -> np.ndarray:
        mine, bank = lists[index], [lists[other] for other in others if 0 <= other < count and len(lists[other])]
        if not len(mine) or not bank:
            return np.zeros(len(mine), np.float32)
        begin, there = int(chroma), np.concatenate(bank)[:, int(chroma) :]
        mine = mine[:, begin:]
        squares = (mine**2).sum(1)[:, None] + (there**2).sum(1)[None] - 2.0 * (mine @ there.T)
        return np.sqrt(np.maximum(squares.min(1), 0.0))

    found = {}
    for where in ("first", "before", "after", "apart"):
        for name in ("colour", "chroma"):
            rows = []
            for index in range(count):
                others = {
                    "first": [0], "before": [index - 1], "after": [index + 1],
                    "apart": [index - 3, index - 2, index + 2, index + 3],
                }[where]  # fmt: skip
                rows.append(_TINT * distance(index, others, chroma=name == "chroma"))
            found[f"{name}_{where}"] = np.stack([patch_map(mask, row) for mask, row in zip(near, rows, strict=True)])
    return found
