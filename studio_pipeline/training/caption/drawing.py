"""What clips are asked for: shots as a director would ask, every value about equally often.

A shot has a performance with a timing and an energy, and of everything else only a little that is unusual: a camera
move or an unusual frame, a palette or a light, an effect or two. A field that nobody asks for has its default.
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
_OFTEN = {
    "camera.move": 0.6, "style.palette": 0.45, "style.line": 0.5, "environment.time": 0.4, "environment.place": 0.55,
    "motion.path": 0.25, "subject.mood": 0.25, "motion.accent": 0.3, "camera.transition": 0.12, "style.look": 0.25,
    "environment.weather": 0.25, "lighting.source": 0.3, "texture.surface": 0.2, "texture.finish": 0.15,
}  # fmt: skip
_RARELY = 0.15  # of any other field
_FRAMES = ("camera.framing", "camera.angle", "camera.lens", "camera.focus")  # asked for where the camera stands still
_EFFECTS = 0.22  # of each field of effects
_SIZES = ((96, 96), (96, 96), (112, 96), (128, 96), (88, 96))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One clip to be made; small and picklable."""

    actor: str  # see `cast.load_actor`
    asked: Asked
    seed: int
    size: tuple[int, int] = (96, 96)  # width, height [px]
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
    count: int, actors: Sequence[str], drawable: Mapping[str, Sequence[str]], taxonomy: Taxonomy, *, seed: int
) -> Iterator[Case]:
    """Draw ``count`` clips.

    Args:
        count: How many.
        actors: Names of the cast, each about equally often.
        drawable: Values that previz can draw, by field.
        taxonomy: The vocabularies.
        seed: Another seed gives others.
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
        asked: Asked = {name: (decks[name].draw(),) for name in _ALWAYS if name in decks}
        for name in _wanted(rng, taxonomy, [name for name in unusual if name not in asked]):
            asked[name] = (unusual[name].draw(),)
        yield Case(
            actor=casting.draw(), asked=asked, seed=int(rng.integers(1 << 30)),
            size=_SIZES[int(rng.integers(len(_SIZES)))],
        )  # fmt: skip


def _wanted(rng: np.random.Generator, taxonomy: Taxonomy, names: Sequence[str]) -> list[str]:
    """Fields that a shot asks something unusual of."""
    chosen = []
    moves = "camera.move" in names and rng.random() < _OFTEN["camera.move"]
    frames = [name for name in _FRAMES if name in names]
    for name in names:
        field = taxonomy.field(name)
        if name == "camera.move":
            take = moves
        elif name in frames:
            continue
        elif field is not None and field.group == "effects":
            take = rng.random() < (_EFFECTS if field.many else 0.0)
        else:
            take = rng.random() < _OFTEN.get(name, _RARELY)
        if take:
            chosen.append(name)
    if frames and not moves and rng.random() < 0.85:
        chosen.append(frames[int(rng.choice(len(frames), p=_share(frames)))])
    return chosen


def _share(frames: Sequence[str]) -> np.ndarray:
    weight = np.array([{"camera.framing": 6.0, "camera.angle": 5.0, "camera.lens": 3.0}.get(n, 2.0) for n in frames])
    return weight / weight.sum()
