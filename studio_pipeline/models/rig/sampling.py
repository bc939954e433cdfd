"""Skeletons drawn from the network, each a valid tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from studio_pipeline.models.rig.layers import Cache
from studio_pipeline.models.rig.pointer import next_axis, whereabouts
from studio_pipeline.models.rig.skeleton import Memory, SkeletonNet
from studio_pipeline.models.rig.tokens import BEGIN, END, PAD, Grammar, Skeleton, Slot

__all__ = ["Drawn", "draw_skeletons"]

_ROOM = 7  # tokens that the longest step, a branch, takes
_ENOUGH, _PATIENCE = 0.75, 1.5  # once this share of a shape's draws has ended, others may be so many times as long


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One skeleton and how sure the network was of it."""

    skeleton: Skeleton
    tokens: np.ndarray  # [L] int64, as they were drawn
    likelihood: float  # mean log-probability of its tokens, among the legal ones, at temperature one


@torch.no_grad()
def draw_skeletons(
    net: SkeletonNet,
    clouds: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    temperatures: tuple[float, ...],
    seed: int,
    plan: int | None = None,
    most: int = 64,
) -> list[list[Drawn]]:
    """Draw skeletons of several shapes at once, one for every temperature; zero takes the likeliest token each time.

    Args:
        net: The trained network.
        clouds: Of each shape points on the surface [N, 3], in [-1, 1], and normals [N, 3] outward; N is the same.
        temperatures: Of the draws.
        seed: The same seed gives the same skeletons.
        plan: Number of the body plan when it is known.
        most: Joints, at most.

    Returns:
        For every shape those that were finished, in the order of the temperatures. Draws that ramble on long after
        most of their shape's have ended are given up.
    """
    device = next(net.parameters()).device
    warmth = temperatures * len(clouds)
    each, count, plans = len(temperatures), len(warmth), len(net.config.plans)
    points, normals = (
        torch.as_tensor(np.stack(values), dtype=torch.float32, device=device) for values in zip(*clouds, strict=True)
    )
    memory = net.look(points, normals).repeat(len(temperatures))
    draws = [np.random.default_rng([seed, row]) for row in range(count)]
    grammars = [Grammar(plans=plans, most=most, plan=plan) for _ in warmth]
    tokens = np.full((count, net.config.longest), PAD, dtype=np.int64)
    tokens[:, 0] = BEGIN
    for grammar in grammars:
        grammar.feed(BEGIN)
    said, caches = np.zeros(count), [Cache(net.config.longest) for _ in net.blocks]
    wanted = [True] * len(clouds)
    for place in range(net.config.longest - 1):
        logits = _next(net, tokens[:, : place + 1], grammars, memory, caches)
        for row, grammar in enumerate(grammars):
            if grammar.done or not wanted[row // each]:
                continue
            legal = grammar.legal()
            if place > net.config.longest - _ROOM - 2 and legal[END]:
                legal[:] = False
                legal[END] = True
            token, share = _choose(logits[row], legal, warmth[row], draws[row])
            said[row] += share
            tokens[row, place + 1] = token
            grammar.feed(token)
        wanted = [on and _goes_on(grammars[k * each : (k + 1) * each], place) for k, on in enumerate(wanted)]
        if not any(wanted):
            break
    return [
        [
            Drawn(
                skeleton=grammars[row].skeleton(),
                tokens=tokens[row, : len(grammars[row].slots)],
                likelihood=float(said[row] / (len(grammars[row].slots) - 1)),
            )
            for row in range(start, start + each)
            if grammars[row].done
        ]
        for start in range(0, count, each)
    ]


def _next(
    net: SkeletonNet, tokens: np.ndarray, grammars: list[Grammar], memory: Memory, caches: list[Cache]
) -> np.ndarray:
    """Logits after the last of the tokens [B, L] so far. [B, vocabulary] float64"""
    slots = np.full(tokens.shape, Slot.END, dtype=np.int64)
    for row, grammar in enumerate(grammars):
        told = grammar.slots[: tokens.shape[1]]
        slots[row, : len(told)] = told
    device = memory.seen.latents.device
    said, stands = torch.as_tensor(tokens, device=device), torch.as_tensor(slots, device=device)
    at = whereabouts(said, stands).last()
    x = net.embed(said[:, -1:], stands[:, -1:], at, start=tokens.shape[1] - 1)
    found = net.decode(x, memory, at, next_axis(stands[:, -1:]), caches)
    return found[:, -1].double().cpu().numpy()


def _goes_on(grammars: list[Grammar], place: int) -> bool:
    """Whether the draws of one shape are worth another token."""
    ended = [len(grammar.slots) for grammar in grammars if grammar.done]
    if len(ended) < _ENOUGH * len(grammars):
        return True
    return len(ended) < len(grammars) and place < _PATIENCE * max(ended)


def _choose(logits: np.ndarray, legal: np.ndarray, temperature: float, rng: np.random.Generator) -> tuple[int, float]:
    """A legal token and its log-probability at temperature one."""
    masked = np.where(legal, logits, -np.inf)
    shares = masked - masked.max()
    shares = shares - np.log(np.exp(shares).sum())
    if temperature <= 0.0:
        token = int(np.argmax(shares))
    else:
        odds = np.exp((shares - shares.max()) / temperature)
        token = int(rng.choice(len(odds), p=odds / odds.sum()))
    return token, float(shares[token])
