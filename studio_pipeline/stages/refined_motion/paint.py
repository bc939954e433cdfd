"""Stiffness that an artist paints: by bones, in the shot's settings or in the rig's file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

import numpy as np

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Rig, Solid

__all__ = ["WORDS", "factors", "joints_of", "painted"]

WORDS = {"very_soft": 0.05, "soft": 0.2, "usual": 1.0, "firm": 3.0, "stiff": 10.0, "rigid": 100.0}
"""Factors on the Young's modulus that goes with the body's size."""


def joints_of(names: tuple[str, ...], wanted: str) -> list[int]:
    """Joints that a name of the artist's means.

    A joint's own name means that joint; ``tail_*`` all that fit; otherwise every joint whose name has all its words:
    ``ears`` means ear.L and ear_02.R, ``arm.L`` means upper_arm.L.
    """
    if wanted in names:
        return [names.index(wanted)]
    if any(sign in wanted for sign in "*?["):
        return [index for index, name in enumerate(names) if fnmatchcase(name.lower(), wanted.lower())]
    asked = _words(wanted)
    return [index for index, name in enumerate(names) if asked and all(_has(word, _words(name)) for word in asked)]


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[^a-z]+", spaced.lower()) if word]


def _has(word: str, words: list[str]) -> bool:
    """Whether a word, or the singular of a plural, is among others."""
    plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss")
    return word in words or (plural and word[:-1] in words)


def factors(rig: Rig, paint: Mapping[str, float | str]) -> np.ndarray:
    """What is painted on every joint: a factor on the usual stiffness, NaN where nothing is. [J] float64

    Args:
        rig: The rig; its ``stiffness`` holds the factors of its file, which count where the settings say nothing.
        paint: By name (`joints_of`): one of `WORDS`, or a factor; later lines go before earlier ones.

    Raises:
        InputError: A name means no joint.
    """
    factor = np.full(rig.joint_count, np.nan) if rig.stiffness is None else rig.stiffness.astype(np.float64)
    for name, value in paint.items():
        joints = joints_of(rig.names, name)
        if not joints:
            raise InputError(
                f"no joint is called {name!r}",
                where="stages.refined_motion.stiffness",
                do=f"name some of {', '.join(rig.names[:12])}{' ...' if len(rig.names) > 12 else ''}",
            )
        factor[joints] = WORDS[value] if isinstance(value, str) else value
    return factor


def painted(rig: Rig, solid: Solid, paint: Mapping[str, float | str], usual: float) -> tuple[np.ndarray, np.ndarray]:
    """Young's modulus of every tetrahedron, and which of them were painted.

    A tetrahedron follows the joints that move it, by their share; it counts as painted when painted joints move at
    least half of it.

    Args:
        rig: As for `factors`.
        solid: The rig's solid.
        paint: As for `factors`.
        usual: Young's modulus of what isn't painted [Pa].

    Returns:
        [E] float64 [Pa] and [E] bool.

    Raises:
        InputError: A name means no joint.
    """
    factor = factors(rig, paint)
    chosen = np.isfinite(factor)
    share = solid.vertex_weights.astype(np.float64)[solid.tets].mean(1)
    driven = np.flatnonzero(solid.tet_joints >= 0)
    share[driven] = 0.0
    share[driven, solid.tet_joints[driven]] = 1.0
    share /= np.maximum(share.sum(1, keepdims=True), 1e-12)
    return usual * np.exp(share @ np.where(chosen, np.log(np.where(chosen, factor, 1.0)), 0.0)), share @ chosen >= 0.5
