"""Keys and content hashes: equal for equal ingredients, and able to say what changed."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio_pipeline.schema.errors import InputError
from studio_pipeline.store import (
    canonical_json,
    diff_ingredients,
    digest_file,
    digest_folder,
    digest_path,
    distribution_versions,
    key_of,
    make_ingredients,
    plain,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def ingredients(**changes):
    base = {
        "stage": "refined_motion",
        "version": 1,
        "code": "c" * 64,
        "backend": "fem",
        "distributions": {"warp-lang": "1.9"},
        "settings": {"substeps": 2, "solver": {"tolerance": 1e-4}},
        "shot": {"fps": Fraction(24000, 1001), "frames": (1001, 1024)},
        "inputs": {"rig": "a" * 64, "solid": "b" * 64},
    }
    return make_ingredients(**{**base, **changes})


def test_the_key_is_the_hash_of_plain_json_in_any_order():
    made = ingredients()
    expected = hashlib.sha256(
        json.dumps(made, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()
    assert key_of(made) == expected == key_of(dict(reversed(list(json.loads(json.dumps(made)).items()))))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"settings": {"substeps": 4, "solver": {"tolerance": 1e-4}}}, ["settings.substeps: 2 -> 4"]),
        ({"settings": {"substeps": 2}}, ["settings.solver.tolerance: 0.0001 -> (none)"]),
        ({"inputs": {"rig": "d" * 64, "solid": "b" * 64}}, ["inputs.rig: aaaaaaaaaaaa -> dddddddddddd"]),
        ({"code": "e" * 64, "version": 2}, ["code: cccccccccccc -> eeeeeeeeeeee", "version: 1 -> 2"]),
        ({"distributions": {"warp-lang": "1.10"}}, ["distributions.warp-lang: 1.9 -> 1.10"]),
        ({"weights": {"net.npz": "f" * 64}}, ["weights.net.npz: (none) -> ffffffffffff"]),
        ({"shot": {"fps": 24, "frames": (1001, 1024)}}, ["shot.fps: 24000/1001 -> 24"]),
    ],
)
def test_the_changed_ingredient_is_named(changes, named):
    assert [str(change) for change in diff_ingredients(ingredients(), ingredients(**changes))] == named
    assert key_of(ingredients()) != key_of(ingredients(**changes))


@settings(max_examples=100, deadline=None)
@given(old=st.dictionaries(st.text(max_size=5), JSON, max_size=4), new=JSON)
def test_two_settings_have_one_key_exactly_when_nothing_differs(old, new):
    before, after = {"settings": {"a": old}}, {"settings": {"a": {**old, "b": new}}}
    if diff_ingredients(before, after):
        assert key_of(before) != key_of(after)
    if key_of(before) == key_of(after):
        assert diff_ingredients(before, after) == []
    assert diff_ingredients(after, json.loads(canonical_json(after))) == []


def test_true_one_and_one_point_zero_are_different_settings():
    values = [True, 1, 1.0, "1"]
    assert len({key_of({"settings": {"a": value}}) for value in values}) == 4
    assert all(diff_ingredients({"a": x}, {"a": y}) for x in values for y in values if x is not y)


def test_numpy_and_fractions_become_plain_and_strangers_are_refused():
    assert plain({"a": np.float32(0.5), "b": (np.int64(3), Fraction(1, 3)), "c": np.eye(2), "d": float("inf")}) == {
        "a": 0.5,
        "b": [3, "1/3"],
        "c": [[1.0, 0.0], [0.0, 1.0]],
        "d": None,
    }
    with pytest.raises(TypeError):
        plain({"a": object()})


def test_a_folders_digest_depends_on_names_and_bytes_only(tmp_path: Path):
    for place in ("x", "y"):
        (tmp_path / place / "sub").mkdir(parents=True)
        (tmp_path / place / "sub" / "b").write_bytes(b"2")
        (tmp_path / place / "a").write_bytes(b"1")
    (tmp_path / "y" / "empty").mkdir()
    same = digest_folder(tmp_path / "x")
    assert digest_folder(tmp_path / "y") == same == digest_path(tmp_path / "x")
    (tmp_path / "y" / "a").rename(tmp_path / "y" / "c")
    assert digest_folder(tmp_path / "y") != same
    assert digest_path(tmp_path / "x" / "a") == digest_file(tmp_path / "x" / "a") == hashlib.sha256(b"1").hexdigest()


def test_missing_files_are_input_errors(tmp_path: Path):
    for act in (digest_file, digest_folder):
        with pytest.raises(InputError):
            act(tmp_path / "none")


def test_distribution_versions_leave_the_device_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: {"torch": "2.7.1+cu126"}[name])
    assert distribution_versions(["torch"]) == {"torch": "2.7.1"}
    monkeypatch.undo()
    found = distribution_versions(["pydantic", "no-such-distribution"])
    assert found["no-such-distribution"] == "absent" and found["pydantic"][0].isdigit()
