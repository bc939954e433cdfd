"""A motion from a file in the lift's place: what `studio retarget` writes arrives as it was."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.geometry.bvh import read_bvh
from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.geometry.retarget import retarget
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Motion, Observations, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.delivery.motion_files import write_motion_glb
from studio_pipeline.stages.delivery.rig_files import write_rig
from studio_pipeline.stages.lifted_motion import STAGE
from studio_pipeline.stages.lifted_motion.provided import check_file

FRAMES, FPS = 20, Fraction(24)


@pytest.fixture(scope="module")
def wave(pip: tuple[Character, Rig], repository: Path) -> Motion:
    character, rig = pip
    return retarget(rig, character.vertices, read_bvh(repository / "assets" / "motions" / "wave.bvh"), fps=FPS).motion


def lifted(
    tmp_path: Path, character: Character, rig: Rig, file: Path, *, seen: Motion | None = None, **settings: str
) -> tuple[StageResult, Motion]:
    """Run the backend on a clip that shows the motion ``seen``, or an empty picture."""
    camera = frame_points(character.vertices, width=96, height=96, fill=0.6).at(np.zeros(FRAMES, int))
    masks = np.zeros((FRAMES, 96, 96), np.uint8)
    if seen is not None:
        masks[:] = 255 * (rasterize(skin(character, rig, seen), character.faces, camera).face_ids >= 0)
    observations = Observations(
        masks=masks,
        tracks=np.zeros((FRAMES, 0, 2), np.float32),
        visibility=np.zeros((FRAMES, 0), bool),
        track_faces=np.zeros(0, np.int32),
        track_barycentrics=np.zeros((0, 3), np.float32),
    )
    blank = np.zeros((FRAMES, 96, 96, 3), np.uint8)
    clip = Clip(frames=blank, alpha=None, fps=FPS, first_frame=1001, source="test")
    base = tmp_path / f"run_{len(list(tmp_path.iterdir()))}"
    names = ("character", "rig", "reference_clip", "reference_clip", "observations")  # the clip lies beside its camera
    inputs = {name: base / name for name in names}
    for name, record in zip(names, (character, rig, camera, clip, observations), strict=True):
        inputs[name].mkdir(parents=True, exist_ok=True)
        record.save(inputs[name])
    out = base / "out"
    out.mkdir()
    backend = STAGE.backends["provided"]
    context = StageContext(settings=backend.settings(file=file, **settings), inputs=inputs, shot=None, out=out)
    return backend.load()(context), Motion.load(out)


def skin(character: Character, rig: Rig, motion: Motion) -> np.ndarray:
    return pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, motion))


def test_a_retargeted_motion_arrives_as_it_was(tmp_path: Path, pip, wave: Motion) -> None:
    character, rig = pip
    write_motion_glb(character, rig, wave, tmp_path / "wave.glb", name="wave")
    shown = dataclasses.replace(wave, rotations=wave.rotations[:FRAMES], translations=wave.translations[:FRAMES])
    result, motion = lifted(tmp_path, character, rig, tmp_path / "wave.glb", seen=shown)
    assert (motion.frame_count, motion.fps, motion.first_frame) == (FRAMES, FPS, 1001)
    expected = dataclasses.replace(wave, rotations=wave.rotations[:FRAMES], translations=wave.translations[:FRAMES])
    assert np.abs(skin(character, rig, motion) - skin(character, rig, expected)).max() < 1e-4
    assert tuple(v.name for v in result.verdicts) == STAGE.checks and result.figures["iou_mean"] > 0.99
    assert [v.name for v in result.verdicts if not v.passed] == ["track_residual"]  # there are none
    assert result.figures["joints_moving"] > 8 and next(tmp_path.glob("*/out/preview.png")).stat().st_size > 5_000


def test_a_motion_that_leaves_the_clip_is_told_and_blocks_nothing(tmp_path: Path, pip, wave: Motion) -> None:
    character, rig = pip
    write_motion_glb(character, rig, wave, tmp_path / "wave.glb", name="wave")
    away = wave.translations[:FRAMES] + np.where(np.arange(rig.joint_count) == 0, 1.0, 0.0)[:, None]
    shown = dataclasses.replace(wave, rotations=wave.rotations[:FRAMES], translations=away.astype(np.float32))
    result, _ = lifted(tmp_path, character, rig, tmp_path / "wave.glb", seen=shown)
    told = {v.name: v for v in result.verdicts}
    assert not told["silhouette"].passed and not told["frames_explained"].passed and told["finite"].passed
    assert not any(v.blocking for v in result.verdicts if not v.passed)
    blank, _ = lifted(tmp_path, character, rig, tmp_path / "wave.glb")
    assert not next(v for v in blank.verdicts if v.name == "frames_seen").passed


def test_bones_that_a_dcc_turned_move_the_skin_the_same_way(tmp_path: Path, pip, wave: Motion) -> None:
    """Other joint frames, joints in another order: it is the skin that counts."""
    character, rig = pip
    write_motion_glb(character, rig, wave, tmp_path / "wave.glb", name="wave")
    rng = np.random.default_rng(2)
    turned = rig.rest_world.copy()
    for joint in range(rig.joint_count):
        q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        turned[joint, :3, :3] = q * np.sign(np.linalg.det(q))
    other = dataclasses.replace(rig, rest_world=turned)
    _, motion = lifted(tmp_path, character, other, tmp_path / "wave.glb", animation="wave")
    expected = dataclasses.replace(wave, rotations=wave.rotations[:FRAMES], translations=wave.translations[:FRAMES])
    assert np.abs(skin(character, other, motion) - skin(character, rig, expected)).max() < 1e-4


def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path, pip, wave: Motion) -> None:
    character, rig = pip
    file = tmp_path / "wave.glb"
    write_motion_glb(character, rig, wave, file, name="wave")
    with pytest.raises(InputError, match=r"has no animation 'run' - choose one of: wave"):
        lifted(tmp_path, character, rig, file, animation="run")
    renamed = dataclasses.replace(rig, names=("pelvis", *rig.names[1:]))
    with pytest.raises(InputError, match="has no joint 'pelvis', which the shot's rig has"):
        lifted(tmp_path, character, renamed, file)
    moved = rig.rest_world.copy()
    moved[5, 1, 3] += 0.1
    with pytest.raises(InputError, match="of the diagonal beside the shot's rig"):
        lifted(tmp_path, character, dataclasses.replace(rig, rest_world=moved), file)
    short = dataclasses.replace(wave, rotations=wave.rotations[:5], translations=wave.translations[:5])
    write_motion_glb(character, rig, short, tmp_path / "short.glb", name="short")
    with pytest.raises(InputError, match=r"plays for 0\.167 s, the shot for 0\.792 s"):
        lifted(tmp_path, character, rig, tmp_path / "short.glb")
    write_rig(character, rig, tmp_path / "still.glb")
    for call in (
        lambda: lifted(tmp_path, character, rig, tmp_path / "still.glb"),
        lambda: check_file(tmp_path / "still.glb", None),
    ):  # pyright: ignore
        with pytest.raises(InputError, match="has no animation"):
            call()
