"""Networks from tiny random checkpoints, through the code that a user's own checkpoint goes through."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ball_scene import filmed, patterned_ball, turned

from studio_pipeline.schema.errors import BackendUnavailable, InputError
from studio_pipeline.schema.records import Observations
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.observations import STAGE, DepthAnythingSettings, Sam2Settings
from studio_pipeline.stages.observations.depth_anything import predict_depth
from studio_pipeline.stages.observations.networks import available, observe
from studio_pipeline.stages.observations.sam2 import propagate_mask
from studio_pipeline.stages.observations.silhouettes import iou

pytest.importorskip("transformers")
pytestmark = pytest.mark.slow  # transformers alone takes seconds to import


@dataclass(frozen=True)
class Models:
    """Folders of checkpoints."""

    sam2: Path
    depth: Path
    metric: Path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    from tiny_models import save_depth_anything, save_sam2

    folder = tmp_path_factory.mktemp("models")
    return Models(
        save_sam2(folder / "sam2-tiny"),
        save_depth_anything(folder / "depth-tiny"),
        save_depth_anything(folder / "metric-tiny", metric=True),
    )


@pytest.fixture(scope="module")
def scene() -> tuple:
    ball = patterned_ball()
    vertices = turned(ball, frames=4, turn=0.4)
    return (ball, *filmed(ball, vertices))


def test_both_networks_run_as_a_stage(scene: tuple, models: Models, tmp_path: Path) -> None:
    ball, camera, clip, raster = scene
    inputs = {name: tmp_path / name for name in ("character", "reference_clip")}
    for folder, records in zip(inputs.values(), ((ball,), (camera, clip)), strict=True):
        folder.mkdir()
        for record in records:
            record.save(folder)
    backend = STAGE.backends["sam2"]
    assert backend.missing() == "" and available() == ""
    written = {"masks_model": models.sam2, "depth": "depth_anything", "depth_model": models.depth, "track_count": 40}
    results = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        settings = backend.settings.model_validate(written)
        context = StageContext(settings=settings, inputs=inputs, shot=None, out=tmp_path / name)
        results.append(backend.load()(context))
    found = Observations.load(tmp_path / "first")
    assert found.sources["masks"] == "sam2 (sam2-tiny)" and "depth_anything (depth-tiny)" in found.sources["depth"]
    # A mask prompt is its own answer: index 0 is the rest silhouette whatever the weights are.
    assert iou(found.masks[0] > 127, raster.face_ids[0] >= 0) > 0.9
    assert found.masks.shape == clip.frames.shape[:3]
    assert {verdict.name for verdict in results[0].verdicts} == set(STAGE.checks)
    files = [(tmp_path / name / "observations.npz").read_bytes() for name in ("first", "second")]
    assert files[0] == files[1]


def test_the_prompt_is_what_the_official_processor_makes(scene: tuple, models: Models) -> None:
    import torch
    from transformers import Sam2VideoInferenceSession, Sam2VideoProcessor

    from studio_pipeline.stages.observations.sam2 import _prompted

    _, _, clip, raster = scene
    first = raster.face_ids[0] >= 0
    own = _prompted(clip.frames, first, 64, "cpu")
    official = Sam2VideoInferenceSession(
        video=torch.zeros(4, 3, 64, 64), video_height=128, video_width=128, dtype=torch.float32
    )
    # The class can't be made without torchvision; this method of it only wants to know the size.
    Sam2VideoProcessor.process_new_mask_for_video_frame(SimpleNamespace(target_size=64), official, 0, [1], first)
    assert torch.equal(own.mask_inputs_per_obj[0][0], official.mask_inputs_per_obj[0][0])
    assert own.obj_with_new_inputs == official.obj_with_new_inputs and own.obj_ids == official.obj_ids


def test_pictures_are_normalised_like_imagenet(scene: tuple) -> None:
    from studio_pipeline.stages.observations.sam2 import _prepared

    flat = np.full((1, 20, 30, 3), (255, 0, 51), np.uint8)
    expected = [(1.0 - 0.485) / 0.229, (0.0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(_prepared(flat, 16)[0].mean((1, 2)), expected, atol=1e-5)


def test_depth_is_predicted_at_the_clip_s_size(scene: tuple, models: Models) -> None:
    _, _, clip, _ = scene
    inverse, kind = predict_depth(clip.frames, DepthAnythingSettings(depth_model=models.depth))
    assert inverse.shape == clip.frames.shape[:3] and np.isfinite(inverse).all() and kind == "inverse"
    metric, kind = predict_depth(clip.frames, DepthAnythingSettings(depth_model=models.metric))
    assert kind == "affine" and metric.max() <= 20.0
    alone, _ = predict_depth(clip.frames[2:3], DepthAnythingSettings(depth_model=models.depth))
    np.testing.assert_allclose(alone[0], inverse[2], rtol=1e-3, atol=1e-12)  # batches don't mix frames


def test_a_network_that_contradicts_the_rest_pose_is_left_out(scene: tuple, models: Models) -> None:
    ball, camera, clip, _ = scene
    settings = DepthAnythingSettings(depth_model=models.depth, track_count=40)
    observations, _ = observe(ball, camera, clip, settings)
    said = observations.sources["depth"]
    assert "depth_anything (depth-tiny)" in said
    # Random weights may or may not slope the right way; either the term is off with a reason, or it is metres.
    assert (observations.depth is None) == said.startswith("none: ")
    assert observations.depth_is_metric == (observations.depth is not None)


def test_a_missing_model_is_named_with_its_setting(models: Models, tmp_path: Path, monkeypatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    frames, first = np.zeros((2, 16, 16, 3), np.uint8), np.ones((16, 16), bool)
    for source in (tmp_path / "nowhere", "nobody/such-model-here@v1"):
        with pytest.raises(BackendUnavailable, match="set masks_model") as caught:
            propagate_mask(frames, first, Sam2Settings(masks_model=source))
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(BackendUnavailable, match="set depth_model"):
        predict_depth(frames, DepthAnythingSettings(depth_model=tmp_path))
    with pytest.raises(BackendUnavailable, match="set masks_model"):
        propagate_mask(frames, first, Sam2Settings(masks_model=models.depth / "config.json"))


def test_pickled_weights_are_refused(models: Models, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    for file in models.depth.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(models.depth / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(BackendUnavailable, match="safetensors"):
        predict_depth(np.zeros((1, 56, 56, 3), np.uint8), DepthAnythingSettings(depth_model=tmp_path))


def test_code_beside_a_model_is_never_run(models: Models, tmp_path: Path) -> None:
    config = json.loads((models.depth / "config.json").read_text())
    names = ("AutoConfig", "AutoModelForDepthEstimation", "AutoImageProcessor")
    config |= {"model_type": "foreign", "auto_map": dict.fromkeys(names, "evil.Evil")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    marker = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Evil: pass\n")
    with pytest.raises(BackendUnavailable, match="set depth_model"):
        predict_depth(np.zeros((1, 56, 56, 3), np.uint8), DepthAnythingSettings(depth_model=tmp_path))
    assert not marker.exists()


def test_a_clip_too_long_for_the_network_is_refused(models: Models, monkeypatch) -> None:
    from studio_pipeline.stages.observations import sam2

    monkeypatch.setattr(sam2, "MOST_BYTES", 64 * 64 * 12 * 3)
    with pytest.raises(InputError, match="4 frames of 64 x 64"):
        propagate_mask(np.zeros((4, 8, 8, 3), np.uint8), np.ones((8, 8), bool), Sam2Settings(masks_model=models.sam2))
