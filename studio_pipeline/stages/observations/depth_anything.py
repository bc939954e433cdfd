"""Depth predicted by a network of transformers (Depth Anything and its kin), frame by frame."""

from __future__ import annotations

import numpy as np

from studio_pipeline.schema.errors import BackendUnavailable
from studio_pipeline.stages.observations.models import device_name, load_pretrained
from studio_pipeline.stages.observations.parts import Measured, Scene
from studio_pipeline.stages.observations.settings import DepthKind, ObservationSettings

__all__ = ["predict_depth", "predicted_depth"]

BATCH = 4  # frames at once
_DISTANCES = ("zoedepth", "depth_pro")  # models that predict distance rather than its inverse


def predicted_depth(scene: Scene, masks: np.ndarray, settings: ObservationSettings) -> Measured | None:
    """Depth values of the clip by the model named in the settings."""
    values, kind = predict_depth(scene.clip.frames, settings)
    return Measured(values, kind, f"depth_anything ({str(settings.depth_model).rstrip('/').rpartition('/')[2]})")


def predict_depth(frames: np.ndarray, settings: ObservationSettings) -> tuple[np.ndarray, DepthKind]:
    """Predicted values [T, H, W] float32 at the clip's size, and what they mean.

    A model that says metres is read as "affine" all the same: a single picture doesn't show its scale.

    Raises:
        BackendUnavailable: transformers or the model is missing.
    """
    try:
        import torch
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation
    except ImportError as error:
        raise BackendUnavailable(
            f"depth: depth_anything needs transformers ({error.name} is missing)",
            do="pip install 'studio_pipeline[models]'",
        ) from None
    source = settings.depth_model
    assert source is not None
    processor = load_pretrained(AutoImageProcessor, source, setting="depth_model", backend="pil")
    model = load_pretrained(AutoModelForDepthEstimation, source, setting="depth_model", use_safetensors=True)
    device = device_name()
    model = model.to(device).eval()
    result = np.empty(frames.shape[:3], np.float32)
    with torch.inference_mode():
        for start in range(0, len(frames), BATCH):
            part = slice(start, start + BATCH)
            pixels = processor(images=list(frames[part]), return_tensors="pt")["pixel_values"].to(device)
            found = model(pixel_values=pixels).predicted_depth[:, None].float()
            sized = torch.nn.functional.interpolate(
                found, size=frames.shape[1:3], mode="bilinear", align_corners=False, antialias=True
            )
            result[part] = sized[:, 0].cpu().numpy()
    says_distance = (
        getattr(model.config, "depth_estimation_type", "") == "metric" or model.config.model_type in _DISTANCES
    )
    return result, "affine" if says_distance else "inverse"
