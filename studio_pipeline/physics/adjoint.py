"""Gradients through time: what a loss on a simulation's frames says of stiffness, density, damping and start.

Every step n minimises Phi(x_n; x_{n-1}, v_{n-1}, p), so its forces g = dPhi/dx vanish. With H = dg/dx the true
(unprojected) Hessian there, the multiplier of a step solves H l = dL/dx_n, and

    dL/dp += -l . dg/dp,   dL/dx_{n-1} += -l . dg/dx_{n-1},   dL/dv_{n-1} += -l . dg/dv_{n-1},

with v_n = (x_n - x_{n-1}) / h_n. Steps may differ in length. For constant ones without damping this is the recurrence
H_n l_n = dL/dx_n + M / h^2 (2 l_{n+1} - l_{n+2}). Energy and viscosity are linear in E, so that the derivative by log E
of a tetrahedron is the work of its own forces along the multiplier. Damping and friction (through the slide and through
its lagged normal force) reach back to x_{n-1} as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp

from studio_pipeline.physics.adjoint_kernels import adjoint_kernels
from studio_pipeline.physics.simulate import Simulation
from studio_pipeline.physics.solver import StepSolver
from studio_pipeline.physics.tape import Step, Tape

__all__ = ["Gradients", "backward"]


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """Derivatives of a loss. The attachments (springs, leash) and the ground's stiffness are held fixed."""

    log_youngs_modulus: np.ndarray  # [E] float64, by the logarithm of every tetrahedron's Young's modulus
    log_density: float  # of the whole body
    log_damping: float
    start: np.ndarray  # [P, 3] float64, by the positions the simulation began with [1/m]
    velocity: np.ndarray  # [P, 3] float64, by the velocities it began with [s/m]
    cut: tuple[int, ...]  # indices of frames that no gradient reaches: a step on the way to them did not converge
    linear_iterations: int
    loose: int  # steps whose linear solve ended before its tolerance was met: the gradient is less exact
    indefinite: int  # steps whose true Hessian was not positive, where the projected one stood in


def backward(
    simulation: Simulation, gradient: np.ndarray, *, tolerance: float | None = None, max_iterations: int = 2000
) -> Gradients:
    """Derivatives of a loss by what the simulation was given.

    Args:
        simulation: One that has run with ``record=True``.
        gradient: dL/dx of the solid's vertices in every frame [T, P, 3], in float64.
        tolerance: Relative preconditioned residual of the linear solves; None: 1e-4 in float32, 1e-9 in float64.
        max_iterations: Of each linear solve.

    A step that did not converge ends the chain: what came before it gets nothing from what comes after, and frames
    whose own step did not converge are left out (`Gradients.cut`).

    Raises:
        ValueError: The simulation was not recorded, or the gradient has another shape.
    """
    tape = simulation.tape
    if tape is None or not tape.frames:
        raise ValueError("the simulation has no record: make it with record=True and run it")
    wanted = (len(tape.frames), *simulation.drive.rest.shape)
    if gradient.shape != wanted:
        raise ValueError(f"the gradient has shape {gradient.shape}, the frames have {wanted}")
    single = simulation.body.precision == "float32"
    way = _Way(simulation, tolerance or (1e-4 if single else 1e-9), max_iterations)
    return way.back(tape, gradient.astype(np.float64))


class _Way:
    """The way back through a tape."""

    def __init__(self, simulation: Simulation, tolerance: float, max_iterations: int) -> None:
        self.solver: StepSolver = simulation.solver
        self.body = body = simulation.body
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self.kernels = adjoint_kernels(body.precision)
        count, elements, k = len(body.topology.rest), len(body.topology.tets), body.kernels
        self._multiplier, self._back = (wp.zeros(count, dtype=k.vec3, device=body.device) for _ in range(2))
        self._elastic, self._damping = (wp.zeros(elements, dtype=k.real, device=body.device) for _ in range(2))
        self.log_youngs_modulus = np.zeros(elements)
        self.log_density = self.log_damping = 0.0
        self.linear_iterations = self.loose = self.indefinite = 0

    def back(self, tape: Tape, gradient: np.ndarray) -> Gradients:
        """From the last frame to the start."""
        by_x, by_v = np.zeros_like(gradient[0]), np.zeros_like(gradient[0])
        taken = np.zeros(len(tape.frames), dtype=bool)
        for number in range(len(tape.steps), -1, -1):
            step = tape.steps[number - 1] if number else None
            for frame in (index for index, done in enumerate(tape.frames) if done == number):
                if step is None or step.converged:
                    by_x, taken[frame] = by_x + gradient[frame], True
            if step is not None:
                by_x, by_v = self._through(step, by_x, by_v) if step.converged else (0.0 * by_x, 0.0 * by_v)
        return Gradients(
            log_youngs_modulus=self.log_youngs_modulus,
            log_density=self.log_density,
            log_damping=self.log_damping,
            start=by_x,
            velocity=by_v,
            cut=tuple(np.flatnonzero(~taken).tolist()),
            linear_iterations=self.linear_iterations,
            loose=self.loose,
            indefinite=self.indefinite,
        )

    def _through(self, step: Step, by_x: np.ndarray, by_v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the parameters' share at one step and return what the state before it gets."""
        h, mass = step.length, self.body.mass_np[:, None]
        before = np.zeros_like(by_x)
        if step.moving:
            by_x, before = by_x + by_v / h, -by_v / h
        if not by_x.any():
            return before, np.zeros_like(by_v)
        origin = self.solver.linearise(step.after, step.before, step.velocity, h, step.target)
        multiplier, report, projected = self.solver.solve_for(by_x, self.tolerance, self.max_iterations)
        self.linear_iterations += report.iterations
        self.loose += int(report.end > self.tolerance**2 * report.start)
        self.indefinite += int(projected)
        self._work(step, multiplier, origin)
        predicted = self.solver.predict(step.before, step.velocity, h)
        self.log_density -= float((multiplier * mass * (step.after - predicted)).sum()) / h**2
        pull = mass * multiplier
        return before + pull / h**2 - self._back.numpy().astype(np.float64), pull / h

    def _work(self, step: Step, multiplier: np.ndarray, origin: np.ndarray) -> None:
        """Work of every element's forces along the multiplier; leaves what damping and friction give back."""
        body = self.body
        after, before = (body.upload(x - origin, body.kernels.vec3) for x in (step.after, step.before))
        self._multiplier.assign(np.ascontiguousarray(multiplier, dtype=body.dtype))
        self._back.zero_()
        wp.launch(
            self.kernels.element_work,
            dim=len(body.topology.tets),
            inputs=[
                after,
                before,
                self._multiplier,
                body.tets,
                body.rest_inverse,
                body.volume,
                body.mu,
                body.lam,
                body.viscosity,
                body.kernels.real(1.0 / step.length),
                body.rotation,
                self._elastic,
                self._damping,
                self._back,
            ],
            device=body.device,
        )
        terms = self.solver.friction_terms(step.length, float(origin[1]))
        if terms[1] > 0.0:
            wp.launch(
                self.kernels.friction_work,
                dim=len(step.before),
                inputs=[after, before, self._multiplier, body.contact, *map(body.kernels.real, terms), self._back],
                device=body.device,
            )
        damping = self._damping.numpy().astype(np.float64)
        self.log_youngs_modulus -= self._elastic.numpy().astype(np.float64) + damping
        self.log_damping -= float(damping.sum())
