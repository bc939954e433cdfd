"""The network that ties a surface to bones: attention between points and bones, and how far it is along the body.

After UniRig (Zhang et al. 2025): bones, told by head and tail, read the shape, and so do points; attention scores of
every point and bone, joined with the geodesic distance between them, give the weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from studio_pipeline.models.files import load_network
from studio_pipeline.models.rig.encoder import Place, ShapeEncoder
from studio_pipeline.models.rig.layers import Block, Nearness, SpatialAttention

__all__ = ["KIND", "SkinConfig", "SkinNet", "load_skin_net"]

KIND = "rig.skin"
_FAR = 1e4  # keeps bones that aren't there from being looked at
_DISTANCES = 6  # numbers that tell the distances of a point and a bone


@dataclass(frozen=True, kw_only=True)
class SkinConfig:
    """Size of the network."""

    width: int = 128
    heads: int = 4
    encoder_layers: int = 2
    bone_layers: int = 2
    scores: int = 8  # attention scores of a point and a bone
    latents: int = 128
    octaves: int = 6

    def to_json(self) -> dict:
        """Plain values, for a file's metadata."""
        return asdict(self)


class SkinNet(nn.Module):
    """Weights of points for bones."""

    def __init__(self, config: SkinConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.place = Place(width, config.octaves)
        self.encoder = ShapeEncoder(
            width, config.heads, layers=config.encoder_layers, latents=config.latents, place=self.place
        )
        self.head, self.tail = nn.Linear(width, width), nn.Linear(width, width)
        self.bones = nn.ModuleList(Block(width, config.heads, own=3, reads=3) for _ in range(config.bone_layers))
        self.normal = nn.Linear(3, width)
        self.point_norm, self.point_reads = nn.LayerNorm(width), SpatialAttention(width, config.heads, 3)
        self.perceptron = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU())
        self.query = nn.Linear(2 * width, config.scores * 16)
        self.key = nn.Linear(width, config.scores * 16)
        self.join = nn.Sequential(nn.Linear(config.scores + _DISTANCES, 32), nn.GELU(), nn.Linear(32, 1))

    def forward(
        self, shape: tuple[Tensor, Tensor], bones: tuple[Tensor, Tensor, Tensor], asked: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        """Logarithms of weights.

        Args:
            shape: Points of the surface [B, N, 3] and normals [B, N, 3].
            bones: Heads [B, J, 3], tails [B, J, 3] and which of them are there [B, J] bool.
            asked: Points [B, M, 3], their normals [B, M, 3] and geodesic distances to the bones [B, M, J].

        Returns:
            [B, M, J], minus infinity for bones that aren't there; their exponentials sum to one.
        """
        seen = self.encoder(*shape)
        heads, tails, there = bones
        x = self.head(self.place(heads)) + self.tail(self.place(tails))
        middle = (heads + tails) / 2.0
        among = torch.cdist(middle, middle).square() + torch.where(there, 0.0, _FAR)[:, None]
        own = Nearness(among[:, None], middle, middle)
        read = Nearness(torch.cdist(middle, seen.centres).square()[:, None], seen.centres, middle)
        for block in self.bones:
            memory = block.read.remember(seen.latents)  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue]
            x = block(x, own=own, memory=memory, read=read)
        points, normals, geodesic = asked
        at = self.place(points) + self.normal(normals)
        near = Nearness(torch.cdist(points, seen.centres).square()[:, None], seen.centres, points)
        at = at + self.point_reads.look(self.point_norm(at), *self.point_reads.remember(seen.latents), near)
        batch, count, joints = geodesic.shape
        query = self.query(self.perceptron(at)).view(batch, count, self.config.scores, 16).transpose(1, 2)
        key = self.key(x).view(batch, joints, self.config.scores, 16).transpose(1, 2)
        scores = (query @ key.mT / 4.0).permute(0, 2, 3, 1)
        found = self.join(torch.cat([scores, _distances(points, heads, tails, geodesic, there)], dim=-1))[..., 0]
        return torch.log_softmax(found.float().masked_fill(~there[:, None], -torch.inf), dim=-1)


def _distances(points: Tensor, heads: Tensor, tails: Tensor, geodesic: Tensor, there: Tensor) -> Tensor:
    """What the distances of points [B, M, 3] and bones say. [B, M, J, 6]"""
    along = tails - heads
    offset = points[:, :, None] - heads[:, None]
    share = (offset * along[:, None]).sum(-1) / along.square().sum(-1).clamp_min(1e-9)[:, None]
    straight = (offset - share.clamp(0.0, 1.0)[..., None] * along[:, None]).norm(dim=-1)
    nearest = geodesic.masked_fill(~there[:, None], torch.inf).amin(-1, keepdim=True)
    excess = geodesic - nearest
    return torch.stack(
        [geodesic, straight, excess, excess / (nearest + 0.02), share.clamp(-1.0, 2.0), -torch.log(geodesic + 0.01)],
        dim=-1,
    )


def load_skin_net(path: Path) -> SkinNet:
    """A network from weights or from a training's checkpoint, ready for use on the CPU.

    Raises:
        InputError: The file is missing or holds something else.
    """
    return load_network(path, KIND, lambda config: SkinNet(SkinConfig(**config)))
