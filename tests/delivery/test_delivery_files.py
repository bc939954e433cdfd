"""The whole delivery: every file there, the same bytes each time, and gates that notice damage."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.delivery import STAGE
from studio_pipeline.stages.delivery.checks import glb_conforms, opens
from studio_pipeline.stages.delivery.files import deliver, run
from studio_pipeline.stages.delivery.glb_reading import GlbFile
from studio_pipeline.stages.delivery.settings import DeliverySettings

SHOT = "demo_010_0010"


def quiet(*_):
    pass


@pytest.fixture(scope="module")
def delivered(make_scene, tmp_path_factory):
    scene = make_scene(fps=Fraction(24000, 1001))
    folder = tmp_path_factory.mktemp("delivered")
    return scene, folder, deliver(scene, folder, DeliverySettings(), quiet)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_promised_file_is_there(delivered):
    _, folder, result = delivered
    frames = [f"frames/{SHOT}.{number}.png" for number in range(1000, 1009)]
    files = [f"{SHOT}.glb", f"{SHOT}.mp4", f"{SHOT}.usd", f"{SHOT}_refined.glb", f"textures/{SHOT}_albedo.png"]
    assert sorted(contents(folder)) == sorted(frames + files)
    assert tuple(v.name for v in result.verdicts) == STAGE.checks
    assert all(v.passed for v in result.verdicts), result.verdicts
    assert all((folder / name).exists() for name in result.previews)
    assert result.figures["fps"] == "24000/1001" and result.figures["frames"] == 9


def test_mp4_and_frames_show_the_same(delivered):
    scene, folder, _ = delivered
    with av.open(str(folder / f"{SHOT}.mp4")) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == Fraction(24000, 1001)
        frames = [f.to_ndarray(format="rgb24", src_colorspace="ITU709") for f in video.decode(video=0)]
    assert len(frames) == 9
    for index in (0, 8):
        picture = cv2.imread(str(folder / "frames" / f"{SHOT}.{1000 + index}.png"), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (scene.camera.height, scene.camera.width, 3)
        assert np.abs(picture[..., ::-1].astype(int) - frames[index]).mean() < 6.0
        assert picture[0, 0, ::-1].tolist() == [236, 238, 242]


def test_same_scene_same_bytes(delivered, tmp_path):
    scene, folder, _ = delivered
    again = replace(scene)
    deliver(again, tmp_path, DeliverySettings(), quiet)
    assert contents(tmp_path) == contents(folder)


def test_same_bytes_from_another_process(delivered, tmp_path):
    scene, folder, _ = delivered
    for name in ("character", "rig", "reference_clip", "lifted_motion", "refined_motion", "out"):
        (tmp_path / name).mkdir()
    scene.character.save(tmp_path / "character")
    scene.rig.save(tmp_path / "rig")
    scene.camera.save(tmp_path / "reference_clip")
    scene.motion.save(tmp_path / "lifted_motion")
    scene.cache.save(tmp_path / "refined_motion")
    code = f"""
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.delivery.files import run
from studio_pipeline.stages.delivery.settings import DeliverySettings
home = Path(sys.argv[1])
shot = SimpleNamespace(id="{SHOT}", fps=Fraction(24000, 1001), frames=(1001, 1007), handles=1, resolution=(96, 128))
names = ("character", "rig", "reference_clip", "lifted_motion", "refined_motion")
inputs = {{n: home / n for n in names}}
result = run(StageContext(settings=DeliverySettings(), inputs=inputs, shot=shot, out=home / "out"))
assert all(v.passed for v in result.verdicts), result.verdicts
"""
    environment = {"PYTHONHASHSEED": "77", "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment, timeout=120)
    assert contents(tmp_path / "out") == contents(folder)


def test_mp4_bytes_are_the_same_every_time(tmp_path):
    # 96 px wide noise made x264's macroblock tree read memory that nobody wrote.
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 255, (6, 24, 14, 3), dtype=np.uint8), 7, 1), 7, 2)[:, :160, :96]
    seen = set()
    for _ in range(12):
        litter = [np.full(int(rng.integers(1000, 400_000)), rng.integers(255), np.uint8) for _ in range(40)]
        del litter
        write_mp4(tmp_path / "a.mp4", frames, Fraction(24))
        seen.add((tmp_path / "a.mp4").read_bytes())
    assert len(seen) == 1


def _move_vertex(path: Path) -> None:
    """Shift one rest position by 10 cm inside the file."""
    file = GlbFile(path)
    entry = file.document["accessors"][file.primitive()["attributes"]["POSITION"]]
    start = len(path.read_bytes()) - len(file.binary) + file.document["bufferViews"][entry["bufferView"]]["byteOffset"]
    data = bytearray(path.read_bytes())
    value = np.frombuffer(data, "<f4", 1, start)[0] + np.float32(0.1)
    data[start : start + 4] = np.float32(value).tobytes()
    path.write_bytes(data)


@pytest.mark.parametrize("name", [f"{SHOT}.glb", f"{SHOT}_refined.glb"])
def test_opens_notices_a_moved_vertex(make_scene, tmp_path, name):
    scene = make_scene()
    deliver(scene, tmp_path, DeliverySettings(), quiet)
    _move_vertex(tmp_path / name)
    verdict = opens(scene, tmp_path, np.arange(9), 0.0)
    assert not verdict.passed and name in verdict.message
    if name == f"{SHOT}.glb":
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40])
        assert not opens(scene, tmp_path, np.arange(9), 0.0).passed
        assert not glb_conforms(scene, tmp_path).passed


def test_opens_notices_another_shots_usd(make_scene, tmp_path):
    scene = make_scene()
    deliver(scene, tmp_path, DeliverySettings(), quiet)
    other = replace(scene, cache=replace(scene.cache, points=scene.cache.points + np.float32(0.01)))
    verdict = opens(other, tmp_path, np.arange(9), 0.0)
    assert not verdict.passed and "refined surface off" in verdict.message


def test_parts_of_different_shots_are_refused(make_scene):
    scene, longer = make_scene(frames=9), make_scene(frames=11)
    with pytest.raises(InputError, match="refined motion's frames: 11, expected 9"):
        replace(scene, cache=longer.cache)
    with pytest.raises(InputError, match="camera's frames"):
        replace(scene, camera=longer.camera)
    with pytest.raises(InputError, match="first frame: 1001, expected 1000"):
        replace(scene, cache=replace(scene.cache, first_frame=1001))


def test_run_reads_the_records(make_scene, tmp_path):
    scene = make_scene(frames=3, handles=0, moving_camera=False, size=(32, 48))
    names = ("character", "rig", "reference_clip", "lifted_motion", "refined_motion")
    for name, record in zip(names, (scene.character, scene.rig, scene.camera, scene.motion, scene.cache), strict=True):
        (tmp_path / name).mkdir()
        record.save(tmp_path / name)
    (tmp_path / "out").mkdir()
    shot = SimpleNamespace(id="a_b_c", fps=Fraction(24), frames=(1001, 1003), handles=0, resolution=(32, 48))
    inputs = {name: tmp_path / name for name in names}
    result = run(StageContext(settings=DeliverySettings(), inputs=inputs, shot=shot, out=tmp_path / "out"))
    assert all(v.passed for v in result.verdicts)
    assert set(STAGE.inputs) == set(names)
