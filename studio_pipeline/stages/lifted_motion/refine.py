"""Gradient descent through the differentiable rasterizer on the loss of AniMimic's first stage.

Terms: rgb, mask, track, depth, smooth, reg; at the start each is scaled to its ratio of the rgb term.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from studio_pipeline.media.srgb import srgb_to_linear
from studio_pipeline.render.differentiable import RenderMesh, project_points, render
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations, Rig
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.kinematics import torch_vertices

__all__ = ["Refinement", "refine"]

SIGMA_PX = 0.7
ROUND = 0.01  # below this an error counts as its square: absolute values have no gradient at zero
CURVE = 10  # iterations between kept values


@dataclass(frozen=True)
class Refinement:
    """What `refine` gives."""

    rotations: np.ndarray  # [T, J, 6]
    translations: np.ndarray  # [T, J, 3]
    weights: dict[str, float]  # calibrated weight of each term
    curves: dict[str, list[float]]  # unweighted terms, every `CURVE` iterations and at the end
    iterations: int


def _absolute(value: torch.Tensor, rounding: float = ROUND) -> torch.Tensor:
    return torch.sqrt(value * value + rounding * rounding) - rounding


class _Loss:
    """The terms of the loss at given joint deltas."""

    def __init__(
        self,
        character: Character,
        rig: Rig,
        camera: CameraPath,
        clip: Clip,
        observations: Observations,
        backgrounds: np.ndarray,
        light: np.ndarray,
        settings: LiftSettings,
    ) -> None:
        self.character, self.rig, self.camera, self.settings = character, rig, camera, settings
        self.mesh = RenderMesh.from_character(character)
        self.light = torch.as_tensor(light, dtype=torch.float32)
        self.backgrounds = torch.as_tensor(srgb_to_linear(backgrounds / 255.0))
        self.frames = torch.as_tensor(srgb_to_linear(clip.frames / 255.0))
        self.masks = torch.as_tensor(observations.masks.astype(np.float32) / 255.0)
        seen = (observations.masks > 127).any(axis=(1, 2))
        self.seen = torch.as_tensor(seen.astype(np.float32))[:, None, None]
        self.share = 1.0 / max(float(self.masks[seen].sum()), 1.0)  # errors per pixel of the character
        self.tracks = torch.as_tensor(observations.tracks)
        self.visible = torch.as_tensor(observations.visibility.astype(np.float32))
        self.corners = torch.as_tensor(character.faces[observations.track_faces].astype(np.int64))
        self.shares = torch.as_tensor(observations.track_barycentrics)[..., None]
        self.depth = None
        if observations.depth is not None and observations.depth_is_metric:
            self.depth = torch.as_tensor(observations.depth)

    def terms(self, rotations: torch.Tensor, translations: torch.Tensor) -> dict[str, torch.Tensor]:
        """The unweighted terms."""
        vertices = torch_vertices(self.rig, self.character.vertices, rotations, translations)
        image = render(
            vertices, self.mesh, self.camera, background=self.backgrounds, sigma=SIGMA_PX, shading=self.light
        )
        size = self.character.diagonal
        points = (vertices[:, self.corners] * self.shares).sum(2)
        pixels, depth = project_points(points, self.camera)
        visible = self.visible / self.visible.sum().clamp(min=1.0)
        gap = _absolute(torch.linalg.vector_norm(pixels - self.tracks, dim=-1), 0.5)
        terms = {
            "rgb": (_absolute(image.color - self.frames).mean(-1) * self.seen).sum() * self.share,
            "mask": (_absolute(image.silhouette - self.masks) * self.seen).sum() * self.share,
            # A track that drifted must not drag: beyond a few pixels it hardly counts.
            "track": (visible * 3.0 * torch.log1p(gap / 3.0)).sum(),
        }
        if self.depth is not None:
            terms["depth"] = self._depth(pixels, depth, visible) / size
        first = vertices[1:] - vertices[:-1]
        second = first[1:] - first[:-1]
        terms["smooth"] = (first.square().mean() + (second.square().mean() if len(second) else 0.0)) / size**2
        terms["reg"] = self._reg(rotations, translations)
        return terms

    def _depth(self, pixels: torch.Tensor, depth: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        assert self.depth is not None
        frames, height, width = self.depth.shape
        x = pixels[..., 0].detach().floor().long().clamp(0, width - 1)
        y = pixels[..., 1].detach().floor().long().clamp(0, height - 1)
        target = self.depth[torch.arange(frames)[:, None], y, x]
        known = torch.isfinite(target)
        error = _absolute(depth - torch.where(known, target, depth.detach()), 1e-3 * self.character.diagonal)
        reach = 0.05 * self.character.diagonal  # more is another surface
        return (visible * known * error.clamp(max=reach)).sum()

    def _reg(self, rotations: torch.Tensor, translations: torch.Tensor) -> torch.Tensor:
        """What non-root rotations and translations exceed their limits by, and a little pull to rest."""
        turn = rotations[:, 1:]
        trace = turn[..., 0] + turn[..., 4]  # two diagonal entries: 2 at rest
        bound = 2.0 * np.cos(min(self.settings.limit_rad, np.pi))
        shift = torch.linalg.vector_norm(translations[:, 1:] + 1e-9, dim=-1) / self.character.diagonal
        over = torch.relu(bound - trace).square().mean() + torch.relu(shift - self.settings.limit_shift).square().mean()
        return over + 0.01 * (2.0 - trace).mean() + shift.square().mean()


class _Deltas:
    """Joint deltas whose index 0 stays as it is; the others are free, shifts in diagonals."""

    def __init__(self, start: tuple[np.ndarray, np.ndarray], size: float) -> None:
        turns, shifts = (torch.as_tensor(value, dtype=torch.float32) for value in start)
        self.size, self.rest = size, (turns[:1], shifts[:1])
        self.free = [turns[1:].clone().requires_grad_(True), (shifts[1:] / size).clone().requires_grad_(True)]

    def __call__(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotations [T, J, 6] and translations [T, J, 3] [m]."""
        return torch.cat([self.rest[0], self.free[0]]), torch.cat([self.rest[1], self.free[1] * self.size])


class _Adam:
    """Kingma and Ba's Adam; `torch.optim` imports seconds' worth of compiler that is not needed here."""

    def __init__(self, values: list[torch.Tensor]) -> None:
        self.values, self.count = values, 0
        self.mean = [torch.zeros_like(value) for value in values]
        self.square = [torch.zeros_like(value) for value in values]

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor], rate: float) -> None:
        self.count += 1
        for value, gradient, mean, square in zip(self.values, gradients, self.mean, self.square, strict=True):
            mean.lerp_(gradient, 0.1)
            square.lerp_(gradient * gradient, 0.001)
            spread = (square / (1.0 - 0.999**self.count)).sqrt_() + 1e-8
            value -= rate * mean / (1.0 - 0.9**self.count) / spread


def refine(
    character: Character,
    rig: Rig,
    camera: CameraPath,
    clip: Clip,
    observations: Observations,
    start: tuple[np.ndarray, np.ndarray],
    backgrounds: np.ndarray,
    light: np.ndarray,
    settings: LiftSettings,
    progress: Callable[[float], None],
) -> Refinement:
    """Refine joint deltas; index 0 stays at rest.

    Args:
        character: The character.
        rig: Its rig.
        camera: T cameras.
        clip: T frames.
        observations: What was seen.
        start: Rotations [T, J, 6] and translations [T, J, 3].
        backgrounds: sRGB 0..255 [T, H, W, 3].
        light: Spherical harmonics [9, 3] (see `appearance.harmonics`).
        settings: Weights, learning rate and number of iterations.
        progress: Told the fraction done.
    """
    loss = _Loss(character, rig, camera, clip, observations, backgrounds, light, settings)
    return _descend(loss, _Deltas(start, character.diagonal), settings, progress)


def _descend(loss: _Loss, deltas: _Deltas, settings: LiftSettings, progress: Callable[[float], None]) -> Refinement:
    """The best deltas on the way; the first value of each term calibrates its weight."""
    ratios = {name: getattr(settings, f"weight_{name}") for name in ("rgb", "mask", "track", "depth", "smooth", "reg")}
    optimiser = _Adam(deltas.free)
    weights: dict[str, float] = {}
    curves: dict[str, list[float]] = {}
    best, kept = float("inf"), deltas()
    for iteration in range(settings.iterations + 1):
        terms = loss.terms(*deltas())
        if not weights:
            anchor = terms["rgb"].item()
            weights = {name: ratios[name] * anchor / max(value.item(), 1e-6) for name, value in terms.items()}
        total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        if total.item() < best:
            best, kept = total.item(), tuple(value.detach().clone() for value in deltas())
        if iteration % CURVE == 0 or iteration == settings.iterations:
            for name, value in terms.items():
                curves.setdefault(name, []).append(round(value.item(), 6))
        if iteration == settings.iterations:
            break
        gradients = torch.autograd.grad(total, deltas.free)
        fade = 0.5 + 0.5 * np.cos(np.pi * iteration / settings.iterations)
        optimiser.step(gradients, settings.learning_rate * fade)
        progress((iteration + 1) / settings.iterations)
    return Refinement(
        rotations=kept[0].detach().numpy(),
        translations=kept[1].detach().numpy(),
        weights={name: round(value, 6) for name, value in weights.items()},
        curves=curves,
        iterations=settings.iterations,
    )
