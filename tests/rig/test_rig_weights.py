"""The weights that are shipped: they load, they are as small and as described as promised, and they follow bodies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.models.files import read_weights
from studio_pipeline.stages.rig.network import build_rig, propose, weights_files
from studio_pipeline.stages.rig.settings import NetworkSettings
from studio_pipeline.training.rig_data import held_out


def test_weights_are_small_described_and_on_the_model_card(repository: Path) -> None:
    card = (repository / "assets" / "weights" / "rig" / "README.md").read_text(encoding="utf-8")
    for path in weights_files():
        assert path.is_file() and path.stat().st_size < 32 * 2**20
        _, described = read_weights(path)
        history = described["history"]
        assert f"{history['examples']:,}" in card and path.name in card
        assert history["pieces"][-1]["cooldown"]


def chamfer(a: np.ndarray, b: np.ndarray) -> float:
    """J2J x 1e-2 of joints in the box [-1, 1]."""
    apart = np.linalg.norm(a[:, None] - b[None], axis=-1)
    return 50.0 * float(apart.min(0).mean() + apart.min(1).mean())


@pytest.mark.slow
def test_skeletons_of_characters_that_training_never_saw_lie_near_the_truth() -> None:
    off, still = [], []
    for item in held_out(8, seed=3):
        found = propose(item.vertices, item.faces, NetworkSettings(candidates=4))
        truth = found.cloud.from_mesh(item.body.joints)
        off.append(chamfer(found.skeleton.joints, truth))
        still.append(chamfer(np.zeros((1, 3)), truth))
    assert np.median(off) < 12.0 and np.median(off) < 0.4 * np.median(still)


@pytest.mark.slow
def test_the_shipped_character_gets_a_whole_rig(pip) -> None:
    character, _ = pip
    rig, symmetric = build_rig(character.vertices, character.faces)
    assert symmetric and rig.backend == "network" and 8 <= rig.joint_count <= 64
    np.testing.assert_allclose(rig.weights.sum(1), 1.0, atol=1e-5)
    assert {"hips", "head"} <= set(rig.names)
