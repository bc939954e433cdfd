"""Which sizes, frame counts and rates a pipeline can make: by its class and by what its own parts say."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

__all__ = ["Rules", "accepted", "rules_named", "rules_of"]


@dataclass(frozen=True)
class Rules:
    """What a model was made for. Sources: the model cards and the pipelines' own checks and defaults."""

    area: int  # pixels of a frame
    frames: int  # most that it was trained for
    fps: Fraction
    multiple: int = 16  # of sides [px]
    step: int = 4  # frame counts are k step + 1
    size: tuple[int, int] | None = None  # the only size, where there is only one
    fixed_frames: bool = False  # `frames` is the only count
    lost: int = 0  # frames that the pipeline drops of those that it is asked for
    vae: str | None = None  # dtype of the VAE where the model's own is too coarse


_RULES = {
    "CogVideoXImageToVideoPipeline": Rules(480 * 720, 49, Fraction(8), step=8),
    "HunyuanSkyreelsImageToVideoPipeline": Rules(544 * 960, 97, Fraction(24)),
    "HunyuanVideoImageToVideoPipeline": Rules(720 * 1280, 129, Fraction(24)),
    "LTXImageToVideoPipeline": Rules(512 * 704, 161, Fraction(25), multiple=32, step=8),
    "SanaImageToVideoPipeline": Rules(480 * 832, 81, Fraction(16), multiple=32),
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": Rules(544 * 960, 97, Fraction(24), vae="float32"),
    "SkyReelsV2ImageToVideoPipeline": Rules(544 * 960, 97, Fraction(24), vae="float32"),
    "StableVideoDiffusionPipeline": Rules(576 * 1024, 14, Fraction(7), multiple=64, step=1, fixed_frames=True),
    "WanImageToVideoPipeline": Rules(480 * 832, 81, Fraction(16), vae="float32"),
}


def rules_named(name: str) -> Rules:
    """What is known of the pipelines of a class before any is loaded."""
    return _RULES[name]


def rules_of(pipe: Any, name: str) -> Rules:
    """The rules of a pipeline: those of its class, made stricter by what its VAE and its transformer say.

    Args:
        pipe: The pipeline; its class alone gives the class's own rules.
        name: Of its class.
    """
    rules = _RULES[name]
    if isinstance(pipe, type):
        return rules
    network = _network(pipe)
    patch, patch_time = _patch(network)
    spatial = _first(pipe, "vae_scale_factor_spatial", "vae_spatial_compression_ratio", "vae_scale_factor")
    temporal = _first(pipe, "vae_scale_factor_temporal", "vae_temporal_compression_ratio")
    rules = replace(
        rules,
        multiple=math.lcm(rules.multiple, (spatial or 1) * patch),
        step=rules.step if temporal is None else temporal * patch_time,
    )
    return _SPECIAL[name](rules, pipe, network) if name in _SPECIAL else rules


def _wan(rules: Rules, pipe: Any, network: Any) -> Rules:
    if pipe.config.expand_timesteps:  # Wan 2.2 TI2V
        return replace(rules, area=704 * 1280, frames=121, fps=Fraction(24))
    return rules


def _cogvideox(rules: Rules, pipe: Any, network: Any) -> Rules:
    # Its decoder takes latent frames in pairs after the first: an even number of them gives another count of frames.
    rules = replace(rules, step=math.lcm(rules.step, 2 * pipe.vae_scale_factor_temporal))
    if network.config.patch_size_t is not None:  # CogVideoX 1.5
        rules = replace(rules, area=768 * 1360, frames=81, fps=Fraction(16))
    if network.config.use_learned_positional_embeddings:
        scale = pipe.vae_scale_factor_spatial
        size = (network.config.sample_width * scale, network.config.sample_height * scale)
        return replace(rules, size=size, frames=network.config.sample_frames, fixed_frames=True)
    return rules


def _hunyuan(rules: Rules, pipe: Any, network: Any) -> Rules:
    # The first latent frame repeats the picture and is dropped.
    drops = network.config.image_condition_type == "latent_concat"
    return replace(rules, lost=rules.step if drops else 0)


def _svd(rules: Rules, pipe: Any, network: Any) -> Rules:
    return replace(rules, frames=network.config.num_frames)


_SPECIAL = {
    "CogVideoXImageToVideoPipeline": _cogvideox,
    "HunyuanVideoImageToVideoPipeline": _hunyuan,
    "StableVideoDiffusionPipeline": _svd,
    "WanImageToVideoPipeline": _wan,
}


def accepted(pipe: Any) -> dict[str, Any]:
    """Arguments of the pipeline's call and their defaults (`inspect.Parameter.empty` where there is none)."""
    return {name: item.default for name, item in inspect.signature(pipe.__call__).parameters.items()}


def _network(pipe: Any) -> Any:
    found = [getattr(pipe, part, None) for part in ("transformer", "transformer_2", "unet")]
    return next(part for part in found if part is not None)


def _patch(network: Any) -> tuple[int, int]:
    """Sides of a patch in space and in time, 1 where the network has none."""
    patch = getattr(network.config, "patch_size", 1)
    in_time = getattr(network.config, "patch_size_t", None) or 1
    if isinstance(patch, int):
        return patch, in_time
    return math.lcm(*patch[-2:]), patch[0] if len(patch) == 3 else in_time


def _first(pipe: Any, *names: str) -> Any:
    return next((int(value) for name in names if (value := getattr(pipe, name, None))), None)
