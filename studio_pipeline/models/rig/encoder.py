"""The shape as a set of latent vectors: points with normals, gathered by queries that lie spread over the surface."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from studio_pipeline.models.rig.layers import Block, Nearness, SpatialAttention, fourier

__all__ = ["Place", "Seen", "ShapeEncoder", "medial_points", "spread"]

_LEAST_FACING = 0.25  # cosine under which a point is no opposite side: noise would make the ball vanish


class Place(nn.Module):
    """Positions in [-1, 1]^3 as vectors; coordinates that aren't known yet count as none."""

    def __init__(self, width: int, octaves: int) -> None:
        super().__init__()
        self.octaves = octaves
        self.project = nn.Linear(3 * 2 * octaves + 6, width)

    def forward(self, points: Tensor, known: Tensor | None = None) -> Tensor:
        """Points [..., 3], known [..., 3] bool or None for all -> [..., d]."""
        flags = torch.ones_like(points) if known is None else known.to(points.dtype)
        waves = fourier(points, self.octaves) * flags.repeat_interleave(2 * self.octaves, dim=-1)
        return self.project(torch.cat([2.0 * points * flags, waves, flags], dim=-1))


@dataclass(frozen=True)
class Seen:
    """A shape, encoded: latents, each about one place on it."""

    latents: Tensor  # [B, M, d]
    chosen: Tensor  # [B, M] which points they stand at
    centres: Tensor  # [B, M, 3] of the medial balls that touch the surface there
    votes: Tensor  # [B, M, 9] where the joint that moves the surface there, its parent and its bone's end are thought

    def repeat(self, count: int) -> Seen:
        """Every shape ``count`` times, one after the other."""
        return Seen(*(value.repeat_interleave(count, dim=0) for value in vars(self).values()))


class ShapeEncoder(nn.Module):
    """Points [B, N, 3] with normals -> latents [B, M, d] that say where the joint under them is.

    What is taught at every latent (`losses.vote_loss`), a decoder need not find out from its own loss alone.
    """

    def __init__(self, width: int, heads: int, *, layers: int, latents: int, place: Place) -> None:
        super().__init__()
        self.latents = latents
        self.place = place
        self.normal = nn.Linear(3, width)
        self.surface = nn.Sequential(nn.GELU(), nn.Linear(width, width))
        self.medial = nn.Linear(width, width)
        self.radius = nn.Linear(2 * place.octaves + 7, width)
        self.gather_norm, self.gather = nn.LayerNorm(width), SpatialAttention(width, heads // 2, 3)
        self.blocks = nn.ModuleList(Block(width, heads, own=6) for _ in range(layers))
        self.vote = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 9))
        self.heard = nn.Linear(3 * width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, points: Tensor, normals: Tensor) -> Seen:
        """Latents of a shape, each about one place on it and the medial ball that touches it there."""
        chosen = spread(points, self.latents)
        at = torch.gather(points, 1, chosen[..., None].expand(-1, -1, 3))
        facing = torch.gather(normals, 1, chosen[..., None].expand(-1, -1, 3))
        centre, radius = medial_points(at, facing, points)
        surface = self.surface(self.place(points) + self.normal(normals))
        x = torch.gather(surface, 1, chosen[..., None].expand(-1, -1, surface.shape[-1]))
        size = torch.cat(
            [fourier(radius[..., None], self.place.octaves), 4.0 * radius[..., None], facing, centre - at], -1
        )
        x = x + self.medial(self.place(centre)) + self.radius(size)
        near = Nearness(torch.cdist(at, points).square()[:, None], points, at)
        x = x + self.gather.look(self.gather_norm(x), *self.gather.remember(surface), near)
        both = torch.cat([at, centre], dim=-1)
        near = Nearness(torch.cdist(centre, centre).square()[:, None], both, both)
        for block in self.blocks:
            x = block(x, own=near)
        votes = centre.repeat(1, 1, 3) + self.vote(x).float()
        x = x + self.heard(self.place(votes.detach().unflatten(-1, (3, 3))).flatten(-2))
        return Seen(self.norm(x), chosen, centre, votes)


@torch.no_grad()
def spread(points: Tensor, count: int) -> Tensor:
    """Farthest point sampling from the first point on: points [B, N, 3] -> indices [B, count]."""
    batch = torch.arange(len(points), device=points.device)
    chosen = torch.zeros(len(points), count, dtype=torch.long, device=points.device)
    distance = torch.full(points.shape[:2], torch.inf, device=points.device, dtype=points.dtype)
    for k in range(1, count):
        last = points[batch, chosen[:, k - 1]]
        distance = torch.minimum(distance, (points - last[:, None]).square().sum(-1))
        chosen[:, k] = distance.argmax(1)
    return chosen


@torch.no_grad()
def medial_points(at: Tensor, normals: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Centres [B, M, 3] and radii [B, M] of the largest balls inside that touch the surface at given points.

    The ball at p with outward normal n that another point q touches has radius |p - q|^2 / (2 n . (p - q)); the
    smallest over q counts (Ma, Bae and Choi 2012, "3D medial axis point approximation using nearest neighbors").
    """
    apart = (at.square().sum(-1)[..., None] + points.square().sum(-1)[:, None] - 2.0 * at @ points.mT).clamp_min(0.0)
    ahead = (normals * at).sum(-1)[..., None] - normals @ points.mT
    opposite = ahead > _LEAST_FACING * apart.sqrt() + 1e-6
    radius = torch.where(opposite, apart / (2.0 * ahead).clamp_min(1e-6), torch.inf).amin(-1).clamp_max(1.0)
    return at - radius[..., None] * normals, radius
