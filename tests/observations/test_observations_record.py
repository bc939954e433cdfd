"""The record of observations: old files load, late tracks are bound to the surface under their birth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.geometry.cameras import frame_points, project
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.arrays import load_arrays, load_json, save_arrays, save_json
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Observations
from studio_pipeline.stages.observations.binding import bind_tracks

SIZE, FRAMES = 64, 3


def _plain() -> Observations:
    return Observations(
        masks=np.zeros((FRAMES, SIZE, SIZE), np.uint8),
        tracks=np.ones((FRAMES, 2, 2), np.float32),
        visibility=np.ones((FRAMES, 2), bool),
        track_faces=np.arange(2, dtype=np.int32),
        track_barycentrics=np.full((2, 3), 1 / 3, np.float32),
    )


def test_a_record_of_an_earlier_version_loads(tmp_path: Path) -> None:
    _plain().save(tmp_path)
    old = load_arrays(tmp_path / "observations.npz")
    save_arrays(
        tmp_path / "observations.npz",
        **{name: value for name, value in old.items() if not name.startswith(("late_", "track_births"))},
    )
    rest = load_json(tmp_path / "observations.json")
    del rest["depth_kind"]
    save_json(tmp_path / "observations.json", rest)
    back = Observations.load(tmp_path)
    assert back.track_births.tolist() == [0, 0] and back.depth_kind == "metric"
    assert back.late_tracks.shape == (FRAMES, 0, 2) and back.late_visibility.shape == (FRAMES, 0)


def test_late_tracks_survive_saving(tmp_path: Path) -> None:
    late = replace(
        _plain(),
        late_tracks=np.full((FRAMES, 1, 2), 3.5, np.float32),
        late_visibility=np.array([[False], [True], [True]]),
        late_births=np.array([1], np.int32),
    )
    late.save(tmp_path)
    back = Observations.load(tmp_path)
    for name in ("late_tracks", "late_visibility", "late_births"):
        np.testing.assert_array_equal(getattr(back, name), getattr(late, name))


def test_late_tracks_are_bound_where_the_surface_was() -> None:
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.5)
    faces = np.asarray(mesh.faces, np.int32)
    vertices = np.asarray(mesh.vertices, np.float32)[None] + np.linspace(0, 0.3, FRAMES)[:, None, None] * [1, 0, 0]
    camera = frame_points(vertices.reshape(-1, 3), width=SIZE, height=SIZE).at(np.zeros(FRAMES, dtype=int))
    raster = rasterize(vertices.astype(np.float32), faces, camera)
    rows, columns = np.nonzero(raster.face_ids[2] >= 0)
    pixels = np.stack([columns, rows], axis=-1)[::97] + 0.5
    pixels = np.concatenate([pixels, [[0.5, 0.5]]])  # this one lies on the background
    late = replace(
        _plain(),
        late_tracks=np.repeat(pixels[None], FRAMES, axis=0).astype(np.float32),
        late_visibility=np.repeat([[False], [False], [True]], len(pixels), axis=1),
        late_births=np.full(len(pixels), 2, np.int32),
    )
    bound = bind_tracks(late, raster.face_ids, raster.barycentrics)
    assert bound.tracks.shape[1] == 2 + len(pixels) - 1 and not bound.late_tracks.size
    assert bound.track_births.tolist() == [0, 0] + [2] * (len(pixels) - 1)
    points = (vertices[:, faces[bound.track_faces]] * bound.track_barycentrics[..., None]).sum(2)
    seen = project(camera, points)[0][2, 2:]
    np.testing.assert_allclose(seen, pixels[:-1], atol=2e-3)
    assert late.late_tracks.shape[1] == len(pixels)  # the argument is as it was
    assert bind_tracks(bound, raster.face_ids, raster.barycentrics) is bound
    with pytest.raises(InputError, match="don't fit masks"):
        bind_tracks(late, raster.face_ids[:2], raster.barycentrics[:2])
