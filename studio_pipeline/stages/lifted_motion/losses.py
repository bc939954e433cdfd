"""The terms of the gradient stage's loss: what one view shows, and what is believed of the motion.

Video keeps colour at half the size (4:2:0) and codes what eyes see: colours are compared as luma at full size and
chroma averaged over 2 x 2 pixels, on square roots of linear light. Pixels whose surroundings nothing explains (a
hallucinated limb) are weighed down after Geman and McClure, by a scale that index 0, where the pose is known, sets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as functional

from studio_pipeline.media.srgb import srgb_to_linear
from studio_pipeline.render.differentiable import RenderMesh, project_points
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations
from studio_pipeline.stages.lifted_motion.photometric import LUMA_CHROMA

if TYPE_CHECKING:
    from studio_pipeline.render.differentiable import RenderOutput

__all__ = ["SIGMA_PX", "Sight", "SightLoss", "motion_terms"]

SIGMA_PX = 0.2  # nearly what anti-aliasing does: a softer edge, blended in linear light, makes figures thin
TOE = 0.002  # added to linear light before the root, whose slope is infinite at black
SURROUNDINGS = 9  # side of the square over which a residual is averaged before it is doubted [px]
LEAST_DOUBT = 0.1  # mean residual of surroundings below which nothing is doubted much
MASK_DOUBT = 0.35  # the same of coverage
DRIFTED_PX = 3.0  # a track this far off drifted: it must not drag
ANOTHER = 0.05  # depth that is farther off is another surface's, of the diagonal
DOUBTED = 0.6  # times the median explained share: a frame below it is doubted
COLOUR = torch.as_tensor(LUMA_CHROMA)


@dataclass(frozen=True)
class Sight:
    """What one camera saw, and how the character looks in it."""

    camera: CameraPath
    clip: Clip
    observations: Observations
    backgrounds: np.ndarray  # [T, H, W, 3] sRGB 0..255
    light: np.ndarray  # [9, 3] spherical harmonics (see `appearance.harmonics`)


def _absolute(value: torch.Tensor, rounding: float) -> torch.Tensor:
    return torch.sqrt(value * value + rounding * rounding) - rounding


def _averaged(value: torch.Tensor, side: int) -> torch.Tensor:
    """Mean over squares around each pixel, [T, H, W]."""
    return functional.avg_pool2d(value[:, None], side, 1, side // 2, count_include_pad=False)[:, 0]


class _Colours:
    """Linear pictures [T, H, W, 3] as luma [T, H, W] and chroma [T, H/2, W/2, 2] of their square roots."""

    def __init__(self, linear: torch.Tensor) -> None:
        mixed = torch.sqrt(linear.clamp(min=0.0) + TOE) @ COLOUR.T
        self.luma = mixed[..., 0]
        self.chroma = functional.avg_pool2d(mixed[..., 1:].movedim(-1, 1), 2, ceil_mode=True, count_include_pad=False)


class SightLoss:
    """The terms that one view gives for posed vertices."""

    def __init__(
        self, sight: Sight, character: Character, mesh: RenderMesh, render: Callable[..., RenderOutput]
    ) -> None:
        observations = sight.observations
        self.camera, self.mesh, self.render, self.size = sight.camera, mesh, render, character.diagonal
        self.light = torch.as_tensor(sight.light, dtype=torch.float32)
        self.backgrounds = torch.as_tensor(srgb_to_linear(sight.backgrounds / 255.0))
        self.frames = _Colours(torch.as_tensor(srgb_to_linear(sight.clip.frames / 255.0)))
        self.masks = torch.as_tensor(observations.masks.astype(np.float32) / 255.0)
        seen = (observations.masks > 127).any(axis=(1, 2))
        self.seen = torch.as_tensor(seen)
        self.trust = self.seen.float()[:, None, None] * torch.ones_like(self.masks)  # of each pixel's colour
        self.mask_trust = self.trust.clone()
        self.share = 1.0 / max(float(self.masks[self.seen].sum()), 1.0)  # errors per pixel of the character
        self.tracks = torch.as_tensor(observations.tracks)
        self.tracked = torch.as_tensor(observations.visibility.astype(np.float32)) * self.seen[:, None]
        self.visible = self.tracked  # and how far each is believed
        self.corners = torch.as_tensor(character.faces[observations.track_faces].astype(np.int64))
        self.shares = torch.as_tensor(observations.track_barycentrics)[..., None]
        self.noise, self.depth_noise, self.sigma = 0.02, 0.01, SIGMA_PX
        self.depth = None
        if observations.depth is not None and observations.depth_is_metric:
            self.depth = torch.as_tensor(observations.depth)

    def _drawn(self, vertices: torch.Tensor) -> RenderOutput:
        return self.render(
            vertices, self.mesh, self.camera,
            background=self.backgrounds, sigma=self.sigma, shading=self.light, inner_edges=True, skip=("normals",),
        )  # fmt: skip

    @torch.no_grad()
    def doubt(self, vertices: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Set how far each pixel is believed, from what the pose ``vertices`` [T, V, 3] leaves unexplained.

        Returns:
            The share of the character that is explained, per frame [T] (NaN where nothing was seen), and which frames
            are doubted as a whole [T] bool: their share is far below the others'.
        """
        image = self._drawn(vertices)
        colours = _Colours(image.color)
        gap = (colours.luma - self.frames.luma).abs()
        own = (self.masks > 0.5) | (image.silhouette > 0.5)
        known = own[0] if bool(own[0].any()) else torch.ones_like(own[0])
        self.noise = max(2.0 * float(gap[0][known].median()), 0.01)
        if self.depth is not None:
            off, sure = self._depth_gap(image)
            self.depth_noise = max(2.0 * float(off[0][sure[0]].abs().median()), 1e-3) if bool(sure[0].any()) else 0.01
        around = _averaged(gap * own, SURROUNDINGS)
        scale = max(4.0 * float(around[0][known].mean()), LEAST_DOUBT)
        colour = 1.0 / torch.square(1.0 + torch.square(around / scale))
        cover = _averaged(image.silhouette - self.masks, SURROUNDINGS) / MASK_DOUBT
        mask = 1.0 / torch.square(1.0 + torch.square(cover))
        count = own.sum((1, 2)).clamp(min=1)
        shares = (((colour * mask) > 0.5) & own).sum((1, 2)) / count
        shares = torch.where(self.seen, shares, torch.nan)
        limit = DOUBTED * float(shares[self.seen].median()) if bool(self.seen.any()) else 0.0
        doubted = self.seen & (shares < limit)
        frames = torch.where(doubted, shares / max(limit, 1e-6), self.seen.float())[:, None, None] ** 2
        self.trust, self.mask_trust = colour * mask * frames, mask * frames
        self.visible = self.tracked * frames[:, :, 0]
        return shares.numpy(), doubted.numpy()

    def terms(self, vertices: torch.Tensor) -> dict[str, torch.Tensor]:
        """The unweighted terms."""
        image = self._drawn(vertices)
        colours = _Colours(image.color)
        luma = _absolute(colours.luma - self.frames.luma, self.noise) * self.trust
        chroma = _absolute(colours.chroma - self.frames.chroma, self.noise).sum(1)
        pooled = functional.avg_pool2d(self.trust[:, None], 2, ceil_mode=True, count_include_pad=False)[:, 0]
        points = (vertices[:, self.corners] * self.shares).sum(2)
        pixels, _ = project_points(points, self.camera)
        visible = self.visible / self.visible.sum().clamp(min=1.0)
        gap = _absolute(torch.linalg.vector_norm(pixels - self.tracks, dim=-1), 0.5)
        terms = {
            "rgb": (luma.sum() + 4.0 * (chroma * pooled).sum()) * self.share,
            "mask": (_absolute(image.silhouette - self.masks, 0.05) * self.mask_trust).sum() * self.share,
            "track": (visible * DRIFTED_PX * torch.log1p(gap / DRIFTED_PX)).sum(),
        }
        if self.depth is not None:
            terms["depth"] = self._depth(image)
        return terms

    def _depth_gap(self, image: RenderOutput) -> tuple[torch.Tensor, torch.Tensor]:
        """How much farther the render is than the clip's depth [T, H, W] [diagonals], and where that is known."""
        assert self.depth is not None
        known = (image.face_ids >= 0) & torch.isfinite(self.depth) & self.seen[:, None, None]
        gap = torch.where(known, image.depth - torch.where(known, self.depth, 0.0), 0.0) / self.size
        return gap, known & (gap.detach().abs() < ANOTHER)

    def _depth(self, image: RenderOutput) -> torch.Tensor:
        gap, known = self._depth_gap(image)
        return (_absolute(gap, self.depth_noise) * known * self.mask_trust).sum() * self.share


def motion_terms(
    rotations: torch.Tensor, translations: torch.Tensor, beliefs: Any, limits: tuple[float, float]
) -> dict[str, torch.Tensor]:
    """What is believed of a motion: ``smooth`` (speed and acceleration) and ``reg`` (near rest, within limits).

    Args:
        rotations: Matrices [T, J, 3, 3].
        translations: [T, J, 3] [m].
        beliefs: Gauss-Newton's priors (see `priors.Priors`), so that both solvers believe the same.
        limits: Bounds of a joint's turn [rad] and of its shift [m]; the root has none.
    """
    count = rotations.shape[1]
    rest, speed, bend = (
        torch.as_tensor(value.reshape(2, count, 3), dtype=rotations.dtype)
        for value in (beliefs.rest, beliefs.speed, beliefs.acceleration)
    )
    step = rotations[:-1].transpose(-1, -2) @ rotations[1:]
    turn = 0.5 * torch.stack([step[..., k, j] - step[..., j, k] for j, k in ((1, 2), (2, 0), (0, 1))], dim=-1)
    shift = translations[1:] - translations[:-1]
    smooth = (speed[0] * turn.square()).sum() + (speed[1] * shift.square()).sum()
    smooth = smooth + (bend[0] * (turn[1:] - turn[:-1]).square()).sum()
    smooth = smooth + (bend[1] * (shift[1:] - shift[:-1]).square()).sum()
    trace = torch.diagonal(rotations, dim1=-2, dim2=-1).sum(-1)
    reg = (rest[0, :, 0] * (3.0 - trace)).sum() + (rest[1] * translations.square()).sum()
    over = torch.relu((1.0 + 2.0 * np.cos(min(limits[0], np.pi))) - trace[:, 1:]).square().sum()
    far = torch.relu(torch.linalg.vector_norm(translations[:, 1:] + 1e-12, dim=-1) / limits[1] - 1.0).square().sum()
    frames = len(rotations)
    return {"smooth": 0.5 * smooth / frames, "reg": (0.5 * reg + 10.0 * (over + far)) / frames}
