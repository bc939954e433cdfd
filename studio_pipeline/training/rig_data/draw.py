"""Draw bodies and training examples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from studio_pipeline.training.rig_data.body import Body, Example
from studio_pipeline.training.rig_data.plans import PLAN_WEIGHTS, build
from studio_pipeline.training.rig_data.posing import flip, pose, turn
from studio_pipeline.training.rig_data.sampling import sample_surface
from studio_pipeline.training.rig_data.wear import add_noise, facet, holes
from studio_pipeline.training.rig_data.weights import skin_weights

__all__ = ["PLANS", "draw_body", "draw_example", "example_of"]

PLANS: tuple[str, ...] = tuple(PLAN_WEIGHTS)
MAX_JOINTS = 64


def draw_body(rng: np.random.Generator, plan: str | None = None, *, posed: float = 0.12, turned: float = 0.0) -> Body:
    """Draw a body.

    Args:
        rng: All that is random comes from it.
        plan: One of `PLANS`; None draws one by the mix that training uses.
        posed: Share of bodies in a random pose instead of their rest pose.
        turned: Share of bodies turned about the vertical by any angle and tilted a little.

    Returns:
        A body of 2 to 64 joints.
    """
    if plan is None:
        share = np.array(list(PLAN_WEIGHTS.values()))
        plan = PLANS[int(rng.choice(len(PLANS), p=share / share.sum()))]
    body = build(plan, rng)
    while not _sound(body):
        body = build(plan, rng)
    if rng.random() < 0.5:
        body = flip(body)
    if rng.random() < posed:
        body = pose(body, rng, spread=float(rng.uniform(0.08, 0.4)))
    if rng.random() < turned:
        yaw, pitch, roll = rng.uniform(-np.pi, np.pi), 0.15 * rng.standard_normal(), 0.15 * rng.standard_normal()
        body = turn(body, Rotation.from_euler("YXZ", [yaw, pitch, roll]).as_matrix())
    return body


def _sound(body: Body) -> bool:
    """Whether a body has 2 to 64 joints, no two of them at one place and no bone without length."""
    if not 2 <= body.joint_count <= MAX_JOINTS:
        return False
    least = 2e-3 * float(np.linalg.norm(np.ptp(body.shape.centers, axis=0)))
    apart = np.linalg.norm(body.joints[:, None] - body.joints, axis=2)
    np.fill_diagonal(apart, np.inf)
    return bool(apart.min() > least and np.linalg.norm(body.tails - body.joints, axis=1).min() > least)


def draw_example(
    rng: np.random.Generator,
    *,
    count: int = 2048,
    plan: str | None = None,
    wear: bool = True,
    posed: float = 0.12,
    turned: float = 0.0,
) -> Example:
    """Draw a body and sample it: the streaming path of training, with no mesh.

    Args:
        rng: All that is random comes from it.
        count: Points N.
        plan: As `draw_body`.
        wear: Put noise, facets, holes and hidden inner surfaces on a share of the examples.
        posed: As `draw_body`.
        turned: As `draw_body`.
    """
    return example_of(draw_body(rng, plan, posed=posed, turned=turned), rng, count=count, wear=wear)


def example_of(body: Body, rng: np.random.Generator, *, count: int = 2048, wear: bool = True) -> Example:
    """Sample N = ``count`` points of a body and normalise; ``wear`` as in `draw_example`."""
    luck: Callable[[float], bool] = lambda share: wear and bool(rng.random() < share)  # noqa: E731
    split = luck(0.3)
    torn = luck(0.12)
    surface = sample_surface(body.shape, int(count * 1.25) if torn else count, rng, split=split)
    points, normals = surface.points, surface.normals
    weights = skin_weights(
        body.shape, surface.field, points, joints=body.joints, tails=body.tails, parents=body.parents, rigid=body.rigid
    )
    if torn:
        size = 0.12 * float(np.ptp(points, axis=0).max())
        stay = np.flatnonzero(holes(points, rng, count=int(rng.integers(1, 5)), size=size))
        stay = rng.choice(stay, count, replace=len(stay) < count) if len(stay) else np.arange(count)
        points, normals, weights = points[stay], normals[stay], weights[stay]
    if luck(0.4):
        points, normals = facet(points, normals, int(rng.uniform(8.0, 30.0) * (body.joint_count + 8)), rng)
    if luck(0.3):
        size = float(np.ptp(points, axis=0).max())
        points, normals = add_noise(
            points, normals, rng, height=size * rng.uniform(0, 0.004), tilt=rng.uniform(0, 0.25)
        )
    low, high = points.min(0), points.max(0)
    middle, scale = 0.5 * (low + high), 2.0 / float((high - low).max())
    order = rng.permutation(len(points))
    return Example(
        plan=body.plan,
        points=((points - middle) * scale)[order].astype(np.float32),
        normals=normals[order],
        joints=((body.joints - middle) * scale).astype(np.float32),
        parents=body.parents,
        tails=((body.tails - middle) * scale).astype(np.float32),
        names=body.names,
        weights=weights[order],
        grounded=body.grounded,
    )
