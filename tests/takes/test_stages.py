"""The stages `takes` and `reference_clip`, run on folders as the line runs them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.stages import reference_clip, take_report, takes
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.takes.checks import judge
from studio_pipeline.stages.takes.looks import look_of

FRAMES = 16


def run(stage, backend, inputs, shot, out: Path, **settings):
    out.mkdir(parents=True)
    made = stage.backends[backend]
    context = StageContext(settings=made.settings(**settings), inputs=inputs, shot=shot, out=out)
    return made.load()(context)


def payload(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def previz(inputs, shot, tmp_path: Path):
    folders = inputs("biped", FRAMES, {"motion.performance": "walk"})
    return folders, run(takes.STAGE, "previz", folders, shot(FRAMES), tmp_path / "a"), tmp_path / "a"


def test_previz_writes_a_clip_with_alpha_and_no_motion(previz, shot, tmp_path: Path) -> None:
    folders, result, out = previz
    clip = Clip.load(out / "take_000")
    assert clip.frame_count == FRAMES and clip.size == (96, 96) and clip.fps == 24 and clip.first_frame == 1001
    assert clip.alpha is not None and clip.depth is None and clip.source == "previz"
    assert tuple(v.name for v in result.verdicts) == takes.STAGE.checks and all(v.passed for v in result.verdicts)
    record = json.loads((out / "takes.json").read_text())["takes"][0]
    assert record["obeyed"] == ["motion.performance=walk"] and record["not_obeyed"] == []
    files = payload(out)
    kinds = {Path(name).suffix for name in files}
    assert kinds == {".json", ".png", ".mp4"}, "arrays would carry the motion downstream"
    assert {name.split("/")[0] for name in files} == {"takes.json", "take_000", "take_000.png", "take_000.mp4"}
    # The same again gives the same bytes.
    run(takes.STAGE, "previz", folders, shot(FRAMES), tmp_path / "b")
    assert payload(tmp_path / "b") == files


def test_index_0_is_the_rest_silhouette(previz) -> None:
    from studio_pipeline.render.raster import rasterize
    from studio_pipeline.schema.records import Character

    folders, _, out = previz
    character, camera = Character.load(folders["character"]), CameraPath.load(folders["canonical_view"])
    rest = rasterize(character.vertices[None], character.faces, camera.at([0])).face_ids[0] >= 0
    alpha = Clip.load(out / "take_000").alpha
    assert alpha is not None
    seen, square = alpha[0] > 127, np.ones((3, 3), np.uint8)
    assert not (seen & ~cv2.dilate(rest.astype(np.uint8), square).astype(bool)).any()
    assert not (rest & ~cv2.dilate(seen.astype(np.uint8), square).astype(bool)).any()


def test_the_reference_clip_is_the_take(previz, tmp_path: Path) -> None:
    folders, _, out = previz
    report = run(take_report.STAGE, "judge", {**folders, "takes": out}, None, tmp_path / "report")
    assert report.verdicts[0].passed
    given = {**folders, "takes": out, "take_report": tmp_path / "report"}
    result = run(reference_clip.STAGE, "best", given, None, tmp_path / "clip")
    chosen, take = Clip.load(tmp_path / "clip"), Clip.load(out / "take_000")
    assert np.array_equal(chosen.frames, take.frames) and np.array_equal(chosen.alpha, take.alpha)  # pyright: ignore
    assert json.loads((tmp_path / "clip" / "choice.json").read_text())["folder"] == "take_000"
    shown, own = (CameraPath.load(folder) for folder in (tmp_path / "clip", folders["canonical_view"]))
    assert np.array_equal(shown.world_to_camera, own.world_to_camera) and np.array_equal(shown.focal, own.focal)
    assert (tmp_path / "clip" / "clip.mp4").stat().st_size > 0 and result.figures["frames"] == FRAMES


def test_a_take_that_was_seen_by_a_camera_of_its_own_brings_it_along(previz, tmp_path: Path) -> None:
    folders, _, out = previz
    shutil.copytree(out, tmp_path / "takes")
    camera = CameraPath.load(folders["canonical_view"])
    nearer = dataclasses.replace(camera, focal=camera.focal * 1.5)
    nearer.save(tmp_path / "takes" / "take_000")
    report = run(take_report.STAGE, "judge", {**folders, "takes": tmp_path / "takes"}, None, tmp_path / "report")
    assert report.verdicts[0].passed
    inputs = {**folders, "takes": tmp_path / "takes", "take_report": tmp_path / "report"}
    run(reference_clip.STAGE, "best", inputs, None, tmp_path / "clip")
    assert np.array_equal(CameraPath.load(tmp_path / "clip").focal, nearer.focal)


def moving(count: int = FRAMES, size: int = 96) -> np.ndarray:
    frames = np.full((count, size, size, 3), 200, np.uint8)
    for index, frame in enumerate(frames):
        cv2.circle(frame, (30 + 2 * index, 48), 20, (180, 60, 40), -1)
    return frames


def pictures(folder: Path, frames: np.ndarray) -> Path:
    folder.mkdir()
    for index, frame in enumerate(frames):
        cv2.imwrite(
            str(folder / f"p.{index + 1:04d}.png"), np.ascontiguousarray(frame[..., [2, 1, 0, 3][: frame.shape[-1]]])
        )
    return folder


def test_plates_keep_their_pixels(inputs, shot, tmp_path: Path) -> None:
    folders, frames = inputs("ball", FRAMES, {}), moving()
    result = run(
        takes.STAGE, "plate", folders, shot(FRAMES), tmp_path / "a", file=pictures(tmp_path / "in_png", frames)
    )
    assert np.array_equal(Clip.load(tmp_path / "a" / "take_000").frames, frames) and all(
        v.passed for v in result.verdicts
    )
    write_mp4(tmp_path / "p.mp4", frames, Fraction(24))
    run(takes.STAGE, "plate", folders, shot(FRAMES), tmp_path / "b", file=tmp_path / "p.mp4")
    close = np.abs(Clip.load(tmp_path / "b" / "take_000").frames.astype(int) - frames)
    assert close.mean() < 2.0
    assert str(tmp_path) not in (tmp_path / "a" / "takes.json").read_text()


def test_a_plates_z_pass_is_kept_or_refused(inputs, shot, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 255, (FRAMES, 96, 96, 3), dtype=np.uint8)
    plate, folders = pictures(tmp_path / "in", frames), inputs("ball", FRAMES, {})
    depth = rng.uniform(2.0, 3.0, (FRAMES, 96, 96)).astype(np.float32)
    depth[:, :10] = np.nan
    np.savez(tmp_path / "z.npz", depth=depth)
    run(takes.STAGE, "plate", folders, shot(FRAMES), tmp_path / "a", file=plate, depth=tmp_path / "z.npz")
    np.testing.assert_array_equal(Clip.load(tmp_path / "a" / "take_000").depth, depth)
    np.savez_compressed(tmp_path / "half.npz", depth=-depth[:, ::2, ::2])
    half = {"depth": tmp_path / "half.npz", "depth_kind": "inverse"}
    run(takes.STAGE, "plate", folders, shot(FRAMES), tmp_path / "half", file=plate, **half)
    clip = Clip.load(tmp_path / "half" / "take_000")
    assert clip.depth_kind == "inverse"
    np.testing.assert_array_equal(clip.depth, -depth[:, ::2, ::2])
    for number, (arrays, said) in enumerate(
        [
            ({"depth": depth[:, :48]}, "shape"),
            ({"depth": depth[1:]}, "shape"),
            ({"z": depth}, "no array 'depth'"),
            ({"depth": -depth}, "in front of the camera"),
        ]
    ):
        np.savez(tmp_path / "bad.npz", **arrays)
        with pytest.raises(InputError, match=said):
            run(
                takes.STAGE,
                "plate",
                folders,
                shot(FRAMES),
                tmp_path / f"b{number}",
                file=plate,
                depth=tmp_path / "bad.npz",
            )


def test_transparent_plates_are_seen_over_a_colour(inputs, shot, tmp_path: Path) -> None:
    cover = np.zeros((FRAMES, 96, 96, 1), np.uint8)
    cover[:, 20:60, 20:60] = 255
    frames = np.concatenate([moving(), cover], axis=-1)
    settings = {"file": pictures(tmp_path / "png", frames), "background": (10, 20, 30)}
    run(
        takes.STAGE,
        "plate",
        inputs("ball", FRAMES, {"motion.performance": "hold"}),
        shot(FRAMES),
        tmp_path / "a",
        **settings,
    )
    clip = Clip.load(tmp_path / "a" / "take_000")
    assert clip.alpha is not None and np.array_equal(clip.alpha[3], cover[3, ..., 0])
    assert tuple(clip.frames[0, 0, 0]) == (10, 20, 30) and np.array_equal(
        clip.frames[0, 20:60, 20:60], frames[0, 20:60, 20:60, :3]
    )


def test_larger_plates_of_the_same_shape_are_scaled_down(inputs, shot, tmp_path: Path) -> None:
    big = np.repeat(np.repeat(moving(), 2, 1), 2, 2)
    result = run(
        takes.STAGE,
        "plate",
        inputs("ball", FRAMES, {}),
        shot(FRAMES),
        tmp_path / "a",
        file=pictures(tmp_path / "png", big),
    )
    assert result.figures["scaled"] == 0.5
    assert np.array_equal(Clip.load(tmp_path / "a" / "take_000").frames, moving())


@pytest.mark.parametrize(
    ("frames", "fps", "expected"),
    [
        (moving(FRAMES + 1), 24, "has 17 frames, expected 16"),
        (moving(FRAMES - 1), 24, "has 15 frames, expected 16"),
        (moving(size=64), 24, "set resolution: \\[64, 64\\]"),
        (np.concatenate([moving(), moving()], axis=1), 24, "is 96 x 192 pixels, the shot 96 x 96"),
        (moving(), 30, "plays at 30 frames a second, the shot at 24"),
    ],
)
def test_plates_that_do_not_fit(inputs, shot, tmp_path: Path, frames: np.ndarray, fps: int, expected: str) -> None:
    write_mp4(tmp_path / "p.mp4", frames, Fraction(fps))
    with pytest.raises(InputError, match=expected):
        run(takes.STAGE, "plate", inputs("ball", FRAMES, {}), shot(FRAMES), tmp_path / "a", file=tmp_path / "p.mp4")
    assert not list((tmp_path / "a").iterdir())


def verdicts(frames: np.ndarray, directed, alpha: np.ndarray | None = None, performance: str = "walk"):
    clip = Clip(frames=frames, alpha=alpha, fps=Fraction(24), first_frame=1)
    return {v.name: v for v in judge(clip, directed({"motion.performance": performance}))[1]}


@pytest.mark.parametrize("colour", [0, 255, 130])
def test_collapsed_clips_are_found(directed, colour: int) -> None:
    good = moving()
    assert verdicts(good, directed)["not_collapsed"].passed
    bad = good.copy()
    bad[6:12] = colour
    found = verdicts(bad, directed)["not_collapsed"]
    assert not found.passed and found.blocking and "first at index 6" in found.message
    noisy = bad + np.random.default_rng(0).integers(0, 2, bad.shape, dtype=np.uint8) * (colour < 255)
    assert not verdicts(noisy.astype(np.uint8), directed)["not_collapsed"].passed


def test_a_subject_that_vanishes_is_found(directed) -> None:
    frames = moving()
    alpha = np.where(np.abs(frames[..., 0].astype(int) - 180) < 5, 255, 0).astype(np.uint8)
    assert verdicts(frames, directed, alpha)["not_collapsed"].passed
    gone = alpha.copy()
    gone[5:] = 0
    assert not verdicts(frames, directed, gone)["not_collapsed"].passed
    plain = frames.copy()
    plain[5:] = np.linspace(190, 210, 96).astype(np.uint8)[:, None, None]
    assert not verdicts(plain, directed)["not_collapsed"].passed


def test_frozen_clips_are_found_and_holds_may_be_still(directed) -> None:
    still = np.repeat(moving()[:1], FRAMES, 0)
    noise = np.random.default_rng(0).integers(-4, 5, still.shape)
    for frames in (still, np.clip(still + noise, 0, 255).astype(np.uint8)):
        frozen = verdicts(frames, directed)["not_frozen"]
        assert not frozen.passed and frozen.blocking
        assert not verdicts(frames, directed, performance="hold")["not_frozen"].blocking


def test_style_directives_change_the_look(directed) -> None:
    plain = look_of(directed({}), 256)
    assert plain.shading == "toon" and plain.outline_px is None
    assert look_of(directed({"style.shading": "flat", "style.line": "none"}), 256).outline_px == 0.0
    thick, thin = (look_of(directed({"style.line": value}), 256).outline_px for value in ("thick", "thin"))
    assert thick is not None and thin is not None and thick > thin > 0.0
