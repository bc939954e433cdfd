"""Short previz clips of a cast, taken apart into layers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.render.ground import backdrop
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives, DirectiveValue
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.stages.takes import PrevizSettings
from studio_pipeline.stages.takes.drawn import UNLIFTABLE, drawable_tags
from studio_pipeline.stages.takes.previz import make_previz
from studio_pipeline.training.judge.cast import Actor
from studio_pipeline.training.judge.layers import Layers, layers_of

__all__ = ["FRAMES", "SIDE", "draw_clip", "draw_directed_clip"]

FRAMES, SIDE = 14, 192  # a subject fills half of it: about as many pixels as the judge sees
_GRAY = (128, 128, 128)
_PERFORMANCES = (
    *("idle", "walk", "run", "jump", "hop", "wave", "cheer", "dance", "attack", "fly", "swim", "slither", "trot"),
    *("sneak", "look_around", "nod", "fall", "tremble"),
)


def draw_clip(actor: Actor, rng: np.random.Generator, *, side: int = SIDE, frames: int = FRAMES) -> Layers:
    """A performance, a camera, a look and a backdrop drawn by chance.

    Args:
        actor: Who plays.
        rng: Draws everything else.
        side: Of the square picture [px].
        frames: Number of frames.
    """
    view = frame_points(
        actor.character.vertices, width=side, height=side, azimuth=np.radians(rng.uniform(-70.0, 70.0)),
        elevation=np.radians(rng.uniform(-5.0, 22.0)), fill=rng.uniform(0.5, 0.68),
    )  # fmt: skip
    camera = view.at(np.zeros(frames, dtype=int))
    made = make_previz(
        actor.character, actor.rig, camera, _directives(rng), fps=Fraction(24), frame_count=frames, first_frame=1,
        seed=int(rng.integers(0, 10_000)), settings=PrevizSettings(background=_GRAY, supersample=2),
    )  # fmt: skip
    assert made.clip.alpha is not None
    faces = _seen(made.acted.vertices, actor.character.faces, made.camera)
    bone = actor.rig.weights[actor.character.faces].sum(1).argmax(1)
    return layers_of(
        made.clip.frames, made.clip.alpha, _GRAY, _behind(rng, side), bones=np.where(faces >= 0, bone[faces], -1),
        faces=faces, parents=actor.rig.parents,
    )  # fmt: skip


def draw_directed_clip(actor: Actor, rng: np.random.Generator, *, side: int = SIDE, frames: int = FRAMES) -> Clip:
    """A performance with up to five more of the tags that previz draws, whatever they are: a clip to be passed.

    Args:
        actor: Who plays.
        rng: Draws everything else.
        side: Of the square picture [px].
        frames: Number of frames.
    """
    view = frame_points(
        actor.character.vertices, width=side, height=side, azimuth=np.radians(rng.uniform(-60.0, 60.0)),
        elevation=np.radians(rng.uniform(0.0, 15.0)), fill=rng.uniform(0.5, 0.68),
    )  # fmt: skip
    tags = [tag for tag in drawable_tags() if tag not in UNLIFTABLE and not tag.startswith("motion.performance")]
    chosen = [
        f"motion.performance={rng.choice(_PERFORMANCES)}",
        *rng.choice(tags, int(rng.integers(1, 6)), replace=False),
    ]
    values: dict[str, list[DirectiveValue]] = {}
    taxonomy = load_taxonomy()
    for tag in chosen:
        name, _, value = str(tag).partition("=")
        field = taxonomy.field(name)
        if field is not None:
            values.setdefault(field.group, []).append(DirectiveValue(field=name, value=value, origin="artist"))
    record = Directives.model_validate({"taxonomy": taxonomy.version, **values})
    made = make_previz(
        actor.character, actor.rig, view.at(np.zeros(frames, dtype=int)), record, fps=Fraction(24), frame_count=frames,
        first_frame=1, seed=int(rng.integers(0, 10_000)),
    )  # fmt: skip
    return made.clip


def _seen(vertices: np.ndarray, faces: np.ndarray, camera: CameraPath) -> np.ndarray:
    return rasterize(vertices, faces, camera).face_ids


def _directives(rng: np.random.Generator) -> Directives:
    def value(field: str, chosen: str) -> DirectiveValue:
        return DirectiveValue(field=field, value=chosen, origin="artist")

    motion = [
        value("motion.performance", str(rng.choice(_PERFORMANCES))),
        value("motion.timing", str(rng.choice(["ones", "ones", "twos", "threes"]))),
        value("motion.energy", str(rng.choice(["gentle", "normal", "normal", "lively", "explosive"]))),
        value("motion.path", str(rng.choice(["in_place", "in_place", "travel_left", "travel_right", "approach"]))),
    ]
    if rng.random() < 0.4:
        motion.append(value("motion.accent", "squash_stretch"))
    style = (
        value("style.shading", str(rng.choice(["cel", "cel", "flat", "gradient"]))),
        value("style.line", str(rng.choice(["clean", "clean", "thick", "thin"]))),
    )
    return Directives(taxonomy="1.0", motion=tuple(motion), style=style)


def _behind(rng: np.random.Generator, side: int) -> np.ndarray:
    """A backdrop as previz draws them, or one colour. [H, W, 3] uint8"""
    how = rng.random()
    if 0.5 <= how < 0.7:
        return np.broadcast_to(rng.integers(20, 245, 3).astype(np.uint8), (side, side, 3)).copy()
    low = rng.integers(40, 200, 3)
    ends = [tuple(int(v) for v in np.clip(low + rng.integers(0, 70, 3), 0, 255)) for _ in range(2)]
    return backdrop(side, side, top=ends[0], bottom=ends[1])  # pyright: ignore
