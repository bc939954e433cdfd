# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""Neighbouring pixels of a row worked on together: vectors of `LANES` numbers that the compiler turns into SIMD.

Loops over `LANES` unroll, and LLVM merges them into vector instructions; on a GPU one thread does the lanes in turn.
"""

from __future__ import annotations

import warp as wp

__all__ = [
    "LANES",
    "Lanes",
    "LongLanes",
    "affine",
    "chance",
    "decay",
    "least",
    "lesser",
    "most",
    "occluded",
    "positive",
    "product",
    "ramp",
    "total",
]

wp.set_module_options({"enable_backward": False, "fuse_fp": True})

LANES = 8  # `total` and `most` halve it three times
Lanes = wp.types.vector(length=LANES, dtype=wp.float32)
LongLanes = wp.types.vector(length=LANES, dtype=wp.int64)
MOST = 40.0  # one face counts for at most exp(-40)


@wp.func
def ramp(start: float) -> Lanes:
    """start, start + 1, start + 2 ..."""
    result = Lanes()
    for i in range(LANES):
        result[i] = start + float(i)
    return result


@wp.func
def affine(x: Lanes, scale: float, shift: float) -> Lanes:
    """scale x + shift"""
    result = Lanes()
    for i in range(LANES):
        result[i] = scale * x[i] + shift
    return result


@wp.func
def product(a: Lanes, b: Lanes) -> Lanes:
    """a b, lane by lane."""
    return wp.cw_mul(a, b)


@wp.func
def lesser(a: Lanes, b: Lanes) -> Lanes:
    """Minimum, lane by lane; `wp.min` looks for NaN too, which costs four times as much."""
    result = Lanes()
    for i in range(LANES):
        result[i] = wp.where(a[i] < b[i], a[i], b[i])
    return result


@wp.func
def positive(a: Lanes) -> Lanes:
    """max(a, 0), lane by lane; 0 for NaN."""
    result = Lanes()
    for i in range(LANES):
        result[i] = wp.where(a[i] > 0.0, a[i], 0.0)
    return result


@wp.func
def total(a: Lanes) -> float:
    """Sum over the lanes, by halves."""
    for i in range(4):
        a[i] = a[i] + a[i + 4]
    return (a[0] + a[2]) + (a[1] + a[3])


@wp.func
def greater(a: float, b: float) -> float:
    """The greater of two numbers that are not NaN."""
    return wp.where(a > b, a, b)


@wp.func
def most(a: Lanes) -> float:
    """Greatest of the lanes, by halves."""
    for i in range(4):
        a[i] = greater(a[i], a[i + 4])
    return greater(greater(a[0], a[2]), greater(a[1], a[3]))


@wp.func
def least(a: Lanes) -> float:
    """Smallest of the lanes."""
    return -most(-a)


@wp.func
def decay(x: Lanes) -> Lanes:
    """exp(-x) for x >= 0 to 1e-7 of itself, without a call: 2^-n from its bits times a minimax polynomial."""
    result = Lanes()
    for i in range(LANES):
        t = wp.where(x[i] < 80.0, x[i] * 1.44269504, 115.41560)
        n = int(t)
        f = t - float(n)
        value = 0.0092058002 - f * 0.00094490544
        value = 0.24018014 + f * (-0.055297357 + f * value)
        value = 1.0 + f * (-0.69314372 + f * value)
        result[i] = value * wp.cast((127 - n) << 23, float)
    return result


@wp.func
def log_one_plus(x: Lanes) -> Lanes:
    """log(1 + x) for x in [0, 1], to 1.4e-7 of x: a minimax polynomial."""
    result = Lanes()
    for i in range(LANES):
        e = x[i]
        value = 0.17813066 + e * (-0.10859897 + e * (0.044706738 - e * 0.0087027917))
        value = 0.33280283 + e * (-0.24521365 + e * value)
        result[i] = e * (0.99999987 + e * (-0.49997762 + e * value))
    return result


@wp.func
def chance(v: Lanes) -> Lanes:
    """1 / (1 + exp(v)): how much a face at signed squared distance v (over sigma) covers a pixel."""
    result = decay(wp.abs(v))
    for i in range(LANES):
        result[i] = wp.where(v[i] > 0.0, result[i], 1.0) / (1.0 + result[i])
    return result


@wp.func
def occluded(v: Lanes, limit: float, scale: float) -> LongLanes:
    """-log(1 - `chance` (v)) in fixed point, 0 from ``limit`` on: what a face takes from a pixel."""
    log = log_one_plus(decay(wp.abs(v)))
    result = LongLanes()
    for i in range(LANES):
        amount = wp.where(v[i] < 0.0, -v[i], 0.0) + log[i]
        amount = wp.where(amount < MOST, amount, MOST)
        result[i] = wp.int64(wp.where(v[i] < limit, amount, 0.0) * scale)
    return result
