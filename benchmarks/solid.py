"""Solids of all rigged characters in a folder by the stage's defaults: how many tetrahedra, how long, what survives.

::

    OMP_NUM_THREADS=1 python benchmarks/solid.py FOLDER [--out DIR] [--only NAME ...]

A row a character, kept in DIR, so that an interrupted run goes on. Seconds are processor time with the mesher's. Far:
how far a vertex of the skin lies outside of the solid at worst; worst part: the same of a part of the skin (what hangs
together by shared positions) in the mean of its vertices; both in percent of the diagonal. A dropped part would
lie outside by its size. Thin: share of the skin's area with less than 3 % of the diagonal of flesh under it. Failed:
verdicts of the stage, by name.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = {
    "character": "{}",
    "tets": "{}",
    "attempts": "{}",
    "seconds": "{:.1f}",
    "volume": "{:.3f}",
    "far_percent": "{:.2f}",
    "parts": "{}",
    "worst_part_percent": "{:.2f}",
    "thin_percent": "{:.0f}",
    "pieces": "{}",
    "failed": "{}",
}
THIN = 0.03  # of the diagonal


def spent() -> float:
    """Processor seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def parts_of(vertices: np.ndarray, faces: np.ndarray) -> tuple[int, np.ndarray]:
    """How many parts the skin has, and the part of every vertex [V]; vertices at one position are one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    _, twin = np.unique(vertices, axis=0, return_inverse=True)
    a, b, c = twin.reshape(-1)[faces].T
    rows, columns = np.concatenate([a, b]), np.concatenate([b, c])
    size = int(twin.max()) + 1
    count, label = connected_components(coo_matrix((np.ones(len(rows)), (rows, columns)), (size, size)), directed=False)
    return count, label[twin.reshape(-1)]


def thin_share(vertices: np.ndarray, faces: np.ndarray, diagonal: float) -> float:
    """Share of the area whose ray inwards from a face's middle meets the other side before `THIN` diagonals."""
    import trimesh

    corners = vertices[faces].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    normal /= np.maximum(area, 1e-300)[:, None]
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    starts = corners.mean(1) - 1e-4 * diagonal * normal
    places, rays, _ = mesh.ray.intersects_location(starts, -normal, multiple_hits=False)
    depth = np.full(len(faces), np.inf)
    depth[rays] = np.linalg.norm(places - starts[rays], axis=1)
    return float(area[depth < THIN * diagonal].sum() / area.sum())


def measure(path: Path) -> dict[str, Any]:
    """One character's row."""
    from studio_pipeline.stages.character.load import load_character
    from studio_pipeline.stages.rig.geometric import build_rig
    from studio_pipeline.stages.solid.ftetwild import build_solid
    from studio_pipeline.stages.solid.report import report

    loaded = load_character(path)
    character = loaded.character
    rig = loaded.own_rig or build_rig(character.vertices, character.faces)[0]
    start = spent()
    built = build_solid(character, rig)
    seconds = spent() - start
    with tempfile.TemporaryDirectory() as folder:
        told = report(character, rig, built.solid, built.measured, Path(folder))
    away = 100.0 * built.measured.distance / character.diagonal
    count, part = parts_of(character.vertices, character.faces)
    return {
        "character": path.stem,
        "tets": len(built.solid.tets),
        "attempts": built.measured.attempts,
        "seconds": seconds,
        "volume": told.figures["volume_ratio"],
        "far_percent": float(away.max()),
        "parts": count,
        "worst_part_percent": float((np.bincount(part, away) / np.bincount(part)).max()),
        "thin_percent": 100.0 * thin_share(character.vertices, character.faces, character.diagonal),
        "pieces": told.figures["pieces"],
        "failed": ", ".join(verdict.name for verdict in told.verdicts if not verdict.passed) or "-",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/benchmark_solid"))
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of those that are wanted")
    arguments = parser.parse_args()
    files = sorted([*arguments.folder.glob("*.glb"), *arguments.folder.glob("*.gltf")])
    if not files:
        parser.error(f"{arguments.folder} holds no .glb or .gltf")
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
    failures = 0
    for path in files:
        if arguments.only and not any(name in path.stem for name in arguments.only):
            continue
        place = arguments.out / f"{path.stem}.json"
        try:
            if not place.exists():
                place.write_text(json.dumps(measure(path)))
            row = json.loads(place.read_text())
        except Exception as error:  # whatever it is, it is this character's result, and the others go on
            failures += 1
            print(f"| {path.stem} | FAILED: {' '.join(str(error).split())} |", flush=True)
            continue
        print("| " + " | ".join(form.format(row[key]) for key, form in COLUMNS.items()) + " |", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
