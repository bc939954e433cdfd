"""A line whose takes are drawn by hand, so that what is wrong with each is known; the stages judged are real."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from support.command import Command, command
from support.toys import shots, store, toy

import studio_pipeline.line.graph as graph_module
import studio_pipeline.line.keys as keys_module
from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.render.look import render_frames
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives, DirectiveValue
from studio_pipeline.schema.records import CameraPath, Character
from studio_pipeline.stages import reference_clip, take_report
from studio_pipeline.stages.base import Backend, Settings, Stage, StageContext, StageResult
from studio_pipeline.stages.takes.writing import write_takes

__all__ = ["command", "shots", "store", "toy"]

FRAMES, SIDE = 10, 96
MADE: SimpleNamespace = SimpleNamespace(clips=[], directives=Directives(taxonomy="1.0"), calls=[])


def box() -> Character:
    """A tall box."""
    corners = np.array([[x, y, z] for x in (-0.2, 0.2) for y in (0.0, 1.0) for z in (-0.2, 0.2)], np.float32)
    faces = [
        [0, 1, 3],
        [0, 3, 2],
        [4, 6, 7],
        [4, 7, 5],
        [0, 4, 5],
        [0, 5, 1],
        [2, 3, 7],
        [2, 7, 6],
        [0, 2, 6],
        [0, 6, 4],
    ]
    faces += [[1, 5, 7], [1, 7, 3]]
    normals = corners - corners.mean(0)
    return Character(
        name="box", vertices=corners, faces=np.array(faces, np.int32), uv=np.zeros((8, 2), np.float32),
        normals=(normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32),
        atlas=np.full((4, 4, 4), (210, 120, 60, 255), np.uint8), vertex_colors=np.ones((8, 3), np.float32),
        height_m=1.0, unit_scale=1.0,
    )  # fmt: skip


def camera() -> CameraPath:
    return frame_points(box().vertices, width=SIDE, height=SIDE, fill=0.6).at(np.zeros(FRAMES, int))


def sliding(*, speed: float = 0.012, alpha: bool = True) -> Clip:
    """The box goes to the right by ``speed`` metres a frame."""
    character = box()
    steps = np.arange(FRAMES)[:, None, None] * np.array([speed, 0.0, 0.0])
    seen = render_frames(
        (character.vertices + steps).astype(np.float32), character, camera(), background=(200, 205, 214)
    )
    return Clip(
        frames=seen.rgb, alpha=seen.alpha if alpha else None, fps=Fraction(24), first_frame=1001, source="drawn"
    )


@pytest.fixture
def scene() -> SimpleNamespace:
    return SimpleNamespace(character=box(), camera=camera(), sliding=sliding, frames=FRAMES, side=SIDE)


def asking(**values: str) -> Directives:
    found = tuple(
        DirectiveValue(field=name.replace("_", ".", 1), value=value, origin="artist") for name, value in values.items()
    )
    return Directives(taxonomy="1.0", motion=found)


def _run_character(context: StageContext) -> StageResult:
    box().save(context.out)
    return StageResult()


def _run_canonical_view(context: StageContext) -> StageResult:
    camera().save(context.out)
    return StageResult()


def _run_directives(context: StageContext) -> StageResult:
    (context.out / "directives.json").write_text(MADE.directives.model_dump_json())
    return StageResult()


def _run_takes(context: StageContext) -> StageResult:
    MADE.calls.append("takes")
    write_takes(context.out, [(clip, None, {"seed": 7 + index}) for index, clip in enumerate(MADE.clips)])
    return StageResult()


def _drawn(name: str, inputs: tuple[str, ...]) -> Stage:
    backends = {"drawn": Backend(run=f"{__name__}:_run_{name}", settings=Settings)}
    fields = {"character": ("character",), "takes": ("seed",)}.get(name, ())
    return Stage(name, 1, name, inputs, fields, backends, "drawn")


@pytest.fixture
def line(toy, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The stages up to the reference clip; ``line.clips`` are the takes."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    stages = [
        _drawn("character", ()), _drawn("canonical_view", ("character",)), _drawn("directives", ("canonical_view",)),
        _drawn("takes", ("directives", "canonical_view", "character")), take_report.STAGE, reference_clip.STAGE,
    ]  # fmt: skip
    monkeypatch.setattr(graph_module, "_load", lambda: stages)
    graph_module.graph.cache_clear()
    monkeypatch.setattr(keys_module, "code_digest", lambda target: "code")
    monkeypatch.setattr(keys_module, "code_units", lambda target: {})
    MADE.clips, MADE.directives, MADE.calls = [sliding()], Directives(taxonomy="1.0"), []
    return MADE


@pytest.fixture
def studio(line, command: Command) -> Command:
    """The command, with this line."""
    return command


@pytest.fixture
def asked() -> Callable[..., Directives]:
    return asking


def cut_in_half(frames: np.ndarray) -> np.ndarray:
    """Another scene from the middle on."""
    other = np.random.default_rng(1).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    scene = cv2.resize(other, frames.shape[2:0:-1], interpolation=cv2.INTER_NEAREST)
    result = frames.copy()
    result[len(frames) // 2 :] = scene
    return result


@pytest.fixture
def cut() -> Callable[[np.ndarray], np.ndarray]:
    return cut_in_half
