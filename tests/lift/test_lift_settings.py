"""What can be set for the lift, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from lift_scene import bending, filmed, posed, seen_exactly, tentacle
from pydantic import ValidationError

from studio_pipeline.line.keys import ingredients
from studio_pipeline.line.shots import read_shot_lists
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.stages.lifted_motion import STAGE, LiftSettings
from studio_pipeline.stages.lifted_motion.lift import lift


def test_unknown_terms_and_renderers_are_refused() -> None:
    assert LiftSettings(without=("rgb", "start")).without == ("rgb", "start")
    with pytest.raises(ValidationError, match="without"):
        LiftSettings(without=("colour",))  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="renderer"):
        LiftSettings(renderer="opengl")  # type: ignore[arg-type]


def test_without_a_start_gradients_begin_at_rest() -> None:
    character, rig = tentacle()
    vertices = posed(character, rig, bending(rig, 3))
    camera, clip, coverage = filmed(character, vertices, 64)
    observations = seen_exactly(character, camera, vertices, coverage)
    settings = LiftSettings(without=("start",), iterations=4, samples=200)
    residuals = lift(character, rig, camera, clip, observations, settings).residuals
    assert residuals["rounds"] == 0
    assert residuals["iterations"] == 40
    still = lift(character, rig, camera, clip, observations, settings.model_copy(update={"iterations": 0})).residuals
    assert still["frames"]["iou"][-1] + 0.1 < residuals["frames"]["iou"][-1]


def test_the_second_renderer_s_version_belongs_to_the_key(tmp_path: Path) -> None:
    file = tmp_path / "shots.yaml"
    pip = assets_folder() / "characters" / "pip.glb"
    versions = []
    for block in ("{}", "{renderer: pytorch3d}"):
        file.write_text(
            f"- {{show: demo, sequence: park, shot: '1', character: '{pip}', frames: [1001, 1004],\n"
            f"   stages: {{lifted_motion: {block}}}}}\n"
        )
        shot = read_shot_lists([file])[0]
        key = ingredients(shot, "lifted_motion", dict.fromkeys(STAGE.inputs, "0" * 8))
        versions.append(set(key["distributions"]))
    assert versions[1] - versions[0] == {"pytorch3d"}
