"""Clips with damaged regions and sound ones, as maps and where they are damaged: what the network for damage learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from studio_pipeline.models.judge.footage import Footage, prepare
from studio_pipeline.models.judge.local import local_maps
from studio_pipeline.models.judge.priors import flows_of, patches_of
from studio_pipeline.training.judge.artistry import ARTISTRY, DEFORMATIONS, EFFECTS, artistry, deformed, with_effect
from studio_pipeline.training.judge.cast import Actor, procedural, retinted, shipped
from studio_pipeline.training.judge.clips import draw_clip, draw_directed_clip
from studio_pipeline.training.judge.collapse import LEAST_CHANGED
from studio_pipeline.training.judge.layers import flatten
from studio_pipeline.training.judge.patchwork import patchwork
from studio_pipeline.training.judge.wear import worn

__all__ = ["FIRST", "Mapped", "cells_of", "maps_of", "region_clips"]

FIRST = 1000
"""Number of the first clip; with a stream of seeds of their own, they share none with those the heads learn from."""

_STREAM = 9  # of the seeds
_DAMAGED, _ON_PURPOSE = 6, 3  # clips of a sound one
_DEFORMED, _EFFECT, _WORN = 0.45, 0.25, 0.6  # shares of the clips
_CHANGED = 16  # levels by which a pixel of a damaged region is another


@dataclass(frozen=True)
class Mapped:
    """A clip's maps and which of its cells are damaged."""

    base: int
    maps: np.ndarray  # [T, C, h, w] float16
    hurt: np.ndarray  # share of the cell that is damaged. [T, h, w] float16

    @property
    def bad(self) -> bool:
        """Whether anything is damaged."""
        return bool(self.hurt.any())


def maps_of(footage: Footage) -> np.ndarray:
    """Maps of a clip. [T, C, h, w] float32"""
    return local_maps(footage, flows_of(footage.frames), patches_of(footage))


def cells_of(changed: np.ndarray, footage: Footage) -> np.ndarray:
    """Shares of cells of pixels [T, H, W] bool of the clip that ``footage`` was cut from. [t, h, w] float32"""
    import cv2

    height, width = footage.frames.shape[1:3]
    grid = (-(-(width // 2) // 2), -(-(height // 2) // 2))
    top, left, bottom, right = footage.box
    cut = changed[footage.kept][:, top:bottom, left:right].astype(np.float32)
    return np.stack([cv2.resize(one, grid, interpolation=cv2.INTER_AREA) for one in cut])


def region_clips(bases: range) -> Iterator[Mapped]:
    """Sound clips, deformed on purpose or directed in any way, and clips with damaged regions; always the same."""
    cast: list[Actor] = []
    for base in bases:
        rng = np.random.default_rng([1, base, _STREAM])
        if base % 2:
            cast = cast or shipped()
            actor = retinted(cast[(base // 2) % len(cast)], rng)
        else:
            actor = procedural(rng)
        directed = draw_directed_clip(actor, rng)
        yield _mapped(base, directed.frames, None, directed.alpha)
        layers = draw_clip(actor, rng)
        for kind in (None, *rng.permutation(ARTISTRY)[: _ON_PURPOSE - 1]):
            frames = flatten(layers) if kind is None else artistry(str(kind), layers, base)
            yield _mapped(base, worn(frames, rng) if rng.random() < _WORN else frames, None)
        for _ in range(_DAMAGED):
            seed = int(rng.integers(1 << 30))
            drawn = deformed(str(rng.choice(DEFORMATIONS)), layers, seed) if rng.random() < _DEFORMED else layers
            frames, sound = patchwork(drawn, seed, least=LEAST_CHANGED), flatten(drawn)
            if frames is None:
                continue
            if rng.random() < _EFFECT:
                effect = str(rng.choice(EFFECTS))
                frames, sound = (with_effect(effect, f, layers, seed) for f in (frames, sound))
            changed = np.abs(frames.astype(np.int16) - sound).max(-1) > _CHANGED
            yield _mapped(base, worn(frames, rng) if rng.random() < _WORN else frames, changed)


def _mapped(base: int, frames: np.ndarray, changed: np.ndarray | None, alpha: np.ndarray | None = None) -> Mapped:
    footage = prepare(frames, alpha)
    maps = maps_of(footage)
    hurt = np.zeros((len(maps), *maps.shape[2:])) if changed is None else cells_of(changed, footage)
    return Mapped(base, maps.astype(np.float16), hurt.astype(np.float16))
