"""What joints are by the words in their names: mixamorig:LeftUpLeg, thigh_l, Bip01 L Thigh and LeftHip are thighs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

__all__ = ["parts_from_words", "words_of"]

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_IGNORED = (
    "ik",
    "pole",
    "target",
    "control",
    "ctrl",
    "orient",
    "end",
    "nub",
    "site",
    "twist",
    "roll",
    "eye",
    "ear",
    "jaw",
)
# The first that a name contains is what it is; "leg", "arm", "shoulder" and "hip" wait for what else there is.
_PARTS = (
    ("finger", ("thumb", "index", "middle", "ring", "pinky", "finger", "palm")),
    ("toe", ("toe", "ball")),
    ("foot", ("foot", "ankle")),
    ("hand", ("hand", "wrist")),
    ("forearm", ("forearm", "lowerarm", "lowarm", "elbow")),
    ("upper_arm", ("upperarm", "uparm", "humerus")),
    ("clavicle", ("clavicle", "collar")),
    ("shoulder", ("shoulder", "shldr")),
    ("thigh", ("upleg", "upperleg", "thigh", "femur")),
    ("shin", ("lowleg", "lowerleg", "knee", "shin", "calf", "tibia")),
    ("pelvis", ("hipjoint",)),
    ("hip", ("hip", "pelvis")),
    ("arm", ("arm",)),
    ("leg", ("leg",)),
    ("neck", ("neck",)),
    ("head", ("head", "skull")),
)
_CHAINS = {"leg": ("thigh", "shin", "foot", "toe"), "arm": ("upper_arm", "forearm", "hand")}


def words_of(name: str) -> tuple[list[str], int]:
    """The words of a name in lower case without its side, and the side: +1 left, -1 right, 0 none."""
    words = [word.lower() for word in _WORD.findall(name.rsplit(":", 1)[-1])]
    side = 0
    kept = []
    for word in words:
        told = {"left": 1, "l": 1, "right": -1, "r": -1}.get(word, 0)
        if not told and len(word) > 3 and word[0] in "lr" and _part(word) and _part(word[1:]) == _part(word):
            told, word = (1 if word[0] == "l" else -1), word[1:]
            kept.append(word)
            side = side or told
            continue
        if told:
            side = side or told
        else:
            kept.append(word)
    return kept, side


def _part(joined: str) -> str:
    if any(joined.startswith(word) or joined.endswith(word) for word in _IGNORED if len(word) > 2):
        return ""
    return next((part for part, words in _PARTS if any(word in joined for word in words)), "")


def parts_from_words(names: Sequence[str], parents: Sequence[int]) -> dict[str, int]:
    """Joints by part: thigh.L, shin.L, foot.L, toe.L, clavicle.L, upper_arm.L, forearm.L, hand.L (and .R), head.

    Only what the names tell is in it; the first joint from the root that is called so.
    """
    told = [words_of(name) for name in names]
    common = {
        word for word, count in Counter(w for words, _ in told for w in set(words)).items() if count > 0.7 * len(names)
    }
    found: dict[tuple[str, int], list[int]] = {}
    for joint, (words, side) in enumerate(told):
        kept = [word for word in words if word not in common and not word.isdigit()]
        part = "" if set(kept) & set(_IGNORED) else _part("".join(kept))
        if part:
            found.setdefault((part, side), []).append(joint)
    result: dict[str, int] = {}
    for side, end in ((1, ".L"), (-1, ".R")):
        own = {part: joints for (part, of), joints in found.items() if of == side}
        for part, joint in {**_arm(own), **_leg(own)}.items():
            result[part + end] = joint
    heads = found.get(("head", 0), [])
    if heads:
        result["head"] = heads[0]
    return {part: joint for part, joint in result.items() if parents[joint] >= 0}


def _leg(own: dict[str, list[int]]) -> dict[str, int]:
    thigh, shin, plain = own.get("thigh", []), own.get("shin", []), own.get("leg", [])
    if not thigh and not shin and len(plain) > 1:
        return dict(zip(_CHAINS["leg"], plain, strict=False)) | _first(own, "foot", "toe")
    if not thigh:
        # LeftHip over LeftKnee is a thigh, and so is a leg over a shin.
        thigh = own.get("hip", []) if not plain or not shin else plain
    if not shin:
        shin = plain
    return _first({**own, "thigh": thigh, "shin": shin}, "thigh", "shin", "foot", "toe")


def _arm(own: dict[str, list[int]]) -> dict[str, int]:
    upper, plain, shoulder = own.get("upper_arm", []), own.get("arm", []), own.get("shoulder", [])
    if not upper and not own.get("forearm") and len(plain) > 1:
        return dict(zip(_CHAINS["arm"], plain, strict=False)) | _first(own, "clavicle", "hand")
    upper = upper or plain
    if not upper:
        upper, shoulder = shoulder, []
    return _first({**own, "upper_arm": upper, "clavicle": own.get("clavicle", []) or shoulder},
                  "clavicle", "upper_arm", "forearm", "hand")  # fmt: skip


def _first(own: dict[str, list[int]], *parts: str) -> dict[str, int]:
    return {part: own[part][0] for part in parts if own.get(part)}
