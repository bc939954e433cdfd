"""Collapse of parts: limbs that go or come, features that wander, a character that is another every frame."""

from __future__ import annotations

import numpy as np

from studio_pipeline.training.judge.layers import Layers, flatten, moved
from studio_pipeline.training.judge.noise import grid

__all__ = ["identity", "limbs", "scramble"]

_LIMB = (0.04, 0.08, 0.16)  # of the subject's area that changes, by severity
_TRIED = 10  # limbs and ways to lose or double them, of which one is taken
_VISIBLE = 0.3  # of the pixels that a feature had where it was found


def limbs(layers: Layers, severity: int, rng: np.random.Generator) -> np.ndarray | None:
    """A limb is missing or there is one too many, from some frame on or in runs of frames.

    Of some limbs that this could happen to, the one is taken whose loss or double changes as much of the picture as the
    severity says.
    """
    shares = {joint: share for joint, share in _subtree_shares(layers).items() if 0.01 <= share <= 0.45}
    if not shares:
        return None
    active, wanted = _runs(len(layers.alpha), severity, rng), _LIMB[severity - 1]
    shown = np.flatnonzero(active)
    best, nearest = None, np.log(2.5)
    for _ in range(_TRIED):
        joint, extra = int(rng.choice(list(shares))), bool(rng.random() < 0.5)
        angle = float(rng.choice([-1.0, 1.0]) * np.radians(rng.uniform(45.0, 110.0)))
        below = _subtree(layers.parents, joint)
        seen = [_limb_frame(layers, int(index), below, extra, angle)[2] for index in (shown[0], shown[len(shown) // 2])]
        off = abs(float(np.log(max(min(seen), 1e-4) / wanted)))
        if off < nearest:
            best, nearest = (below, extra, angle), off
    if best is None:
        return None
    colour, alpha = layers.colour.copy(), layers.alpha.copy()
    for index in shown:
        colour[index], alpha[index], _ = _limb_frame(layers, int(index), *best)
    return flatten(layers.but(colour=colour, alpha=alpha))


def _limb_frame(
    layers: Layers, index: int, below: list[int], extra: bool, angle: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Colour and coverage of a frame whose limb is gone or doubled, and the share of the subject that this changes."""
    colour, alpha = layers.colour[index].copy(), layers.alpha[index].copy()
    mask = np.isin(layers.bones[index], below)
    if mask.sum() < 6:
        return colour, alpha, 0.0
    if extra:
        _add_limb(layers, index, mask, angle, colour, alpha)
    else:
        _drop_limb(mask, colour, alpha)
    behind = layers.behind[index]
    before = layers.colour[index] + (1.0 - layers.alpha[index][..., None]) * behind
    after = colour + (1.0 - alpha[..., None]) * behind
    changed = np.abs(np.sqrt(np.clip(after, 0.0, 1.0)) - np.sqrt(np.clip(before, 0.0, 1.0))).max(-1) > 0.08
    return colour, alpha, float(changed.sum() / max((layers.alpha[index] > 0.5).sum(), 1))


def _drop_limb(mask: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> None:
    """Take a limb away, in place; where it covered the body, the body closes over it."""
    import cv2

    square = np.ones((3, 3), np.uint8)
    wide = cv2.dilate(mask.astype(np.uint8), square)
    rest = ((alpha > 0.5) & ~wide.astype(bool)).astype(np.uint8)
    inside = cv2.morphologyEx(rest, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)).astype(bool) & wide.astype(bool)
    flat = np.clip(colour * 255.0, 0.0, 255.0).astype(np.uint8)
    filled = cv2.inpaint(flat, wide, 3.0, cv2.INPAINT_TELEA).astype(np.float32) / 255.0
    gone = wide.astype(bool) & ~inside
    colour[inside], alpha[inside] = filled[inside], 1.0
    colour[gone], alpha[gone] = 0.0, 0.0


def _add_limb(
    layers: Layers, index: int, mask: np.ndarray, angle: float, colour: np.ndarray, alpha: np.ndarray
) -> None:
    """Put a turned copy of a limb behind the subject, in place, about where it is joined to the body."""
    import cv2

    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6) * layers.alpha[index]
    rest = (layers.alpha[index] > 0.5) & ~mask
    near = mask & cv2.dilate(rest.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    y, x = (float(np.mean(axis)) for axis in np.nonzero(near if near.any() else mask))
    turn = cv2.getRotationMatrix2D((x, y), float(np.degrees(angle)), 1.0)
    size = (mask.shape[1], mask.shape[0])
    there = cv2.warpAffine(soft, turn, size)
    tint = cv2.warpAffine(layers.colour[index] * (soft / np.maximum(layers.alpha[index], 1e-3))[..., None], turn, size)
    free = 1.0 - alpha
    colour += free[..., None] * tint
    alpha += free * there


def scramble(layers: Layers, severity: int, rng: np.random.Generator) -> np.ndarray | None:
    """Key features (eyes, mouth, marks) are moved, doubled, erased or turned, and drift."""
    frames = flatten(layers)
    radius = max(2.5, (0.075, 0.095, 0.12)[severity - 1] * layers.extent)
    spots = _features(frames, layers, radius, rng)[: (1, 2, 3)[severity - 1]]
    if not spots:
        return None
    result = frames.copy()
    deed = rng.choice(["move", "double", "erase", "turn"])
    aim = rng.uniform(0.0, 2.0 * np.pi, len(spots))
    active = _runs(len(frames), severity, rng)
    for index in np.flatnonzero(active):
        drift = 0.4 * np.sin(0.7 * index + aim)
        for spot, way, more in zip(spots, aim, drift, strict=True):
            centre = _where(layers.faces[index], spot)
            if centre is not None:
                _disturb(result[index], layers.alpha[index], centre, radius, str(deed), way + more, severity)
    return result


def _features(
    frames: np.ndarray, layers: Layers, radius: float, rng: np.random.Generator
) -> list[tuple[np.ndarray, int]]:
    """Faces (and their pixel count) of the windows with most detail inside the subject at index 0, best first."""
    import cv2

    gray = frames[0].astype(np.float32).mean(-1)
    fine = np.abs(gray - cv2.GaussianBlur(gray, (0, 0), 0.5 * radius))
    inside = cv2.erode((layers.alpha[0] > 0.9).astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float32)
    score = cv2.GaussianBlur(fine * inside, (0, 0), 0.6 * radius) * inside
    rows, columns = grid(gray.shape)
    found = []
    for _ in range(4):
        y, x = np.unravel_index(int(np.argmax(score * rng.uniform(0.9, 1.0))), score.shape)
        if score[y, x] < 4.0:
            break
        near = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
        ids = np.unique(layers.faces[0][near])
        ids = ids[ids >= 0]
        if len(ids):
            found.append((ids, int(np.isin(layers.faces[0], ids).sum())))
        score = np.where((rows - y) ** 2 + (columns - x) ** 2 <= (1.6 * radius) ** 2, 0.0, score)
    return found


def _where(faces: np.ndarray, spot: tuple[np.ndarray, int]) -> tuple[float, float] | None:
    ids, count = spot
    rows, columns = np.nonzero(np.isin(faces, ids))
    if len(rows) < max(4, _VISIBLE * count):
        return None
    return float(rows.mean()), float(columns.mean())


def _disturb(
    frame: np.ndarray,
    alpha: np.ndarray,
    centre: tuple[float, float],
    radius: float,
    deed: str,
    way: float,
    severity: int,
) -> None:
    """Do something to a disc of a frame, in place, within the subject."""
    import cv2

    rows, columns = grid(alpha.shape)
    y, x = centre
    reach = radius * (1.0, 1.35, 1.7)[severity - 1]
    dy, dx = reach * np.sin(way), reach * np.cos(way)
    if deed == "turn":
        turn = cv2.getRotationMatrix2D((x, y), float(np.degrees(way)) % 200.0 + 70.0, 1.0)
        source = cv2.warpAffine(frame, turn, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        _blend(frame, source, _disc(rows - y, columns - x, radius) * alpha)
        return
    shift = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]], np.float32)
    shifted = cv2.warpAffine(frame, shift, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)  # pyright: ignore
    if deed in ("move", "erase"):
        ring = (np.hypot(rows - y, columns - x) <= 1.7 * radius) & (np.hypot(rows - y, columns - x) > radius)
        ring &= alpha > 0.9
        colour = np.median(frame[ring], axis=0) if ring.sum() > 5 else np.median(frame[alpha > 0.9], axis=0)
        _blend(
            frame, np.broadcast_to(colour.astype(np.uint8), frame.shape), _disc(rows - y, columns - x, radius) * alpha
        )
    if deed in ("move", "double"):
        _blend(frame, shifted, _disc(rows - y - dy, columns - x - dx, radius) * alpha)


def _disc(rows: np.ndarray, columns: np.ndarray, radius: float) -> np.ndarray:
    return np.clip(radius + 0.5 - np.hypot(rows, columns), 0.0, 1.0)


def _blend(frame: np.ndarray, other: np.ndarray, share: np.ndarray) -> None:
    mixed = frame * (1.0 - share[..., None]) + other * share[..., None]
    frame[...] = np.round(mixed).astype(np.uint8)


def identity(layers: Layers, severity: int, rng: np.random.Generator) -> np.ndarray | None:
    """The character is another every few frames: parts change colour and size back and forth."""
    count, shape = layers.alpha.shape[0], layers.alpha.shape[1:]
    present = [int(joint) for joint in np.unique(layers.bones[0]) if joint >= 0]
    if not present:
        return None
    chosen = rng.permutation(present)[: max(1, round(len(present) * (0.35, 0.6, 1.0)[severity - 1]))]
    tint, size = (0.13, 0.24, 0.42)[severity - 1], (0.06, 0.1, 0.17)[severity - 1]
    rows, columns = grid(shape)
    parts: dict[str, list[np.ndarray]] = {"colour": [], "alpha": [], "bones": [], "faces": []}
    left, gains, scale = 0, np.ones((len(chosen), 3)), np.ones(len(chosen))
    for index in range(count):
        if index and left <= 0:
            left = int(rng.integers(1, 4))
            gains = np.exp(rng.uniform(-tint, tint, (len(chosen), 3)) * 1.8)
            scale = 1.0 + rng.uniform(-size, size, len(chosen)) * 1.4
        left -= 1
        down, right = rows.copy(), columns.copy()
        colour = layers.colour[index].copy()
        for joint, gain, grow in zip(chosen, gains, scale, strict=True):
            mask = layers.bones[index] == joint
            if mask.sum() < 5:
                continue
            colour[mask] *= gain.astype(np.float32)
            y, x = (float(axis.mean()) for axis in np.nonzero(mask))
            reach = 1.3 * np.sqrt(mask.sum() / np.pi)
            near = np.exp(-0.5 * ((rows - y) ** 2 + (columns - x) ** 2) / reach**2) * (1.0 / grow - 1.0)
            down += near * (rows - y)
            right += near * (columns - x)
        frame = moved(layers.but(colour=np.clip(colour, 0.0, 1.0)[None], alpha=layers.alpha[index : index + 1],
                                 bones=layers.bones[index : index + 1], faces=layers.faces[index : index + 1]),
                      0, down, right)  # fmt: skip
        for name, values in frame.items():
            parts[name].append(values)
    return flatten(layers.but(**{name: np.stack(values) for name, values in parts.items()}))


def _subtree(parents: np.ndarray, joint: int) -> list[int]:
    """A joint and all below it, whatever the order of the joints."""
    below, grown = {joint}, True
    while grown:
        more = {child for child, parent in enumerate(parents) if parent in below} - below
        below, grown = below | more, bool(more)
    return sorted(below)


def _subtree_shares(layers: Layers) -> dict[int, float]:
    """Median share of the subject that a joint and all below it fill."""
    counts = np.stack(
        [np.bincount(bones[bones >= 0].astype(np.int64), minlength=len(layers.parents)) for bones in layers.bones]
    )
    total = np.maximum(counts.sum(1), 1)
    shares = {}
    for joint in range(1, len(layers.parents)):
        below = counts[:, _subtree(layers.parents, joint)].sum(1) / total
        shares[joint] = float(np.median(below))
    return shares


def _runs(count: int, severity: int, rng: np.random.Generator) -> np.ndarray:
    """In which frames it happens: from some frame on, or in runs; never at index 0. [T] bool"""
    active = np.zeros(count, bool)
    first = int(rng.integers(1, max(2, count // (2 + severity))))
    if rng.random() < 0.6:
        active[first:] = True
        return active
    index = first
    while index < count:
        run = int(rng.integers(2, 3 + severity))
        active[index : index + run] = True
        index += run + int(rng.integers(1, 4))
    return active
