"""Semantic names against what artists called the same joints, and on rigs whose parts are known."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.geometry.bone_names import semantic_names
from studio_pipeline.schema.records import Rig
from studio_pipeline.stages.rig.naming import named

# What an artist's word means; the first that fits. Words that say nothing of the body are left out of the count.
WORDS = [
    (
        r"pole|control|orient|target|^ik|root|^bone|master|^body$|vent|antenna|tuft|mouth|tongue|eye|headtracker|^HEAD$",
        "",
    ),
    (r"palm|hand|finger|thumb|index|middle|ring|pinky", "hand"),
    (r"fore ?arm|lower ?arm", "forearm"),
    (r"clavicle|shoulder\b", "clavicle"),
    (r"upper ?arm", "upper_arm"),
    (r"arm", "upper_arm forearm hand"),
    (r"foot|\btoe|\bball\b", "foot"),
    (r"thigh|upper ?leg", "thigh"),
    (r"lower ?leg|calf|shin", "shin"),
    (r"leg", "thigh shin foot"),
    (r"neck|head", "head"),
    (r"(?<=back )hip\b", "thigh"),
    (r"pelvis|\bhips?\b|shoulders|spine|waist|abdomen|torso|chest|\bback\b", "trunk"),
    (r"tail", "tail"),
    (r"\bear\b", "ear"),
    (r"flipper|\bfin\b|wing", "fin"),
]
PARTS = {
    "hips": "trunk", "spine": "trunk", "chest": "trunk", "root": "trunk", "neck": "head", "head": "head",
    "crest": "crest",
    "finger": "hand", "hand": "hand", "forearm": "forearm", "upper_arm": "upper_arm", "clavicle": "clavicle",
    "thigh": "thigh", "pelvis": "thigh", "shin": "shin", "foot": "foot", "toe": "foot", "tail": "tail", "ear": "ear",
    "wing": "fin", "fin": "fin", "jaw": "head",
}  # fmt: skip
BIPEDS = {
    "RobotExpressive": 1.0, "godot_mannequiny": 1.0, "khronos_CesiumMan": 1.0, "quaternius_modular_men_Punk": 1.0,
    "quaternius_single_knight_KnightCharacter": 0.8, "godot_platformer_player": 0.9, "kenney_platformer_character": 1.0,
}  # fmt: skip
OTHERS = {
    "bevy_Fox": 1.0, "quaternius_animal_Husky": 0.95, "quaternius_animal_Stag": 0.9,
    "quaternius_dino_Apatosaurus": 0.85,
    "quaternius_enemy_Frog": 0.7, "quaternius_fish_Dolphin": 0.7, "quaternius_fish_Manta_ray": 0.7,
    "godot_platformer_enemy": 1.0,
}  # fmt: skip
# Labelled as the viewer sees them: their r- is the character's left when it faces the way its feet point.
SEEN_FROM_OUTSIDE = {"godot_platformer_player", "godot_platformer_enemy"}


def truth(name: str) -> tuple[str, str]:
    """Part and side that an artist's name means, ("", "") when it means none."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = re.sub(r"[^A-Za-z]+", " ", plain).strip()
    side = "L" if re.search(r"\b(left|l)\b", words, re.I) else "R" if re.search(r"\b(right|r)\b", words, re.I) else ""
    words = re.sub(
        r"\b(left|right|l|r|b|skeleton|joint|low|up)\b",
        lambda m: {"low": "lower", "up": "upper"}.get(m[0].lower(), ""),
        words,
        flags=re.I,
    )
    words = re.sub(r" +", " ", words).strip()
    for pattern, part in WORDS:
        if re.search(pattern, words, re.I) or re.search(pattern, name):
            return part, side
    return "", ""


def told(name: str) -> tuple[str, str]:
    """Part and side that one of our names says."""
    stem, _, side = name.partition(".")
    prefix = re.match(r"(front|hind)_", stem)
    part = next(
        (value for key, value in PARTS.items() if stem.removeprefix(prefix[0] if prefix else "").startswith(key)), ""
    )
    return (prefix[1] if prefix else part), side


def agreement(name: str, rig: Rig, vertices: np.ndarray, *, limbs: bool) -> tuple[float, list[str]]:
    """Share of joints whose name says the same as the artist's, and those that don't."""
    swap = {"L": "R", "R": "L", "": ""} if name in SEEN_FROM_OUTSIDE else {s: s for s in ("L", "R", "")}
    good, wrong = 0, []
    for theirs, ours in zip(rig.names, semantic_names(rig, vertices), strict=True):
        part, side = truth(theirs)
        if not part:
            continue
        ours_part, ours_side = told(ours)
        if limbs:  # four legs: which pair and side, not which bone
            if part.split()[0] in ("thigh", "shin", "foot", "upper_arm", "forearm", "hand", "clavicle"):
                arm = part.split()[0] in ("upper_arm", "forearm", "hand") or "front" in theirs.lower()
                part = "front" if arm else "hind"
            side = side if part in ("front", "hind", "ear", "fin") else ""
        same = ours_part in part.split() and swap[side] == ours_side
        good += same
        wrong += [] if same else [f"{theirs} is {ours}"]
    return good / max(good + len(wrong), 1), wrong


@pytest.mark.parametrize("name", [*BIPEDS, *OTHERS])
def test_names_say_what_the_artists_names_say(shared_data: Path, name: str) -> None:
    from studio_pipeline.stages.character.load import load_character

    loaded = load_character(shared_data / "rigs" / f"{name}.glb")
    assert loaded.own_rig is not None
    share, wrong = agreement(name, loaded.own_rig, loaded.character.vertices, limbs=name in OTHERS)
    assert share >= {**BIPEDS, **OTHERS}[name], f"{share:.2f}: {', '.join(wrong)}"


def shipped(repository: Path) -> tuple[Rig, np.ndarray]:
    from studio_pipeline.stages.character.load import load_character

    loaded = load_character(repository / "assets" / "characters" / "pip.glb")
    assert loaded.own_rig is not None
    return loaded.own_rig, loaded.character.vertices


def test_a_character_made_here_gets_its_own_names_back(repository: Path) -> None:
    rig, vertices = shipped(repository)
    ours = dict(zip(rig.names, semantic_names(rig, vertices), strict=True))
    assert {k: v for k, v in ours.items() if k != v} == {"spine": "spine_01", "neck": "neck_01", "tuft": "crest_01"}


def turned(rig: Rig, vertices: np.ndarray, turn: np.ndarray, scale: float = 1.0) -> tuple[Rig, np.ndarray]:
    rest = rig.rest_world.copy()
    rest[:, :3, :3] = turn @ rest[:, :3, :3]
    rest[:, :3, 3] = scale * rest[:, :3, 3] @ turn.T
    tails = (scale * rig.tails @ turn.T).astype(np.float32)
    return dataclasses.replace(rig, rest_world=rest, tails=tails), (scale * vertices @ turn.T).astype(np.float32)


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_size_and_the_way_it_faces_change_nothing(repository: Path, scale: float) -> None:
    rig, vertices = shipped(repository)
    expected = semantic_names(rig, vertices)
    assert semantic_names(*turned(rig, vertices, np.eye(3), scale)) == expected
    # Facing away, and sideways: left is its own left still.
    assert semantic_names(*turned(rig, vertices, np.diag([-1.0, 1.0, -1.0]))) == expected
    assert semantic_names(*turned(rig, vertices, np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]))) == expected


def test_a_mirror_image_swaps_left_and_right(repository: Path) -> None:
    rig, vertices = shipped(repository)
    flip = np.array([-1.0, 1.0, 1.0])
    rest = np.tile(np.eye(4), (rig.joint_count, 1, 1))
    rest[:, :3, 3] = rig.heads * flip
    image = dataclasses.replace(rig, rest_world=rest, tails=(rig.tails * flip).astype(np.float32))
    swap = str.maketrans("LR", "RL")
    expected = tuple(n[:-1] + n[-1].translate(swap) if "." in n else n for n in semantic_names(rig, vertices))
    assert semantic_names(image, (vertices * flip).astype(np.float32)) == expected


def test_chains_of_any_length_get_names() -> None:
    count = 1100  # deeper than Python recurses
    rest = np.tile(np.eye(4), (count, 1, 1))
    rest[:, 2, 3] = -np.arange(count)
    rig = Rig(
        names=tuple(f"j{i}" for i in range(count)),
        parents=np.arange(-1, count - 1, dtype=np.int32),
        rest_world=rest,
        tails=(rest[:, :3, 3] - [0.0, 0.0, 1.0]).astype(np.float32),
        weights=np.eye(count, dtype=np.float32),
    )
    vertices = rig.heads.astype(np.float32) + np.array([0.0, 0.3, -0.5], np.float32)
    assert len(set(semantic_names(rig, vertices))) == count


@pytest.mark.parametrize("joints", [1, 2, 9])
def test_any_rig_gets_unique_names(joints: int) -> None:
    rng = np.random.default_rng(joints)
    rest = np.tile(np.eye(4), (joints, 1, 1))
    rest[:, :3, 3] = rng.normal(size=(joints, 3))
    weights = rng.random((50, joints)).astype(np.float32)
    rig = Rig(
        names=tuple(f"j{i}" for i in range(joints)),
        parents=np.array([-1, *(int(rng.integers(i)) for i in range(1, joints))], np.int32),
        rest_world=rest,
        tails=(rest[:, :3, 3] + 0.3).astype(np.float32),
        weights=weights / weights.sum(1, keepdims=True),
    )
    found = named(rig, rng.normal(size=(50, 3)).astype(np.float32))
    assert len(set(found.names)) == joints and all(found.names)
    assert np.array_equal(found.weights, rig.weights)
