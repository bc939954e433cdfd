"""Text of a language model that can only be what a pattern allows, and how sure the model was of each part.

The pattern becomes an automaton over the model's own tokens (outlines-core, the engine of outlines); at every step the
tokens that the automaton doesn't allow get no probability. So even a model with random weights writes valid text, and
the probabilities that remain say how sure it is among what is allowed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from studio_pipeline.schema.errors import BackendUnavailable, one_line
from studio_pipeline.schema.tags import Taxonomy

__all__ = ["PROSE", "Written", "schema_of", "schema_pattern", "token_texts", "write"]

PROSE = r'[ !#-\[\]-~]*"'
"""Printable ASCII up to a quotation mark: a JSON string whose first quotation mark is in the prompt."""

MOST_OF_MANY = 3  # values of a field that holds several


@dataclass(frozen=True)
class Written:
    """What a model wrote."""

    text: str
    spans: tuple[tuple[int, int, float], ...]  # start and end of each token in the text, and its probability
    finished: bool  # False: it was cut off, the text is the beginning of something valid

    def sureness(self, start: int, end: int) -> float:
        """Probability of the part from ``start`` to ``end``: the product over the tokens that touch it."""
        product = 1.0
        for first, last, probability in self.spans:
            if first < end and last > start:
                product *= probability
        return product


def schema_of(taxonomy: Taxonomy) -> dict[str, Any]:
    """JSON schema of an answer: for every field one of its values or null, or a list of values where several hold."""
    properties: dict[str, Any] = {}
    for field in taxonomy.fields:
        if field.many:
            items = {"enum": list(field.values)}
            properties[field.field] = {
                "type": "array",
                "items": items,
                "maxItems": min(MOST_OF_MANY, len(field.values)),
            }
        else:
            properties[field.field] = {"enum": [*field.values, None]}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def schema_pattern(schema: dict[str, Any]) -> str:
    """The regular expression of all JSON without spaces that a schema allows.

    Raises:
        BackendUnavailable: outlines-core isn't installed.
    """
    json_schema = _engine().json_schema
    return json_schema.build_regex_from_schema(json.dumps(schema), "")


def _engine() -> Any:
    try:
        import outlines_core
    except ImportError:
        raise BackendUnavailable(
            "directives: vlm needs outlines-core", do="pip install 'studio_pipeline[models]'"
        ) from None
    return outlines_core


def token_texts(tokenizer: Any) -> dict[str, list[int]]:
    """Tokens by the printable ASCII text that they stand for; all others are left out, no pattern here needs them.

    Two kinds of vocabularies are understood: bytes written as letters (GPT-2's way: Qwen, Llama 3, SmolLM), and pieces
    with U+2581 for a space and ``<0xNN>`` for a byte (SentencePiece's way: Llama 2, Gemma).
    """
    byte_level = _is_byte_level(tokenizer)
    special = set(tokenizer.all_special_ids) | {
        number for number, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    letters = {letter: byte for byte, letter in _letters().items()}
    texts: dict[str, list[int]] = {}
    for token, number in tokenizer.get_vocab().items():
        if number in special:
            continue
        if byte_level:
            text = "".join(chr(letters.get(letter, 0)) for letter in token)
        elif found := re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", token):
            text = chr(int(found[1], 16))
        else:
            text = token.replace("\N{LOWER ONE EIGHTH BLOCK}", " ")
        if text and all(" " <= letter <= "~" for letter in text):
            texts.setdefault(text, []).append(number)
    return texts


def _is_byte_level(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and "ByteLevel" in repr(backend.decoder)


def _letters() -> dict[int, str]:
    """GPT-2's letters for bytes: printable Latin-1 for itself, the others moved behind U+0100."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    moved = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + index) for index, byte in enumerate(moved)}


class _Bound:
    """Leaves a model only the tokens that an automaton allows; called as transformers calls its logits processors."""

    def __init__(self, index: Any, prompt_length: int) -> None:
        self.index, self.start = index, prompt_length
        self.state = index.get_initial_state()
        self.known: dict[int, Any] = {}  # allowed tokens by state, in order
        self.shares: Any = None  # log probabilities of the tokens that are allowed now
        self.probabilities: list[float] = []  # of the tokens that were chosen

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores [1, V] with minus infinity for what isn't allowed."""
        import torch

        if input_ids.shape[1] > self.start:
            self.state = self.index.get_next_state(self.state, int(input_ids[0, -1]))
        if self.state not in self.known:
            allowed = self.index.get_allowed_tokens(self.state)
            self.known[self.state] = torch.tensor(sorted(allowed), dtype=torch.long, device=scores.device)
        bounded = torch.full_like(scores, -torch.inf)
        allowed = self.known[self.state]
        # A score that is no number can't be the best; all of them equal is a guess, which the probabilities show.
        left = torch.nan_to_num(scores[:, allowed].float(), nan=-1e9, posinf=1e9, neginf=-1e9)
        self.shares = torch.log_softmax(left[0], -1)
        bounded[:, allowed] = left.to(bounded.dtype)
        return bounded

    def is_finished(self, input_ids: Any, scores: Any = None, **kwargs: Any) -> Any:
        """Whether the last token, whose probability is noted, completes the pattern. [1] bool"""
        import torch

        place = torch.searchsorted(self.known[self.state], input_ids[0, -1])
        self.probabilities.append(float(self.shares[place].exp()))
        state = self.index.get_next_state(self.state, int(input_ids[0, -1]))
        done = state is not None and self.index.is_final_state(state)
        return torch.tensor([done], device=input_ids.device)


def write(model: Any, tokenizer: Any, inputs: Any, pattern: str, *, most_tokens: int) -> Written:
    """Let a model continue a prompt within a pattern, always with the likeliest token.

    Args:
        model: Of transformers.
        tokenizer: Its tokenizer.
        inputs: What the processor made of the prompt, batch size 1.
        pattern: A regular expression in printable ASCII that ends where it is fulfilled.
        most_tokens: After so many the text is cut off.

    Raises:
        BackendUnavailable: outlines-core isn't installed, or the model's vocabulary can't spell the pattern.
    """
    import torch

    engine = _engine()
    texts = token_texts(tokenizer)
    try:
        index = engine.Index(pattern, engine.Vocabulary(_end(tokenizer), _useful(texts, pattern)))
    except (ValueError, RuntimeError) as error:
        raise BackendUnavailable(
            f"directives: the model's vocabulary can't spell the answer ({one_line(error)[:160]})", do="set model"
        ) from None
    length = inputs["input_ids"].shape[1]
    bound = _Bound(index, length)
    with torch.inference_mode():
        made = model.generate(
            **inputs, do_sample=False, num_beams=1, max_new_tokens=most_tokens, logits_processor=[bound],
            stopping_criteria=[bound.is_finished], repetition_penalty=1.0, pad_token_id=_end(tokenizer),
        )  # fmt: skip
    spelled = {number: text for text, numbers in texts.items() for number in numbers}
    numbers = made[0, length:].tolist()
    spans: list[tuple[int, int, float]] = []
    text = ""
    for number, probability in zip(numbers, bound.probabilities, strict=True):
        piece = spelled.get(number, "")  # the end of the answer has no text
        spans.append((len(text), len(text) + len(piece), probability))
        text += piece
    return Written(text, tuple(spans), re.fullmatch(pattern, text) is not None)


def _end(tokenizer: Any) -> int:
    end = tokenizer.eos_token_id
    if end is None:
        raise BackendUnavailable("directives: the model's tokenizer names no end of text", do="set model")
    return int(end)


def _useful(texts: dict[str, list[int]], pattern: str) -> dict[str, list[int]]:
    """Only the tokens whose letters occur in the pattern: the automaton is made ten times as fast."""
    # A class names letters by their range, so what it needs can't be read off.
    letters = set(pattern) if "[" not in pattern.replace(r"\[", "") else None
    return texts if letters is None else {text: ids for text, ids in texts.items() if set(text) <= letters}
