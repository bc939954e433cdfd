"""Skeletons as tokens: what goes in comes out, and whatever the grammar lets through is one tree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio_pipeline.models.rig.tokens import BEGIN, BINS, BRANCH, END, FIRST_CLASS, Grammar, Skeleton, decode, encode
from studio_pipeline.models.rig.tokens import slots_of as slots

PLANS = 5


def random_skeleton(seed: int, count: int) -> Skeleton:
    rng = np.random.default_rng(seed)
    parents = np.array([-1, *(int(rng.integers(0, k)) for k in range(1, count))], np.int32)
    return Skeleton(joints=rng.uniform(-1.0, 1.0, (count, 3)), parents=parents, plan=int(rng.integers(PLANS)))


def bin_of(point: np.ndarray) -> tuple[int, ...]:
    """The paper's rule, by its definition: the number of bin edges at or below a coordinate."""
    edges = np.linspace(-1.0, 1.0, BINS + 1)
    return tuple(int(np.clip(np.searchsorted(edges, c, side="right") - 1, 0, BINS - 1)) for c in point)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 60))
def test_what_goes_in_comes_out(seed, count):
    given_one = random_skeleton(seed, count)
    tokens = encode(given_one)
    back = decode(tokens, PLANS)
    assert back.plan == given_one.plan
    edges = {
        (bin_of(p), bin_of(given_one.joints[q]))
        for p, q in zip(given_one.joints, given_one.parents, strict=True)
        if q >= 0
    }
    found = {(bin_of(p), bin_of(back.joints[q])) for p, q in zip(back.joints, back.parents, strict=True) if q >= 0}
    assert found == edges
    assert np.array_equal(encode(back), tokens)  # one skeleton, one sequence
    assert slots(tokens).tolist() == told_slots(tokens)


def told_slots(tokens: np.ndarray) -> list[int]:
    grammar = Grammar(plans=PLANS)
    for token in tokens.tolist():
        grammar.feed(token)
    return grammar.slots


def test_the_papers_example_by_hand():
    # A hip, a spine joint, and two legs: the nearer leg by (z, y, x) continues the chain.
    skeleton = Skeleton(
        joints=np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0], [-0.5, -0.5, 0.0], [0.5, -0.5, 0.0]]),
        parents=np.array([-1, 0, 0, 0]),
        plan=2,
    )
    half, low, high = BINS // 2, BINS // 4, 3 * BINS // 4
    told = [BEGIN, FIRST_CLASS + 2, half, half, half, low, low, half]
    told += [BRANCH, half, half, half, high, low, half, BRANCH, half, half, half, half, high, half, END]
    assert encode(skeleton).tolist() == told
    np.testing.assert_allclose(decode(np.array(told), PLANS).joints[0], [1 / BINS] * 3)  # the middle of the bin


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), most=st.integers(2, 40))
def test_whatever_is_legal_is_one_tree(seed, most):
    rng = np.random.default_rng(seed)
    grammar = Grammar(plans=PLANS, most=most)
    tokens = []
    while not grammar.done:
        tokens.append(int(rng.choice(np.flatnonzero(grammar.legal()))))
        grammar.feed(tokens[-1])
    made = decode(np.array(tokens), PLANS)
    assert 2 <= len(made.joints) <= most
    assert made.parents[0] == -1 and all(0 <= p < k for k, p in enumerate(made.parents[1:].tolist(), start=1))
    assert len(np.unique(made.joints, axis=0)) == len(made.joints)


@pytest.mark.parametrize(
    "tokens",
    [
        [BEGIN, FIRST_CLASS, 1, 2, END],  # ends inside a joint
        [BEGIN, 1, 2, 3],  # no class
        [BEGIN, FIRST_CLASS, 1, 2, 3, END],  # one joint is no skeleton
        [BEGIN, FIRST_CLASS, 1, 2, 3, 1, 2, 3],  # twice the same place
        [BEGIN, FIRST_CLASS, 1, 2, 3, 4, 5, 6, BRANCH, 7, 8, 9],  # a parent that isn't there
        [BEGIN, FIRST_CLASS, 1, 2, 3, 4, 5, 6, BRANCH, 4, 5, 6],  # the last joint is no branch
        [BEGIN, FIRST_CLASS + PLANS, 1],  # no such class
        [BEGIN, FIRST_CLASS, 1, 2, 3, 4, 5, 6],  # no end
        [FIRST_CLASS],
        [-1],
    ],
)
def test_what_breaks_the_grammar_is_refused(tokens):
    with pytest.raises(ValueError):
        decode(np.array(tokens), PLANS)


def test_joints_in_one_bin_become_one():
    skeleton = Skeleton(
        joints=np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.001, 0.501, 0.0], [0.0, 0.9, 0.0]]),
        parents=np.array([-1, 0, 1, 2]),
        plan=0,
    )
    back = decode(encode(skeleton), PLANS)
    assert back.parents.tolist() == [-1, 0, 1] and back.joints[2][1] == pytest.approx(0.9, abs=1 / BINS)
