"""Tiny image-text models with random weights and byte-level vocabularies, saved the way real ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_QWEN_SIGNS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def _tokenizer(signs: tuple[str, ...], template: str, **named: str) -> Any:
    """Every byte is a token, some words and pieces are too: many ways to spell the same text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1600, special_tokens=["<|endoftext|>", *signs],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )  # fmt: skip
    made.train_from_iterator([*_sentences(), 'null," "," ": "', "歩く"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=template,
        additional_special_tokens=list(signs), model_max_length=100_000, **named,
    )  # fmt: skip


def _sentences() -> list[str]:
    """What the model is asked about, so that a question isn't spelled letter by letter."""
    from studio_pipeline.schema.taxonomy import load_taxonomy

    return [f"{tag.value}: {tag.meaning}; {f.field}" for f in load_taxonomy().fields for tag in f.tags]


def _sharpened(model: Any, sharpness: float) -> Any:
    """The same model, surer of everything: random weights alone think all tokens about as likely."""
    import torch

    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(sharpness)
    return model


def save_qwen(folder: Path, *, seed: int = 0, sharpness: float = 1.0, third: bool = False) -> Path:
    """A Qwen2.5-VL or, ``third``, a Qwen3-VL, with a vocabulary of bytes written as letters."""
    import torch
    import transformers
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    template = _TEMPLATE.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    words = _tokenizer(_QWEN_SIGNS, template)
    ids = {name: words.convert_tokens_to_ids(name) for name in _QWEN_SIGNS}
    rope = {"mrope_section": [2, 2, 4], "rope_type": "default", "type": "default"}
    text = {
        "vocab_size": len(words) + 13, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 32768, "rope_scaling": rope,
        "bos_token_id": None, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id,
    }  # fmt: skip
    vision: dict[str, Any] = {"depth": 2, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
    vision["out_hidden_size"] = 32
    if third:
        name, patch = "Qwen3VL", 16
        text["head_dim"] = 16
        vision |= {"patch_size": 16, "deepstack_visual_indexes": [0], "num_position_embeddings": 64}
    else:
        name, patch = "Qwen2_5_VL", 14
        vision["fullatt_block_indexes"] = [1]
    torch.manual_seed(seed)
    config = getattr(transformers, f"{name}Config")(
        text_config=text, vision_config=vision, image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"], vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    model = _sharpened(getattr(transformers, f"{name}ForConditionalGeneration")(config), sharpness)
    model.generation_config.eos_token_id = [words.eos_token_id, words.pad_token_id]
    model.generation_config.pad_token_id = words.pad_token_id
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    sides = {"shortest_edge": 4 * patch * 4 * patch, "longest_edge": 8 * patch * 8 * patch}
    Qwen2VLImageProcessorPil(patch_size=patch, merge_size=2, size=sides).save_pretrained(folder)
    return folder


def save_qwen3(folder: Path, *, seed: int = 0, sharpness: float = 1.0) -> Path:
    """A Qwen3-VL."""
    return save_qwen(folder, seed=seed, sharpness=sharpness, third=True)


def _pieces(signs: tuple[str, ...], template: str) -> Any:
    """A vocabulary in SentencePiece's way: U+2581 for a space, a token for every byte."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    known = {name: number for number, name in enumerate(("<unk>", "<s>", "</s>", *signs))}
    for byte in range(256):
        known[f"<0x{byte:02X}>"] = len(known)
    for letter in map(chr, range(33, 127)):
        known[letter] = len(known)
    for piece in ("\u2581", "\u2581camera", "\u2581the", "pan", "null", 'ull,"', "ca", "me", "came", "\u2581w", "walk"):
        known[piece] = len(known)
    merges = [("c", "a"), ("m", "e"), ("ca", "me")]
    made = Tokenizer(models.BPE(known, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Replace(" ", "\u2581")
    made.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="</s>", bos_token="<s>", unk_token="<unk>", pad_token="</s>",
        additional_special_tokens=list(signs), chat_template=template, model_max_length=100_000,
    )  # fmt: skip


def save_llava(folder: Path, *, seed: int = 0, sharpness: float = 1.0) -> Path:
    """A LLaVA, with a vocabulary of pieces."""
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = _pieces(("<image>", "<|im_start|>", "<|im_end|>"), _TEMPLATE.replace("IMAGE", "<image>"))
    size = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    torch.manual_seed(seed)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**size, image_size=56, patch_size=14, projection_dim=16),
        text_config=LlamaConfig(
            vocab_size=len(words), pad_token_id=2, bos_token_id=1, eos_token_id=2, max_position_embeddings=32768, **size
        ),
        image_token_index=words.convert_tokens_to_ids("<image>"), image_seq_length=16,
    )  # fmt: skip
    _sharpened(LlavaForConditionalGeneration(config), sharpness).save_pretrained(folder)
    sides = {"crop_size": {"height": 56, "width": 56}, "size": {"shortest_edge": 56}}
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(**sides), tokenizer=words, patch_size=14, num_additional_image_tokens=1,
        vision_feature_select_strategy="default", chat_template=words.chat_template,
    ).save_pretrained(folder)  # fmt: skip
    return folder
