"""How takes get along with less memory: first what doesn't change the picture, then what changes it least."""

from __future__ import annotations

from studio_pipeline.stages.takes import PrevizSettings
from studio_pipeline.stages.takes.diffusers_rules import rules_named
from studio_pipeline.stages.takes.diffusers_settings import DiffusersSettings

__all__ = ["smaller_diffusers", "smaller_previz"]

LEAST_SIDE, LEAST_STEPS = 256, 2  # [px], and steps of the model's frame count


def smaller_previz(settings: PrevizSettings) -> PrevizSettings | None:
    """Fewer samples a pixel: the renderer's buffers grow with their square."""
    if settings.supersample <= 1:
        return None
    return settings.changed(supersample=settings.supersample - 1)


def smaller_diffusers(settings: DiffusersSettings) -> DiffusersSettings | None:
    """Weights in main memory, decoding in tiles, half precision, then fewer frames and smaller pictures.

    What a model can't do otherwise (a fixed count of frames, the size where none is set) is left alone.
    """
    if settings.offload == "none":
        return settings.changed(offload="model")
    if settings.offload == "model":
        return settings.changed(offload="sequential")
    if not settings.tiling:
        return settings.changed(tiling=True)
    if settings.dtype == "float32":
        return settings.changed(dtype="bfloat16")
    rules = rules_named(settings.pipeline)
    if not rules.fixed_frames:
        field = "frames" if settings.frames is not None else "most_frames"
        count = settings.frames or settings.most_frames or rules.frames
        steps = (count - 1) // rules.step // 2
        if steps >= LEAST_STEPS:
            return settings.changed(**{field: steps * rules.step + 1})
    if settings.size is not None and rules.size is None:
        size = tuple(int(0.75 * side) // rules.multiple * rules.multiple for side in settings.size)
        if min(size) >= LEAST_SIDE:
            return settings.changed(size=size)
    return None
