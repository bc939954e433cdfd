"""How well motion is read off a plate: `python benchmarks/lift.py [--data DIR] [--json]`.

The plate shows a file's own animation by the protocol (index 0 at rest, 1-6 ease in, then the clip), lit by lights that
the lift does not know, on a smooth background, through H.264 (crf 18). It is rendered by our own rasterizer: no
independent renderer is among the dependencies. Observations and lift see the decoded pixels, the rest mesh, the rig
and the camera. Errors are means over indices 7 to the end, in percent of the rest bounding box's diagonal.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.geometry.cameras import frame_points, project
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.media.video import write_mp4
from studio_pipeline.render.look import Look, render_frames
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Rig
from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.character.plate import protocol_vertices
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.lift import lift
from studio_pipeline.stages.observations import ClassicalSettings
from studio_pipeline.stages.observations.classical import observe

FPS = Fraction(24)
FIRST = 7  # indices before it ease into the clip
DEFAULTS = ("khronos_CesiumMan.glb", "bevy_Fox.glb")


def backdrop(size: int, rng: np.random.Generator) -> np.ndarray:
    """A smooth picture between four colours. [size, size, 3] uint8"""
    y, x = np.mgrid[0.0 : 1.0 : size * 1j, 0.0 : 1.0 : size * 1j][..., None]
    corners = rng.uniform(40.0, 200.0, (4, 3))
    picture = corners[0] * (1 - x) * (1 - y) + corners[1] * x * (1 - y) + corners[2] * (1 - x) * y + corners[3] * x * y
    return picture.round().astype(np.uint8)


def through_h264(frames: np.ndarray) -> np.ndarray:
    """Frames as a viewer of the MP4 sees them."""
    import av

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plate.mp4"
        write_mp4(path, frames, FPS, crf=18)
        with av.open(str(path)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def film(character: Character, vertices: np.ndarray, size: int, seed: int) -> tuple[CameraPath, Clip]:
    """A plate of posed vertices [T, V, 3]."""
    rng = np.random.default_rng(seed)
    view = frame_points(vertices.reshape(-1, 3), width=size, height=size)
    camera = view.at(np.zeros(len(vertices), dtype=int))
    key = rng.normal(size=3)
    key[1:] = np.abs(key[1:]) + 0.3
    look = Look(shading="lambert", ambient=0.35, outline_px=0.0, key_direction=tuple(key / np.linalg.norm(key)))
    rendered = render_frames(vertices, character, camera, look=look, supersample=3, background=backdrop(size, rng))
    return camera, Clip(frames=through_h264(rendered.rgb), fps=FPS, first_frame=1001)


def score(character: Character, camera: CameraPath, truth: np.ndarray, guess: np.ndarray) -> dict[str, float]:
    """Silhouette IoU and vertex errors over indices `FIRST` and later."""
    part = slice(FIRST, None)
    view, truth, guess = camera.at(part), truth[part], guess[part].astype(np.float32)
    first, second = (rasterize(points, character.faces, view).face_ids >= 0 for points in (truth, guess))
    overlap = (first & second).sum((1, 2)) / np.maximum((first | second).sum((1, 2)), 1)
    (a, depth), (b, _) = project(view, truth), project(view, guess)
    metres = depth.mean(1) / view.focal  # of one pixel at the character's distance
    in_plane = np.linalg.norm(a - b, axis=-1).mean(1) * metres / character.diagonal
    whole = np.linalg.norm(truth - guess, axis=-1).mean() / character.diagonal
    return {
        "iou_mean": round(float(overlap.mean()), 4),
        "iou_min": round(float(overlap.min()), 4),
        "in_plane_percent": round(100.0 * float(in_plane.mean()), 3),
        "spatial_percent": round(100.0 * float(whole), 3),
    }


def rig_of(path: Path, kind: str) -> tuple[Character, Rig]:
    loaded = load_character(path)
    if kind == "geometric":
        from studio_pipeline.stages.rig.geometric import build_rig

        return loaded.character, build_rig(loaded.character.vertices, loaded.character.faces)[0]
    if loaded.own_rig is None:
        raise SystemExit(f"{path.name}: has no rig of its own - use --rig geometric")
    return loaded.character, loaded.own_rig


def measure(path: Path, clip_name: str | None, kind: str, size: int, frames: int, seed: int) -> dict[str, Any]:
    """Film one character, lift it, compare."""
    character, rig = rig_of(path, kind)
    truth = protocol_vertices(path, clip_name, frames=frames, fps=float(FPS))
    camera, clip = film(character, truth, size, seed)
    start, busy = time.perf_counter(), time.process_time()
    observations, _ = observe(character, camera, clip, ClassicalSettings())
    middle = time.perf_counter()
    result = lift(character, rig, camera, clip, observations, LiftSettings())
    end, spent = time.perf_counter(), time.process_time() - busy
    guess = pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, result.motion))
    still = np.repeat(character.vertices[None], frames, axis=0)
    return {
        "character": path.stem,
        "clip": clip_name or "",
        "rig": kind,
        "joints": rig.joint_count,
        "lift": score(character, camera, truth, guess),
        "still": score(character, camera, truth, still),
        "seconds": {
            "observations": round(middle - start, 1),
            "lift": round(end - middle, 1),
            "processor": round(spent, 1),
        },
    }


def _environment() -> Path | None:
    value = os.environ.get("STUDIO_SHARED_DATA")
    return Path(value) if value else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=_environment(), help="folder with rigs/")
    parser.add_argument("--characters", nargs="+", default=None, help="GLB files, or GLB:CLIP for one of their clips")
    parser.add_argument("--rig", choices=("provided", "geometric"), default="provided")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    named = given.characters
    if named is None:
        if given.data is None:
            parser.error("name --characters, or the sample data with --data or STUDIO_SHARED_DATA")
        named = [str(given.data / "rigs" / name) for name in DEFAULTS]
    rows = []
    for entry in named:
        file, _, clip_name = entry.partition(":")
        row = measure(Path(file), clip_name or None, given.rig, given.size, given.frames, given.seed)
        rows.append(row)
        if not given.json:
            lifted, still, spent = row["lift"], row["still"], row["seconds"]
            sys.stdout.write(
                f"{row['character']} {row['clip']} ({row['rig']}, {row['joints']} joints): "
                f"IoU {lifted['iou_mean']:.3f} (least {lifted['iou_min']:.3f}), "
                f"in the plane {lifted['in_plane_percent']:.2f} %, in space {lifted['spatial_percent']:.2f} %; "
                f"still pose {still['iou_mean']:.3f}, {still['in_plane_percent']:.2f} %, "
                f"{still['spatial_percent']:.2f} %; {spent['observations']} + {spent['lift']} s "
                f"({spent['processor']} s of processor time)\n"
            )
            sys.stdout.flush()
    if given.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
