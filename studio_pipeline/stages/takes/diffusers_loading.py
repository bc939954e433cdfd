"""A pipeline of diffusers from the user's folder or the hub: known classes, safetensors, no foreign code."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from studio_pipeline.models.kept import kept_model, stamp
from studio_pipeline.schema.errors import BackendUnavailable, one_line
from studio_pipeline.stages.observations.models import device_name, load_pretrained
from studio_pipeline.stages.takes.diffusers_rules import rules_of
from studio_pipeline.stages.takes.diffusers_settings import DiffusersSettings, PipelineName

__all__ = ["available", "load_pipeline", "pipeline_class"]

_LIBRARIES = ("diffusers", "transformers")
"""Where the parts of a pipeline may come from; a model's folder may name any module, and naming one imports it."""


def available() -> str:
    """What is missing for diffusers; empty when nothing is."""
    missing = [name for name in ("diffusers", "transformers", "accelerate") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} not installed; pip install 'studio_pipeline[models]'" if missing else ""


def pipeline_class(name: PipelineName) -> Any:
    """The class of diffusers called ``name``.

    Raises:
        BackendUnavailable: diffusers is missing or hasn't got it.
    """
    assert name in get_args(PipelineName), name  # the settings have checked it: nothing else is looked up
    if missing := available():
        raise BackendUnavailable(f"takes: diffusers can't run: {missing}")
    import diffusers

    kind = getattr(diffusers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.DiffusionPipeline)):
        raise BackendUnavailable(
            f"diffusers {diffusers.__version__} has no {name}", do="pip install -U 'studio_pipeline[models]'"
        )
    return kind


@contextmanager
def pipeline_of(settings: DiffusersSettings) -> Iterator[tuple[Any, str]]:
    """`load_pipeline` for a block; a farm's worker keeps it for the next shot that wants the same.

    Raises:
        BackendUnavailable: See `load_pipeline`.
    """
    how = (settings.pipeline, settings.variant, settings.dtype, settings.offload, settings.tiling)
    with kept_model(("diffusers", how, stamp(settings.model)), lambda: load_pipeline(settings)) as found:
        yield found


def load_pipeline(settings: DiffusersSettings) -> tuple[Any, str]:
    """The pipeline on its device, ready to be called, and the dtype that it computes in.

    Raises:
        BackendUnavailable: diffusers or the model isn't there, isn't safetensors, or asks for code of its own.
    """
    import torch

    kind = pipeline_class(settings.pipeline)
    device = device_name()
    dtype = settings.dtype or ("bfloat16" if device == "cuda" else "float32")
    vae = rules_of(kind, settings.pipeline).vae or dtype
    _check_parts(load_pretrained(_Index(kind), settings.model, setting="model"), settings)
    dtypes = {"default": getattr(torch, dtype), "vae": getattr(torch, vae)}
    pipe = load_pretrained(
        kind, settings.model, setting="model", use_safetensors=True, variant=settings.variant, dtype=dtypes
    )
    pipe.set_progress_bar_config(disable=True)  # the stage tells of its progress itself
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    if settings.tiling:
        _tile(pipe, settings)
    if device == "cuda" and settings.offload != "none":
        pipe.enable_model_cpu_offload() if settings.offload == "model" else pipe.enable_sequential_cpu_offload()
    else:
        pipe = pipe.to(device)
    return pipe, dtype


class _Index:
    """Reads a pipeline's index of parts in the manner of ``from_pretrained``, loading none of them."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def from_pretrained(self, where: str, **how: Any) -> dict[str, Any]:
        """The index as a dictionary."""
        how.pop("trust_remote_code")
        return self.kind.load_config(where, **how)


def _check_parts(index: Any, settings: DiffusersSettings) -> None:
    named = index.get("_class_name")
    foreign = [] if isinstance(named, str) else [f"the pipeline {one_line(named)}"]
    for part, what in index.items():
        if isinstance(what, (list, tuple)) and len(what) == 2 and what[0] is not None and what[0] not in _LIBRARIES:
            foreign.append(f"{part} from {one_line(what[0])}")
    if foreign:
        raise BackendUnavailable(
            f"model {_name(settings.model)} wants code that is not diffusers' or transformers': {', '.join(foreign)}",
            do="set model to one made of their classes alone; code beside a model is never run",
        )


def _tile(pipe: Any, settings: DiffusersSettings) -> None:
    if not hasattr(pipe.vae, "enable_tiling"):
        raise BackendUnavailable(f"the VAE of {_name(settings.model)} can't work in tiles", do="set tiling: false")
    pipe.vae.enable_tiling()


def _name(source: Path | str) -> str:
    return str(source).rstrip("/").rpartition("/")[2]
