"""The toy studio with a delivery and a review: tiny pictures of real formats, so that what leaves the house is real."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from support.command import Command
from support.toys import STAGES, Toy, toy_stage

import studio_pipeline.line.graph as graph_module
from studio_pipeline.line.make import make_stage
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.shots import save_shot
from studio_pipeline.media.video import write_mp4
from studio_pipeline.stages.base import StageContext
from studio_pipeline.store import Store

__all__ = ["DELIVERING", "delivering", "hands", "make_all"]

DELIVERING = [
    *STAGES,
    toy_stage("delivery", ("reference_clip",), ("id", "fps", "frames", "handles")),
    toy_stage("review", ("delivery",)),
]


def leave_pictures(context: StageContext) -> None:
    """PNG frames and an MP4, as the real delivery leaves them; the gain is the grey that they show."""
    shot = context.shot
    grey = int(min(255, 60 * context.settings.gain))
    frames = np.full((shot.frame_count, 64, 64, 3), grey, np.uint8)
    (context.out / "frames").mkdir()
    for number, frame in zip(shot.frame_numbers(), frames, strict=True):
        frame[:, : 4 + number % 32] = 255
        cv2.imwrite(str(context.out / "frames" / f"{shot.id}.{number:04d}.png"), frame)
    write_mp4(context.out / f"{shot.id}.mp4", frames, shot.fps)


def leave_page(context: StageContext) -> None:
    """A page as the real review leaves it."""
    (context.out / "review.html").write_text("<!doctype html><html><body><main>pictures</main></body></html>")


@pytest.fixture
def delivering(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    """The toy studio, seven stages of it."""
    monkeypatch.setattr(graph_module, "_load", lambda: DELIVERING)
    graph_module.graph.cache_clear()
    toy.during = {"delivery": leave_pictures, "review": leave_page}
    yield toy
    graph_module.graph.cache_clear()


@pytest.fixture
def make_all(store: Store) -> Callable[[ResolvedShot], dict[str, str]]:
    """Make every stage of a shot without Dagster, as `studio run` would."""

    def make(shot: ResolvedShot) -> dict[str, str]:
        save_shot(store, shot)
        return {name: make_stage(store, shot, name).version for name in graph_module.graph()}

    return make


@pytest.fixture
def hands(delivering: Toy, command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command on the toy studio."""
    monkeypatch.setenv("STUDIO_USER", "ana")
    return command
