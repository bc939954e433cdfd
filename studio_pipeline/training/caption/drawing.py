"""What clips are asked for: shots as a director would ask, every value about equally often.

A shot has a performance with a timing and an energy, and of everything else only a little that is unusual: a camera
move or an unusual frame, a palette or a place, an effect or two. A field that nobody asks for has its default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from studio_pipeline.schema.taxonomy import Taxonomy

__all__ = ["Asked", "Case", "draw_cases"]

Asked = dict[str, tuple[str, ...]]
"""Values by field; several only where the field holds many."""

_ALWAYS = ("motion.performance", "motion.timing", "motion.energy", "style.shading")
_KINDS: tuple[tuple[tuple[str, ...], tuple[float, float]], ...] = (
    (("camera.",), (0.95, 0.05)),
    (("style.", "texture.", "lighting.", "environment."), (0.85, 0.3)),
    (("vfx.",), (0.85, 0.35)),
    (("motion.", "subject."), (0.5, 0.05)),
)
"""Of each kind of field, the chance that one unusual thing is asked for, and a second one."""
_CROWDED = ((0.95, 0.35), (0.9, 0.6, 0.3), (0.9, 0.5), (0.6, 0.2))
"""The same of clips to learn from: each teaches more values than a director would ask of one shot."""
_ASPECTS = (1.0, 1.0, 7.0 / 6.0, 4.0 / 3.0, 11.0 / 12.0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One clip to be made; small and picklable."""

    actor: str  # see `cast.load_actor`
    asked: Asked
    seed: int
    size: tuple[int, int] = (72, 72)  # width, height [px]
    frames: int = 24
    fps: int = 24


class _Deck:
    """Values of a field in an order that has each once before any comes again."""

    def __init__(self, values: Sequence[str], rng: np.random.Generator) -> None:
        self.values, self.rng, self.left = list(values), rng, []

    def draw(self) -> str:
        if not self.left:
            self.left = [self.values[i] for i in self.rng.permutation(len(self.values))]
        return self.left.pop()


def draw_cases(
    count: int,
    actors: Sequence[str],
    drawable: Mapping[str, Sequence[str]],
    taxonomy: Taxonomy,
    *,
    seed: int,
    height: int = 72,
    crowded: bool = False,
) -> Iterator[Case]:
    """Draw ``count`` clips.

    Args:
        count: How many.
        actors: Names of the cast, each about equally often.
        drawable: Values that previz can draw, by field.
        taxonomy: The vocabularies.
        seed: Another seed gives others.
        height: Of the pictures [px], even; widths vary.
        crowded: Ask for more at once than a director would.
    """
    rng = np.random.default_rng(seed)
    decks = {field: _Deck(values, rng) for field, values in drawable.items() if values}
    unusual = {
        name: _Deck(others, rng)
        for name, values in drawable.items()
        if (field := taxonomy.field(name)) and (others := [value for value in values if value != field.default])
    }
    casting = _Deck(actors, rng)
    for _ in range(count):
        asked: Asked = {}
        for name in (name for name in _ALWAYS if name in decks):
            value = decks[name].draw()
            if _agrees(taxonomy, name, value, asked):
                asked[name] = (value,)
        for name in _wanted(rng, {n: len(d.values) for n, d in unusual.items() if n not in asked}, crowded=crowded):
            value = unusual[name].draw()
            if _agrees(taxonomy, name, value, asked):
                asked[name] = (value,)
        yield Case(
            actor=casting.draw(), asked=asked, seed=int(rng.integers(1 << 30)),
            size=(2 * round(height * _ASPECTS[int(rng.integers(len(_ASPECTS)))] / 2.0), height),
        )  # fmt: skip


def _agrees(taxonomy: Taxonomy, name: str, value: str, asked: Asked) -> bool:
    """Whether the taxonomy lets a value stand beside what is asked already."""
    this = taxonomy.tag(f"{name}={value}")
    for other in (f"{field}={one}" for field, values in asked.items() for one in values):
        that = taxonomy.tag(other)
        if this is None or that is None or other in this.contradicts or f"{name}={value}" in that.contradicts:
            return False
    return True


def _wanted(rng: np.random.Generator, counts: Mapping[str, int], *, crowded: bool) -> list[str]:
    """Fields that a shot asks something unusual of; ``counts``: how many unusual values each has."""
    chosen = []
    for (starts, usual), many in zip(_KINDS, _CROWDED, strict=True):
        names = [name for name in counts if name.startswith(starts)]
        for chance in many if crowded else usual:
            if names and rng.random() < chance:
                weight = np.array([counts[name] for name in names], float)
                chosen.append(names.pop(int(rng.choice(len(names), p=weight / weight.sum()))))
    return chosen
