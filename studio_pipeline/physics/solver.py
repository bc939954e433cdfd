"""Newton's method on the incremental potential of one backward-Euler step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import warp as wp
from scipy.sparse import bsr_array

from studio_pipeline.physics.body import Body
from studio_pipeline.physics.linear import ConjugateGradient, LinearReport

__all__ = ["NewtonOptions", "StepReport", "StepSolver"]

NO_GROUND = -1e30
VOLUME_TOLERANCE = 0.1  # a last step may change no element's volume by more than this part of it
ENOUGH = 10.0  # times the linear tolerance: the residual with which a step may still count as solved
SLIP_TOLERANCE = 0.25  # with friction, a last step may be no longer than this part of the way that counts as sticking


@dataclass(frozen=True, kw_only=True)
class NewtonOptions:
    """When a step counts as solved and how much work it may take."""

    tolerance: float = 1e-4  # [m], a full Newton step below this ends the iteration
    switch: float = 1e-2  # [m], below this full steps use the true Hessian
    max_iterations: int = 40
    max_linear_iterations: int = 400
    linear_tolerance: float = (
        0.003  # relative residual at which linear solves end: an iteration costs less than a Hessian
    )
    gravity: float = 0.0  # [m/s^2] downwards
    ground: float | None = None  # height of the ground plane [m]
    pose_share: float = 0.0  # of the target's stretch that is free of stress (see `Body.pose_rest`)
    friction: float = 0.0  # Coulomb's coefficient of the ground; 0: it slips freely
    friction_slip: float = 1e-2  # [m/s], below this speed friction sticks: it grows smoothly from 0 to its full force


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
        self._limit = wp.zeros(2, dtype=k.real, device=body.device)
        self._unit = 0.1 * float(np.finfo(body.dtype).eps) * float(np.abs(body.topology.rest).max())  # [m]
        # Rounding puts F off by some units in the last place times extent / edge; over many elements it averages.
        edge = np.cbrt(6.0 * body.topology.volumes.mean())
        extent = np.abs(body.topology.rest).max()
        self._strain_error = 8.0 * float(np.finfo(body.dtype).eps * extent / edge / np.sqrt(len(body.topology.tets)))
        self._origin = np.zeros(3)
        self._tolerance = options.tolerance
        self._record()

    def _record(self) -> None:
        """Record the launches whose arguments never change but for single numbers."""
        b, k = self.body, self.body.kernels
        elements, vertices = len(b.topology.tets), len(b.topology.rest)
        shape = [b.tets, b.rest_inverse, b.volume, b.mu, b.lam, b.viscosity, 0.0, b.rotation]
        single = [self._predicted, b.mass, self._target, b.attachment, b.contact, 0.0, 0.0, self._previous, 0.0, 1.0]

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
        origin = self._recentre(x, target)
        self._load(h, x - origin, self.predict(x, v, h) - origin, target - origin, float(origin[1]))
        energy = self._start(x - origin, guess - origin)
        report = self._newton(energy)
        y = self._x.numpy().astype(np.float64) + origin
        if np.isfinite(y).all() and self.body.topology.volume_ratios(y).min() > 0.0:
            return y, report
        # The kernels' own test saw no inversion but rounding hid one: keep the sound state.
        return x.copy(), replace(report, converged=False)

    def _recentre(self, x: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Origin of the solver's coordinates: far from the world's, float32 would lose the shape. [3]"""
        reach = 4.0 * float(np.abs(self.body.topology.rest).max())
        # Whole multiples leave what is near the world's origin untouched, so a rest pose stays as it is.
        wanted = reach * np.round(target.mean(0) / reach)
        if (wanted != self._origin).any():
            ratios = self.body.topology.volume_ratios
            rounded = (x - wanted).astype(self.body.dtype).astype(np.float64)
            if ratios(rounded).min() > 0.5 * ratios(x).min():
                self._origin = wanted
        return self._origin

    def derivatives(
        self,
        positions: np.ndarray,
        x: np.ndarray,
        v: np.ndarray,
        h: float,
        target: np.ndarray,
        *,
        project: bool = False,
    ) -> tuple[float, np.ndarray, bsr_array]:
        """The step's incremental potential at ``positions`` [P, 3], for checks and adjoints.

        Returns:
            Energy [J], gradient [P, 3] [N] and Hessian [3P, 3P] [N/m], projected if asked for.
        """
        self._load(h, x, self.predict(x, v, h), target)
        energy = self._measure(positions)
        self._assign(self._x, positions)
        self._assemble(project)
        topology, size = self.body.topology, 3 * len(x)
        blocks = self.linear.hessian.numpy().astype(np.float64)
        hessian = bsr_array((blocks, topology.columns, topology.offsets), shape=(size, size))
        return energy, self.linear.gradient.numpy().astype(np.float64), hessian

    def linearise(self, after: np.ndarray, x: np.ndarray, v: np.ndarray, h: float, target: np.ndarray) -> np.ndarray:
        """Assemble a solved step's true Hessian, for `solve_for`; returns the origin of the solver's coordinates. [3]

        Args:
            after: Where the step ended. [P, 3]
            x: As for `step`, like the others.
            v: Velocities at the start.
            h: Length of the step.
            target: Of the attachments.
        """
        origin = self._recentre(x, target)
        self._load(h, x - origin, self.predict(x, v, h) - origin, target - origin, float(origin[1]))
        self._assign(self._x, after - origin)
        self._assemble(False)
        return origin

    def solve_for(
        self, wanted: np.ndarray, tolerance: float, max_iterations: int
    ) -> tuple[np.ndarray, LinearReport, bool]:
        """The l [P, 3] with ``H l = wanted`` [P, 3] for the Hessian that `linearise` left.

        Returns:
            l in float64, how the solve ended, and whether the projected Hessian had to stand in for one that was not
            positive.
        """
        scale = float(np.abs(wanted).max())
        self._assign(self.linear.gradient, -wanted / scale)
        report = self.linear.solve(tolerance, max_iterations)
        if report.indefinite:
            self._assemble(True)
            self._assign(self.linear.gradient, -wanted / scale)
            report = self.linear.solve(tolerance, max_iterations)
            return scale * self.linear.solution.numpy().astype(np.float64), report, True
        return scale * self.linear.solution.numpy().astype(np.float64), report, False

    def predict(self, x: np.ndarray, v: np.ndarray, h: float) -> np.ndarray:
        """Where inertia and gravity alone would take the vertices. [P, 3]"""
        predicted = x + h * v
        predicted[:, 1] -= h * h * self.options.gravity
        return predicted

    def friction_terms(self, h: float, height: float) -> tuple[float, float, float]:
        """Ground [m] over an origin at ``height``, coefficient of friction, reach of sticking in ``h`` seconds [m]."""
        options = self.options
        if options.ground is None:
            return NO_GROUND, 0.0, 1.0
        return options.ground - height, options.friction, options.friction_slip * h

    def unsettled(self) -> np.ndarray:
        """How far the last Newton step would have moved every vertex [m], from which convergence is judged. [P]"""
        return np.nan_to_num(np.linalg.norm(self.linear.solution.numpy().astype(np.float64), axis=1))

    def _load(self, h: float, x: np.ndarray, predicted: np.ndarray, target: np.ndarray, height: float = 0.0) -> None:
        """Set what stays through a step; all positions are relative to an origin at ``height`` [m] over the world's."""
        ground, friction, reach = self.friction_terms(h, height)
        self._tolerance = self.options.tolerance
        if friction > 0.0 and (x[:, 1] < ground).any():
            self._tolerance = min(self._tolerance, SLIP_TOLERANCE * reach)
        for array, values in ((self._previous, x), (self._predicted, predicted), (self._target, target)):
            self._assign(array, values)
        if self.options.pose_share > 0.0:
            self.body.pose_rest(self._target, self.options.pose_share)
        # Places of the ground, 1 / h, 1 / h^2 and friction among the recorded arguments.
        for launch, place, value in (
            (self._element_energy, 8, 1.0 / h),
            (self._element_system, 8, 1.0 / h),
            (self._vertex_energy, 6, ground),
            (self._vertex_system, 6, ground),
            (self._vertex_energy, 7, 1.0 / h**2),
            (self._vertex_system, 7, 1.0 / h**2),
            (self._vertex_energy, 9, friction),
            (self._vertex_system, 9, friction),
            (self._vertex_energy, 10, reach),
            (self._vertex_system, 10, reach),
        ):
            launch.set_param_at_index(place, value)

    def _assign(self, array: wp.array, values: np.ndarray) -> None:
        array.assign(np.ascontiguousarray(values, dtype=self.body.dtype))

    def _start(self, x: np.ndarray, guess: np.ndarray) -> float:
        """Put the best sound start between ``x`` and ``guess`` into the iterate; returns its energy."""
        energy, start = self._measure(x), x
        least = 0.1 * float(self.body.volume_ratios(self._trial).min())
        for part in (1.0, 0.75, 0.5, 0.25):
            candidate = x + part * (guess - x)
            found = self._measure(candidate)
            # Next to the barrier's wall Newton would crawl, so nearly flat elements are no start either.
            if np.isfinite(found) and self.body.volume_ratios(self._trial).min() > least:
                if found < energy:
                    energy, start = found, candidate
                break
        self._assign(self._x, start)
        return energy

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
        project, linear_iterations, move = False, 0, float("inf")
        for iteration in range(1, options.max_iterations + 1):
            slope, used, project, solved = self._direction(project)
            linear_iterations += used
            if slope == 0.0:
                return StepReport(True, iteration, linear_iterations, 0.0, energy)
            if not slope < 0.0:
                break
            longest = float(np.abs(self.linear.solution.numpy()).max())
            reach, change = self._reach()
            # Below rounding PCG cannot meet any tolerance, and need not.
            settled = (solved and longest <= self._tolerance) or longest <= self._unit
            small = settled and change <= VOLUME_TOLERANCE
            taken, energy = self._search(energy, slope, reach)
            move = taken * longest
            if small and (taken == 1.0 or (taken == 0.0 and project)):
                # Without any step taken: nothing but rounding is left to gain.
                return StepReport(True, iteration, linear_iterations, move, energy)
            if taken == 0.0 and project:
                break
            project = not (taken == 1.0 and longest <= options.switch)
        return StepReport(False, options.max_iterations, linear_iterations, move, energy)

    def _assemble(self, project: bool) -> None:
        """Gradient and Hessian at the iterate."""
        self.linear.hessian.zero_()
        self._vertex_system.launch()
        self._element_system.set_param_at_index(11, int(project))
        self._element_system.launch()

    def _direction(self, project: bool) -> tuple[float, int, bool, bool]:
        """Newton direction into the solution, by the projected Hessian where the true one is not positive.

        Returns:
            Slope of the potential along it [J], PCG iterations, whether projected, whether PCG came near its tolerance.
        """
        used = 0
        while True:
            self._assemble(project)
            tolerance = self.options.linear_tolerance
            report = self.linear.solve(tolerance, self.options.max_linear_iterations)
            used += report.iterations
            gradient = self.linear.gradient.numpy().astype(np.float64)
            slope = float((gradient * self.linear.solution.numpy()).sum())
            if project or (slope < 0.0 and not report.indefinite):
                return slope, used, project, report.end <= (ENOUGH * tolerance) ** 2 * report.start
            project = True

    def _reach(self) -> tuple[float, float]:
        """Largest part of the solution that inverts nothing, and the largest relative volume change in all of it."""
        self._limit.assign([1.0, 0.0])
        self._largest_step.launch()
        part, change = self._limit.numpy()
        return float(part), float(change)

    def _search(self, energy: float, slope: float, part: float) -> tuple[float, float]:
        """Move by up to ``part`` of the solution; returns what was taken (0 when nothing was) and the new energy."""
        # An energy of strain s is off by mu V s times the error of the strain: no decrease below that can be seen.
        error, scale = self._strain_error, self.body.energy_scale
        allowance = error * (energy + np.sqrt(energy * scale) + error * scale)
        for _ in range(30):
            self._move.set_param_at_index(2, part)
            self._move.launch()
            trial = self._measure()
            if trial <= energy + 1e-4 * part * slope + allowance:
                wp.copy(self._x, self._trial)
                return part, trial
            part *= 0.5
        return 0.0, energy
