"""Models from the user's own folder or from the hub's cache: safetensors only, no foreign code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studio_pipeline.schema.errors import BackendUnavailable, one_line

__all__ = ["device_name", "load_pretrained"]


def device_name() -> str:
    """Where networks run: a GPU when there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def load_pretrained(kind: Any, source: Path | str, *, setting: str, **more: Any) -> Any:
    """``kind.from_pretrained`` of a folder, or of ``owner/name`` or ``owner/name@revision`` on the hub.

    Args:
        kind: A class of transformers.
        source: A folder, or a name; names are looked for in the local cache first, then on the hub.
        setting: Which setting named it, for the error.
        more: Passed on.

    Raises:
        BackendUnavailable: It isn't there, isn't complete, holds no safetensors, or is another kind of model.
    """
    where, revision = str(source), None
    if not Path(where).exists():
        where, _, revision = where.partition("@")
        if Path(where).is_absolute():
            raise BackendUnavailable(f"no such model folder: {source}", do=f"set {setting}")
    last: Exception | None = None
    for offline in (True, False):
        try:
            with _without_bars():
                return kind.from_pretrained(
                    where, revision=revision or "main", local_files_only=offline, trust_remote_code=False, **more
                )
        except Exception as error:  # transformers, safetensors and the hub's client each raise kinds of their own
            last = error
        if Path(where).exists():
            break
    raise BackendUnavailable(
        f"model {source} can't be loaded ({_short(last)})",
        do=f"set {setting} to a folder with config.json and safetensors weights, or to a model on the hub",
    ) from None


@contextmanager
def _without_bars() -> Iterator[None]:
    """Bars of loading are no lines of a log; whoever has imported the libraries may want them elsewhere."""
    names = ("transformers.utils.logging", "diffusers.utils.logging")
    shown = [module for name in names if (module := sys.modules.get(name)) and module.is_progress_bar_enabled()]
    for module in shown:
        module.disable_progress_bar()
    try:
        yield
    finally:
        for module in shown:
            module.enable_progress_bar()


def _short(error: Exception | None) -> str:
    text = one_line(str(error)) or type(error).__name__
    return text if len(text) < 200 else text[:200] + " ..."
