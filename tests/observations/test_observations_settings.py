"""Settings: parts combine, presets switch one of them, files count by content, mistakes are said."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio_pipeline.line.keys import ingredients
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.shots import read_shot_lists
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.observations import STAGE, ClassicalSettings, ObservationSettings

PIP = assets_folder() / "characters" / "pip.glb"


def _resolved(folder: Path, block: str) -> ResolvedShot:
    file = folder / "shots.yaml"
    file.write_text(
        f"- {{show: demo, sequence: park, shot: '1', character: '{PIP}', frames: [1001, 1004],\n"
        f"   stages: {{observations: {block}}}}}\n"
    )
    return read_shot_lists([file])[0]


def _key(resolved: ResolvedShot) -> dict:
    inputs = dict.fromkeys(STAGE.inputs, "0" * 8)
    return ingredients(resolved, "observations", inputs)


EXTERNAL = "{backend: external, program: track.py, command: [python, '{program}', '{input}', '{output}']"


def test_parts_of_several_presets_combine_and_files_count_by_content(tmp_path: Path) -> None:
    model = tmp_path / "sam2"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (tmp_path / "track.py").write_text("# one")
    block = EXTERNAL + ", masks: sam2, masks_model: ./sam2}"
    first = _resolved(tmp_path, block)
    settings = first.setups["observations"].settings
    assert (settings.tracks, settings.masks, settings.depth) == ("external", "sam2", "clip")
    assert Path(settings.masks_model) == model.resolve() and settings.program == (tmp_path / "track.py").resolve()
    keys = [_key(first)]
    assert "transformers" in keys[0]["distributions"]
    (tmp_path / "track.py").write_text("# two: other code")
    keys.append(_key(_resolved(tmp_path, block)))
    (model / "config.json").write_text('{"other": 1}')
    keys.append(_key(_resolved(tmp_path, block)))
    (tmp_path / "moved").mkdir()
    model.rename(tmp_path / "moved" / "sam2")
    keys.append(_key(_resolved(tmp_path, block.replace("./sam2", "moved/sam2"))))
    settings = [key["settings"] for key in keys]
    assert settings[0] != settings[1] != settings[2] == settings[3]
    assert str(tmp_path) not in str(settings)


def test_a_hub_s_name_stays_a_name(tmp_path: Path) -> None:
    name = "facebook/sam2.1-hiera-tiny@main"
    resolved = _resolved(tmp_path, f"{{backend: sam2, masks_model: '{name}'}}")
    assert resolved.setups["observations"].settings.masks_model == name
    assert _key(resolved)["settings"]["masks_model"] == name
    with pytest.raises(InputError, match=r"observations.masks_model': no such file"):
        _resolved(tmp_path, "{backend: sam2, masks_model: ./nowhere}")


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("{backend: sam2}", "masks: sam2 needs masks_model"),
        ("{backend: depth_anything}", "depth: depth_anything needs depth_model"),
        ("{backend: external}", "needs a command with {input} and {output}"),
        ("{backend: external, command: [x, '{input}', '{output}', '{program}']}", "name the file in program"),
        ("{masks: sam2, masks_model: a/b}", "set backend: sam2"),
        ("{depth: depth_anything, depth_model: a/b}", "set backend: depth_anything"),
        ("{background: nowhere.png}", "observations.background': no such file"),
        ("{depth_kind: log}", "'metric', 'affine' or 'inverse'"),
    ],
)
def test_mistakes_are_said_before_anything_runs(tmp_path: Path, block: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("{", r"\{").replace("}", r"\}")):
        _resolved(tmp_path, block)


def test_presets_differ_from_the_classical_settings_in_one_default() -> None:
    plain = {name: field.default for name, field in ObservationSettings.model_fields.items()}
    for name, part in (("sam2", "masks"), ("depth_anything", "depth"), ("external", "tracks")):
        fields = STAGE.backends[name].settings.model_fields
        assert {key: field.default for key, field in fields.items()} == {**plain, part: name}
    assert ClassicalSettings().model_dump() == ObservationSettings().model_dump()
