"""Figures of a frame's silhouette, lines, colours and rows: what limbs, outlines and tears change."""

from __future__ import annotations

import numpy as np

from studio_pipeline.models.judge.footage import Footage

__all__ = ["change_series", "colour_series", "line_series", "row_series", "shape_series"]

_INK = 10.0  # 8-bit levels by which a line is darker than what is around it
_BINS = 6  # of each colour channel


def shape_series(footage: Footage) -> dict[str, np.ndarray]:
    """Topology and outline of the silhouette over time. Each [T] float64.

    Areas and lengths are in units of the subject's extent at index 0.
    """
    import cv2

    rows = []
    for mask in footage.masks:
        soft = mask.astype(np.uint8)
        outlines, hierarchy = cv2.findContours(soft, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        areas = [cv2.contourArea(line) for line in outlines]
        outer = [i for i in range(len(outlines)) if hierarchy[0][i][3] < 0 and areas[i] > 2]
        holes = [i for i in range(len(outlines)) if hierarchy[0][i][3] >= 0 and areas[i] > 2]
        area = float(soft.sum())
        length = sum(cv2.arcLength(outlines[i], True) for i in outer)
        hull = cv2.convexHull(np.concatenate([outlines[i] for i in outer])) if outer else None
        solid = area / max(cv2.contourArea(hull), 1.0) if hull is not None else 0.0
        thin = area - float(cv2.morphologyEx(soft, cv2.MORPH_OPEN, _disc(0.05 * footage.extent)).sum())
        thinner = area - float(cv2.morphologyEx(soft, cv2.MORPH_OPEN, _disc(0.1 * footage.extent)).sum())
        rows.append(
            (area / footage.extent**2, length / footage.extent, solid, len(outer), len(holes), thin / max(area, 1.0),
             thinner / max(area, 1.0), length**2 / max(area, 1.0) / 50.0)
        )  # fmt: skip
    names = ("area", "length", "solid", "pieces", "holes", "thin", "thinner", "compact")
    return dict(zip(names, np.array(rows, np.float64).T, strict=True))


def _disc(radius: float) -> np.ndarray:
    import cv2

    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def change_series(footage: Footage, back: np.ndarray) -> dict[str, np.ndarray]:
    """What the silhouette gains and loses from frame to frame that the flow doesn't explain. Each [T] float64.

    Args:
        footage: The clip.
        back: Where a pixel of frame t + 1 was in frame t. [T - 1, H, W, 2] float32

    Returns:
        ``blob_gain``, ``blob_loss``: area in blobs thicker than 5 % of the extent [shares of the first area];
        ``far_gain``, ``far_loss``: how far the furthest new (lost) pixel is from the silhouette before (after), in
        extents; ``far_typical``: the median distance by which the rim moves.
    """
    import cv2

    count, extent = len(footage.masks), footage.extent
    first = max(float(footage.masks[0].sum()), 1.0)
    kernel = _disc(0.025 * extent)
    rows, columns = np.mgrid[: footage.masks.shape[1], : footage.masks.shape[2]].astype(np.float32)
    found = np.zeros((count, 5))
    for index in range(1, count):
        old, new = (footage.masks[k].astype(np.uint8) for k in (index - 1, index))
        flow = back[index - 1]
        carried = cv2.remap(old, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_NEAREST)
        gain = cv2.morphologyEx(new & (1 - (old | carried)), cv2.MORPH_OPEN, kernel)
        loss = cv2.morphologyEx((old & carried) & (1 - new), cv2.MORPH_OPEN, kernel)
        to_old = cv2.distanceTransform(1 - old, cv2.DIST_L2, 3) if old.any() else np.zeros(old.shape, np.float32)
        to_new = cv2.distanceTransform(1 - new, cv2.DIST_L2, 3) if new.any() else np.zeros(old.shape, np.float32)
        came, went = to_old[new > 0], to_new[old > 0]
        moved = np.concatenate([came[came > 0], went[went > 0]])
        found[index] = (
            gain.sum() / first, loss.sum() / first,
            (came.max() if len(came) else 0.0) / extent, (went.max() if len(went) else 0.0) / extent,
            (np.median(moved) if len(moved) else 0.0) / extent,
        )  # fmt: skip
    return dict(zip(("blob_gain", "blob_loss", "far_gain", "far_loss", "far_typical"), found.T, strict=True))


def line_series(footage: Footage) -> dict[str, np.ndarray]:
    """Lines: how much ink, in how many pieces, with how many ends, how much of the rim they cover. Each [T]."""
    import cv2

    rows = []
    square = np.ones((3, 3), np.uint8)
    for frame, mask in zip(footage.frames, footage.masks, strict=True):
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        hat = cv2.morphologyEx(gray, cv2.MORPH_BLACKHAT, np.ones((7, 7), np.uint8))
        soft = mask.astype(np.uint8)
        near = cv2.dilate(soft, square)
        ink = ((hat > _INK) & (near > 0)).astype(np.uint8)
        rim = (near - cv2.erode(soft, square)).astype(bool)
        count, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
        pieces = int((stats[1:, cv2.CC_STAT_AREA] >= 3).sum()) if count > 1 else 0
        around = cv2.filter2D(ink.astype(np.float32), -1, np.ones((3, 3), np.float32), borderType=cv2.BORDER_CONSTANT)
        ends = int(((ink > 0) & (around <= 2.0)).sum())
        area = max(float(soft.sum()), 1.0)
        wide = cv2.dilate(ink, square).astype(bool)
        strength = float(hat[near > 0].mean()) / 255.0 if near.any() else 0.0
        fine = np.abs(gray.astype(np.float32) - cv2.GaussianBlur(gray, (0, 0), 1.2).astype(np.float32))
        edge = cv2.morphologyEx(gray, cv2.MORPH_GRADIENT, square)
        covered = float(wide[rim].mean()) if rim.any() else 0.0
        rows.append(
            (ink.sum() / area, pieces / footage.extent, ends / footage.extent, covered,
             strength, float(fine[near > 0].mean()) / 255.0 if near.any() else 0.0,
             float(edge[rim].mean()) / 255.0 if rim.any() else 0.0,
             float(np.quantile(edge[rim], 0.2)) / 255.0 if rim.any() else 0.0)
        )  # fmt: skip
    names = ("ink", "ink_pieces", "ink_ends", "rim_covered", "ink_strength", "detail", "rim_edge", "rim_weak")
    return dict(zip(names, np.array(rows, np.float64).T, strict=True))


def colour_series(footage: Footage) -> dict[str, np.ndarray]:
    """Colours of the subject against the first frame's and the frame before's, and their spread. Each [T]."""
    import cv2

    histograms, means, spreads = [], [], []
    for frame, mask in zip(footage.frames, footage.masks, strict=True):
        lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        chosen = inner if inner.sum() > 20 else mask
        pixels = lab[chosen] if chosen.any() else lab.reshape(-1, 3)
        counts = np.histogramdd(pixels.astype(np.float64), bins=_BINS, range=[(0, 256)] * 3)[0]
        histograms.append(np.sqrt(counts.ravel() / max(counts.sum(), 1.0)))
        means.append(pixels.mean(0))
        spreads.append(pixels.std(0))
    roots, mean, spread = np.array(histograms), np.array(means) / 255.0, np.array(spreads) / 255.0
    first = 1.0 - roots @ roots[0]
    step = np.concatenate([[0.0], 1.0 - (roots[1:] * roots[:-1]).sum(1)])
    shift = np.concatenate([[0.0], np.linalg.norm(np.diff(mean, axis=0), axis=1)])
    return {
        "hist_first": first,
        "hist_step": step,
        "mean_first": np.linalg.norm(mean - mean[0], axis=1),
        "mean_step": shift,
        "spread_first": np.linalg.norm(spread - spread[0], axis=1),
    }


def row_series(footage: Footage) -> dict[str, np.ndarray]:
    """Tears: rows whose content jumps against the rows above while the neighbours in time don't. Each [T]."""
    frames = footage.frames.astype(np.float32) / 255.0
    step = np.abs(np.diff(frames, axis=1)).mean(-1)  # [T, H - 1, W], from row to row
    level = step.mean(2)  # a whole row
    profile = np.abs(np.diff(frames, axis=0)).mean((2, 3))  # [T - 1, H], change of each row in time
    sharp, tall = np.zeros(len(frames)), np.zeros(len(frames))
    typical = np.median(level, axis=0)
    sharp[:] = (level - np.maximum(typical, level[0])).max(1)
    jump = np.abs(np.diff(profile, axis=1)).max(1) if profile.size else np.zeros(0)
    tall[1:] = jump
    columns = np.abs(np.diff(frames, axis=2)).mean((1, 3))
    upright = (columns - np.maximum(np.median(columns, axis=0), columns[0])).max(1)
    return {"row_sharp": sharp, "row_jump": tall, "row_over_column": sharp - upright}
