"""Words of a brief that mean a tag: longest match first, word boundaries, negation, English and Japanese."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from studio_pipeline.schema.taxonomy import Taxonomy, TaxonomyField

__all__ = ["Match", "find_matches", "renamed_in"]

_NEGATIONS = r"(?:no|not|never|without|cannot|neither|nor|\w+n't|instead of|rather than|free of|lacks?|avoids?)"
# A negation reaches over up to three words, and further over "or"; "but", "and", "then" and punctuation end it.
_NEGATED_BEFORE = re.compile(rf"\b{_NEGATIONS}\b((?:\s+(?!but\b|and\b|then\b)[\w'/]+){{0,3}})\s*$")
_ALTERNATIVE = re.compile(r"\b(?:or|nor)\s+(?:(?:the|a|an|any)\s+)?$")
_NEGATED_AFTER = re.compile(
    r"^[ぁ-んー]{0,4}?(?:しない|せず|なし|無し|ない|ません|ではなく|じゃなく|でなく|禁止|抜き(?=[、。]|$))"
)
_TAG = re.compile(r"(?<![\w.])(?P<field>[a-z][a-z0-9]*\.[a-z][a-z0-9_]*)\s?=\s?(?P<value>[a-z0-9][a-z0-9_]*)", re.ASCII)
_KANA, _KANJI = r"ァ-ヺー", r"一-鿿々"


@dataclass(frozen=True)
class Match:
    """Words of the brief that mean a tag."""

    field: str
    value: str
    words: str  # as they stand in the normalised brief
    start: int
    negated: bool


def find_matches(brief: str, taxonomy: Taxonomy) -> list[Match]:
    """Every tag that the brief names, in the order of its words; negated ones are marked.

    Where two terms overlap the longer one counts: "pan left" is no "pan", "no camera move" no negation. A tag may also
    be spelt out, as ``camera.move=pan_left``, under its present name or one of an older version.
    """
    plain = _folded(brief)
    text = _hyphens_apart(plain)
    found, taken = _spelt_out(plain, taxonomy)
    for pattern, field, value in _patterns(taxonomy):
        for hit in pattern.finditer(text):
            if not any(taken[hit.start() : hit.end()]):
                taken[hit.start() : hit.end()] = [True] * (hit.end() - hit.start())
                found.append(Match(field, value, hit.group(), hit.start(), False))
    found.sort(key=lambda match: match.start)
    marked: list[Match] = []
    for match in found:
        negated = _is_negated(text, match, marked[-1] if marked else None)
        marked.append(Match(match.field, match.value, match.words, match.start, negated))
    return marked


def _is_negated(text: str, match: Match, before: Match | None) -> bool:
    ahead = text[: match.start]
    if _NEGATED_BEFORE.search(ahead) or _NEGATED_AFTER.search(text[match.start + len(match.words) :]):
        return True
    return before is not None and before.negated and bool(_ALTERNATIVE.search(ahead))


def _spelt_out(text: str, taxonomy: Taxonomy) -> tuple[list[Match], list[bool]]:
    """Tags written as ``field=value``, and which characters of the text they take."""
    found: list[Match] = []
    taken = [False] * len(text)
    for hit in _TAG.finditer(text):
        for name, value in taxonomy.migrate({hit["field"]: hit["value"]})[0].items():
            field = taxonomy.field(name)
            if field is not None and value in field.values:
                found.append(Match(name, value, hit.group(), hit.start(), False))
                taken[hit.start() : hit.end()] = [True] * len(hit.group())
    return found, taken


def renamed_in(brief: str, taxonomy: Taxonomy) -> list[str]:
    """A line for each tag that the brief spells out under a name of an older version."""
    return [line for hit in _TAG.finditer(_folded(brief)) for line in taxonomy.migrate({hit["field"]: hit["value"]})[1]]


def _folded(text: str) -> str:
    # Full-width letters and digits, curly quotes and case don't matter ...
    return unicodedata.normalize("NFKC", text).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").casefold()


def _hyphens_apart(text: str) -> str:
    # ... nor do hyphens. No character is added or taken away.
    return re.sub(r"(?<=[a-z0-9])[-_](?=[a-z0-9])", " ", text)


def _normalised(text: str) -> str:
    return _hyphens_apart(_folded(text))


def _patterns(taxonomy: Taxonomy) -> tuple[tuple[re.Pattern[str], str, str], ...]:
    """Patterns of all terms, longest first."""
    terms: dict[str, tuple[TaxonomyField, str]] = {}
    for field in taxonomy.fields:
        for tag in field.tags:
            for word in tag.synonyms:
                terms.setdefault(_normalised(word), (field, tag.value))
    ordered = sorted(terms.items(), key=lambda item: (-len(item[0]), item[0]))
    return tuple((_pattern(term, field.verbs), field.field, value) for term, (field, value) in ordered)


@lru_cache(maxsize=4096)
def _pattern(term: str, verb: bool) -> re.Pattern[str]:
    if re.search(r"[^\x00-\x7f]", term):
        return re.compile(_guarded(term))
    words = [re.escape(word) for word in term.split()]
    if verb:
        words[0] = _inflected(words[0])
    return re.compile(r"(?<![\w'])" + r"\s+".join(words) + r"(?![\w'])", re.ASCII)


def _guarded(term: str) -> str:
    """A Japanese term that is no part of a longer word of the same script: パン in パンダ, 雨 in 梅雨入り."""
    before = after = ""
    if re.match(f"[{_KANA}]", term):
        before = f"(?<![{_KANA}])"
    if re.search(f"[{_KANA}]$", term):
        after = f"(?![{_KANA}])"
    if len(term) <= 2:
        before = before or (f"(?<![{_KANJI}])" if re.match(f"[{_KANJI}]", term) else "")
        after = after or (f"(?![{_KANJI}])" if re.search(f"[{_KANJI}]$", term) else "")
    if term[0].isdigit():
        before = r"(?<!\d)"
    return before + re.escape(term) + after


def _inflected(word: str) -> str:
    """An English verb and its regular forms: walk(s|ed|ing), wave -> waving, hop -> hopping, try -> tries."""
    if word.endswith("e"):
        return f"{word[:-1]}(?:e|es|ed|ing)"
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}(?:y|ies|ied|ying)"
    if len(word) <= 4 and re.search(r"[^aeiou][aeiou][bdgklmnprt]$", word):
        return f"{word}(?:s|{word[-1]}ed|{word[-1]}ing)?"
    return f"{word}(?:s|es|ed|ing)?"
