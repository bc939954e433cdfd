"""The artifacts of a whole shot, made from the delivery tests' tube: what a review is given."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.render.look import render_frames
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives, DirectiveValue
from studio_pipeline.schema.records import Observations
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.delivery.pictures import write_pictures
from studio_pipeline.stages.delivery.settings import DeliverySettings
from studio_pipeline.stages.review.settings import ReviewSettings

ReviewMaker = Callable[..., StageContext]
STAGES = (
    "character",
    "rig",
    "solid",
    "canonical_view",
    "directives",
    "takes",
    "take_report",
    "reference_clip",
    "observations",
    "lifted_motion",
    "refined_motion",
    "delivery",
)


def _tube() -> Any:
    path = Path(__file__).parent.parent / "delivery" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tests_delivery_tube", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _say(folder: Path, backend: str, figures: dict[str, Any], verdicts: list[tuple[str, bool, str]]) -> None:
    said = [{"name": n, "passed": p, "message": m} for n, p, m in verdicts]
    text = json.dumps({"stage": folder.name, "backend": backend, "figures": figures, "verdicts": said}, sort_keys=True)
    (folder / "stage.json").write_text(text)


def fill(folder: Path, *, size: tuple[int, int], frames: int, fps: Fraction, brief: str) -> SimpleNamespace:
    """Write every upstream payload under ``folder`` and return the shot."""
    scene = _tube().build_scene(frames=frames, fps=fps, size=size, handles=1)
    for name in STAGES:
        (folder / name).mkdir(parents=True)
    scene.character.save(folder / "character")
    scene.rig.save(folder / "rig")
    scene.camera.save(folder / "reference_clip")
    values = (
        DirectiveValue(field="camera.move", value="orbit_left", confidence=0.82, origin="brief"),
        DirectiveValue(field="motion.energy", value="lively", confidence=1.0, origin="artist"),
    )
    record = Directives(taxonomy="1", camera=values[:1], motion=values[1:], narrative=brief, conflicts=("a < b & c",))
    (folder / "directives" / "directives.json").write_text(record.model_dump_json())
    posed = pose_vertices(scene.character.vertices, scene.rig.weights, skinning_transforms(scene.rig, scene.motion))
    seen = render_frames(posed, scene.character, scene.camera, background=(120, 140, 130))
    clip = Clip(frames=seen.rgb, fps=fps, first_frame=scene.first_frame, source="previz")
    clip.save(folder / "reference_clip")
    Observations(
        masks=np.where(seen.face_ids >= 0, 255, 0).astype(np.uint8),
        tracks=np.zeros((frames, 1, 2), np.float32),
        visibility=np.ones((frames, 1), bool),
        track_faces=np.zeros(1, np.int32),
        track_barycentrics=np.array([[1.0, 0.0, 0.0]], np.float32),
    ).save(folder / "observations")
    cv2.imwrite(str(folder / "observations" / "overlay.png"), seen.rgb[-1][..., ::-1])
    cv2.imwrite(str(folder / "rig" / "preview.png"), seen.rgb[0][..., ::-1])
    scene.motion.save(folder / "lifted_motion")
    residuals = {
        "curves": {"rgb": [1.0, 0.1, 0.01], "mask": [2.0, 0.4, 0.1]},
        "frames": {"iou": [0.9] * frames, "track_error_px": [None] + [0.5 + 0.1 * i for i in range(frames - 1)]},
    }
    (folder / "lifted_motion" / "residuals.json").write_text(json.dumps(residuals))
    stiffness = np.random.default_rng(0).uniform(5e4, 4e5, 200).astype(np.float32)
    replace(scene.cache, stiffness=stiffness).save(folder / "refined_motion")
    write_pictures(scene, folder / "delivery", DeliverySettings())
    _say(folder / "rig", "geometric", {"joints": 3, "symmetric": True}, [("joints_inside", True, "3 of 3 inside")])
    _say(folder / "lifted_motion", "warp", {"iou_mean": 0.98765}, [("residuals", False, "rgb 0.2 <b>above</b> 0.1")])
    return SimpleNamespace(id=scene.shot_id, brief=brief, fps=fps, frames=scene.frames, handles=1, resolution=size)


@pytest.fixture(scope="session")
def make_review(tmp_path_factory: pytest.TempPathFactory) -> ReviewMaker:
    """Builds the context of a review with all its inputs on disk."""

    def make(
        *,
        size: tuple[int, int] = (96, 128),
        frames: int = 6,
        fps: Fraction = Fraction(24),
        brief: str = "A striped tube <script>alert(1)</script> bows & turns.",
        **settings: Any,
    ) -> StageContext:
        home = tmp_path_factory.mktemp("review")
        shot = fill(home / "in", size=size, frames=frames, fps=fps, brief=brief)
        (home / "out").mkdir()
        return StageContext(
            settings=ReviewSettings(**settings),
            inputs={name: home / "in" / name for name in STAGES},
            shot=shot,
            out=home / "out",
        )

    return make
