"""Measured clips for the judge: sound, intentionally deformed, worn, and collapsed in every way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from studio_pipeline.models.judge.damage import DamageNet
from studio_pipeline.models.judge.judging import measure, weights_digest
from studio_pipeline.schema.errors import StudioError
from studio_pipeline.store.codehash import code_digest
from studio_pipeline.training.judge.artistry import (
    ARTISTRY,
    DEFORMATIONS,
    EFFECTS,
    artistry,
    deformed,
    with_effect,
)
from studio_pipeline.training.judge.cast import Actor, from_file, procedural, retinted, shipped
from studio_pipeline.training.judge.clips import draw_clip, draw_directed_clip
from studio_pipeline.training.judge.collapse import KINDS, LEAST_CHANGED, SEVERITIES, collapse
from studio_pipeline.training.judge.layers import Layers, flatten
from studio_pipeline.training.judge.patchwork import patchwork
from studio_pipeline.training.judge.wear import add_noise, through_h264, worn

__all__ = [
    "DIRECTED",
    "GENERAL",
    "Example",
    "directed_examples",
    "held_out_clip",
    "held_out_examples",
    "held_out_set",
    "kept_name",
    "read_examples",
    "sample_clips",
    "training_examples",
    "training_set",
]

GENERAL = "patchwork"
"""The kind of examples that belong to no head."""

DIRECTED = "directed"
"""The kind of good examples that show whatever previz can be asked for."""

_DEFORMED, _EFFECT = 0.45, 0.25  # of the collapsed clips that are deformed or have effects on purpose, too
_VISIBLE = 0.012  # of the subject that a measured collapse changes at least, over all frames
_WORN = 0.6  # of the training examples that are re-compressed or noisy
_HELD, _TRAINED = 7, 1  # first numbers of seeds: held-out clips share none with training


@dataclass(frozen=True)
class Example:
    """One clip's measures and what is known of it."""

    base: int  # number of the sound clip that it was made from
    actor: str
    kind: str  # "plain", a kind of artistry, wear or collapse
    severity: int  # 0: good; 1 to 3
    values: dict[str, float]

    @property
    def bad(self) -> bool:
        """Whether the clip is collapsed."""
        return self.severity > 0


def training_examples(bases: range, damage: DamageNet) -> Iterator[Example]:
    """Examples of the shipped characters in other colours and of procedural ones, in turn; the same every time."""
    cast: list[Actor] = []
    for base in bases:
        rng = np.random.default_rng([_TRAINED, base])
        if base % 2:
            cast = cast or shipped()
            actor = retinted(cast[(base // 2) % len(cast)], rng)
        else:
            actor = procedural(rng)
        layers = draw_clip(actor, rng)
        for kind, severity, frames in _training_variants(layers, base, rng):
            shown = worn(frames, rng) if rng.random() < _WORN else frames
            yield Example(base, actor.name, kind, severity, measure(shown, damage))


def _training_variants(layers: Layers, base: int, rng: np.random.Generator) -> Iterator[tuple[str, int, np.ndarray]]:
    """Sound and deformed clips; collapses of plain clips and of deformed ones, so that no smear vouches for a clip."""
    yield "plain", 0, flatten(layers)
    for kind in map(str, rng.permutation(ARTISTRY)[:4]):
        yield kind, 0, artistry(kind, layers, base)
    for kind in (*KINDS, *[GENERAL] * 3):
        severity, seed = int(rng.choice(SEVERITIES)), int(rng.integers(1 << 20))
        drawn = layers
        if rng.random() < _DEFORMED:
            drawn = deformed(str(rng.choice(DEFORMATIONS)), layers, seed)
        if kind == GENERAL:
            frames = patchwork(drawn, seed, least=LEAST_CHANGED)
        else:
            frames = collapse(kind, drawn, severity, seed)
        if frames is not None:
            if rng.random() < _EFFECT:
                frames = with_effect(str(rng.choice(EFFECTS)), frames, layers, seed)
            yield kind, severity, frames


def held_out_clip(path: Path, base: int) -> tuple[Actor, Layers]:
    """A clip of a character that training never sees."""
    actor = from_file(path)
    return actor, draw_clip(actor, np.random.default_rng([_HELD, base]))


def held_out_examples(files: list[Path], bases: range, damage: DamageNet) -> Iterator[Example]:
    """Every collapse at every severity, intentional deformation and wear of held-out characters, in turn.

    A file that cannot be played is left out.
    """
    for base in bases:
        try:
            actor, layers = held_out_clip(files[base % len(files)], base)
        except StudioError:
            continue
        for kind, severity, frames in _held_out_variants(layers, base):
            yield Example(base, actor.name, kind, severity, measure(frames, damage))


def directed_examples(bases: range, damage: DamageNet, files: list[Path] | None = None) -> Iterator[Example]:
    """Clips with all kinds of cameras, looks, light and effects, all of them good; the same every time.

    Args:
        bases: Numbers of the clips.
        damage: Measures damage.
        files: Characters that play; the shipped ones in other colours and procedural ones when None.
    """
    cast: list[Actor] = []
    for base in bases:
        rng = np.random.default_rng([_TRAINED if files is None else _HELD, base, 5])
        try:
            if files is not None:
                actor = from_file(files[base % len(files)])
            elif base % 2:
                cast = cast or shipped()
                actor = retinted(cast[(base // 2) % len(cast)], rng)
            else:
                actor = procedural(rng)
        except StudioError:
            continue
        clip = draw_directed_clip(actor, rng)
        yield Example(base, actor.name, DIRECTED, 0, measure(clip.frames, damage, clip.alpha))


def _held_out_variants(layers: Layers, base: int) -> Iterator[tuple[str, int, np.ndarray]]:
    rng = np.random.default_rng([_HELD, base, 1])
    plain = flatten(layers)
    yield "plain", 0, plain
    others = [kind for kind in ARTISTRY if kind not in ("smear", "squash")]
    for kind in ("smear", "squash", *map(str, rng.permutation(others)[:2])):
        yield kind, 0, artistry(kind, layers, base)
    yield "h264", 0, through_h264(plain, int(rng.integers(18, 33)))
    yield "noise", 0, add_noise(plain, rng.uniform(2.0, 6.0), rng)
    for kind in KINDS:
        for severity in SEVERITIES:
            frames = collapse(kind, layers, severity, base, least=_VISIBLE)
            if frames is not None:
                yield kind, severity, frames


def training_set(
    folder: Path, bases: int, damage: DamageNet, tell: Callable[[str], None] | None = None
) -> list[Example]:
    """All that the heads are trained on, kept in ``folder``: ``bases`` sound clips with their variants, half as many
    directed ones."""
    half = max(1, bases // 2)
    return [
        *read_examples(folder / kept_name("train", bases, damage), training_examples(range(bases), damage), tell),
        *read_examples(folder / kept_name("directed", half, damage), directed_examples(range(half), damage), tell),
    ]


def held_out_set(
    folder: Path, bases: int, files: list[Path], damage: DamageNet, tell: Callable[[str], None] | None = None
) -> list[Example]:
    """All that it is measured on, kept in ``folder``: ``bases`` sound clips with their variants, as many directed."""
    held, directed = (kept_name(part, bases, damage) for part in ("held_out", "directed_held"))
    return [
        *read_examples(folder / held, held_out_examples(files, range(bases), damage), tell),
        *read_examples(folder / directed, directed_examples(range(bases), damage, files), tell),
    ]


def sample_clips(files: list[Path]) -> Iterator[tuple[str, np.ndarray]]:
    """Clips to look at: a held-out character sound, deformed on purpose, worn and collapsed, with titles."""
    _, layers = held_out_clip(files[len(files) // 3], 1)
    plain = flatten(layers)
    yield "sound", plain
    for kind in ("smear", "multiples", "squash", "impact"):
        yield f"{kind} (on purpose)", artistry(kind, layers, 1)
    yield "H.264 crf 32", through_h264(plain, 32)
    for kind in KINDS:
        for severity in (1, 3):
            frames = collapse(kind, layers, severity, 1)
            if frames is not None:
                yield f"{kind}, severity {severity}", frames


def kept_name(part: str, count: int, damage: DamageNet) -> str:
    """Name of the file that keeps examples; it changes with the code and the network that make them."""
    make = {"train": "training", "held_out": "held_out", "directed": "directed", "directed_held": "directed"}[part]
    made = code_digest(f"{__name__}:{make}_examples")
    return f"{part}_{count}_{made[:10]}_{weights_digest(damage)[:6]}.jsonl"


def read_examples(path: Path, make: Iterator[Example], tell: Callable[[str], None] | None = None) -> list[Example]:
    """The examples kept in ``path``, or made, one line of JSON each, when it isn't there."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".part")
        with fresh.open("w", encoding="utf-8") as file:
            for number, example in enumerate(make, 1):
                file.write(json.dumps(asdict(example)) + "\n")
                if tell and number % 100 == 0:
                    tell(f"{number} clips measured")
        fresh.replace(path)
    return [Example(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
