"""Time of the renderer: milliseconds a frame, forward and backward, beside PyTorch3D where it is installed.

Usage: python benchmarks/render.py [--frames 8] [--threads 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
import trimesh

from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.render import runtime
from studio_pipeline.render.differentiable import Lambert, RenderMesh, render
from studio_pipeline.render.look import render_frames
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.records import Character

SUBDIVISIONS = {"5k": 4, "20k": 5}
REPEATS = 3


def ball(subdivisions: int) -> Character:
    """A textured sphere whose outline is uneven."""
    mesh = trimesh.creation.icosphere(subdivisions, 0.5)
    points = np.asarray(mesh.vertices) * (1.0 + 0.1 * np.sin(6.0 * np.asarray(mesh.vertices)))
    rng = np.random.default_rng(0)
    return Character(
        name="ball",
        vertices=points.astype(np.float32),
        normals=np.asarray(mesh.vertex_normals, np.float32),
        faces=np.asarray(mesh.faces, np.int32),
        uv=(points[:, :2] + 0.6).astype(np.float32) / 1.2,
        atlas=rng.integers(0, 256, (256, 256, 4), dtype=np.uint8),
        vertex_colors=np.ones((len(points), 3), np.float32),
        height_m=1.0,
        unit_scale=1.0,
    )


def milliseconds(work, frames: int) -> dict[str, float]:
    """Median wall and CPU milliseconds a frame of ``work``, after one warm-up."""
    work()
    walls, cpus = [], []
    for _ in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append((time.perf_counter() - wall) * 1e3 / frames)
        cpus.append((time.process_time() - cpu) * 1e3 / frames)
    return {"wall_ms": round(statistics.median(walls), 2), "cpu_ms": round(statistics.median(cpus), 2)}


def ours(character: Character, size: int, frames: int) -> dict[str, dict[str, float]]:
    """All ways of rendering one mesh."""
    camera = frame_points(character.vertices, width=size, height=size)
    poses = np.repeat(character.vertices[None], frames, 0)
    mesh = RenderMesh.from_character(character)
    light = Lambert(direction=(0.3, 0.5, 1.0))

    def forward_backward(sigma: float) -> None:
        vertices = torch.from_numpy(poses).requires_grad_()
        out = render(vertices, mesh, camera, shading=light, sigma=sigma)
        (out.color.square().mean() + out.silhouette.mean() + out.depth.mean()).backward()

    def forward() -> None:
        with torch.no_grad():
            render(torch.from_numpy(poses), mesh, camera, shading=light)

    return {
        "hard": milliseconds(lambda: rasterize(poses, character.faces, camera), frames),
        "forward": milliseconds(forward, frames),
        "forward+backward": milliseconds(lambda: forward_backward(0.7), frames),
        "forward+backward, sigma 4": milliseconds(lambda: forward_backward(4.0), frames),
        "toon, 2 x 2 samples": milliseconds(lambda: render_frames(poses, character, camera), frames),
    }


def pytorch3d(character: Character, size: int) -> dict[str, dict[str, float]]:
    """PyTorch3D's soft silhouette on the same mesh, one frame; empty where it isn't installed."""
    try:
        from pytorch3d.renderer import BlendParams, MeshRasterizer, RasterizationSettings, SoftSilhouetteShader
        from pytorch3d.renderer.cameras import PerspectiveCameras
        from pytorch3d.structures import Meshes
    except ImportError:
        return {}
    camera = frame_points(character.vertices, width=size, height=size)
    matrix = camera.world_to_camera[0]
    flip = np.diag([-1.0, 1.0, -1.0])  # its camera looks down +Z with +X to the left
    cameras = PerspectiveCameras(
        R=torch.tensor((flip @ matrix[:3, :3]).T[None], dtype=torch.float32),
        T=torch.tensor((flip @ matrix[:3, 3])[None], dtype=torch.float32),
        focal_length=float(camera.focal[0]),
        principal_point=((size / 2, size / 2),),
        image_size=((size, size),),
        in_ndc=False,
    )
    blend = BlendParams(sigma=1e-4)
    settings = RasterizationSettings(size, float(np.log(1.0 / 1e-4 - 1.0) * 1e-4), 50, bin_size=0)
    rasterizer, shader = MeshRasterizer(cameras, settings), SoftSilhouetteShader(blend)

    def forward_backward() -> None:
        vertices = torch.from_numpy(character.vertices).requires_grad_()
        mesh = Meshes([vertices], [torch.from_numpy(character.faces.astype(np.int64))])
        shader(rasterizer(mesh), mesh, blend_params=blend)[..., 3].mean().backward()

    return {"PyTorch3D silhouette, forward+backward": milliseconds(forward_backward, 1)}


def main() -> None:
    """Run all sizes, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--threads", type=int, default=runtime.FRAME_THREADS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runtime.FRAME_THREADS = options.threads
    torch.set_num_threads(options.threads)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{options.frames} frames, {options.threads} threads; milliseconds a frame")
    print(f"{'mesh':>6} {'px':>5}  {'what':<40} {'wall':>9} {'cpu':>9}")
    for name, subdivisions in SUBDIVISIONS.items():
        character = ball(subdivisions)
        for size in (256, 512):
            rows = ours(character, size, options.frames) | pytorch3d(character, size)
            figures[f"{name} {size}"] = rows
            for what, row in rows.items():
                print(f"{name:>6} {size:>5}  {what:<40} {row['wall_ms']:>9} {row['cpu_ms']:>9}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
