"""Which clips are measured."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.evaluation.cases import Case, find_cases, kind_of_clip, open_subject, parse_case
from studio_pipeline.schema.errors import InputError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("AnimalArmature|Gallop_Jump", "jump"),
        ("Armature|Swim", "swim"),
        ("HumanArmature|Run_swordAttack", "attack"),
        ("fight_punch_root.001", "attack"),
        ("WalkJump", "jump"),
        ("Fish_Armature|Swimming_Fast", "swim"),
        ("Idle_HitReact_Left", "hit"),
        ("Walking", "walk"),
        ("animation_0", "other"),
        ("Survey", "idle"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert kind_of_clip(name) == kind


def test_shipped_characters_are_played_by_previz(repository: Path) -> None:
    files = sorted((repository / "assets" / "characters").glob("*.glb"))
    cases, skipped = find_cases(files)
    assert not skipped
    assert {case.path.stem for case in cases[: len(files)]} == {path.stem for path in files}  # one of each comes first
    assert all(case.played for case in cases)
    walk = next(case for case in cases if case.path.stem == "pip" and case.kind == "walk")
    subject = open_subject(walk, frames=10, fps=Fraction(24))
    assert subject.own and subject.rig is not None
    assert subject.vertices.shape == (10, *subject.character.vertices.shape)
    np.testing.assert_array_equal(subject.vertices[0], subject.character.vertices)
    steps = np.linalg.norm(np.diff(subject.vertices, axis=0), axis=-1).mean(1)
    assert steps[0] < 0.5 * steps.max()  # it eases in


def test_bad_input_is_named(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        parse_case(str(tmp_path / "none.glb"))
    (tmp_path / "bad.glb").write_bytes(b"not a model")
    cases, skipped = find_cases([tmp_path / "bad.glb"])
    assert not cases and len(skipped) == 1 and "bad.glb" in skipped[0]
    with pytest.raises(InputError, match="has no animation 'x'"):
        parse_case(f"{repository / 'assets' / 'characters' / 'pip.glb'}:x")


def test_shared_rigs(shared_data: Path) -> None:
    rigs = shared_data / "rigs"
    cases, skipped = find_cases(sorted(rigs.glob("*.gl*")))
    assert any("Wasp" in line for line in skipped)
    assert len({case.id for case in cases}) == len(cases)
    fox = [case.kind for case in cases if case.path.stem == "bevy_Fox"]
    assert fox == ["walk", "run", "idle"]
    still = Case(rigs / "kenney_platformer_character.glb", "static", "other")
    with pytest.raises(InputError, match="doesn't move"):
        open_subject(still, frames=10, fps=Fraction(24))
