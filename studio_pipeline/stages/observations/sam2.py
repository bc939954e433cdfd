"""Masks by SAM 2: the rest silhouette is the prompt at index 0, the network's memory carries it through the clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from studio_pipeline.schema.errors import BackendUnavailable, InputError
from studio_pipeline.stages.observations.models import device_name, load_pretrained
from studio_pipeline.stages.observations.parts import Scene
from studio_pipeline.stages.observations.settings import ObservationSettings

if TYPE_CHECKING:
    import torch

__all__ = ["propagate_mask", "sam2_masks"]

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, what every SAM 2 was trained with
MOST_BYTES = 8 << 30  # of frames at the network's size


def sam2_masks(scene: Scene, settings: ObservationSettings) -> tuple[np.ndarray, str]:
    """Coverage [T, H, W] uint8 by the model named in the settings, and its name."""
    assert settings.masks_model is not None
    masks = propagate_mask(scene.clip.frames, scene.rest, settings)
    return masks, f"sam2 ({str(settings.masks_model).rstrip('/').rpartition('/')[2]})"


def propagate_mask(frames: np.ndarray, first: np.ndarray, settings: ObservationSettings) -> np.ndarray:
    """Carry a mask of index 0 through a clip.

    Args:
        frames: sRGB [T, H, W, 3] uint8.
        first: The mask of index 0 [H, W] bool.
        settings: `masks_model` names the model.

    Returns:
        Coverage [T, H, W] uint8.

    Raises:
        BackendUnavailable: transformers or the model is missing.
        InputError: The clip is too long for the network's frames to be held.
    """
    try:
        import torch
        from transformers import Sam2VideoModel
    except ImportError as error:
        raise BackendUnavailable(
            f"masks: sam2 needs transformers ({error.name} is missing)", do="pip install 'studio_pipeline[models]'"
        ) from None
    device = device_name()
    assert settings.masks_model is not None
    model = load_pretrained(Sam2VideoModel, settings.masks_model, setting="masks_model", use_safetensors=True)
    model = model.to(device).eval()
    side = model.config.image_size
    side = side if isinstance(side, int) else side[0]
    if len(frames) * side * side * 12 > MOST_BYTES:
        raise InputError(
            f"{len(frames)} frames of {side} x {side} pixels are more than SAM 2 is given here",
            where="reference_clip",
            do="use masks: classical for clips this long",
        )
    height, width = frames.shape[1:3]
    with torch.inference_mode():
        session = _prompted(frames, first, side, device)
        result = np.zeros(frames.shape[:3], np.uint8)
        for found in model.propagate_in_video_iterator(session, start_frame_idx=0):
            logits = torch.nn.functional.interpolate(
                found.pred_masks.float(), size=(height, width), mode="bilinear", align_corners=False
            )
            result[found.frame_idx] = (torch.sigmoid(logits)[0, 0] * 255.0).round().byte().cpu().numpy()
    return result


def _prompted(frames: np.ndarray, first: np.ndarray, side: int, device: str) -> Any:
    """A session of the clip with the mask of index 0 as its prompt.

    This does what Sam2VideoProcessor does; that class itself can't be made without torchvision.
    """
    import torch
    from transformers import Sam2VideoInferenceSession

    session = Sam2VideoInferenceSession(
        video=_prepared(frames, side),
        video_height=frames.shape[1],
        video_width=frames.shape[2],
        inference_device=device,
        inference_state_device=device,
        video_storage_device="cpu",
        dtype=torch.float32,
    )
    prompt = _resized(torch.from_numpy(first.astype(np.float32))[None, None], side) >= 0.5
    session.add_mask_inputs(session.obj_id_to_idx(1), 0, prompt.float())
    session.obj_with_new_inputs = [1]
    return session


def _resized(values: torch.Tensor, side: int) -> torch.Tensor:
    from torch.nn.functional import interpolate

    return interpolate(values, size=(side, side), mode="bilinear", align_corners=False, antialias=True)


def _prepared(frames: np.ndarray, side: int) -> torch.Tensor:
    """Frames as the network wants them. [T, 3, side, side] float32"""
    import torch

    mean, deviation = (torch.tensor(value).reshape(1, 3, 1, 1) for value in (MEAN, DEVIATION))
    result = torch.empty(len(frames), 3, side, side)
    for index, frame in enumerate(frames):
        picture = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 255.0
        result[index : index + 1] = (_resized(picture, side) - mean) / deviation
    return result
