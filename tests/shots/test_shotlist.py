"""Shot lists: what is read, and what is said about each mistake."""

from __future__ import annotations

import pickle
import time
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.shotlist import ShotListErrors, load_shots

GOOD = """\
# a comment
- show: demo
  sequence: park
  shot: "0010"
  character: {file: pip.glb, height_m: 1.2, seed: 3}
  fps: 24000/1001
  frames: [1001, 1012]
  handles: 2
  directives:
    motion.performance: walk
  stages:
    takes:
      backend: plate
      file: walk.mp4
- {show: demo, sequence: park, shot: "0020", character: tumble}
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "shots.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def problems(folder: Path, text: str | bytes) -> list[str]:
    path = write(folder, text)
    with pytest.raises(InputError) as caught:
        load_shots(path)
    lines = str(caught.value).splitlines()
    for line in lines:
        assert line.startswith(f"{path}:") or line.startswith(f"{path}: ")
        assert line.isprintable()
    return [line.removeprefix(str(path)) for line in lines]


def test_reads_shots_with_their_places(tmp_path: Path) -> None:
    first, second = load_shots(write(tmp_path, GOOD))
    assert (first.shot.id, first.line, second.shot.id, second.line) == ("demo_park_0010", 2, "demo_park_0020", 15)
    assert first.shot.fps == Fraction(24000, 1001)
    assert list(first.shot.frame_numbers()) == list(range(999, 1015))
    assert first.line_of("stages.takes.file") == 14
    assert first.line_of("stages.takes.nothing") == 12
    assert first.line_of("directives.motion.performance") == 10
    assert first.line_of(("frames", 1)) == 7
    assert second.line_of("brief") == 15


def test_the_demo_list_is_valid() -> None:
    assert len(load_shots(assets_folder() / "shots" / "demo.yaml")) == 3


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  frames: [1, b]", "field 'frames': expected [first, last]"),
        ("  frames: [10, 1]", "the last frame 1 comes before the first 10"),
        ("  frames: [1, 100000]", "a shot has at most 2000 frames"),
        ("  fram: [1, 2]", "unknown field 'fram' - did you mean 'frames'?"),
        ("  fps: twenty", 'expected a number or a fraction such as 24 or "24000/1001"'),
        ("  fps: .nan", "field 'fps'"),
        ("  resolution: [255, 256]", "must be even"),
        ("  seed: -1", "field 'seed': expected a whole number from 0 to 2147483647, given -1"),
        ("  camera: {eye: [0, 0, x], target: [0, 1, 0]}", "field 'camera.eye.2': expected a number, given 'x'"),
        ("  camera: {eye: [0, 1, 0], target: [0, 1, 0]}", "must not lie on one line"),
        ("  camera: {eye: [0, 1, 2], targt: [0, 1, 0]}", "unknown field 'camera.targt' - did you mean 'target'?"),
        ("  cast: [a, b]", "cast names 2 characters"),
        ("  stages: 3", "field 'stages': expected a mapping of stage names"),
        ("  handles: 3.5", "field 'handles': expected a number of frames"),
        ("  brief: no", "field 'brief': expected text"),
        ("  frames: [1, 2]\n  frames: [1, 3]", "field 'frames' is given twice, first in line 5"),
        ("  reference: !!python/object:os.system ls", "the tag tag:yaml.org,2002:python/object:os.system"),
    ],
)
def test_names_line_field_and_expectation(tmp_path: Path, line: str, expected: str) -> None:
    text = f'- show: a\n  sequence: b\n  shot: "1"\n  character: pip\n{line}\n'
    found = problems(tmp_path, text)
    at = 4 + line.count("\n") + 1 if "given twice" in expected else 5
    assert any(entry.startswith(f":{at}:") and expected in entry for entry in found) or (
        "cast" in expected and expected in found[0]
    ), found


@pytest.mark.parametrize("code", ["../x", "a/b", "", "-a", "a b", '"a\\u0007"', '"a\\nb"', "a" * 65, "\uff41"])
def test_refuses_codes_that_are_no_names(tmp_path: Path, code: str) -> None:
    text = f"- show: a\n  sequence: b\n  shot: {code if code.startswith(chr(34)) else repr(code)}\n  character: p\n"
    assert any(entry.startswith(":3:") and "field 'shot'" in entry for entry in problems(tmp_path, text))


def test_a_number_for_a_code_is_explained(tmp_path: Path) -> None:
    (entry,) = problems(tmp_path, "- show: a\n  sequence: b\n  shot: 0010\n  character: p\n")
    assert entry.startswith(":3: field 'shot': is read by YAML as the number 8: put the code in quotes")


def test_all_problems_are_named_in_order(tmp_path: Path) -> None:
    text = '- {show: a, sequence: b, shot: "1", fps: 0}\n- show: a\n  seed: x\n- 3\n'
    found = problems(tmp_path, text)
    lines = [int(entry.split(":")[1]) for entry in found]
    assert lines == sorted(lines) and set(lines) == {1, 2, 3, 4} and len(found) == 7


def test_duplicate_ids_name_both_lines(tmp_path: Path) -> None:
    shot = '- {show: a, sequence: b, shot: "1", character: p}\n'
    (entry,) = problems(tmp_path, shot + "\n" + shot)
    assert entry.startswith(":3: shot a_b_1 is already given in line 1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("show: a\n", "expected a list of shots, found one mapping"),
        ("", "holds no shots"),
        ("[]", "holds no shots"),
        ("- a\n\tb: 1\n", ":2:"),
        ("- {a: b\n", "is not YAML"),
        ("- *x\n", "*x is used but &x is nowhere defined"),
        ("- &a [*a]\n", "is used inside its own definition"),
        ("- a\n---\n- b\n", "holds a second document"),
        (b"- a\n- \xff\n", ":2: is not UTF-8"),
        ("- a\n- b\x00\n", ":2: holds the control character"),
        ("[" * 5000, "nested more than"),
        ("- " * 5000, "nested more than"),
    ],
)
def test_what_is_no_list_of_shots(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert expected in problems(tmp_path, text)[0]


def test_an_alias_bomb_is_refused_at_once(tmp_path: Path) -> None:
    rows = ["- &a [x, x, x, x, x, x, x, x, x]"]
    for index in range(12):
        rows.append(f"- &{chr(98 + index)} [{', '.join([f'*{chr(97 + index)}'] * 9)}]")
    begin = time.perf_counter()
    assert "grows beyond" in problems(tmp_path, "\n".join(rows))[0]
    assert time.perf_counter() - begin < 2.0


def test_merged_defaults_keep_lines_and_are_overridden(tmp_path: Path) -> None:
    text = (
        '- &base\n  show: a\n  sequence: b\n  shot: "1"\n  character: p\n  seed: 4\n'
        '- <<: *base\n  shot: "2"\n  seed: 5\n'
    )
    first, second = load_shots(write(tmp_path, text))
    assert (first.shot.seed, second.shot.seed, second.shot.id) == (4, 5, "a_b_2")
    assert second.line_of("seed") == 9 and second.line_of("character") == 5


def test_too_large_missing_and_folder(tmp_path: Path) -> None:
    assert "is larger than" in problems(tmp_path, b"#" * (9 << 20))[0]
    for path, expected in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(InputError, match=expected):
            load_shots(path)


def test_errors_survive_a_process_boundary() -> None:
    error = ShotListErrors(["a.yaml:1: x", "a.yaml:2: y\nz"])
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == "a.yaml:1: x\na.yaml:2: y z" and copy.exit_code == 2


@pytest.mark.slow
def test_ten_thousand_shots_load_in_seconds(tmp_path: Path) -> None:
    text = "".join(
        f'- show: demo\n  sequence: s{i // 100}\n  shot: "{i:05d}"\n  character: pip\n  brief: Pip walks.\n'
        f"  frames: [1001, 1024]\n  camera: {{eye: [0, 1, 4], target: [0, 1, 0], fov_y_deg: 30}}\n"
        for i in range(10_000)
    )
    begin = time.perf_counter()
    assert len(load_shots(write(tmp_path, text))) == 10_000
    assert time.perf_counter() - begin < 30.0


words = st.sampled_from(
    [
        "show",
        "sequence",
        "shot",
        "character",
        "frames",
        "camera",
        "keys",
        "eye",
        "stages",
        "<<",
        "a",
        "1",
        "~",
        "2000-01-01",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=120, deadline=None)
@given(st.lists(values, max_size=4))
def test_any_yaml_gives_shots_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, value: list[object]) -> None:
    path = write(tmp_path_factory.getbasetemp(), yaml.safe_dump(value, allow_unicode=True))
    try:
        assert all(item.shot.id for item in load_shots(path))
    except InputError as error:
        assert str(path) in str(error)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, 8), st.text(alphabet="[]{}&*!|>-:#'\"\t\n %@`,?xyz0\x00é", max_size=5))
def test_any_edit_gives_shots_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, at: int, cut: int, insert: str
) -> None:
    path = write(tmp_path_factory.getbasetemp(), GOOD[:at] + insert + GOOD[at + cut :])
    try:
        load_shots(path)
    except InputError as error:
        assert str(path) in str(error)
