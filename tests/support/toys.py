"""A toy studio: five tiny stages instead of the real thirteen, so that the line is tested in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

import studio_pipeline.line.graph as graph_module
import studio_pipeline.line.keys as keys_module
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.shots import open_studio, read_shot_lists
from studio_pipeline.stages.base import Backend, InputFile, Settings, Stage, StageContext, StageResult, Verdict


class Gain(Settings):
    gain: float = 1.0
    gate: bool = True
    file: InputFile | None = None


@dataclass
class Toy:
    """What the toy stages did, and knobs that change how they behave."""

    calls: list[str] = field(default_factory=list)
    code: dict[str, str] = field(default_factory=dict)
    broken: dict[str, Exception] = field(default_factory=dict)
    during: dict[str, Callable[[StageContext], None]] = field(default_factory=dict)
    home: Path = Path()


CURRENT = Toy()


def _run(name: str, context: StageContext) -> StageResult:
    """Multiply what comes in by the gain, rounded: small changes upstream need not change the bytes."""
    CURRENT.calls.append(name)
    if name in CURRENT.during:
        CURRENT.during[name](context)
    if name in CURRENT.broken:
        raise CURRENT.broken[name]
    total = sum(json.loads((folder / "value.json").read_text()) for folder in context.inputs.values()) or 1
    if context.settings.file:
        total += len(context.settings.file.read_bytes())
    if name == "directives":
        total += len(context.shot.brief)
    value = round(total * context.settings.gain)
    (context.out / "value.json").write_text(json.dumps(value))
    context.progress(1.0, "done")
    return StageResult(
        figures={"value": value},
        verdicts=(
            Verdict("sane", context.settings.gate, f"value {value}"),
            Verdict("nice", False, "never", blocking=False),
        ),
    )


def toy_stage(name: str, inputs: tuple[str, ...], fields: tuple[str, ...] = ()) -> Stage:
    globals()[f"run_{name}"] = partial(_run, name)
    backend = Backend(run=f"{__name__}:run_{name}", settings=Gain)
    backends = {"toy": backend, "plate": backend}
    if name == "reference_clip":
        backends.pop("plate")
    return Stage(name, 1, name, inputs, fields, backends, "toy", ("sane", "nice"))


STAGES = [
    toy_stage("character", (), ("character",)),
    toy_stage("rig", ("character",)),
    toy_stage("directives", ("character",), ("brief",)),
    toy_stage("takes", ("rig", "directives")),
    toy_stage("reference_clip", ("takes",)),
]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy studio in a home of its own."""
    monkeypatch.setattr(graph_module, "_load", lambda: STAGES)
    graph_module.graph.cache_clear()
    CURRENT.__init__()  # a fresh toy
    monkeypatch.setattr(keys_module, "code_digest", lambda target: CURRENT.code.get(target.split(":run_")[1], "code"))
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hero.obj").write_text("v 0 0 0\n")
    CURRENT.home = tmp_path / "home"
    yield CURRENT
    graph_module.graph.cache_clear()


@pytest.fixture
def shots(tmp_path: Path) -> Callable[..., list[ResolvedShot]]:
    """Write a shot list and read it."""

    def write(text: str = "", ids: tuple[str, ...] = ("0010",), **extra: str) -> list[ResolvedShot]:
        entries = [
            f"- show: toy\n  sequence: a\n  shot: '{shot}'\n  character: hero.obj\n" + extra.get(f"s{shot}", text)
            for shot in ids
        ]
        (tmp_path / "shots.yaml").write_text("".join(entries))
        return read_shot_lists([tmp_path / "shots.yaml"])

    return write


@pytest.fixture
def store(toy: Toy):
    """The toy studio's store."""
    return open_studio(str(toy.home))
