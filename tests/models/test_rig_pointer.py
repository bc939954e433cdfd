"""Where a skeleton goes on, and coordinates by pointing."""

from __future__ import annotations

import numpy as np
import torch

from studio_pipeline.models.rig.encoder import Seen
from studio_pipeline.models.rig.pointer import Pointer, gaps, next_axis, whereabouts
from studio_pipeline.models.rig.tokens import BINS, PAD, Grammar, Skeleton, encode, slots_of


def sequences(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random skeletons as tokens and slots [count, L]."""
    rng = np.random.default_rng(4)
    told = []
    for _ in range(count):
        parents = np.array([-1, *(int(rng.integers(0, k)) for k in range(1, 9))], dtype=np.int32)
        told.append(encode(Skeleton(joints=rng.uniform(-0.9, 0.9, (9, 3)), parents=parents, plan=0)))
    length = max(len(tokens) for tokens in told)
    padded = np.stack([np.pad(tokens, (0, length - len(tokens)), constant_values=PAD) for tokens in told])
    return torch.from_numpy(padded), torch.from_numpy(np.stack([slots_of(tokens) for tokens in padded]))


def a_shape(latents: int = 12) -> Seen:
    torch.manual_seed(1)
    return Seen(
        torch.randn(2, latents, 32),
        torch.zeros(2, latents, dtype=torch.long),
        torch.rand(2, latents, 3) * 2.0 - 1.0,
        torch.rand(2, latents, 9) * 1.6 - 0.8,
    )


def test_whereabouts_are_those_that_the_grammar_tells():
    tokens, slots = sequences(3)
    at = whereabouts(tokens, slots)
    for row in range(len(tokens)):
        grammar, named = Grammar(plans=1), []
        for place, token in enumerate(tokens[row].tolist()):
            if grammar.done:
                break
            naming = grammar._naming
            so_far = [*grammar._partial, token] if token < BINS else []
            grammar.feed(token)
            if len(so_far) == 3:
                named.append((so_far, naming))
            middle = (np.array(so_far) + 0.5) * (2.0 / BINS) - 1.0
            assert at.known[row, place].sum() == len(so_far)
            np.testing.assert_allclose(at.places[row, place, : len(so_far)], middle, atol=1e-6)
            assert bool(at.anchored[row, place]) == bool(named)
            if named:
                np.testing.assert_allclose(
                    at.anchors[row, place], (np.array(named[-1][0]) + 0.5) * (2.0 / BINS) - 1.0, atol=1e-6
                )


def test_gaps_are_distances_by_the_coordinates_that_are_known():
    tokens, slots = sequences(2)
    at, seen = whereabouts(tokens, slots), a_shape()
    found = gaps(seen, at)
    where = [*seen.votes.split(3, dim=-1), seen.centres]
    for kind in range(4):
        for row in range(2):
            for place in range(tokens.shape[1]):
                known = at.known[row, place]
                apart = (seen_at := where[kind][row][:, known]) - at.places[row, place, known]
                torch.testing.assert_close(found[row, kind, place], apart.square().sum(-1), atol=1e-5, rtol=1e-4)
                assert len(seen_at) == seen.centres.shape[1]
                if at.anchored[row, place]:
                    apart = where[kind][row] - at.anchors[row, place]
                    torch.testing.assert_close(
                        found[row, 4 + kind, place], apart.square().sum(-1), atol=1e-5, rtol=1e-4
                    )
                else:
                    assert found[row, 4 + kind, place].abs().max() == 0.0


def test_a_pointer_says_the_coordinate_that_all_vote_for():
    tokens, slots = sequences(2)
    at, axis = whereabouts(tokens, slots), next_axis(slots)
    seen = a_shape()
    goal = torch.tensor([0.25, -0.5, 0.7])
    agreed = Seen(seen.latents, seen.chosen, seen.centres, goal.repeat(2, 12, 3))
    pointer = Pointer(32)
    with torch.no_grad():
        pointer.spread.bias.fill_(-3.5)
        shares = pointer(torch.randn(2, tokens.shape[1], 32), pointer.remember(agreed), gaps(agreed, at), axis).exp()
    torch.testing.assert_close(shares.sum(-1), torch.full_like(shares[..., 0], 1.0 + BINS * 1e-4), atol=0.02, rtol=0.0)
    middle = (torch.arange(BINS) + 0.5) * (2.0 / BINS) - 1.0
    told = middle[shares.argmax(-1)]
    torch.testing.assert_close(told, goal[axis], atol=1.01 / BINS, rtol=0.0)
