"""Newton's vertex block descent (`newton.solvers.SolverVBD`) on the swinging bar of physics.py, beside our solver.

Usage: physics_newton.py SIZE FRAMES MODULUS [FOLDER]; prints one JSON list. Both take one backward-Euler step a frame
of the same lumped masses, with the same springs to the same targets (Newton's: of zero length, to massless particles
that are moved) and no damping. What differs: Newton's material is stable neo-Hookean (Smith, de Goes, Kim 2018) with
the same Lame constants at small strain, ours fixed corotated; its start of a step is inertia's, ours is carried by the
skinning. So errors are told twice: `own_` against the float64 solution of the solver's own energy (Newton's is made
here), `our_` against our float64 one. `residual` is the force left unbalanced in parts of the inertial force, of the
worst step, each by its own energy in float64.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from physics import SIZES, make_simulation


@dataclass
class Scene:
    """What both solvers are given."""

    rest: np.ndarray  # [P, 3]
    tets: np.ndarray  # [E, 4]
    mass: np.ndarray  # [P] [kg]
    spring: np.ndarray  # [P] [N/m]
    targets: np.ndarray  # [T, P, 3]
    mu: np.ndarray  # [E] [Pa]
    lam: np.ndarray  # [E] [Pa]
    h: float  # [s]


def relative(force: np.ndarray, inertia: np.ndarray) -> float:
    """Unbalanced force of a step in parts of its inertial force."""
    return float(np.linalg.norm(force) / np.linalg.norm(inertia))


class NeoHookean:
    """Backward-Euler steps of a stable neo-Hookean body in float64, by Newton's method with SciPy's solver.

    psi = mu / 2 (|F|^2 - 3) + (lambda + mu) / 2 (J - 1)^2 - mu (J - 1).
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        edges = np.swapaxes(scene.rest[scene.tets[:, 1:]] - scene.rest[scene.tets[:, :1]], 1, 2)
        self.volume = np.linalg.det(edges) / 6.0
        inverse = np.linalg.inv(edges)
        self.shape = np.concatenate([-inverse.sum(1, keepdims=True), inverse], axis=1)  # [E, 4, 3]
        corners = 3 * scene.tets[:, :, None] + np.arange(3)
        self.places = corners.reshape(len(scene.tets), 12)
        self.levi = np.zeros((3, 3, 3))
        for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            self.levi[i, j, k], self.levi[i, k, j] = 1.0, -1.0

    def _terms(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """F, its cofactors [E, 3, 3] and dpsi/dJ [E]."""
        F = np.einsum("eai,eaj->eij", x[self.scene.tets], self.shape)
        cofactor = np.stack([np.cross(F[:, :, (c + 1) % 3], F[:, :, (c + 2) % 3]) for c in range(3)], axis=-1)
        mu, lam = self.scene.mu, self.scene.lam
        return F, cofactor, (lam + mu) * (np.linalg.det(F) - 1.0) - mu

    def energy(self, x: np.ndarray, predicted: np.ndarray, target: np.ndarray) -> float:
        """Incremental potential [J]."""
        s = self.scene
        F, _, _ = self._terms(x)
        change = np.linalg.det(F) - 1.0
        density = 0.5 * s.mu * ((F**2).sum((1, 2)) - 3.0) + 0.5 * (s.lam + s.mu) * change**2 - s.mu * change
        single = s.mass * ((x - predicted) ** 2).sum(1) / s.h**2 + s.spring * ((x - target) ** 2).sum(1)
        return float((self.volume * density).sum() + 0.5 * single.sum())

    def gradient(self, x: np.ndarray, predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
        """[P, 3] [N]"""
        s = self.scene
        F, cofactor, slope = self._terms(x)
        P = self.volume[:, None, None] * (s.mu[:, None, None] * F + slope[:, None, None] * cofactor)
        out = s.mass[:, None] * (x - predicted) / s.h**2 + s.spring[:, None] * (x - target)
        np.add.at(out, s.tets, np.einsum("eij,eaj->eai", P, self.shape))
        return out

    def hessian(self, x: np.ndarray, project: bool) -> Any:
        """[3P, 3P] sparse [N/m]; with ``project`` every element's negative eigenvalues are cut."""
        from scipy.sparse import coo_array, diags_array

        s = self.scene
        F, cofactor, slope = self._terms(x)
        ca = np.einsum("eij,eaj->eai", cofactor, self.shape)
        gram = np.einsum("eaj,ebj->eab", self.shape, self.shape)
        blocks = np.einsum("e,eai,ebk->eaibk", s.lam + s.mu, ca, ca)
        blocks += np.einsum("e,eab,ik->eaibk", s.mu, gram, np.eye(3))
        cross = np.einsum("jln,eaj,ebl,emn->eabm", self.levi, self.shape, self.shape, F, optimize=True)
        blocks += np.einsum("e,ikm,eabm->eaibk", slope, self.levi, cross, optimize=True)
        blocks = (self.volume[:, None, None, None, None] * blocks).reshape(-1, 12, 12)
        if project:
            values, vectors = np.linalg.eigh(blocks)
            blocks = (vectors * np.maximum(values, 0.0)[:, None]) @ np.swapaxes(vectors, 1, 2)
        rows, columns = np.repeat(self.places, 12, axis=1).reshape(-1), np.tile(self.places, (1, 12)).reshape(-1)
        size = x.size
        elastic = coo_array((blocks.reshape(-1), (rows, columns)), shape=(size, size)).tocsr()
        return elastic + diags_array(np.repeat(s.mass / s.h**2 + s.spring, 3)).tocsr()

    def step(self, start: np.ndarray, predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Minimise from ``start`` until a full Newton step is below 1e-10 m.

        Raises:
            RuntimeError: It does not get there.
        """
        from scipy.sparse import diags_array
        from scipy.sparse.linalg import cg

        x, energy, project = start.copy(), self.energy(start, predicted, target), False
        for _ in range(100):
            gradient = self.gradient(x, predicted, target).reshape(-1)
            matrix = self.hessian(x, project)
            move, _ = cg(matrix, -gradient, rtol=1e-6, M=diags_array(1.0 / matrix.diagonal()), maxiter=4000)
            slope = float(gradient @ move)
            if not slope < 0.0 and not project:
                project = True
                continue
            part = 1.0
            while part > 1e-6:
                trial = x + part * move.reshape(-1, 3)
                after = self.energy(trial, predicted, target)
                if after <= energy + 1e-4 * part * slope + 1e-13 * abs(energy):
                    break
                part *= 0.5
            x, energy, project = trial, after, part < 1.0
            if np.abs(move).max() < 1e-10:
                return x
        raise RuntimeError("the reference of Newton's energy did not converge")

    def run(self, starts: np.ndarray) -> np.ndarray:
        """Every frame, each started from ``starts`` [T, P, 3]."""
        frames, v = [self.scene.rest], np.zeros_like(self.scene.rest)
        for target, start in zip(self.scene.targets[1:], starts[1:], strict=True):
            frames.append(self.step(start, frames[-1] + self.scene.h * v, target))
            v = (frames[-1] - frames[-2]) / self.scene.h
        return np.stack(frames)


class Vbd:
    """The scene in Newton's model."""

    def __init__(self, scene: Scene) -> None:
        import newton

        self.newton, self.scene = newton, scene
        builder = newton.ModelBuilder(gravity=(0.0, 0.0, 0.0))
        count = len(scene.rest)
        for kind in (scene.mass, np.zeros(count)):  # the body, then what its springs hang on
            for place, mass in zip(scene.rest.tolist(), kind.tolist(), strict=True):
                builder.add_particle(pos=place, vel=(0.0, 0.0, 0.0), mass=mass, radius=1e-3)
        for corners, mu, lam in zip(scene.tets.tolist(), scene.mu.tolist(), scene.lam.tolist(), strict=True):
            builder.add_tetrahedron(*corners, k_mu=mu, k_lambda=lam, k_damp=0.0)
        for index, stiffness in enumerate(scene.spring.tolist()):
            builder.add_spring(index, count + index, ke=stiffness, kd=0.0, control=0.0)
        builder.color()
        self.model = builder.finalize(device="cpu")

    def run(self, iterations: int, frames: int | None = None) -> tuple[np.ndarray, float]:
        """Positions of every frame [T, P, 3] float64 and CPU seconds spent in steps."""
        solver = self.newton.solvers.SolverVBD(
            self.model, iterations=iterations, particle_enable_self_contact=False, particle_enable_tile_solve=False
        )
        now, after, control = self.model.state(), self.model.state(), self.model.control()
        count = len(self.scene.rest)
        out, spent = [self.scene.rest], 0.0
        for target in self.scene.targets[1:frames]:
            places = now.particle_q.numpy()
            places[count:] = target
            now.particle_q.assign(places)
            begun = time.process_time()
            solver.step(now, after, control, None, self.scene.h)
            spent += time.process_time() - begun
            now, after = after, now
            out.append(now.particle_q.numpy()[:count].astype(np.float64))
        return np.stack(out), spent


def errors(found: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    away = np.linalg.norm(found - wanted, axis=2)
    return {"rms_mm": round(1e3 * float(np.sqrt((away**2).mean())), 4), "max_mm": round(1e3 * float(away.max()), 3)}


def residual_of(positions: np.ndarray, scene: Scene, gradient: Any) -> float:
    """Largest relative residual of the steps that ``positions`` [T, P, 3] are."""
    worst, v = 0.0, np.zeros_like(scene.rest)
    for before, after, target in zip(positions[:-1], positions[1:], scene.targets[1:], strict=True):
        predicted = before + scene.h * v
        inertia = scene.mass[:, None] * (after - predicted) / scene.h**2
        worst = max(worst, relative(gradient(after, before, v, target), inertia))
        v = (after - before) / scene.h
    return worst


def scene_of(simulation: Any) -> Scene:
    from studio_pipeline.physics.body import lame

    body, drive = simulation.body, simulation.drive
    mu, lam = lame(body.youngs_modulus, 0.4)
    return Scene(
        rest=drive.rest,
        tets=body.topology.tets,
        mass=body.mass_np,
        spring=body.attachment.numpy().astype(np.float64),
        targets=np.stack([drive.positions(drive.affine(float(t))) for t in range(drive.motion.frame_count)]),
        mu=mu,
        lam=lam,
        h=1.0 / simulation.options.fps,
    )


def measured(row: dict[str, Any], own: np.ndarray, reference: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    """``row`` with the errors of the positions ``found``, all [T, P, 3]."""
    row |= {f"own_{key}": value for key, value in errors(found, own).items()}
    return row | {f"our_{key}": value for key, value in errors(found, reference).items()}


def compare(size: str, frames: int, modulus: float) -> list[dict[str, Any]]:
    from studio_pipeline.render.runtime import initialize

    initialize()
    settings: dict[str, Any] = {"damping": 0.0, "youngs_modulus": modulus}
    make_simulation(1, 4, 3, "float32", **settings).run()
    simulation = make_simulation(*SIZES[size], frames, "float32", **settings)
    begun = time.process_time()
    run = simulation.run()
    seconds, ours = time.process_time() - begun, run.positions
    exact = make_simulation(*SIZES[size], frames, "float64", tolerance=1e-7, **settings)
    trajectory = exact.run()
    if not trajectory.solved.all() or trajectory.halved.any():
        raise RuntimeError("the float64 reference did not take one step a frame")
    reference, scene = trajectory.positions, scene_of(exact)
    body, vbd = NeoHookean(scene), Vbd(scene)
    own = body.run(reference)

    def our_gradient(after: np.ndarray, before: np.ndarray, v: np.ndarray, target: np.ndarray) -> np.ndarray:
        return exact.solver.derivatives(after, before, v, scene.h, target)[1]

    def its_gradient(after: np.ndarray, before: np.ndarray, v: np.ndarray, target: np.ndarray) -> np.ndarray:
        return body.gradient(after, before + scene.h * v, target)

    def row(solver: str, spent: float, iterations: int, residual: float) -> dict[str, Any]:
        about = {"size": size, "tets": len(scene.tets), "young_pa": modulus, "solver": solver, "cpu_s": round(spent, 3)}
        return about | {"iterations_a_frame": iterations, "residual": float(f"{residual:.2g}")}

    our_residual = residual_of(ours, scene, our_gradient)
    sweeps = round(float(run.newton_iterations[1:].mean()))
    rows = [measured(row("ours, float32", seconds, sweeps, our_residual), reference, reference, ours)]
    vbd.run(2, 3)  # builds or loads its kernels
    each = vbd.run(20, 6)[1] / (20 * 5)
    for times in (1, 10):
        iterations = int(np.ceil(times * seconds / ((frames - 1) * each)))
        found, spent = vbd.run(iterations)
        its = residual_of(found, scene, its_gradient)
        name = f"Newton {vbd.newton.__version__} VBD, {times} x our time"
        rows.append(measured(row(name, spent, iterations, its), own, reference, found))
        rows[-1]["reaches_our_residual"] = bool(its <= our_residual)
    gap = errors(own, reference)
    rows.append({"size": size, "young_pa": modulus, "solver": "between the two materials", **gap})
    return rows


def main() -> None:
    if len(sys.argv) > 4:
        sys.path.append(sys.argv[4])
    with contextlib.redirect_stdout(sys.stderr):  # Newton and Warp greet on standard output
        found = compare(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
