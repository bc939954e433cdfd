"""Filling a closed surface with tetrahedra: fTetWild in a subprocess, with a time limit and coarser retries."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio_pipeline.geometry.tetmesh import tet_volumes, used_vertices
from studio_pipeline.schema.arrays import load_arrays, save_arrays
from studio_pipeline.schema.errors import InputError, OutOfMemory, one_line, was_killed
from studio_pipeline.stages.solid.settings import SolidSettings

__all__ = ["TetMesh", "mesh_once", "tetrahedralise"]

_KILLED = "was killed"
_REGULAR = 0.118  # volume of a regular tetrahedron of edge one
_EDGES = (0.012, 0.12)  # bounds of the edge length that the volume suggests
_FLAT = 1e-9  # of the mean volume: a tetrahedron below this is dropped


@dataclass(frozen=True)
class TetMesh:
    """What fTetWild gave, in the units of its input."""

    vertices: np.ndarray  # [P, 3] float64
    tets: np.ndarray  # [E, 4] int64, positive volumes
    attempts: int
    reproducible: bool  # whether another run gives the same bytes


def tetrahedralise(
    vertices: np.ndarray,
    faces: np.ndarray,
    settings: SolidSettings,
    progress: Callable[..., None] | None = None,
) -> TetMesh:
    """Fill a closed surface.

    Args:
        vertices: Positions [N, 3] in a box of diagonal about one.
        faces: Triangles [M, 3], counter-clockwise seen from outside.
        settings: See `SolidSettings`.
        progress: Called with a fraction and a message.

    Raises:
        InputError: No attempt gave tetrahedra.
        OutOfMemory: Every attempt was killed.
    """
    low, high = settings.tets
    epsilon, edge = settings.epsilon, settings.edge_length or _suggested_edge(vertices, faces, low, high)
    best: TetMesh | None = None
    reasons = []
    for attempt in range(1, settings.attempts + 1):
        if progress:
            progress(0.15 + 0.6 * (attempt - 1) / settings.attempts, f"fTetWild, attempt {attempt}")
        mesh, reason = mesh_once(vertices, faces, epsilon=epsilon, edge_length=edge, timeout_s=settings.timeout_s)
        if mesh is None:
            if best is not None:
                break
            reasons.append(reason)
            epsilon, edge = 1.8 * epsilon, 1.4 * edge
            continue
        count = len(mesh[1])
        best = _nearer(best, TetMesh(*mesh[:2], attempts=attempt, reproducible=mesh[2]), low, high)
        if settings.edge_length is not None or low <= count <= high:
            break
        wanted, wider = (0.7 * high, 1.3) if count > high else (1.4 * low, 0.75)
        edge *= float(np.clip((count / wanted) ** 0.4, 0.5, 2.0))
        epsilon *= wider
    if best is None and set(reasons) == {_KILLED}:
        raise OutOfMemory(f"fTetWild {_KILLED} in each of {settings.attempts} attempts", where="stages.solid")
    if best is None:
        raise InputError(
            f"fTetWild gave no tetrahedra in {settings.attempts} attempts ({'; '.join(dict.fromkeys(reasons))})",
            where="stages.solid",
            do="raise stages.solid.timeout_s or epsilon, or simplify the mesh",
        )
    return best


def _suggested_edge(vertices: np.ndarray, faces: np.ndarray, low: int, high: int) -> float:
    """Edge length of regular tetrahedra that fill the surface with between ``low`` and ``high`` of them."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    volume = float(np.einsum("fa,fa->", a, np.cross(b, c))) / 6.0
    return float(np.clip((volume / (_REGULAR * np.sqrt(low * high))) ** (1.0 / 3.0), *_EDGES))


def mesh_once(
    vertices: np.ndarray, faces: np.ndarray, *, epsilon: float, edge_length: float, timeout_s: float
) -> tuple[tuple[np.ndarray, np.ndarray, bool] | None, str]:
    """One run of fTetWild: vertices [P, 3], tets [E, 4] of positive volume, reproducible; or None and why."""
    with tempfile.TemporaryDirectory(prefix="ftetwild-") as folder:
        source, target = Path(folder, "surface.npz"), Path(folder, "tets.npz")
        save_arrays(
            source,
            vertices=vertices.astype(np.float64),
            faces=faces.astype(np.int32),
            epsilon=np.array(epsilon),
            edge_length=np.array(edge_length),
            cpu_s=np.array(timeout_s),
        )
        command = [sys.executable, "-m", "studio_pipeline.stages.solid._mesher", str(source), str(target)]
        try:
            # run() kills the child when the time is over, and when this process is interrupted.
            done = subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=timeout_s, check=False, cwd=folder
            )
        except subprocess.TimeoutExpired:
            return None, f"killed after {timeout_s:g} s"
        if was_killed(done.returncode):
            return None, _KILLED
        if done.returncode != 0 or not target.exists():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
            return None, f"ended with code {done.returncode} {one_line(last[0])[:120]}".strip()
        data = load_arrays(target)
    points, tets = data["vertices"], data["tets"].astype(np.int64)
    if len(tets) == 0 or not np.isfinite(points).all():
        return None, "empty result"
    return (*_positive(points, tets), bool(data["reproducible"].item())), ""


def _positive(points: np.ndarray, tets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn negative tetrahedra around, drop flat ones and unused vertices."""
    volume = tet_volumes(points, tets)
    tets = np.where((volume < 0.0)[:, None], tets[:, [0, 2, 1, 3]], tets)
    return used_vertices(points, tets[np.abs(volume) > _FLAT * np.abs(volume).mean()])


def _nearer(old: TetMesh | None, new: TetMesh, low: int, high: int) -> TetMesh:
    """The mesh whose count is nearer to the range; the newer when both are in it."""
    if old is None:
        return new

    def miss(mesh: TetMesh) -> float:
        return max(low / len(mesh.tets), len(mesh.tets) / high, 1.0)

    kept = new if miss(new) <= miss(old) else old
    return dataclasses.replace(kept, attempts=new.attempts)
