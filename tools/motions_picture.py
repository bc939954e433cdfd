"""The picture of docs/motions.md, shipped motions on a shipped character: ``python -m tools.motions_picture PNG``."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from studio_pipeline.geometry.bvh import read_bvh
from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.geometry.retarget import retarget
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.render.look import Look, render_frames
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.records import Character
from studio_pipeline.stages.character.load import load_character

_FRAMES, _SIZE, _PAPER = 8, 150, (240, 240, 238)


def main(target: Path, name: str = "pip") -> None:
    """Two rows a motion, from the front and from the left; the camera goes along with the body."""
    assets = assets_folder()
    loaded = load_character(assets / "characters" / f"{name}.glb")
    character, rig = loaded.character, loaded.own_rig
    if rig is None:
        raise SystemExit(f"{name} has no rig of its own")
    rows = []
    for motion in ("walk", "run", "wave", "jump"):
        bvh = read_bvh(assets / "motions" / f"{motion}.bvh")
        made = retarget(rig, character.vertices, bvh).motion
        posed = pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, made))
        shown = posed[np.linspace(0, len(posed) - 1, _FRAMES).round().astype(int)]
        shown[..., [0, 2]] -= shown[..., [0, 2]].mean(1, keepdims=True)
        rows += [_row(shown, character, azimuth) for azimuth in (0.0, 90.0)]
    sheet = np.concatenate(rows)[..., ::-1]
    if not cv2.imwrite(str(target), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise OSError(f"could not write {target}")


def _row(posed: np.ndarray, character: Character, azimuth: float) -> np.ndarray:
    """Frames [T, V, 3] side by side. [H, T * W, 3] uint8"""
    low, high = character.vertices.min(0), character.vertices.max(0)
    half = 0.62 * float(high[1] - low[1])
    middle = np.array([0.0, (low[1] + high[1]) / 2.0 + 0.08 * half, 0.0])
    box = middle + half * np.array([[x, y, z] for x in (-0.6, 0.6) for y in (-1, 1) for z in (-0.6, 0.6)])
    camera = frame_points(
        box, width=_SIZE, height=_SIZE, azimuth=np.radians(azimuth), elevation=np.radians(4.0), fill=0.96
    )
    cameras = camera.at(np.zeros(len(posed), dtype=int))
    frames = render_frames(posed, character, cameras, look=Look(shading="toon"), background=_PAPER).rgb
    return np.concatenate(list(frames), axis=1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
