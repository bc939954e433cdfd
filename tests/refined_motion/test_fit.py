"""Stiffness recovered from motion: from the surface's points, and from pictures and tracks alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.filming import filmed, seen_exactly

from studio_pipeline.physics.adjoint import backward
from studio_pipeline.physics.clusters import bone_clusters, borders, split
from studio_pipeline.physics.embedding import Embedding
from studio_pipeline.physics.fitting import FitOptions, fit_stiffness
from studio_pipeline.physics.scenes import bar_character, bar_rig, bar_solid, swing
from studio_pipeline.physics.topology import Topology
from studio_pipeline.render.runtime import initialize
from studio_pipeline.schema.records import PointCache
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.lifted_motion.sights import sight_of
from studio_pipeline.stages.refined_motion.build import build_simulation
from studio_pipeline.stages.refined_motion.fem import run
from studio_pipeline.stages.refined_motion.fit import ClipLoss, fit_to_clip
from studio_pipeline.stages.refined_motion.settings import FemSettings

initialize()
JOINTS, USUAL = 3, 3e4
SOLID = bar_solid(2, JOINTS)
PLAIN = bar_character(SOLID)
COLOURS = np.random.default_rng(1).uniform(0.1, 0.9, (len(PLAIN.vertices), 3)).astype(np.float32)
CHARACTER = dataclasses.replace(PLAIN, vertex_colors=COLOURS)
RIG = bar_rig(JOINTS, CHARACTER.vertices)
MOTION = swing(24, JOINTS, degrees=25.0)
SETTINGS = FemSettings(youngs_modulus=USUAL, fit_evaluations=20, fit_splits=0, fit_smooth=1e-3)
TOPOLOGY = Topology.build(SOLID.vertices, SOLID.tets)
LABELS = bone_clusters(SOLID)
TRUTH = np.array([3e3, 3e4, 3e5])[LABELS]  # two decades
SURFACE = Embedding(SOLID, CHARACTER.vertices)
START = np.full(len(LABELS), np.log(USUAL))


def moved(stiffness: np.ndarray) -> np.ndarray:
    """The surface [T, V, 3]."""
    return SURFACE.surface(build_simulation(RIG, SOLID, MOTION, SETTINGS, stiffness=stiffness).run().positions)


def by_points(wanted: np.ndarray):
    """Half the squared distance to points [T, V, 3], as a function of log E."""

    def objective(log_young: np.ndarray) -> tuple[float, np.ndarray]:
        simulation = build_simulation(RIG, SOLID, MOTION, SETTINGS, stiffness=np.exp(log_young), record=True)
        positions = simulation.run().positions
        gap = SURFACE.surface(positions).astype(np.float64) - wanted
        return 0.5 * float((gap**2).sum()), backward(simulation, SURFACE.gradient(positions, gap)).log_youngs_modulus

    return objective


def of_clusters(log_young: np.ndarray) -> np.ndarray:
    return np.exp([log_young[label == LABELS].mean() for label in range(JOINTS)])


def test_three_clusters_over_two_decades_from_the_surface() -> None:
    found = fit_stiffness(by_points(moved(TRUTH)), TOPOLOGY, LABELS, START, FitOptions(splits=0, smooth=0.0, near=0.0))
    np.testing.assert_allclose(of_clusters(found.log_youngs_modulus), [3e3, 3e4, 3e5], rtol=0.05)
    assert found.clusters == (1, 3) and found.losses[-1] < 1e-3 * found.losses[0]


@pytest.mark.slow
def test_three_clusters_over_two_decades_from_pictures_and_tracks_alone() -> None:
    surface = moved(TRUTH)
    camera, clip, coverage = filmed(CHARACTER, surface, 128)
    sight = sight_of(CHARACTER, camera, clip, seen_exactly(CHARACTER, camera, surface, coverage))
    told: list[float] = []
    found = fit_to_clip(CHARACTER, RIG, SOLID, MOTION, [sight], SETTINGS, progress=told.append)
    np.testing.assert_allclose(of_clusters(found.log_youngs_modulus), [3e3, 3e4, 3e5], rtol=0.2)
    assert told == sorted(told) and 0.0 < told[0] < told[-1] <= 1.0


@pytest.mark.slow
def test_the_stage_fits_and_says_so(tmp_path: Path) -> None:
    surface = moved(np.full(len(LABELS), 6e3))
    camera, clip, coverage = filmed(CHARACTER, surface, 96)
    given = {
        "character": CHARACTER,
        "rig": RIG,
        "solid": SOLID,
        "lifted_motion": MOTION,
        "reference_clip": clip,
        "observations": seen_exactly(CHARACTER, camera, surface, coverage),
    }
    inputs = {name: tmp_path / name for name in given}
    for name, record in given.items():
        inputs[name].mkdir()
        record.save(inputs[name])
    camera.save(inputs["reference_clip"])
    (tmp_path / "out").mkdir()
    settings = FemSettings(youngs_modulus=USUAL, fit="clip", fit_evaluations=6, stiffness={"bone2": 0.5})
    result = run(StageContext(settings=settings, inputs=inputs, shot=None, out=tmp_path / "out"))
    assert result.figures["fit_loss_after"] < 0.8 * result.figures["fit_loss_before"]
    assert result.figures["fit_evaluations"] <= 3 * 6 + 1 and "stiffness.png" in result.previews
    # Flesh that the clip shows to swing is not held back.
    assert result.figures["clip_iou_drop"] < 0.0 and result.figures["lead_rounds"] == 0
    found = PointCache.load(tmp_path / "out").stiffness
    assert found[LABELS == 1].mean() == pytest.approx(6e3, rel=0.3)
    assert found[(SOLID.tet_joints == 2)] == pytest.approx(0.5 * USUAL)


def test_clusters_are_halved_where_the_loss_pulls_them_apart() -> None:
    high = SOLID.vertices[SOLID.tets].mean(1)[:, 1] > 0.85
    wanted = moved(np.where(high, 6e3, USUAL))
    options = FitOptions(uniform=False, splits=1, halved=1, evaluations=8, smooth=0.0, near=0.0)
    found = fit_stiffness(by_points(wanted), TOPOLOGY, LABELS, START, options)
    assert found.clusters == (3, 4) and found.losses[2] < 0.5 * found.losses[1]
    soft = np.exp(found.log_youngs_modulus[high]).mean()
    assert soft < 0.6 * np.exp(found.log_youngs_modulus[~high]).mean()


def test_what_is_painted_keeps_its_value() -> None:
    held = LABELS == 1
    options = FitOptions(splits=1, evaluations=4)
    found = fit_stiffness(by_points(moved(TRUTH)), TOPOLOGY, LABELS, START, options, held=held)
    np.testing.assert_array_equal(found.log_youngs_modulus[held], START[held])
    assert (found.labels[held] == -1).all() and (found.labels[~held] >= 0).all()
    assert not np.allclose(found.log_youngs_modulus[~held], START[~held], atol=0.1)


def test_bounds_are_kept() -> None:
    options = FitOptions(bounds=(1e4, 6e4), splits=0, evaluations=10)
    found = fit_stiffness(by_points(moved(TRUTH)), TOPOLOGY, LABELS, START, options)
    young = np.exp(found.log_youngs_modulus)
    assert young.min() >= 1e4 * (1 - 1e-9) and young.max() <= 6e4 * (1 + 1e-9)


def test_derivatives_by_the_solid_of_what_hangs_beside_it() -> None:
    rng = np.random.default_rng(2)
    away = CHARACTER.vertices + 0.05 * rng.normal(size=CHARACTER.vertices.shape).astype(np.float32)
    embedding = Embedding(SOLID, away)
    assert embedding.turns.all()
    positions = SOLID.vertices[None] * np.array([1.2, 0.9, 1.1]) + 0.01 * rng.normal(size=(2, *SOLID.vertices.shape))
    weight, push = rng.normal(size=(2, *away.shape)), rng.normal(size=positions.shape)

    def value(step: float) -> float:
        return float((weight * embedding.surface(positions + step * push)).sum())

    slope = (value(1e-3) - value(-1e-3)) / 2e-3
    assert (embedding.gradient(positions, weight) * push).sum() == pytest.approx(slope, rel=2e-3)  # float32 surface


def test_the_clip_s_loss_is_least_at_the_truth_and_its_slope_is_right() -> None:
    surface = moved(TRUTH)[:3]
    camera, clip, coverage = filmed(CHARACTER, surface, 96)
    sight = sight_of(CHARACTER, camera, clip, seen_exactly(CHARACTER, camera, surface, coverage))
    rng = np.random.default_rng(3)
    push = rng.normal(size=(3, 1, 3)) * np.array([1.0, 1.0, 0.2])
    off = surface + 0.01 * push
    loss = ClipLoss(CHARACTER, [sight], off)
    assert loss(surface)[0] < 0.5 * loss(off)[0]
    step = 2e-3
    slope = (loss(off + step * push)[0] - loss(off - step * push)[0]) / (2.0 * step)
    assert (loss(off)[1] * push).sum() == pytest.approx(slope, rel=0.1)


def test_borders_against_looking_at_every_pair() -> None:
    pairs, shares = borders(TOPOLOGY, LABELS)
    faces = {}
    for number, tet in enumerate(SOLID.tets):
        for left_out in range(4):
            faces.setdefault(frozenset(np.delete(tet, left_out).tolist()), []).append(number)
    inner = [owners for owners in faces.values() if len(owners) == 2]
    for pair, share in zip(pairs.tolist(), shares, strict=True):
        count = sum(sorted(LABELS[owners].tolist()) == pair for owners in inner)
        assert count and share == pytest.approx(count / len(inner))
    assert pairs.tolist() == [[0, 1], [1, 2]]


def test_nothing_is_halved_below_the_least_size() -> None:
    labels = split(TOPOLOGY, LABELS, np.ones(len(LABELS)), most=3, least=len(LABELS))
    np.testing.assert_array_equal(labels, LABELS)
