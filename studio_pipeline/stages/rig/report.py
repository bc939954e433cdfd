"""Figures, verdicts and the picture that every backend of the rig gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import StageResult
from studio_pipeline.stages.rig.checks import check_rig, is_whole, outside_distance
from studio_pipeline.stages.rig.stress import stress_test
from studio_pipeline.stages.rig.stress_drawing import draw_stress

__all__ = ["preview", "report"]

_SIZE = 512


def report(character: Character, rig: Rig, out: Path, *, symmetric: bool) -> StageResult:
    """Write ``preview.png`` and ``stress.png`` into ``out`` and judge the rig.

    Raises:
        InputError: The rig is no tree of finite joints: there is nothing to show of it.
    """
    if broken := is_whole(rig):
        raise InputError(f"the rig has {broken}", do="use another backend")
    stress = stress_test(character, rig)
    _write(out / "preview.png", preview(character, rig))
    _write(out / "stress.png", draw_stress(character, stress))
    share = (np.arange(9) + 0.5)[:, None, None] / 9.0
    along = (rig.heads + share * (rig.tails - rig.heads)).reshape(-1, 3)
    inside = outside_distance(character, along) <= 0.005 * character.diagonal
    level = np.zeros(rig.joint_count, dtype=int)
    for joint in range(1, rig.joint_count):
        level[joint] = level[rig.parents[joint]] + 1
    return StageResult(
        figures={
            "joints": rig.joint_count,
            "bones_inside_fraction": round(float(inside.mean()), 4),
            "symmetric": symmetric,
            "influences_mean": round(float((rig.weights > 0.0).sum(1).mean()), 2),
            "longest_chain": int(level.max()) + 1,
            "stress_edge_p99": round(float(stress.edge_p99.max()), 3),
            "stress_volume_worst": round(stress.volume_worst, 3),
            "stress_volume_change": round(float(stress.volume_change.max()), 3),
        },
        previews=("preview.png", "stress.png"),
        verdicts=check_rig(character, rig, stress),
    )


def _write(path: Path, picture: np.ndarray) -> None:
    import cv2

    if not cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1])):
        raise OSError(f"could not write {path}")


def preview(character: Character, rig: Rig) -> np.ndarray:
    """The character, faded, with its bones over it, from the front at three quarters. [512, 512, 3] uint8"""
    from studio_pipeline.geometry.cameras import frame_points
    from studio_pipeline.render.look import Look, render_frames
    from studio_pipeline.stages.rig.skeleton_drawing import draw_skeleton

    camera = frame_points(character.vertices, width=_SIZE, height=_SIZE, azimuth=np.radians(35.0))
    paper = (244, 243, 240)
    seen = render_frames(character.vertices[None], character, camera, look=Look(shading="lambert"), background=paper)
    faded = 0.45 * seen.rgb[0].astype(np.float64) + 0.55 * np.array(paper)
    return draw_skeleton(np.round(faded).astype(np.uint8), rig, camera)
