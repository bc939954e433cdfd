"""Khronos' own glTF validator on our files; it comes from npm into the user's cache."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.delivery.glb import write_refined_glb, write_skinned_glb
from studio_pipeline.stages.delivery.glb_reading import GlbFile
from studio_pipeline.stages.delivery.rig_files import write_rig

VALIDATOR = "gltf-validator@2.0.0-dev.3.10"
SCRIPT = """
const validator = require("gltf-validator"), fs = require("fs");
(async () => {
  const all = {};
  for (const file of process.argv.slice(2)) {
    const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)), { maxIssues: 100 });
    all[file] = report.issues;
  }
  console.log(JSON.stringify(all));
})();
"""


@pytest.fixture(scope="session")
def validator() -> Path:
    """A folder with the validator installed."""
    folder = Path.home() / ".cache" / "studio_pipeline" / "gltf-validator"
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Khronos' validator needs node and npm")
    if not (folder / "node_modules" / "gltf-validator").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), VALIDATOR]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        if done.returncode:
            pytest.skip(f"npm could not install {VALIDATOR}: {done.stderr.strip().splitlines()[-1:]}")
    (folder / "validate.js").write_text(SCRIPT)
    return folder


def issues(validator: Path, *files: Path) -> dict[str, dict]:
    command = ["node", str(validator / "validate.js"), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_khronos_finds_nothing(make_scene, validator, tmp_path):
    files = []
    for name, options in {
        "plain": {},
        "tinted": {"tinted": True, "unit_scale": 0.011, "zoom": True, "fps": Fraction(24000, 1001)},
        "single": {"frames": 1, "handles": 0, "moving_camera": False},
        "huge": {"unit_scale": 0.001, "frames": 3},
        "small": {"unit_scale": 300.0, "frames": 3},
    }.items():
        scene = make_scene(**options)
        files += [tmp_path / f"{name}.glb", tmp_path / f"{name}_refined.glb"]
        write_skinned_glb(scene, files[-2])
        write_refined_glb(scene, files[-1], limit=5)
    for file, found in issues(validator, *files).items():
        assert found["numErrors"] == 0 and found["numWarnings"] == 0, (file, found["messages"])


@pytest.mark.slow
def test_the_validator_is_awake(make_scene, validator, tmp_path):
    """Weights that don't sum to one are an error it must find."""
    write_skinned_glb(make_scene(), tmp_path / "a.glb")
    file = GlbFile(tmp_path / "a.glb")
    entry = file.document["accessors"][file.primitive()["attributes"]["WEIGHTS_0"]]
    data = bytearray((tmp_path / "a.glb").read_bytes())
    start = len(data) - len(file.binary) + file.document["bufferViews"][entry["bufferView"]]["byteOffset"]
    data[start : start + 4] = b"\x00\x00\x00\x3e"
    (tmp_path / "a.glb").write_bytes(data)
    (found,) = issues(validator, tmp_path / "a.glb").values()
    assert found["numErrors"] > 0


@pytest.mark.slow
def test_khronos_finds_nothing_in_a_rig_for_exchange(validator, repository, tmp_path):
    """With a second set of joints and weights, and with one set only."""
    loaded = load_character(repository / "assets" / "characters" / "pip.glb")
    spread = np.random.default_rng(0).dirichlet(np.full(8, 0.7), len(loaded.character.vertices))
    weights = np.zeros_like(loaded.own_rig.weights)
    weights[:, 3:11] = spread
    files = [
        *write_rig(loaded.character, loaded.own_rig, tmp_path / "own.glb"),
        *write_rig(loaded.character, dataclasses.replace(loaded.own_rig, weights=weights), tmp_path / "spread.glb"),
    ]
    assert "JOINTS_1" in GlbFile(files[1]).primitive()["attributes"]
    for file, found in issues(validator, *files).items():
        assert found["numErrors"] == 0 and found["numWarnings"] == 0, (file, found["messages"])
