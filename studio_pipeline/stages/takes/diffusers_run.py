"""Backend `diffusers`: takes by an image-to-video model that runs here, from the canonical view and the directives."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.errors import BackendUnavailable, InputError, one_line
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.takes.diffusers_loading import pipeline_of
from studio_pipeline.stages.takes.diffusers_rules import Rules, accepted, rules_of
from studio_pipeline.stages.takes.diffusers_settings import DiffusersSettings
from studio_pipeline.stages.takes.prompting import Prompt, compose, excluded_tags
from studio_pipeline.stages.takes.resampling import Fit, fit_inside, frames_to_ask, padded, size_to_ask
from studio_pipeline.stages.takes.resampling_takes import ModelClip, finish, first_picture, to_take
from studio_pipeline.stages.takes.writing import load_directives

__all__ = ["Ask", "ask_of", "make_clip", "run", "token_counter"]

_USUAL_TOKENS = 77  # CLIP's, where a pipeline says nothing
_OURS = ("image", "prompt", "negative_prompt", "height", "width", "generator", "output_type")
_FRAMES = ("num_frames", "frames")  # what pipelines call the number of frames


@dataclass(frozen=True)
class Ask:
    """Sizes and counts that a pipeline is asked for."""

    fit: Fit
    frames: int
    fps: Fraction


def run(context: StageContext) -> StageResult:
    """Make takes from the shot's seed onwards."""
    settings = context.settings
    directives = load_directives(context.inputs["directives"])
    picture = first_picture(context)
    context.progress(0.0, "loading the model")
    with pipeline_of(settings) as (pipe, dtype):
        return _make_takes(context, directives, picture, pipe, dtype)


def _make_takes(
    context: StageContext, directives: Directives, picture: np.ndarray, pipe: Any, dtype: str
) -> StageResult:
    shot, settings = context.shot, context.settings
    ask = ask_of(pipe, settings, tuple(shot.resolution), shot.fps, shot.frame_count)
    count, limit = token_counter(pipe)
    prompt = compose(
        directives, load_taxonomy(), excluded=excluded_tags(context.inputs["directives"], directives),
        avoid=settings.avoid, count=count, limit=limit,
    )  # fmt: skip
    takes = []
    for index in range(settings.count):
        told = f"take {index + 1} of {settings.count}"

        def progress(share: float, index: int = index, told: str = told) -> None:
            context.progress(0.05 + 0.85 * (index + share) / settings.count, told)

        seed = shot.seed + index
        made = make_clip(pipe, settings, ask, picture, prompt, seed=seed, progress=progress)
        record = {**made.record, "dtype": dtype, "seed": seed}
        made = ModelClip(made.frames, made.fps, record)
        takes.append(to_take(made, ask.fit, shot, settings.retime, source="diffusers"))
    context.progress(0.9, "writing")
    return finish(context, takes, directives, prompt_tokens=prompt.length, prompt_limit=prompt.limit)


def ask_of(pipe: Any, settings: DiffusersSettings, size: tuple[int, int], fps: Fraction, frame_count: int) -> Ask:
    """What to ask a pipeline for, so that it makes ``frame_count`` frames of ``size`` at ``fps``.

    Raises:
        InputError: A setting asks for what the pipeline can't make.
    """
    rules = rules_of(pipe, settings.pipeline)
    known = accepted(pipe)
    rate = settings.fps or (fps if "frame_rate" in known else rules.fps)
    return Ask(fit_inside(size, _size(settings, rules, size)), _count(settings, rules, rate, fps, frame_count), rate)


def _size(settings: DiffusersSettings, rules: Rules, size: tuple[int, int]) -> tuple[int, int]:
    if rules.size:
        if settings.size not in (None, rules.size):
            raise InputError(f"this model makes {rules.size[0]} x {rules.size[1]} only", where="takes: size")
        return rules.size
    if settings.size is None:
        return size_to_ask(size, area=rules.area, multiple=rules.multiple)
    width, height = settings.size
    if width % rules.multiple or height % rules.multiple:
        near = [max(1, round(side / rules.multiple)) * rules.multiple for side in settings.size]
        raise InputError(
            f"this model's width and height are multiples of {rules.multiple}, not {width} x {height}",
            where="takes: size",
            do=f"set size: {near}",
        )
    return settings.size


def _count(settings: DiffusersSettings, rules: Rules, rate: Fraction, fps: Fraction, frame_count: int) -> int:
    if rules.fixed_frames:
        if settings.frames not in (None, rules.frames):
            raise InputError(f"this model makes {rules.frames} frames, no other number", where="takes: frames")
        return rules.frames
    if settings.frames is None:
        most = settings.most_frames or rules.frames
        return frames_to_ask(frame_count, fps, rate, step=rules.step, most=most, lost=rules.lost)
    if (settings.frames - 1) % rules.step:
        near = max(1, round((settings.frames - 1) / rules.step)) * rules.step + 1
        raise InputError(
            f"this model makes {rules.step} k + 1 frames, not {settings.frames}",
            where="takes: frames",
            do=f"set frames: {near}",
        )
    return settings.frames


def token_counter(pipe: Any) -> tuple[Callable[[str], int], int]:
    """How long a text is for a pipeline, and how much of one it reads; everything fits one that reads none."""
    tokenizer = getattr(pipe, "tokenizer", None)
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)  # of a processor
    if tokenizer is None:
        return lambda text: 0, 0
    limit = accepted(pipe).get("max_sequence_length", getattr(pipe, "tokenizer_max_length", _USUAL_TOKENS))
    return lambda text: len(tokenizer(text).input_ids), min(int(limit), int(tokenizer.model_max_length))


def make_clip(
    pipe: Any,
    settings: DiffusersSettings,
    ask: Ask,
    picture: np.ndarray,
    prompt: Prompt,
    *,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> ModelClip:
    """One clip by a loaded pipeline.

    Args:
        pipe: The pipeline.
        settings: Steps, guidance, further options.
        ask: Sizes and counts.
        picture: The first frame [H, W, 3] uint8 sRGB, of the shot's size.
        prompt: What to make.
        seed: Of the noise, which is drawn on the CPU: the same on every device.
        progress: Called with the share of the steps that are done.

    Raises:
        InputError: An option is none of the pipeline's, or the model computed no picture.
        BackendUnavailable: The pipeline failed.
    """
    import torch
    from PIL import Image

    arguments = _arguments(pipe, settings, ask, prompt)
    pictured = {
        "image": Image.fromarray(padded(picture, ask.fit)),
        "generator": torch.Generator("cpu").manual_seed(seed),
        "callback_on_step_end": _watch(progress),
    }
    known = accepted(pipe)
    with torch.inference_mode():
        frames = _called(pipe, arguments | {n: v for n, v in pictured.items() if n in known}, settings)
    if not np.isfinite(frames).all():
        raise InputError("the model computed no numbers (NaN)", where="takes", do="set dtype: float32 or bfloat16")
    pixels = (np.clip(frames, 0.0, 1.0) * 255.0).round().astype(np.uint8)
    return ModelClip(pixels, ask.fps, _record(pipe, settings, ask, prompt, arguments))


def _called(pipe: Any, arguments: dict[str, Any], settings: DiffusersSettings) -> np.ndarray:
    """The pipeline's frames. [M, h, w, 3] float32"""
    import torch

    try:
        return np.asarray(pipe(**arguments).frames[0], np.float32)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise BackendUnavailable(
            f"{settings.pipeline} needs more memory than there is ({one_line(error)[:160]})",
            where="takes",
            do="set offload: model or sequential, tiling: true, a smaller size, or fewer frames",
        ) from None
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError, AssertionError) as error:
        raise BackendUnavailable(
            f"{settings.pipeline} failed ({type(error).__name__}: {one_line(error)[:300]})",
            where="takes",
            do="check that pipeline is the class that the model was made for, and the settings",
        ) from error


def _record(
    pipe: Any, settings: DiffusersSettings, ask: Ask, prompt: Prompt, arguments: dict[str, Any]
) -> dict[str, Any]:
    """What takes.json says of how a clip was made; a model's folder is named without the way to it."""
    return {
        "pipeline": settings.pipeline,
        "model": settings.model.name if isinstance(settings.model, Path) else settings.model,
        "prompt": arguments.get("prompt", ""),
        "negative_prompt": arguments.get("negative_prompt", ""),
        "prompt_dropped": list(prompt.dropped),
        "steps": _told(pipe, arguments, "num_inference_steps"),
        "guidance": _told(pipe, arguments, *_GUIDANCE),
        "options": dict(settings.options),
        "asked_size": list(ask.fit.size),
        "inner": list(ask.fit.inner),
    }


_GUIDANCE = ("guidance_scale", "max_guidance_scale")


def _arguments(pipe: Any, settings: DiffusersSettings, ask: Ask, prompt: Prompt) -> dict[str, Any]:
    """Arguments of the call, without picture and noise: only what this pipeline takes."""
    known = accepted(pipe)
    width, height = ask.fit.size
    wanted: dict[str, Any] = {"prompt": prompt.positive, "height": height, "width": width, "output_type": "np"}
    wanted |= dict.fromkeys(_FRAMES, ask.frames)
    wanted |= {"frame_rate": float(ask.fps), "fps": round(ask.fps), "use_resolution_binning": False}
    if prompt.negative:
        wanted["negative_prompt"] = prompt.negative
    if settings.steps is not None:
        wanted["num_inference_steps"] = settings.steps
    if settings.guidance is not None:
        wanted[next((name for name in _GUIDANCE if name in known), _GUIDANCE[0])] = settings.guidance
    for name in settings.options:
        if name not in known or name in _OURS or name in _FRAMES:
            free = [n for n, default in known.items() if isinstance(default, (bool, int, float)) and n not in wanted]
            raise InputError(
                f"{settings.pipeline} has no option {name!r}", where="takes: options", do=f"one of: {', '.join(free)}"
            )
    return {name: value for name, value in wanted.items() if name in known} | dict(settings.options)


def _told(pipe: Any, arguments: dict[str, Any], *names: str) -> float | int | None:
    """The value that was used: the argument's, or the pipeline's default."""
    known = accepted(pipe)
    for name in names:
        value = arguments.get(name, known.get(name))
        if value is not None and value is not inspect.Parameter.empty:
            return value
    return None


def _watch(progress: Callable[[float], None]) -> Callable[..., dict[str, Any]]:
    def on_step(pipe: Any, step: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        progress((step + 1) / max(1, pipe.num_timesteps))
        return values

    return on_step
