"""Time and memory of the differentiable renderers, beside PyTorch3D where it is installed.

Every figure comes from a process of its own: CPU and wall milliseconds a frame (median of up to 30 runs after a
warm-up; of PyTorch3D on a CPU one run), and by how much the run raised the process's peak memory. The default takes
about 15 minutes on 2 cores with PyTorch3D and 6 without; --quick, 5k faces at 256 px and one frame, 4 and 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SUBDIVISIONS = {"5k": 4, "20k": 5}
OURS = {
    "hard": "hard, forward",
    "outline": "outline silhouette + colour, forward",
    "outline+": "outline silhouette + colour, forward + backward",
    "softras": "SoftRas silhouette, forward",
    "softras+": "SoftRas silhouette, forward + backward",
    "soft": "soft colour, forward",
    "soft+": "soft colour, forward + backward",
    "textured+": "soft colour with a texture, forward + backward",
}
THEIRS = {
    "hard": "PyTorch3D hard, forward",
    "softras+": "PyTorch3D soft silhouette (K = 50), forward + backward",
    "soft+": "PyTorch3D SoftPhong (K = 10), forward + backward",
    "soft50+": "PyTorch3D SoftPhong (K = 50), forward + backward",
}
FILL = 0.68  # of the picture's side: the ball covers 36 % of the picture
AMBIENT, TOWARDS = 0.4, (0.3, 0.5, 1.0)


def ball(subdivisions: int, *, textured: bool = False):
    """A sphere whose outline is uneven, in vertex colours or with a texture."""
    import trimesh

    from studio_pipeline.schema.records import Character

    mesh = trimesh.creation.icosphere(subdivisions, 0.5)
    points = np.asarray(mesh.vertices) * (1.0 + 0.1 * np.sin(6.0 * np.asarray(mesh.vertices)))
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 4), dtype=np.uint8)
    return Character(
        name="ball",
        vertices=points.astype(np.float32),
        normals=np.asarray(mesh.vertex_normals, np.float32),
        faces=np.asarray(mesh.faces, np.int32),
        uv=(points[:, :2] + 0.6).astype(np.float32) / 1.2 if textured else np.full((len(points), 2), 0.5, np.float32),
        atlas=noise if textured else np.full((4, 4, 4), 255, np.uint8),
        vertex_colors=(0.5 + 0.4 * np.sin(4.0 * points)).astype(np.float32),
        height_m=1.0,
        unit_scale=1.0,
    )


def sheet():
    """5k faces of a wavy sheet, none of which the camera sees edge-on, in vertex colours."""
    from studio_pipeline.schema.records import Character

    y, x = np.mgrid[-0.5:0.5:51j, -0.5:0.5:51j]
    points = np.stack([x, y, 0.04 * np.sin(9 * x) * np.cos(8 * y)], -1).reshape(-1, 3)
    corner = (np.arange(50)[:, None] * 51 + np.arange(50)).reshape(-1)
    halves = [np.stack([corner, corner + 1, corner + 52], 1), np.stack([corner, corner + 52, corner + 51], 1)]
    return Character(
        name="sheet",
        vertices=points.astype(np.float32),
        normals=np.tile(np.float32([0, 0, 1]), (len(points), 1)),
        faces=np.concatenate(halves).astype(np.int32),
        uv=np.full((len(points), 2), 0.5, np.float32),
        atlas=np.full((4, 4, 4), 255, np.uint8),
        vertex_colors=(0.5 + 0.4 * np.sin(12.0 * points + 1.0)).astype(np.float32),
        height_m=1.0,
        unit_scale=1.0,
    )


def shape_of(name: str, what: str):
    """The mesh of a row."""
    return sheet() if name == "sheet" else ball(SUBDIVISIONS[name], textured=what == "textured+")


def camera_of(character, size: int):
    """A camera in which the ball covers over 30 % of the picture."""
    from studio_pipeline.geometry.cameras import frame_points

    return frame_points(character.vertices, width=size, height=size, fill=FILL)


def our_work(what: str, case: dict):
    """A function of a picture size that renders once with this project's renderers; gives picture and gradient."""
    import torch

    from studio_pipeline.render.differentiable import Lambert, RenderMesh, render
    from studio_pipeline.render.raster import rasterize
    from studio_pipeline.render.softras import silhouette, soft_color

    character = shape_of(case["mesh"], what)
    poses = torch.from_numpy(np.repeat(character.vertices[None], case["batch"], 0)).to(case["device"])
    mesh = RenderMesh.from_character(character, device=case["device"])
    light = None if what == "plain+" else Lambert(direction=TOWARDS, ambient=AMBIENT)

    def picture(vertices, camera):
        if what.startswith("softras"):
            return silhouette(vertices, mesh, camera)
        if what.startswith("outline"):
            out = render(vertices, mesh, camera, shading=light)
            return torch.cat([out.color, out.silhouette[..., None]], -1)
        made = soft_color(vertices, mesh, camera, shading=light)
        return torch.cat([made.color, made.silhouette[..., None]], -1)

    def work(size: int):
        camera = camera_of(character, size)
        if what == "hard":
            return rasterize(poses.numpy(), character.faces, camera).depth, None
        vertices = poses.clone().requires_grad_(what.endswith("+"))
        made = picture(vertices, camera)
        if what.endswith("+"):
            made.square().mean().backward()
        return made.detach().cpu().numpy(), None if vertices.grad is None else vertices.grad.cpu().numpy()

    return work


def their_work(what: str, case: dict):
    """The same by PyTorch3D, with its own rasterizer, shaders and lights; one frame."""
    import torch
    from pytorch3d.renderer import (
        BlendParams,
        DirectionalLights,
        Materials,
        MeshRasterizer,
        RasterizationSettings,
        SoftPhongShader,
        SoftSilhouetteShader,
    )
    from pytorch3d.renderer.mesh.textures import TexturesVertex
    from pytorch3d.structures import Meshes

    from studio_pipeline.render.pytorch3d import cameras_of

    character, device = shape_of(case["mesh"], what), torch.device(case["device"])
    faces, colors = torch.from_numpy(character.faces.astype(np.int64)), torch.from_numpy(character.vertex_colors)
    blend = BlendParams(sigma=1e-4, gamma=1e-4, background_color=(0.0, 0.0, 0.0))
    blur = 0.0 if what == "hard" else float(np.log(1.0 / 1e-4 - 1.0) * blend.sigma)
    count = {"hard": 1, "soft+": 10}.get(what, 50)
    bins = 0 if device.type == "cpu" else None
    ambient = 1.0 if what == "plain+" else AMBIENT
    grey = [[ambient] * 3], [[1.0 - ambient] * 3], [[0.0] * 3]
    light = DirectionalLights(*grey, direction=[TOWARDS], device=device)

    def work(size: int):
        cameras = cameras_of(camera_of(character, size), device)
        settings = RasterizationSettings(size, blur, count, bin_size=bins)
        vertices = torch.from_numpy(character.vertices).to(device)[None].requires_grad_(what != "hard")
        mesh = Meshes(vertices, faces.to(device)[None], TexturesVertex(colors.to(device)[None]))
        fragments = MeshRasterizer(cameras, settings)(mesh)
        if what == "hard":
            return fragments.zbuf.cpu().numpy(), None
        if what == "softras+":
            made = SoftSilhouetteShader(blend)(fragments, mesh)[..., 3]
        else:
            shader = SoftPhongShader(device, cameras, light, Materials(device=device), blend)
            made = shader(fragments, mesh)
        made.square().mean().backward()
        return made.detach().cpu().numpy(), vertices.grad.cpu().numpy()

    return work


def measure(case: dict, out: str) -> dict:
    """One row, in this process."""
    import torch

    torch.set_num_threads(case["threads"])
    from studio_pipeline.render import runtime

    runtime.FRAME_THREADS = case["threads"]
    theirs, cuda = case["by"] == "pytorch3d", case["device"] == "cuda"
    work = (their_work if theirs else our_work)(case["what"], case)
    work(24)
    before, walls, cpus = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, [], []
    once = theirs and not cuda
    if not once:
        work(case["size"])
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    while not walls or (not once and _more(len(walls), time.perf_counter() - begin)):
        wall, cpu = time.perf_counter(), time.process_time()
        picture, gradient = work(case["size"])
        if cuda:
            torch.cuda.synchronize()
        walls.append((time.perf_counter() - wall) * 1e3 / case["batch"])
        cpus.append((time.process_time() - cpu) * 1e3 / case["batch"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if out:
        np.savez(out, picture=picture, gradient=np.zeros(1) if gradient is None else gradient)
    memory = torch.cuda.max_memory_allocated() / 2**20 if cuda else (peak - before) / 1024
    cover = float((picture[..., -1] > 0.5).mean()) if picture.ndim == 4 else float((picture > 0.5).mean())
    return {
        "wall_ms": round(statistics.median(walls), 2),
        "cpu_ms": round(statistics.median(cpus), 2),
        "memory_mb": round(memory, 1),
        "cover": round(cover, 3),
    }


def _more(runs: int, seconds: float) -> bool:
    """Go on for 1.5 seconds, 30 runs at most, and three at least if they take less than 6 seconds."""
    return runs < 30 and seconds < (1.5 if runs >= 3 else 6.0)


def row(case: dict, out: Path | None = None) -> dict:
    """One row, in a process of its own."""
    command = [sys.executable, __file__, "--row", json.dumps(case), "--out", str(out or "")]
    threads = str(case["threads"])
    environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def cases(options: argparse.Namespace):
    """All rows: what is rendered, by whom, how large, how many, where."""
    import torch

    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    present = importlib.util.find_spec("pytorch3d") is not None
    for device, mesh, size, batch in itertools.product(devices, options.meshes, options.sizes, options.batches):
        shared = {"device": device, "mesh": mesh, "size": size, "batch": batch, "threads": options.threads}
        for what in OURS:
            if what != "hard" or device == "cpu":
                yield shared | {"by": "warp", "what": what}
        for what in THEIRS if present and batch == 1 and size == 256 else ():
            if what != "soft50+" or mesh == "5k":
                yield shared | {"by": "pytorch3d", "what": what}


def parity(threads: int, folder: Path) -> list[dict]:
    """How alike the SoftRas pictures and gradients of both are, K = 50, 5k faces, 256 px.

    Colours on a sheet, as PyTorch3D's gradients of colours are round-off where a face is seen edge-on.
    """
    found = []
    for what, mesh in (("softras+", "5k"), ("plain+", "sheet")):
        shared = {"device": "cpu", "mesh": mesh, "size": 256, "batch": 1, "threads": threads, "what": what}
        files = folder / "ours.npz", folder / "theirs.npz"
        results = [row(shared | {"by": by}, file) for by, file in zip(("warp", "pytorch3d"), files, strict=True)]
        if any("error" in result for result in results):
            print(results)
            continue
        (a, g), (b, h) = ((data["picture"], data["gradient"].astype(np.float64)) for data in map(np.load, files))
        away = np.abs(a - b)
        same = (g * h).sum() / (np.linalg.norm(g) * np.linalg.norm(h))
        counts = {"largest": float(away.max()), "over_1e-3": int((away > 1e-3).sum()), "of": int(away.size)}
        found.append({"what": what, "mesh": mesh, "cosine": float(same), **counts})
    return found


def table(options: argparse.Namespace) -> list[dict]:
    """Measure all rows and print them as they come."""
    rows, ours = [], {}
    for case in cases(options):
        found = case | row(case)
        rows.append(found)
        head = f"{case['device']:>4} {case['mesh']:>5} {case['size']:>4} {case['batch']:>6}"
        name = (OURS if case["by"] == "warp" else THEIRS)[case["what"]]
        if "error" in found:
            print(f"{head}  {name:<56} {found['error']}", flush=True)
            continue
        key = (*(case[part] for part in ("device", "mesh", "size", "batch")), case["what"].replace("50", ""))
        time_of = "cpu_ms" if case["device"] == "cpu" else "wall_ms"
        if case["by"] == "warp":
            ours[key] = found[time_of]
        elif ours.get(key):
            found["ratio"] = round(found[time_of] / ours[key])
        figures = f"{found['wall_ms']:>10} {found['cpu_ms']:>10} {found['memory_mb']:>7} {found.get('ratio', ''):>7}"
        print(f"{head}  {name:<56} {figures}", flush=True)
    return rows


def main() -> None:
    """Run all rows, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="as --meshes 5k --sizes 256 --batches 1")
    parser.add_argument("--meshes", nargs="+", choices=list(SUBDIVISIONS), default=list(SUBDIVISIONS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 512], help="pixels of a side")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 24], help="frames at once")
    parser.add_argument("--threads", type=int, default=1, help="for both, default 1")
    parser.add_argument("--json", type=Path, help="keep the figures here")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--out", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(json.loads(options.row), options.out)))
        return
    if options.quick:
        options.meshes, options.sizes, options.batches = ["5k"], [256], [1]
    print(f"{options.threads} threads; milliseconds a frame, peak memory of the whole batch")
    print(f"{'':>4} {'mesh':>5} {'px':>4} {'frames':>6}  {'what':<56} {'wall':>10} {'cpu':>10} {'MB':>7} {'ratio':>7}")
    rows = table(options)
    alike = []
    if "5k" in options.meshes and 256 in options.sizes and importlib.util.find_spec("pytorch3d") is not None:
        with tempfile.TemporaryDirectory() as folder:
            alike = parity(options.threads, Path(folder))
        for found in alike:
            print(
                f"{found['what']} on {found['mesh']}: pictures differ by {found['largest']:.1e} at most, by over 1e-3 "
                f"at {found['over_1e-3']} of {found['of']} values; gradient cosine {found['cosine']:.5f}"
            )
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "parity": alike}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
