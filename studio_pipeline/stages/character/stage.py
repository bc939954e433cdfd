"""Backend `file` of the stage `character`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.geometry.meshes import face_areas, largest_extent
from studio_pipeline.schema.records import Character
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.character.load import load_character

__all__ = ["character_verdicts", "degenerate_fraction", "run", "write_preview"]

MAX_DEGENERATE = 0.1
_BACKGROUND = (236, 238, 242)


def run(context: StageContext) -> StageResult:
    """Load the shot's character and keep it."""
    reference = context.shot.character
    loaded = load_character(Path(reference.file), height_m=reference.height_m, seed=reference.seed)
    character, rig = loaded.character, loaded.own_rig
    context.progress(0.4, "loaded")
    character.save(context.out)
    if rig is not None:
        (context.out / "own_rig").mkdir()
        rig.save(context.out / "own_rig")
    write_preview(character, context.out / "preview.png")
    figures = {
        "vertices": len(character.vertices),
        "faces": len(character.faces),
        "height_m": round(character.height_m, 6),
        "unit_scale": character.unit_scale,
        "parts": loaded.parts,
        "has_rig": rig is not None,
        "joints": 0 if rig is None else rig.joint_count,
        "degenerate_faces_fraction": round(degenerate_fraction(character), 6),
        "warnings": "; ".join(loaded.warnings),
    }
    return StageResult(figures=figures, previews=("preview.png",), verdicts=character_verdicts(character))


def degenerate_fraction(character: Character) -> float:
    """Fraction of faces whose area is below a billionth of the height squared."""
    areas = face_areas(character.vertices, character.faces)
    return float((areas < 1e-9 * character.height_m**2).mean())


def character_verdicts(character: Character) -> tuple[Verdict, ...]:
    """What can be wrong with a file that loads."""
    sides = np.ptp(character.vertices.astype(np.float64), axis=0)
    thin = float(sides.min() / sides.max())
    sized = abs(largest_extent(character.vertices) / character.height_m - 1.0) < 1e-4
    degenerate = degenerate_fraction(character)
    low, high = float(character.uv.min()), float(character.uv.max())
    return (
        Verdict(
            "extent", sized and thin > 1e-3, f"sides {sides.round(4).tolist()} m, thinnest {thin:.2%} of the largest"
        ),
        Verdict("faces_have_area", degenerate <= MAX_DEGENERATE, f"{degenerate:.2%} of the faces, at most 10 %"),
        Verdict("texture_used", low >= -1e-3 and high <= 1.001, f"UV from {low:.3f} to {high:.3f}", blocking=False),
    )


def write_preview(character: Character, path: Path, *, size: int = 512) -> None:
    """A three-quarter view as a PNG."""
    import cv2

    from studio_pipeline.render.look import render_frames

    camera = frame_points(character.vertices, width=size, height=size)
    frames = render_frames(character.vertices[None], character, camera, background=_BACKGROUND)
    if not cv2.imwrite(str(path), np.ascontiguousarray(frames.rgb[0][..., ::-1])):
        raise OSError(f"could not write {path}")
