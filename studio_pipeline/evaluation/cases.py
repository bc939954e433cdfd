"""What is measured: one clip a character and kind of movement, with its ground truth.

The truth is the file's own animation by the protocol (`stages.character.plate`). A file without animations - the
shipped characters - is played by this project's previz (`stages.takes.acting`) on its rig instead: `played` says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Motion, Rig

if TYPE_CHECKING:
    from studio_pipeline.stages.takes.acting import Acted

__all__ = ["KINDS", "Case", "Subject", "find_cases", "kind_of_clip", "open_subject", "parse_case", "true_motion"]

KINDS: dict[str, tuple[str, ...]] = {
    # In this order a name with words of two kinds is of the first: "Run_swordAttack" attacks, "Gallop_Jump" jumps.
    "death": ("death", "die", "dying", "dead"),
    "hit": ("hit", "react", "impact", "damage", "hurt"),
    "roll": ("roll", "somersault", "flip"),
    "attack": ("attack", "punch", "kick", "shoot", "shooting", "headbutt", "bite", "slash", "strike"),
    "jump": ("jump", "jumping", "hop", "leap"),
    "fall": ("fall", "falling", "land", "landing"),
    "run": ("run", "running", "gallop", "galloping", "sprint", "dash"),
    "trot": ("trot", "jog", "canter"),
    "walk": ("walk", "walking", "step", "sneak", "crawl"),
    "swim": ("swim", "swimming"),
    "fly": ("fly", "flying", "flap", "hover"),
    "slither": ("slither",),
    "dance": ("dance", "dancing"),
    "wave": ("wave", "waving", "cheer"),
    "eat": ("eat", "eating"),
    "sit": ("sit", "sitting"),
    "gesture": ("point", "grip", "grasp", "hold", "thumb", "thumbs", "fist", "open", "yes", "no", "nod"),
    "idle": ("idle", "stand", "standing", "survey", "look", "breathe", "rest", "wait"),
}
PREFERRED = ("walk", "run", "swim", "attack", "jump", "fly", "trot", "slither", "dance", "wave", "gesture", "other")
PLAYED = ("walk", "run", "jump", "wave")  # of a character that brings no animation
PREFIX = "previz:"  # of clips that previz plays
STILL = 0.005  # a clip whose mean vertex moves less than this share of the diagonal doesn't move


@dataclass(frozen=True)
class Case:
    """One clip of one character."""

    path: Path
    clip: str  # name in the file, or "previz:walk"
    kind: str

    @property
    def id(self) -> str:
        """Letters, digits, - and _ only."""
        return re.sub(r"[^A-Za-z0-9]+", "_", f"{self.path.stem}-{self.clip}").strip("_")

    @property
    def played(self) -> bool:
        """Whether previz plays it."""
        return self.clip.startswith(PREFIX)


@dataclass(frozen=True)
class Subject:
    """A case, opened."""

    character: Character
    rig: Rig | None  # the one that is called provided: the file's own, or what previz played on
    own: bool  # the file brought it
    vertices: np.ndarray  # [T, V, 3] float32 [m], the truth


def kind_of_clip(name: str) -> str:
    """Kind of movement by the words of a clip's name; "other" when none is known."""
    words = {w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
    return next((kind for kind, known in KINDS.items() if words.intersection(known)), "other")


def parse_case(text: str) -> list[Case]:
    """``GLB`` (one clip of every kind) or ``GLB:CLIP``.

    Raises:
        InputError: There is no such file or clip, or nothing in it moves.
    """
    file, _, clip = text.partition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError("no such file", where=file, do="give GLB or GLB:CLIP")
    known = _clips(path)
    if not clip:
        return _one_of_each(path, known)
    if clip not in known:
        raise InputError(f"has no animation {clip!r}", where=file, do=f"choose one of: {', '.join(known)}")
    return [Case(path, clip, kind_of_clip(clip.removeprefix(PREFIX)))]


def find_cases(files: Iterable[Path]) -> tuple[list[Case], list[str]]:
    """Cases of character files, first the first kind of every character and so on, and what was left out and why."""
    groups: list[list[Case]] = []
    skipped: list[str] = []
    for path in files:
        try:
            groups.append(_one_of_each(path, _clips(path)))
        except InputError as error:
            skipped.append(str(error))
    deepest = max((len(group) for group in groups), default=0)
    return [group[k] for k in range(deepest) for group in groups if k < len(group)], skipped


def _clips(path: Path) -> list[str]:
    from studio_pipeline.stages.character.animation import animations

    return [clip.name for clip in animations(path)] or [PREFIX + name for name in PLAYED]


def _one_of_each(path: Path, names: Sequence[str]) -> list[Case]:
    found: dict[str, str] = {}
    for name in names:  # the shortest name is the plainest: "Jump" rather than "Gallop_Jump"
        kind = kind_of_clip(name.removeprefix(PREFIX))
        if kind not in found or len(name) < len(found[kind]):
            found[kind] = name
    rank = {kind: place for place, kind in enumerate((*PREFERRED, *(k for k in KINDS if k not in PREFERRED)))}
    return [Case(path, found[kind], kind) for kind in sorted(found, key=rank.__getitem__)]


def open_subject(case: Case, *, frames: int, fps: Fraction) -> Subject:
    """Character, rig and true vertices of a case.

    Raises:
        InputError: The file is malformed, or the clip doesn't move.
    """
    from studio_pipeline.stages.character.load import load_character
    from studio_pipeline.stages.character.plate import protocol_vertices

    loaded = load_character(case.path)
    character, rig = loaded.character, loaded.own_rig
    if case.played:
        rig = rig or _geometric(character)
        acted = _play(character, rig, case.clip.removeprefix(PREFIX), frames, fps)
        vertices = np.concatenate([character.vertices[None], acted.vertices[1:]]).astype(np.float32)
    else:
        vertices = protocol_vertices(case.path, case.clip, frames=frames, fps=float(fps))
    if not np.isfinite(vertices).all():
        raise InputError(f"its animation {case.clip!r} has positions that are not finite", where=case.path)
    moved = np.linalg.norm(vertices - vertices[0], axis=-1).mean() / character.diagonal
    if moved < STILL:
        raise InputError(f"its animation {case.clip!r} doesn't move", where=case.path)
    return Subject(character, rig, loaded.own_rig is not None, vertices)


def true_motion(case: Case, subject: Subject, *, frames: int, fps: Fraction) -> Motion:
    """What the joints of a subject's rig do in its case; index 0 rests.

    Raises:
        InputError: The file has no rig.
    """
    if subject.rig is None:
        raise InputError("has no rig of its own", where=case.path)
    if case.played:
        motion = _play(subject.character, subject.rig, case.clip.removeprefix(PREFIX), frames, fps).motion
        rotations, translations = motion.rotations.copy(), motion.translations.copy()
        rotations[0], translations[0] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 0.0
    else:
        from studio_pipeline.stages.character.plate import protocol_joints

        joints = protocol_joints(case.path, case.clip, frames=frames, fps=float(fps))
        rotations, translations = joints.rotations, joints.translations
    return Motion(rotations=rotations, translations=translations, fps=fps, first_frame=1001)


def _geometric(character: Character) -> Rig:
    from studio_pipeline.stages.rig.geometric import build_rig

    return build_rig(character.vertices, character.faces)[0]


def _play(character: Character, rig: Rig, performance: str, frames: int, fps: Fraction) -> Acted:
    """A performance by previz, which eases in by itself."""
    from studio_pipeline.evaluation.framing import motion_camera
    from studio_pipeline.schema.directives import Directives, DirectiveValue
    from studio_pipeline.stages.takes.acting import act

    asked = DirectiveValue(field="motion.performance", value=performance, origin="artist")
    camera = motion_camera(np.repeat(character.vertices[None], frames, axis=0), size=64)
    return act(
        rig, character.vertices, camera, Directives(taxonomy="1.0", motion=(asked,)), fps=fps, frame_count=frames,
        first_frame=0, seed=1, keep_in_frame=False,
    )  # fmt: skip
