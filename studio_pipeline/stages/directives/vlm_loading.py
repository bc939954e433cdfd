"""An image-text model of transformers and its processor, from the user's folder or the hub."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from typing import Any, NamedTuple

from studio_pipeline.schema.errors import BackendUnavailable, one_line
from studio_pipeline.stages.observations.models import device_name, load_pretrained

__all__ = ["Vlm", "available", "load_vlm"]

_PACKAGES = {"transformers": "transformers", "outlines_core": "outlines-core"}


class Vlm(NamedTuple):
    """A model on its device and what prepares its input."""

    model: Any
    processor: Any
    tokenizer: Any
    device: str


def available() -> str:
    """What is missing for image-text models; empty when nothing is."""
    missing = [name for module, name in _PACKAGES.items() if importlib.util.find_spec(module) is None]
    return f"{' and '.join(missing)} not installed; pip install 'studio_pipeline[models]'" if missing else ""


def load_vlm(source: Path | str, *, dtype: str | None = None) -> Vlm:
    """Load a model: safetensors only, none of its code.

    Args:
        source: A folder, or a name on the hub.
        dtype: Of the computation; None: bfloat16 on a GPU, float32 without.

    Raises:
        BackendUnavailable: A package or the model is missing, or it has no template for conversations.
    """
    if missing := available():
        raise BackendUnavailable(f"directives: vlm can't run: {missing}")
    import torch
    from transformers import AutoModelForImageTextToText

    device = device_name()
    kind = getattr(torch, dtype or ("bfloat16" if device == "cuda" else "float32"))
    model = load_pretrained(AutoModelForImageTextToText, source, setting="model", use_safetensors=True, dtype=kind)
    processor = _processor(source)
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or not (getattr(processor, "chat_template", None) or tokenizer.chat_template):
        raise BackendUnavailable(
            f"model {str(source).rstrip('/').rpartition('/')[2]} has no template for conversations",
            do="set model to an instruct model, such as Qwen2.5-VL-7B-Instruct",
        )
    return Vlm(model.to(device).eval(), processor, tokenizer, device)


def _processor(source: Path | str) -> Any:
    from transformers import AutoConfig, AutoProcessor
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    config = load_pretrained(AutoConfig, source, setting="model")
    kind = PROCESSOR_MAPPING.get(type(config), None)
    if kind is None or "video_processor" not in kind.get_attributes() or importlib.util.find_spec("torchvision"):
        return load_pretrained(AutoProcessor, source, setting="model")
    return _without_video(kind, source)


class _Options:
    """Reads what a processor's own file says of it in the manner of ``from_pretrained``, loading none of its parts."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def from_pretrained(self, where: str, **how: Any) -> dict[str, Any]:
        """Arguments of the processor's class, without its parts."""
        how.pop("trust_remote_code")
        said, _ = self.kind.get_processor_dict(where, **how)
        taken = set(inspect.signature(self.kind.__init__).parameters) - {"self", *self.kind.get_attributes()}
        return {name: value for name, value in said.items() if name in taken and value is not None}


def _without_video(kind: Any, source: Path | str) -> Any:
    """A processor of pictures and words alone, whose class also wants one of videos, which needs torchvision."""
    from transformers import AutoImageProcessor, AutoTokenizer

    class PictureProcessor(kind):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name == "video_processor":
                return None
            return super().check_argument_for_proper_class(argument_name, argument)

    pictures = load_pretrained(AutoImageProcessor, source, setting="model", backend="pil")
    words = load_pretrained(AutoTokenizer, source, setting="model")
    options = {"chat_template": words.chat_template, **load_pretrained(_Options(kind), source, setting="model")}
    try:
        return PictureProcessor(image_processor=pictures, tokenizer=words, video_processor=None, **options)
    except (TypeError, AttributeError, ImportError, ValueError) as error:
        raise BackendUnavailable(
            f"{kind.__name__} can't be made without torchvision ({one_line(error)[:160]})",
            do="pip install torchvision in the version of torch, or set another model",
        ) from None
