"""Physics within what the clip shows: flesh whose swing the clip's silhouette contradicts is led closer to skinning.

The refined silhouette is held against the clip's, and so is the skinned one. Where the physics loses more intersection
over union than it may, the loss is told by joint (whose skin covers the pixels that became wrong). The leash of the
joints that lose most is tightened and the body simulated again; what a leash can't help, as where the skinned solid is
inside out, is faded towards the skinned surface. Flesh in front of the body, or that swings as the clip has it, keeps
its freedom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from studio_pipeline.render.raster import camera_for, rasterize
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Rig

__all__ = ["ClipView", "Leading", "Loss", "Outline", "lead"]

ROUNDS = 4  # simulations after the first, at most
_FADES = 12  # rounds of fading, which cost a drawing each
_SIZE = 512  # [px], silhouettes are compared at this size at most
_CHUNK = 8  # frames that are drawn at a time
_SURE = 0.95  # share of the first frame's wrong pixels that lie within the doubt
_DOUBT = (2.0, 0.01)  # [px], of the picture's longer side: doubt at most, the larger of the two
_DENSE = 0.6  # of a pixel's neighbourhood that differs from skinning, where a part has moved
_SPOKEN = 0.3  # of the pixels that a swing changes, to be right by the masks beyond those that are wrong
_AIM = 0.8  # of the bound: where a round aims, so that it need not be done again
_GROWTH = (1.25, 3.0)  # by which a round may raise a joint's leash [Hz]
_LEAST_HZ = 1.0  # from which a leash that was off begins


@dataclass(frozen=True)
class Outline:
    """The character's silhouette in a clip."""

    camera: CameraPath  # a camera a frame, or one for all
    masks: np.ndarray  # [T, H, W] uint8 coverage, 255 = character


@dataclass(frozen=True)
class Loss:
    """Intersection over union that a surface has less than the skinned one, in the mean of the frames it costs most."""

    by_joint: np.ndarray  # [J], at which joints' skin; negative where the surface fits better
    iou: float  # of the surface with the clip's masks, in all frames that show the character

    @property
    def drop(self) -> float:
        """At all joints together; negative where the surface fits better."""
        return float(self.by_joint.sum())


@dataclass(frozen=True)
class Leading:
    """How flesh was led."""

    follow_hz: np.ndarray  # [J] leash of every joint's flesh
    share: np.ndarray  # [J] of what the physics adds that every joint's skin shows
    surface: np.ndarray  # [T, V, 3] float32 [m]
    free: Loss  # with the leash that the settings give
    kept: Loss  # as delivered
    own: float  # of the drop: what flesh that isn't led (painted) costs
    bound: float
    rounds: int  # simulations that it took beside the first

    @property
    def passed(self) -> bool:
        """Whether what may be led costs no more than the bound."""
        return self.kept.drop - self.own <= self.bound


class ClipView:
    """Compares surfaces with a clip's silhouette.

    A pixel that the physics changes at a joint's skin is a loss or a gain as the mask says. But masks err by a pixel or
    two along the outline, and a small swing hides in their errors. How far they err is read off the first frame that
    shows the character. As far as that the skinned silhouette is believed, and the loss counted so - unless the masks
    speak for the swing, by clearly more gains than losses. What counts is the mean over that half of the frames in
    which it is largest: a clip that mostly stands doesn't hide what a fast move costs.

    Args:
        character: Its faces.
        rig: Whose joints the loss is told by.
        outline: The clip's.
        skinned: The surface without physics [T, V, 3].

    Raises:
        InputError: The clip has another number of frames than the surface.
    """

    def __init__(self, character: Character, rig: Rig, outline: Outline, skinned: np.ndarray) -> None:
        if len(outline.masks) != len(skinned):
            raise InputError(
                f"has masks of {len(outline.masks)} frames for a motion of {len(skinned)}", where="observations"
            )
        self.faces, self.weights = character.faces, rig.weights.astype(np.float64)
        leading = rig.weights[character.faces].sum(1).argmax(1)
        self.owner = np.append(leading, -1).astype(np.int16)  # the last: background
        height, width = outline.masks.shape[1:]
        scale = min(1.0, _SIZE / max(height, width))
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        self.camera = camera_for(outline.camera, len(skinned)).resized(*size)
        masks = np.stack([_shrunk(mask, size) for mask in outline.masks])
        self.seen = np.flatnonzero(masks.any((1, 2)))
        self.masks, self.skinned = masks[self.seen], list(self._owners(skinned))
        self.doubt = self._doubt() if len(self.seen) else 0.0
        self.believed = [_believed(m, s >= 0, self.doubt) for m, s in zip(self.masks, self.skinned, strict=True)]

    @property
    def joints(self) -> int:
        """Joints of the rig."""
        return self.weights.shape[1]

    def loss(self, surface: np.ndarray) -> Loss:
        """What a surface [T, V, 3] loses against the skinned one."""
        told, doubted, fits = [], [], []
        for row, now in enumerate(self._owners(surface)):
            told.append(self._changes(row, now, self.masks[row]))
            doubted.append(self._changes(row, now, self.believed[row]))
            fits.append(_iou(now >= 0, self.masks[row]))
        if not fits:
            return Loss(np.zeros(self.joints), 0.0)
        worst = np.argsort(-np.sum(doubted, axis=1), kind="stable")[: (len(fits) + 1) // 2]
        first, second = np.array(told)[worst].mean(0), np.array(doubted)[worst].mean(0)
        spoken_for = first < -_SPOKEN * second
        return Loss(np.where(spoken_for, first, np.maximum(first, second)), float(np.mean(fits)))

    def _changes(self, row: int, now: np.ndarray, true: np.ndarray) -> np.ndarray:
        """Pixels that became wrong less those that became right, by joint, in shares of the union. [J]"""
        before, cover = self.skinned[row], now >= 0
        changed = cover != (before >= 0)
        worse = np.where(cover[changed] != true[changed], 1.0, -1.0)
        owner = np.where(cover, now, before)[changed]
        return np.bincount(owner, worse, self.joints) / max(int((cover | true).sum()), 1)

    def _owners(self, surface: np.ndarray) -> Iterator[np.ndarray]:
        """Which joint's skin every pixel shows, -1 for none, of the frames that show the character. [H, W] int16"""
        for start in range(0, len(self.seen), _CHUNK):
            frames = self.seen[start : start + _CHUNK]
            yield from self.owner[rasterize(surface[frames], self.faces, self.camera.at(frames)).face_ids]

    def _doubt(self) -> float:
        """How far from the skinned outline the first frame's mask errs [px]."""
        cover = self.skinned[0] >= 0
        wrong = cover != self.masks[0]
        away = float(np.quantile(_from_outline(cover)[wrong], _SURE)) if wrong.any() else 0.0
        return min(away, max(_DOUBT[0], _DOUBT[1] * max(cover.shape)))


def _shrunk(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where a mask [H, W] uint8 covers at least half of a pixel of a picture of ``size`` (width, height). bool"""
    import cv2

    small = mask if mask.shape == size[::-1] else cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    return small > 127


def _from_outline(cover: np.ndarray) -> np.ndarray:
    """Distance [px] of every pixel's centre to the nearest one on the other side of the outline. [H, W]"""
    import cv2

    if cover.all() or not cover.any():
        return np.full(cover.shape, np.inf)
    sides = [
        cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (cover, ~cover)
    ]
    return sides[0] + sides[1]  # one of them is 0


def _believed(mask: np.ndarray, skinned: np.ndarray, doubt: float) -> np.ndarray:
    """The mask [H, W] where it leaves the skinned silhouette by more than the doubt [px], else that silhouette. bool"""
    import cv2

    if doubt == 0.0:
        return mask
    differs = mask != skinned
    # A part that moved differs over an area, a mask that is rough at single pixels.
    dense = cv2.boxFilter(differs.astype(np.float32), -1, (3, 3)) > _DENSE
    beyond = differs & dense & (_from_outline(skinned) > doubt)
    if not beyond.any():
        return skinned
    # From there the mask counts down to the skinned outline: what moved has moved with its whole width.
    near = _from_outline(~beyond) <= doubt + 1.0
    return np.where(differs & (beyond | near), mask, skinned)


def _iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum()) / max(int((first | second).sum()), 1)


def lead(
    view: ClipView,
    attempt: Callable[[np.ndarray], np.ndarray],
    skinned: np.ndarray,
    surface: np.ndarray,
    follow_hz: np.ndarray,
    bound: float,
    *,
    held: np.ndarray | None = None,
) -> Leading:
    """Lead the flesh of joints until a surface loses no more than the bound.

    Args:
        view: What the clip shows.
        attempt: The surface [T, V, 3] with a leash of each joint [J] [Hz].
        skinned: The surface without physics [T, V, 3].
        surface: The surface with the leash to begin with. [T, V, 3]
        follow_hz: The leash to begin with. [J]
        bound: Loss of intersection over union, at most.
        held: Joints whose flesh keeps its freedom, whatever it costs. [J] bool
    """
    fixed = np.zeros(view.joints, dtype=bool) if held is None else held
    free = kept = view.loss(surface)
    rounds, share = 0, np.ones(view.joints)
    # Gains of flesh that isn't led don't pay for what other flesh loses.
    while kept.drop - _own(kept, fixed) > bound and rounds < ROUNDS:
        growth, rounds = _excess(np.where(fixed, 0.0, kept.by_joint), _AIM * bound), rounds + 1
        # Under a stiff leash flesh lags by the inverse square of its frequency.
        raised = np.maximum(follow_hz, _LEAST_HZ) * np.clip(np.sqrt(growth), *_GROWTH)
        follow_hz = np.where(growth > 1.0, raised, follow_hz)
        surface = attempt(follow_hz)
        kept = view.loss(surface)
    shown = surface
    for _ in range(_FADES):
        if kept.drop - _own(kept, fixed) <= bound:
            break
        share = share / np.maximum(_excess(np.where(fixed, 0.0, kept.by_joint), _AIM * bound), 1.0)
        shown = skinned + (view.weights @ share).astype(np.float32)[:, None] * (surface - skinned)
        kept = view.loss(shown)
    return Leading(follow_hz, share, shown, free, kept, _own(kept, fixed), bound, rounds)


def _own(loss: Loss, held: np.ndarray) -> float:
    return max(float(loss.by_joint[held].sum()), 0.0)


def _excess(by_joint: np.ndarray, wanted: float) -> np.ndarray:
    """How many times too much each joint [J] loses for all to lose what is ``wanted``; at most 1 where it may stay.

    No joint is to lose more than one common level; gains of some joints are room for others.
    """
    losing = np.maximum(by_joint, 0.0)
    room = max(wanted - float(np.minimum(by_joint, 0.0).sum()), 0.1 * wanted)
    low, high = 0.0, float(losing.max())
    for _ in range(60):
        level = 0.5 * (low + high)
        low, high = (level, high) if np.minimum(losing, level).sum() < room else (low, level)
    return losing / max(high, 1e-12)
