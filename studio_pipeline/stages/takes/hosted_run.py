"""Backend `hosted`: takes by an image-to-video service, from the canonical view and the directives."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from studio_pipeline.schema.errors import InputError, StudioError
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.takes.hosted_download import download_clip
from studio_pipeline.stages.takes.hosted_runway import PROMPT_UNITS, USUAL_SECONDS, ModelRules, Runway, model_rules
from studio_pipeline.stages.takes.hosted_settings import HostedSettings
from studio_pipeline.stages.takes.prompting import Prompt, compose, excluded_tags
from studio_pipeline.stages.takes.resampling import Fit, fit_inside, padded
from studio_pipeline.stages.takes.resampling_takes import ModelClip, Take, finish, first_picture, to_take
from studio_pipeline.stages.takes.writing import load_directives

__all__ = ["Ask", "ask_of", "picture_uri", "run", "utf16_units"]

MOST_URI = 5_000_000  # characters of the picture in the request
_USUAL_AREA = 1280 * 720  # of a ratio that names no pixels


@dataclass(frozen=True)
class Ask:
    """What the service is asked for."""

    ratio: str | None
    seconds: int
    fit: Fit


def run(context: StageContext) -> StageResult:
    """Make takes from the shot's seed onwards. A take that fails is told; only when all fail the stage does."""
    shot, settings = context.shot, context.settings
    directives = load_directives(context.inputs["directives"])
    picture = first_picture(context)
    service = Runway()
    rules = model_rules(settings.model)
    ask = ask_of(settings, rules, tuple(shot.resolution), (shot.frame_count - 1) / shot.fps)
    prompt = compose(
        directives, load_taxonomy(), excluded=excluded_tags(context.inputs["directives"], directives),
        avoid=settings.avoid, count=utf16_units, limit=PROMPT_UNITS,
    )  # fmt: skip
    request = _request(settings, rules, ask, prompt, picture_uri(padded(picture, ask.fit)))
    takes: list[Take] = []
    failures: list[StudioError] = []
    for index in range(settings.count):
        told = f"take {index + 1} of {settings.count}"

        def progress(share: float, doing: str, index: int = index, told: str = told) -> None:
            context.progress(0.9 * (index + share) / settings.count, f"{told}: {doing}")

        try:
            made = _make(service, settings, rules, request, seed=shot.seed + index, progress=progress)
            takes.append(to_take(made, ask.fit, shot, settings.retime, source="hosted"))
        except StudioError as error:
            failures.append(error)
    if not takes:
        raise failures[0]
    context.progress(0.9, "writing")
    records = [record for _, _, record in takes]
    figures: dict[str, float | str] = {
        "service_s": round(sum(record["service_s"] for record in records), 1),
        "credits": sum(record["credits"] or 0.0 for record in records),
        "failed": len(failures),
        "failure": str(failures[0]) if failures else "",
    }
    # How long the service took is no property of the take: a figure, not a part of the payload.
    takes = [(clip, camera, {k: v for k, v in record.items() if k != "service_s"}) for clip, camera, record in takes]
    return finish(context, takes, directives, **figures)


def ask_of(settings: HostedSettings, rules: ModelRules, size: tuple[int, int], lasts_s: Fraction) -> Ask:
    """Ratio, length and where the shot's picture lies in the video's frame.

    Args:
        settings: May name ratio and length.
        rules: What the model takes.
        size: The shot's width and height [px].
        lasts_s: From the shot's first frame to its last [s].

    Raises:
        InputError: The model doesn't take the ratio or the length that the settings name.
    """
    ratio = settings.ratio or _nearest(rules.ratios, size)
    if ratio is not None and ratio not in rules.ratios:
        raise InputError(
            f"{settings.model} has no ratio {ratio!r}", where="takes: ratio", do=f"one of: {', '.join(rules.ratios)}"
        )
    frame = _pixels(ratio) or size
    needed = max(1, math.ceil(lasts_s))
    if rules.seconds:
        if settings.seconds is not None and settings.seconds not in rules.seconds:
            raise InputError(
                f"{settings.model} makes no {settings.seconds} s", where="takes: seconds", do=f"one of: {rules.seconds}"
            )
        enough = [length for length in sorted(rules.seconds) if length >= needed]
        seconds = settings.seconds or (enough[0] if enough else max(rules.seconds))
    else:
        seconds = settings.seconds or min(max(needed, USUAL_SECONDS[0]), USUAL_SECONDS[1])
    return Ask(ratio, seconds, fit_inside(size, frame))


def _nearest(ratios: tuple[str, ...], size: tuple[int, int]) -> str | None:
    """The ratio of the shape nearest to ``size``; of several of one shape that of the nearest size."""
    sized = {ratio: pixels for ratio in ratios if (pixels := _pixels(ratio))}
    if not sized:
        return ratios[0] if ratios else None

    def distance(ratio: str) -> tuple[float, float]:
        width, height = sized[ratio]
        shape = abs(math.log(width * size[1] / (height * size[0])))
        return round(shape, 2), abs(math.log(width * height / (size[0] * size[1])))

    return min(sized, key=distance)


def _pixels(ratio: str | None) -> tuple[int, int] | None:
    """Width and height that a ratio such as "1280:720" or "16:9" stands for; None of one that keeps the shape."""
    width, sign, height = (ratio or "").partition(":")
    if not sign:
        return None
    across, down = int(width), int(height)
    if across >= 100:
        return across, down
    scale = math.sqrt(_USUAL_AREA / (across * down))
    return round(across * scale), round(down * scale)


def utf16_units(text: str) -> int:
    """How long the service says a text is."""
    return len(text.encode("utf-16-le")) // 2


def picture_uri(picture: np.ndarray) -> str:
    """A picture [H, W, 3] uint8 sRGB as a ``data:`` URI: a PNG, or a JPEG when that is too large to be sent."""
    import cv2

    bgr = np.ascontiguousarray(picture[..., ::-1])
    for kind, options in (
        ("png", []),
        ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
        ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, 80]),
    ):
        done, data = cv2.imencode(f".{kind}", bgr, options)
        uri = f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
        if done and len(uri) <= MOST_URI:
            return uri
    raise InputError("is too large to be sent to the service", where="canonical_view", do="set a smaller ratio")


def _request(settings: HostedSettings, rules: ModelRules, ask: Ask, prompt: Prompt, picture: str) -> dict[str, Any]:
    """The request without its seed: only what the model takes."""
    wanted = {
        "model": settings.model,
        "prompt_image": picture,
        "prompt_text": prompt.positive,
        "negative_prompt": prompt.negative,
        "ratio": ask.ratio,
        "duration": ask.seconds,
        "audio": False,
    }
    return {name: value for name, value in wanted.items() if name in rules.accepts and value not in (None, "")}


def _make(
    service: Runway,
    settings: HostedSettings,
    rules: ModelRules,
    request: dict[str, Any],
    *,
    seed: int,
    progress: Callable[[float, str], None],
) -> ModelClip:
    """One clip by the service."""
    began = time.monotonic()
    seeded = {"seed": seed} if "seed" in rules.accepts else {}
    progress(0.0, "asking")
    task = service.create(request | seeded)
    done = service.wait(task, timeout_s=settings.timeout_s, progress=lambda share, doing: progress(0.9 * share, doing))
    progress(0.9, "fetching")
    pixels = download_clip(done.url, service=service.url)
    record = {
        "service": settings.service,
        "model": settings.model,
        "task": service.clean(task),
        "credits": done.credits,
        "service_s": time.monotonic() - began,
        "seed": seed,
        "seed_used": bool(seeded),  # a model without seeds makes another take each time
        "prompt": request.get("prompt_text", ""),
        "negative_prompt": request.get("negative_prompt", ""),
        "ratio": request.get("ratio"),
        "seconds": request.get("duration"),
    }
    return ModelClip(pixels.frames, pixels.fps or Fraction(24), record)
