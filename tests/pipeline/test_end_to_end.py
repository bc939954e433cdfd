"""The whole line on real input, small: a shot list and a character in, a delivery out."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.media.video import write_mp4
from studio_pipeline.render.look import Look, render_frames
from studio_pipeline.schema.records import Character, Motion, Rig
from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.character.plate import protocol_vertices

pytestmark = pytest.mark.slow

STAGES = (
    *("character", "rig", "solid", "canonical_view", "directives", "takes", "take_report", "reference_clip"),
    *("observations", "lifted_motion", "refined_motion", "delivery", "review"),
)


def studio(home: Path, *words: str, kept: str = "studio") -> dict:
    """Run the command as a user does; gives what it printed with --json."""
    environment = {**os.environ, "STUDIO_HOME": str(home / kept)}
    environment.pop("DAGSTER_HOME", None)
    done = subprocess.run(
        [sys.executable, "-m", "studio_pipeline.cli", *words, "--json"],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def states(result: dict) -> dict[str, str]:
    return {row["stage"]: row["state"] for row in result["stages"]}


def test_from_a_brief_to_a_delivery_and_nothing_twice(tmp_path: Path) -> None:
    shot = (
        "- {show: t, sequence: a, shot: '0010', character: mochi, brief: Mochi hops., frames: [101, 110], handles: 1,"
    )
    (tmp_path / "shots.yaml").write_text(shot + " fps: 24000/1001, resolution: [96, 96], seed: 4}\n")
    first = studio(tmp_path, "run", "shots.yaml")
    assert states(first) == dict.fromkeys(STAGES, "made")
    out = tmp_path / "out" / "t_a_0010"
    for name in ("t_a_0010.glb", "t_a_0010_refined.glb", "t_a_0010.usd", "t_a_0010.mp4", "review.html", "report.json"):
        assert (out / name).stat().st_size > 0, name
    assert len(list((out / "frames").glob("t_a_0010.*.png"))) == 12
    assert len(list((out / "textures").iterdir())) >= 1
    again = studio(tmp_path, "run", "shots.yaml")
    assert states(again) == dict.fromkeys(STAGES, "cached")
    plan = studio(tmp_path, "plan", "shots.yaml")
    assert plan["would_run"] == 0
    # Nothing but pixels crosses from the takes to the lift: no payload of the takes holds the previz motion.
    takes = Path(next(row["artifact"] for row in first["stages"] if row["stage"] == "takes"))
    assert not [path.name for path in takes.rglob("*") if path.suffix in (".npz", ".npy", ".glb", ".bvh")]

    # The same shots in another home: the same bytes, stage by stage.
    other = studio(tmp_path, "run", "shots.yaml", "--out", "out2", kept="another")
    assert {row["stage"]: payload(row) for row in other["stages"]} == {
        row["stage"]: payload(row) for row in first["stages"]
    }


def payload(row: dict) -> dict[str, str]:
    """Digest of every file of an artifact."""
    folder = Path(row["artifact"])
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def plate_shot(home: Path, source: Path, rig: str, *, folder: bool) -> str:
    """A plate of the file's own animation by the protocol, and the shot that lifts it."""
    character = load_character(source).character
    points = protocol_vertices(source, frames=16)
    camera = frame_points(points.reshape(-1, 3), width=160, height=160, fill=0.9)
    rows = np.linspace(0, 1, 160)[:, None, None]
    background = (np.array([70, 110, 140]) * (1 - rows) + np.array([150, 160, 150]) * rows).astype(np.uint8)
    rendered = render_frames(
        points,
        character,
        camera,
        look=Look(shading="lambert"),
        background=np.broadcast_to(background, (160, 160, 3)).copy(),
    )
    if folder:
        (home / "plate").mkdir()
        for index, frame in enumerate(rendered.rgb):
            cv2.imwrite(str(home / "plate" / f"plate.{1001 + index}.png"), frame[..., ::-1])
    else:
        write_mp4(home / "plate.mp4", rendered.rgb, Fraction(24))
    inverse = np.linalg.inv(camera.world_to_camera[0])
    eye, target = inverse[:3, 3], inverse[:3, 3] - inverse[:3, 2]
    clip = f"{'takes' if folder else 'reference_clip'}: {{backend: plate, file: {'plate' if folder else 'plate.mp4'}}}"
    hero = f"{{file: {source}, height_m: {character.height_m}}}"
    fov = 2 * np.degrees(np.arctan(80 / camera.focal[0]))
    return (
        f"- show: plate\n  sequence: a\n  shot: '0010'\n  character: {hero}\n"
        f"  frames: [1001, 1016]\n  resolution: [160, 160]\n"
        f"  camera: {{eye: {eye.tolist()}, target: {target.tolist()}, fov_y_deg: {fov}}}\n"
        f"  stages:\n    {clip}\n"
        f"    rig: {{backend: {rig}}}\n"
    )


def error_in_space(rows: dict[str, dict], truth: np.ndarray) -> float:
    """Mean vertex error of the lift from index 7 on, of the rest diagonal [%]."""
    character, rig, motion = (
        kind.load(Path(rows[stage]["artifact"]))
        for kind, stage in ((Character, "character"), (Rig, "rig"), (Motion, "lifted_motion"))
    )
    posed = pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, motion))
    return float(np.linalg.norm(posed - truth, axis=-1)[7:].mean() / character.diagonal * 100.0)


def test_a_z_pass_brings_the_lift_closer_in_space(tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "rigs" / "khronos_CesiumMan.glb"
    text = plate_shot(tmp_path, source, "provided", folder=False)
    truth = protocol_vertices(source, frames=16)
    camera = frame_points(truth.reshape(-1, 3), width=160, height=160, fill=0.9)
    np.savez(tmp_path / "z.npz", depth=render_frames(truth, load_character(source).character, camera).depth)
    errors = []
    for shot in (text, text.replace("file: plate.mp4", "file: plate.mp4, depth: z.npz").replace("'0010'", "'0020'")):
        (tmp_path / "shots.yaml").write_text(shot)
        result = studio(tmp_path, "run", "shots.yaml", "--stage", "lifted_motion")
        errors.append(error_in_space({row["stage"]: row for row in result["stages"]}, truth))
    print(f"3D error in percent of the diagonal: {errors[0]:.2f} without depth, {errors[1]:.2f} with")
    assert errors[1] < max(0.8 * errors[0], 0.4)  # percent of the diagonal; colours alone already come close


@pytest.mark.parametrize(
    ("name", "rig", "folder"),
    [("khronos_CesiumMan.glb", "provided", False), ("bevy_Fox.glb", "geometric", True)],
)
def test_a_plate_of_the_characters_own_animation_is_lifted(
    tmp_path: Path, shared_data: Path, name: str, rig: str, folder: bool
) -> None:
    (tmp_path / "shots.yaml").write_text(plate_shot(tmp_path, shared_data / "rigs" / name, rig, folder=folder))
    result = studio(tmp_path, "run", "shots.yaml")
    rows = {row["stage"]: row for row in result["stages"]}
    assert {row["state"] for row in rows.values()} == {"made"}, {name: row["reason"] for name, row in rows.items()}
    assert rows["rig"]["backend"] == rig and rows["takes"]["backend"] == "plate"
    assert rows["lifted_motion"]["figures"]["iou_mean"] > 0.8
    assert (tmp_path / "out" / "plate_a_0010" / "review.html").exists()
