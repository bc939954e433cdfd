"""Newton's method on the incremental potential of one backward-Euler step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp

from studio_pipeline.physics.body import Body
from studio_pipeline.physics.linear import ConjugateGradient

__all__ = ["NewtonOptions", "StepReport", "StepSolver"]

NO_GROUND = -1e30


@dataclass(frozen=True, kw_only=True)
class NewtonOptions:
    """When a step counts as solved and how much work it may take."""

    tolerance: float = 1e-4  # [m], a full Newton step below this ends the iteration
    switch: float = 1e-2  # [m], below this full steps use the true Hessian
    max_iterations: int = 40
    max_linear_iterations: int = 400
    linear_tolerance: float = 0.03  # loosest relative residual of the linear solves
    gravity: float = 0.0  # [m/s^2] downwards
    ground: float | None = None  # height of the ground plane [m]


@dataclass(frozen=True)
class StepReport:
    """How a step was solved."""

    converged: bool
    iterations: int
    linear_iterations: int
    last_move: float  # [m], largest vertex movement of the last iteration
    energy: float  # incremental potential at the end [J]


class StepSolver:
    """Solves single time steps of a body. Keeps every buffer; makes no decision across steps."""

    def __init__(self, body: Body, options: NewtonOptions) -> None:
        self.body, self.options = body, options
        k, count = body.kernels, len(body.topology.rest)
        self.linear = ConjugateGradient(body.topology, body.precision, body.device)
        self._x, self._trial, self._previous, self._predicted, self._target = (
            wp.zeros(count, dtype=k.vec3, device=body.device) for _ in range(5)
        )
        self._energy = wp.zeros(2, dtype=wp.float64, device=body.device)
        self._limit = wp.zeros(1, dtype=k.real, device=body.device)
        self._round_off = 4e-7 if body.precision == "float32" else 1e-15
        # Energy that rounding of F alone can make: F is off by some units in the last place times x / edge.
        self._floor = body.energy_scale * (1e-11 if body.precision == "float32" else 1e-28)
        self._record()

    def _record(self) -> None:
        """Record the launches whose arguments never change but for single numbers."""
        b, k = self.body, self.body.kernels
        elements, vertices = len(b.topology.tets), len(b.topology.rest)
        shape = [b.tets, b.rest_inverse, b.volume, b.mu, b.lam, b.viscosity, 0.0, b.rotation]
        ground = NO_GROUND if self.options.ground is None else self.options.ground
        single = [self._predicted, b.mass, self._target, b.attachment, b.contact, ground, 0.0]

        def record(kernel: object, dim: int, inputs: list[object]) -> wp.Launch:
            return wp.launch(kernel, dim=dim, inputs=inputs, device=b.device, record_cmd=True)

        system = self.linear
        self._vertex_energy = record(k.vertex_energy, vertices, [self._trial, *single, self._energy])
        self._element_energy = record(k.element_energy, elements, [self._trial, self._previous, *shape, self._energy])
        self._vertex_system = record(
            k.vertex_system, vertices, [self._x, *single, system.diagonal, system.gradient, system.hessian]
        )
        self._element_system = record(
            k.element_system,
            elements,
            [self._x, self._previous, *shape, b.slots, 1, system.gradient, system.hessian],
        )
        self._largest_step = record(
            k.largest_step, elements, [self._x, system.solution, b.tets, b.rest_inverse, self._limit]
        )
        self._move = record(k.move, vertices, [self._x, system.solution, 0.0, self._trial])

    def step(
        self, x: np.ndarray, v: np.ndarray, h: float, target: np.ndarray, guess: np.ndarray
    ) -> tuple[np.ndarray, StepReport]:
        """Positions after a step of ``h`` seconds from a state without inverted elements.

        Args:
            x: Positions at the start [m]. [P, 3]
            v: Velocities at the start [m/s]. [P, 3]
            h: Length of the step [s].
            target: Where the attachments pull their vertices at the end. [P, 3]
            guess: Where the solution is likely to be; used as far as it inverts nothing. [P, 3]

        Returns:
            Positions [P, 3] float64, without inverted elements whether converged or not, and the report.
        """
        predicted = x + h * v
        predicted[:, 1] -= h * h * self.options.gravity
        self._load(h, x, predicted, target)
        energy = self._start(x, guess)
        report = self._newton(energy)
        return self._x.numpy().astype(np.float64), report

    def _load(self, h: float, x: np.ndarray, predicted: np.ndarray, target: np.ndarray) -> None:
        for array, values in ((self._previous, x), (self._predicted, predicted), (self._target, target)):
            self._assign(array, values)
        # Places of 1 / h and 1 / h^2 among the recorded arguments.
        for launch, place, value in (
            (self._element_energy, 8, 1.0 / h),
            (self._element_system, 8, 1.0 / h),
            (self._vertex_energy, 7, 1.0 / h**2),
            (self._vertex_system, 7, 1.0 / h**2),
        ):
            launch.set_param_at_index(place, value)

    def _assign(self, array: wp.array, values: np.ndarray) -> None:
        array.assign(np.ascontiguousarray(values, dtype=self.body.dtype))

    def _start(self, x: np.ndarray, guess: np.ndarray) -> float:
        """Put the best valid start between ``x`` and ``guess`` into the iterate; returns its energy."""
        best = (self._measure(x), x)
        for part in (1.0, 0.75, 0.5, 0.25):
            candidate = x + part * (guess - x)
            energy = self._measure(candidate)
            if energy < best[0]:
                best = (energy, candidate)
            if np.isfinite(energy):
                break
        self._assign(self._x, best[1])
        return best[0]

    def _measure(self, positions: np.ndarray | None = None) -> float:
        """Incremental potential at ``positions`` or the trial [J]; infinite where an element is inverted."""
        if positions is not None:
            self._assign(self._trial, positions)
        self._energy.zero_()
        self._vertex_energy.launch()
        self._element_energy.launch()
        value, inverted = self._energy.numpy()
        return float(value) if inverted == 0.0 and np.isfinite(value) else float("inf")

    def _newton(self, energy: float) -> StepReport:
        options = self.options
        project, linear_iterations, move, first = False, 0, float("inf"), None
        for iteration in range(1, options.max_iterations + 1):
            slope, start, used, project = self._direction(project, first)
            first = first or start
            linear_iterations += used
            if slope == 0.0:
                return StepReport(True, iteration, linear_iterations, 0.0, energy)
            if not slope < 0.0:
                break
            longest = float(np.abs(self.linear.solution.numpy()).max())
            taken, energy = self._search(energy, slope)
            move = taken * longest
            if taken == 0.0:
                if project:
                    # No decrease beyond rounding is left along a descent direction.
                    done = longest <= 10.0 * options.tolerance
                    return StepReport(done, iteration, linear_iterations, longest, energy)
                project = True
                continue
            if taken == 1.0 and longest <= options.tolerance:
                return StepReport(True, iteration, linear_iterations, move, energy)
            project = not (taken == 1.0 and longest <= options.switch)
        return StepReport(False, options.max_iterations, linear_iterations, move, energy)

    def _direction(self, project: bool, first: float | None) -> tuple[float, float, int, bool]:
        """Newton direction into the solution; falls back to the projected Hessian where the true one fails."""
        used = 0
        while True:
            self.linear.hessian.zero_()
            self._vertex_system.launch()
            self._element_system.set_param_at_index(11, int(project))
            self._element_system.launch()
            tolerance = self.options.linear_tolerance
            report = self.linear.solve(tolerance, self.options.max_linear_iterations)
            used += report.iterations
            gradient = self.linear.gradient.numpy().astype(np.float64)
            slope = float((gradient * self.linear.solution.numpy()).sum())
            if project or (slope < 0.0 and not report.indefinite):
                return slope, report.start, used, project
            project = True

    def _search(self, energy: float, slope: float) -> tuple[float, float]:
        """Move along the solution; returns the part of it that was taken (0 when none was) and the new energy."""
        self._limit.fill_(1.0)
        self._largest_step.launch()
        part = float(self._limit.numpy()[0])
        allowance = self._round_off * abs(energy) + self._floor
        for _ in range(30):
            self._move.set_param_at_index(2, part)
            self._move.launch()
            trial = self._measure()
            if trial <= energy + 1e-4 * part * slope + allowance:
                wp.copy(self._x, self._trial)
                return part, trial
            part *= 0.5
        return 0.0, energy
