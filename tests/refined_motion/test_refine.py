"""The stage: what it delivers, what it says when the solver gives up, and bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.filming import filmed, seen_exactly

from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.physics.embedding import Embedding, blend_weights
from studio_pipeline.physics.intersections import SelfIntersections
from studio_pipeline.physics.scenes import bar_character, bar_rig, bar_solid, box, swing
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import PointCache
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.refined_motion import STAGE
from studio_pipeline.stages.refined_motion.fem import refine, run
from studio_pipeline.stages.refined_motion.judge import judge
from studio_pipeline.stages.refined_motion.settings import FemSettings

SOLID = bar_solid(2, 4)
CHARACTER = bar_character(SOLID)
RIG = bar_rig(4, CHARACTER.vertices)


def test_first_frame_is_the_rest_pose_and_the_body_follows() -> None:
    result = refine(CHARACTER, RIG, SOLID, swing(10))
    points = result.points.points
    assert points.shape == (10, len(CHARACTER.vertices), 3) and points.dtype == np.float32
    np.testing.assert_array_equal(points[0], CHARACTER.vertices)
    away = np.linalg.norm(points - result.skinned, axis=-1)
    assert 1e-4 < away.max() < 0.1
    assert not result.points.fallback.any()
    assert all(verdict.passed for verdict in judge(result.report))
    assert result.report.figures["max_displacement_m"] == pytest.approx(away.max(), abs=1e-6)


def test_a_start_away_from_rest_settles_onto_the_first_pose() -> None:
    motion = swing(12)
    later = replace(motion, rotations=motion.rotations[4:], translations=motion.translations[4:])
    result = refine(CHARACTER, RIG, SOLID, later)
    assert not result.points.fallback.any()
    assert np.linalg.norm(result.points.points[0] - result.skinned[0], axis=-1).max() < 0.03
    assert np.abs(result.skinned[0] - CHARACTER.vertices).max() > 0.2


def test_gravity_sags_during_the_preroll_and_stays() -> None:
    still = swing(4, degrees=0.0, travel=0.0)
    settings = FemSettings(gravity=9.81, preroll=4, youngs_modulus=2e4, attachment=1.0)
    points = refine(CHARACTER, RIG, SOLID, still, settings).points.points
    sag = CHARACTER.vertices[:, 1] - points[:, :, 1]
    assert sag[0].max() > 1e-3
    assert np.abs(points[3] - points[0]).max() < 1e-4


def test_the_same_bytes_twice() -> None:
    first, second = (refine(CHARACTER, RIG, SOLID, swing(6)).points.points.tobytes() for _ in range(2))
    assert first == second


def test_where_the_solver_gives_up_the_skinned_pose_stands_in() -> None:
    settings = FemSettings(max_iterations=2, max_halvings=0, blend_frames=2, tolerance=1e-7)
    motion = swing(16, degrees=5.0, travel=0.05)
    wild = motion.translations.copy()
    wild[8, 2] = [0.0, 2.0, 1.0]
    result = refine(CHARACTER, RIG, SOLID, replace(motion, translations=wild), settings)
    fallback = result.points.fallback
    assert fallback[8]
    np.testing.assert_array_equal(result.points.points[fallback], result.skinned[fallback])
    verdicts = {verdict.name: verdict for verdict in judge(result.report)}
    assert not verdicts["solver_converged"].passed and not verdicts["solver_converged"].blocking
    assert "1009" in verdicts["solver_converged"].message
    assert verdicts["no_inverted_tetrahedra"].passed and verdicts["finite"].passed


def test_blending_eases_in_and_out_of_the_stand_in() -> None:
    failed = np.zeros(12, dtype=bool)
    failed[5:7] = True
    share = blend_weights(failed, 3)
    assert (share[5:7] == 1.0).all() and share[1] == 0.0 and share[10] == 0.0
    assert (np.diff(share[1:6]) > 0.0).all() and (np.diff(share[6:11]) < 0.0).all()
    assert not blend_weights(np.zeros(4, dtype=bool), 3).any()


def test_embedding_keeps_detail_that_the_solid_lacks() -> None:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    bumpy = CHARACTER.vertices + 0.01 * rng.normal(size=CHARACTER.vertices.shape).astype(np.float32)
    posed = np.stack([SOLID.vertices.astype(float), SOLID.vertices @ turn.T + [1.0, 2.0, 3.0]])
    surface = Embedding(SOLID, bumpy).surface(posed)
    np.testing.assert_array_equal(surface[0], bumpy)
    np.testing.assert_allclose(surface[1], bumpy @ turn.T + [1.0, 2.0, 3.0], atol=1e-5)


def test_self_intersections_are_counted() -> None:
    # A unit spike through a flat square of two triangles: it crosses exactly one of them.
    square = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    spike = np.array([[1.5, 0.5, -1.0], [1.5, 0.6, 1.0], [1.6, 0.5, 1.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6]])
    vertices = np.concatenate([square, spike])
    assert SelfIntersections(vertices, faces).count(vertices) == 1
    lifted = np.concatenate([square, spike + np.array([0.0, 0.0, 1.5])])
    assert SelfIntersections(vertices, faces).count(lifted) == 0
    assert SelfIntersections(CHARACTER.vertices, CHARACTER.faces).count(CHARACTER.vertices) == 0


def test_self_intersections_agree_with_trying_every_pair() -> None:
    rng = np.random.default_rng(7)
    vertices = rng.normal(size=(120, 3))
    faces = np.arange(120).reshape(-1, 3)
    found = 0
    for i in range(len(faces)):
        for j in range(i):
            a, b = vertices[faces[i]], vertices[faces[j]]
            found += _cut(a, b) or _cut(b, a)
    assert SelfIntersections(vertices, faces).count(vertices) == found > 20


def _cut(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether an edge of triangle a passes through b, by solving for the point."""
    for p, q in ((0, 1), (1, 2), (2, 0)):
        matrix = np.stack([a[q] - a[p], b[0] - b[1], b[0] - b[2]], axis=1)
        t, u, v = np.linalg.solve(matrix, b[0] - a[p])
        if 0 < t < 1 and u > 0 and v > 0 and u + v < 1:
            return True
    return False


def context(folder: Path, motion=None, **settings: float) -> StageContext:
    motion = motion or swing(8)
    skinned = pose_vertices(CHARACTER.vertices, RIG.weights, skinning_transforms(RIG, motion))
    camera, _, coverage = filmed(CHARACTER, skinned, 64)
    records = {
        "character": CHARACTER,
        "rig": RIG,
        "solid": SOLID,
        "lifted_motion": motion,
        "reference_clip": camera,
        "observations": seen_exactly(CHARACTER, camera, skinned, coverage),
    }
    inputs = {}
    for name, record in records.items():
        inputs[name] = folder / name
        inputs[name].mkdir(parents=True)
        record.save(inputs[name])
    out = folder / "out"
    out.mkdir()
    return StageContext(settings=FemSettings(**settings), inputs=inputs, shot=None, out=out)


def test_the_stage_writes_its_payload_and_gives_every_verdict(tmp_path: Path) -> None:
    first, second = context(tmp_path / "a"), context(tmp_path / "b")
    result = run(first)
    run(second)
    cache = PointCache.load(first.out)
    assert cache.frame_count == 8 and cache.first_frame == 1001 and (cache.stiffness == cache.stiffness[0]).all()
    assert tuple(verdict.name for verdict in result.verdicts) == STAGE.checks
    assert (
        result.figures["clip_iou_drop"] <= 0.004 < result.figures["clip_iou_drop_free"]
        and result.figures["clip_iou"] > 0.9
    )
    assert set(result.previews) <= {path.name for path in first.out.iterdir()}
    picture = cv2.imread(str(first.out / "refined.png"))
    assert picture.std() > 5.0
    files = sorted(path.name for path in first.out.iterdir())
    assert files == sorted(path.name for path in second.out.iterdir())
    for name in files:
        assert (first.out / name).read_bytes() == (second.out / name).read_bytes(), name


@pytest.mark.parametrize("what", ["nan", "degenerate", "joints", "surface", "volume", "empty"])
def test_bad_input_is_one_clear_line(what: str) -> None:
    motion, solid, character = swing(4), SOLID, CHARACTER
    if what == "nan":
        rotations = motion.rotations.copy()
        rotations[2, 1, 0] = np.nan
        motion = replace(motion, rotations=rotations)
    elif what == "degenerate":
        motion = replace(motion, rotations=np.zeros_like(motion.rotations))
    elif what == "joints":
        motion = swing(4, joints=3)
    elif what == "surface":
        character = bar_character(bar_solid(1, 4))
    elif what == "volume":
        solid = replace(solid, tets=solid.tets[:, [1, 0, 2, 3]])
    else:
        motion = swing(0)
    with pytest.raises(InputError) as error:
        refine(character, RIG, solid, motion)
    assert "\n" not in str(error.value)


def test_intersections_ignore_seams() -> None:
    # The same cube with every face's corners repeated: a seam is no intersection.
    vertices, _ = box((1, 1, 1), (1.0, 1.0, 1.0))
    faces = np.array([[0, 1, 3], [0, 3, 2], [4, 7, 5], [4, 6, 7], [0, 5, 1], [0, 4, 5]])
    seams = vertices[faces].reshape(-1, 3)
    assert SelfIntersections(seams, np.arange(18).reshape(-1, 3)).count(seams) == 0
