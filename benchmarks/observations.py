"""How well a plate is observed: `python benchmarks/observations.py [--data DIR] [--characters GLB[:CLIP] ...]`.

Plates as in `studio evaluate lift` (ray cast, unknown lights, H.264 at crf 18, no alpha). Per character: IoU of the
masks (mean and worst frame); of the tracks that are called visible after index 0 the share within 1 and 3 px of where
their surface point is, how many frames they live, how many of the truly visible points are seen within 3 px (recall),
first by steps alone, then with drift control; late tracks, bound with the true pose; the error of simulated depth
(unknown scale and shift, half size, 2 % noise) after it was solved, in percent of the diagonal; seconds of one core.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.evaluation.cases import open_subject, parse_case
from studio_pipeline.evaluation.framing import motion_camera
from studio_pipeline.evaluation.plates import FPS, film, simulated_depth
from studio_pipeline.geometry.cameras import project
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.records import CameraPath, Character, Observations
from studio_pipeline.stages.observations import ClassicalSettings
from studio_pipeline.stages.observations.binding import bind_tracks
from studio_pipeline.stages.observations.classical import observe
from studio_pipeline.stages.observations.silhouettes import iou

DEFAULTS = ("khronos_CesiumMan.glb", "bevy_Fox.glb:Run", "godot_mannequiny.glb", "quaternius_enemy_Frog.glb")


def surface_truth(
    character: Character, camera: CameraPath, vertices: np.ndarray, depth: np.ndarray, found: Observations
) -> tuple[np.ndarray, np.ndarray]:
    """Where tracked points really are [T, N, 2] and whether they are really visible [T, N]."""
    corners = vertices[:, character.faces[found.track_faces]]
    pixels, away = project(camera, (corners * found.track_barycentrics[..., None]).sum(2))
    height, width = depth.shape[1:]
    column, row = (np.floor(pixels[..., axis]).astype(int) for axis in (0, 1))
    inside = (column >= 1) & (column < width - 1) & (row >= 1) & (row < height - 1)
    column, row = column.clip(1, width - 2), row.clip(1, height - 2)
    frame = np.arange(len(depth))[:, None]
    around = np.stack([depth[frame, row + a, column + b] for a in (-1, 0, 1) for b in (-1, 0, 1)])
    farthest = np.where(np.isfinite(around), around, -np.inf).max(0)
    return pixels, inside & (away < farthest + 0.01 * character.diagonal)


def track_row(found: Observations, pixels: np.ndarray, visible: np.ndarray) -> dict[str, float]:
    """Scores of tracks after their birth."""
    later = np.arange(len(pixels))[:, None] > found.track_births
    gap = np.linalg.norm(pixels - found.tracks, axis=-1)
    seen = found.visibility & later
    return {
        "tracks": int(gap.shape[1]),
        "within_1px": round(float(np.mean(gap[seen] < 1.0)), 3) if seen.any() else 0.0,
        "within_3px": round(float(np.mean(gap[seen] < 3.0)), 3) if seen.any() else 0.0,
        "frames": round(float(seen.sum(0).mean()), 1),
        "recall": round(float(np.mean((seen & (gap < 3.0))[visible & later])), 3),
        "hidden": round(float(np.mean(~visible[seen])), 3) if seen.any() else 0.0,
    }


def only_late(found: Observations) -> Observations:
    late = found.track_births > 0
    return replace(
        found,
        tracks=found.tracks[:, late],
        visibility=found.visibility[:, late],
        track_faces=found.track_faces[late],
        track_barycentrics=found.track_barycentrics[late],
        track_births=found.track_births[late],
    )


def measure(text: str, size: int, frames: int, seed: int) -> dict[str, Any]:
    case = parse_case(text)[0]
    subject = open_subject(case, frames=frames, fps=FPS)
    character, vertices = subject.character, subject.vertices
    camera = motion_camera(vertices, size=size)
    plate = film(character, vertices, camera, seed=seed)
    row: dict[str, Any] = {"case": case.id}
    start = time.process_time()
    own, _ = observe(character, camera, plate.clip, ClassicalSettings())
    row["seconds"] = round(time.process_time() - start, 1)
    plain, _ = observe(character, camera, plate.clip, ClassicalSettings(drift_control=False, late_tracks=0))
    overlap = [iou(mask > 127, true) for mask, true in zip(own.masks, plate.masks, strict=True)]
    row["masks"] = {"iou_mean": round(float(np.mean(overlap)), 4), "iou_min": round(min(overlap), 4)}
    for name, found in (("steps", plain), ("controlled", own)):
        row[name] = track_row(found, *surface_truth(character, camera, vertices, plate.depth, found))
    raster = rasterize(vertices.astype(np.float32), character.faces, camera)
    late = only_late(bind_tracks(own, raster.face_ids, raster.barycentrics))
    row["late"] = track_row(late, *surface_truth(character, camera, vertices, plate.depth, late))
    clip = replace(plate.clip, depth=simulated_depth(plate, character.diagonal, seed=seed), depth_kind="affine")
    deep, _ = observe(character, camera, clip, ClassicalSettings(track_count=16, late_tracks=0))
    if deep.depth is not None:
        gap = 100.0 * (deep.depth - plate.depth) / character.diagonal
        known = np.isfinite(gap)
        row["depth"] = {
            "bias_percent": round(float(np.median(gap[known])), 3),
            "median_percent": round(float(np.median(np.abs(gap[known]))), 3),
            "p95_percent": round(float(np.quantile(np.abs(gap[known]), 0.95)), 3),
            "covered": round(float(known[plate.masks].mean()), 3),
        }
    row["depth_source"] = deep.sources["depth"]
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with rigs/; without it the shipped characters are taken")
    parser.add_argument("--characters", nargs="+", help="GLB, or GLB:CLIP for one of its clips")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    named = given.characters
    if named is None:
        shipped = [str(assets_folder() / "characters" / f"{name}.glb") for name in ("pip", "tumble")]
        named = shipped if given.data is None else [str(given.data / "rigs" / name) for name in DEFAULTS]
    for text in named:
        sys.stdout.write(json.dumps(measure(text, given.size, given.frames, given.seed)) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
