"""A worker's model stays from step to step, and goes when another is wanted or something went wrong with it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio_pipeline.models.kept import keep_models, kept_model, stamp


class Model:
    """Something that can be watched going away."""

    def __init__(self, name: str) -> None:
        self.name = name


@pytest.fixture
def loads() -> Iterator[list[str]]:
    yield []
    keep_models(False)


def use(name: str, loads: list[str], *, error: Exception | None = None) -> weakref.ref[Model]:
    def load() -> Model:
        loads.append(name)
        return Model(name)

    with kept_model(name, load) as model:
        assert model.name == name
        if error is not None:
            raise error
        return weakref.ref(model)


def test_nothing_is_kept_unless_it_was_asked_for(loads: list[str]) -> None:
    seen = use("a", loads)
    gc.collect()
    assert seen() is None
    use("a", loads)
    assert loads == ["a", "a"]


def test_the_last_model_is_kept_and_goes_before_another_is_loaded(loads: list[str]) -> None:
    keep_models()
    first = use("a", loads)
    assert use("a", loads)() is first() is not None and loads == ["a"]
    gone: list[bool] = []
    with kept_model("b", lambda: gone.append(first() is None) or Model("b")):
        assert gone == [True]
    use("a", loads)
    assert loads == ["a", "a"]
    keep_models(False)
    use("a", loads)
    assert loads == ["a", "a", "a"]


def test_a_model_that_something_went_wrong_with_is_not_kept(loads: list[str]) -> None:
    keep_models()
    use("a", loads)
    with pytest.raises(MemoryError):
        use("a", loads, error=MemoryError())
    use("a", loads)
    assert loads == ["a", "a"]


def test_a_model_inside_another_s_block_leaves_the_outer_alone(loads: list[str]) -> None:
    keep_models()
    with kept_model("outer", lambda: Model("outer")) as outer:
        use("inner", loads)
        assert outer.name == "outer"
    use("outer", loads)
    assert loads == ["inner"], "the outer one was the last"


def test_other_files_are_another_model(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"a")
    before = stamp(tmp_path)
    assert stamp(str(tmp_path)) == before and hash(before)
    (tmp_path / "weights.safetensors").write_bytes(b"ab")
    assert stamp(tmp_path) != before and stamp("owner/name@main") == "owner/name@main"
