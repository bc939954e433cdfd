from __future__ import annotations

import hashlib
import pickle
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.schema.arrays import load_arrays, save_arrays
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Motion, Observations


def motion(first: int = 1001) -> Motion:
    rng = np.random.default_rng(5)
    return Motion(
        rotations=rng.normal(size=(3, 4, 6)).astype(np.float32),
        translations=rng.normal(size=(3, 4, 3)).astype(np.float32),
        fps=Fraction(24000, 1001),
        first_frame=first,
    )


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    motion().save(tmp_path)
    back = Motion.load(tmp_path)
    np.testing.assert_array_equal(back.rotations, motion().rotations)
    assert back.fps == Fraction(24000, 1001) and back.first_frame == 1001


def test_equal_records_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        motion().save(tmp_path / name)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_numpy_reads_our_arrays(tmp_path: Path) -> None:
    # numpy.load is the independent reader of the archive format that we write by hand.
    values = {"x": np.arange(12, dtype=np.int32).reshape(3, 4), "y": np.array([True, False])}
    save_arrays(tmp_path / "a.npz", **values, absent=None)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as data:
        assert sorted(data.files) == ["x", "y"]
        np.testing.assert_array_equal(data["x"], values["x"])


def test_a_pickle_named_as_arrays_is_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "a.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError):
        load_arrays(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=np.array([Bomb()], dtype=object))
    with pytest.raises(InputError):
        load_arrays(tmp_path / "b.npz")
    assert not (tmp_path / "ran").exists()


def test_an_array_that_declares_gigabytes_is_refused(tmp_path: Path) -> None:
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header.ljust(127) + b"\n")
    with pytest.raises(InputError):
        load_arrays(tmp_path / "a.npz")


def test_compressed_arrays_are_unpacked_as_far_as_is_allowed(tmp_path: Path) -> None:
    path, values = tmp_path / "a.npz", np.zeros((64, 1024))
    np.savez_compressed(path, x=values)
    assert path.stat().st_size < 4096
    with pytest.raises(InputError, match="holds compressed arrays"):
        load_arrays(path)
    with pytest.raises(InputError, match="unpacks to more than 0 MB"):
        load_arrays(path, unpacked=values.nbytes)  # its header counts too
    assert np.array_equal(load_arrays(path, unpacked=values.nbytes + 200)["x"], values)


def test_missing_and_unknown_fields_are_named(tmp_path: Path) -> None:
    motion().save(tmp_path)
    save_arrays(tmp_path / "motion.npz", rotations=motion().rotations)
    with pytest.raises(InputError, match="translations"):
        Motion.load(tmp_path)
    save_arrays(
        tmp_path / "motion.npz", rotations=motion().rotations, translations=motion().translations, extra=np.zeros(1)
    )
    with pytest.raises(InputError, match="extra"):
        Motion.load(tmp_path)


def test_observations_keep_their_sources(tmp_path: Path) -> None:
    observations = Observations(
        masks=np.zeros((1, 4, 4), np.uint8),
        tracks=np.zeros((1, 2, 2), np.float32),
        visibility=np.ones((1, 2), bool),
        track_faces=np.zeros(2, np.int32),
        track_barycentrics=np.full((2, 3), 1 / 3, np.float32),
        sources={"masks": "alpha", "depth": "none"},
    )
    observations.save(tmp_path)
    back = Observations.load(tmp_path)
    assert back.sources == {"masks": "alpha", "depth": "none"} and back.depth is None


@pytest.mark.parametrize("with_alpha", [False, True])
def test_a_clip_keeps_every_pixel(tmp_path: Path, with_alpha: bool) -> None:
    rng = np.random.default_rng(2)
    clip = Clip(
        frames=rng.integers(0, 256, (3, 6, 8, 3), dtype=np.uint8),
        alpha=rng.integers(0, 256, (3, 6, 8), dtype=np.uint8) if with_alpha else None,
        depth=rng.random((3, 6, 8)).astype(np.float32),
        fps=Fraction(24),
        first_frame=997,
        source="plate",
    )
    clip.save(tmp_path)
    back = Clip.load(tmp_path)
    assert (tmp_path / "frames" / "0997.png").exists()
    np.testing.assert_array_equal(back.frames, clip.frames)
    np.testing.assert_array_equal(back.depth, clip.depth)
    assert (back.alpha is not None) == with_alpha
    if clip.alpha is not None:
        np.testing.assert_array_equal(back.alpha, clip.alpha)
