"""Tetrahedral bookkeeping against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from studio_pipeline.geometry.tetmesh import (
    barycentrics,
    boundary_faces,
    embed_points,
    pieces,
    tet_quality,
    tet_volumes,
    used_vertices,
)

CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
FIVE = np.array([[0, 4, 2, 1], [3, 1, 2, 7], [5, 4, 1, 7], [6, 2, 4, 7], [1, 4, 2, 7]])


def cube() -> np.ndarray:
    flip = tet_volumes(CUBE, FIVE) < 0
    return np.where(flip[:, None], FIVE[:, [0, 2, 1, 3]], FIVE)


def test_volumes_fill_the_cube() -> None:
    volumes = tet_volumes(CUBE, cube())
    assert (volumes > 0).all() and volumes.sum() == pytest.approx(1.0)


def test_boundary_is_closed_and_looks_outside() -> None:
    faces, owners = boundary_faces(cube())
    assert len(faces) == 12 and set(owners) == {0, 1, 2, 3}
    a, b, c = (CUBE[faces[:, k]] for k in range(3))
    assert np.einsum("fa,fa->", a, np.cross(b, c)) / 6 == pytest.approx(1.0)
    assert (np.einsum("fa,fa->f", np.cross(b - a, c - a), a - 0.5) > 0).all()


def test_regular_tetrahedron_has_quality_one() -> None:
    regular = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=float)
    assert abs(tet_quality(regular, np.array([[0, 1, 2, 3]]))[0]) == pytest.approx(1.0)


def test_points_come_back_inside_and_outside() -> None:
    points = np.random.default_rng(0).uniform(-0.3, 1.3, (500, 3))
    carrier, shares, distance = embed_points(CUBE, cube(), points)
    back = np.einsum("nc,nca->na", shares, CUBE[cube()[carrier]])
    assert np.abs(back - points).max() < 1e-12
    apart = np.linalg.norm(points - np.clip(points, 0, 1), axis=1)
    assert np.abs(distance - apart).max() < 1e-12
    assert (shares[apart == 0].min(1) > -1e-9).all()


def test_pieces_and_unused_vertices() -> None:
    far = np.vstack([[[9.0, 9, 9]], CUBE, CUBE + 5.0])
    vertices, tets = used_vertices(far, np.vstack([cube() + 1, cube() + 9]))
    assert len(vertices) == 16
    count, piece = pieces(tets, len(vertices))
    assert count == 2 and (piece == np.repeat([0, 1], 5)).all()


def test_barycentrics_sum_to_one() -> None:
    shares = barycentrics(CUBE, cube(), np.full((5, 3), 0.4))
    assert np.allclose(shares.sum(-1), 1.0)


def test_embedding_agrees_with_trying_every_tetrahedron() -> None:
    rng = np.random.default_rng(4)
    vertices, tets = (
        np.vstack([CUBE, CUBE + np.array([1.0, 0, 0]), CUBE + np.array([0, 1.0, 0])]),
        np.vstack([cube(), cube() + 8, cube() + 16]),
    )
    points = rng.uniform(-0.2, 2.2, (400, 3))
    everywhere = barycentrics(vertices, tets[None], points[:, None]).min(-1)
    inside = everywhere.max(1) > 1e-9
    assert 0.1 < inside.mean() < 0.9
    carrier, shares, distance = embed_points(vertices, tets, points)
    assert ((distance > 0) == ~inside).all()
    assert (shares[inside].min(1) > 0).all() and (everywhere[np.arange(400), carrier][inside] > 0).all()
