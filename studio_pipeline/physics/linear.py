"""Preconditioned conjugate gradients on the fixed block-sparse pattern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp

from studio_pipeline.physics.kernels import kernels
from studio_pipeline.physics.linear_kernels import ITERATIONS, RESIDUAL, START, STOPPED
from studio_pipeline.physics.topology import Topology

__all__ = ["ConjugateGradient", "LinearReport"]


@dataclass(frozen=True)
class LinearReport:
    """How a solve ended."""

    iterations: int
    indefinite: bool  # a direction of negative curvature was met; the solution is the iterate before it
    start: float  # g . M g, preconditioned squared residual at the start
    end: float  # the same at the end


class ConjugateGradient:
    """Solves ``H x = -g`` by PCG with the inverted diagonal blocks as preconditioner.

    Every launch is recorded once; the scalars stay on the device and are looked at every ``check`` iterations.
    """

    def __init__(self, topology: Topology, name: str, device: wp.Device) -> None:
        k = kernels(name)
        count = len(topology.rest)
        self.hessian = wp.zeros(len(topology.columns), dtype=k.mat33, device=device)
        self.gradient = wp.zeros(count, dtype=k.vec3, device=device)
        self.solution = wp.zeros(count, dtype=k.vec3, device=device)
        self.diagonal = wp.array(topology.diagonal, dtype=wp.int32, device=device)
        inverse = wp.zeros(count, dtype=k.mat33, device=device)
        r, z, p, q = (wp.zeros(count, dtype=k.vec3, device=device) for _ in range(4))
        self.scalars = wp.zeros(8, dtype=wp.float64, device=device)
        offsets = wp.array(topology.offsets, dtype=wp.int32, device=device)
        columns = wp.array(topology.columns, dtype=wp.int32, device=device)

        def record(kernel: object, dim: int, inputs: list[object]) -> wp.Launch:
            return wp.launch(kernel, dim=dim, inputs=inputs, device=device, record_cmd=True)

        linear = k.linear
        self._prepare = record(k.invert_diagonal, count, [self.hessian, self.diagonal, inverse])
        self._start = record(linear.start, count, [self.gradient, inverse, self.solution, r, z, p, self.scalars])
        self._iteration = (
            record(linear.multiply, count, [offsets, columns, self.hessian, p, q, self.scalars]),
            record(linear.update, count, [inverse, p, q, self.solution, r, z, self.scalars]),
            record(linear.turn, count, [z, p, self.scalars]),
            record(linear.shift, 1, [self.scalars]),
        )
        self._check = 1 if device.is_cpu else 10

    def solve(self, tolerance: float, max_iterations: int) -> LinearReport:
        """Iterate until r . M r falls by ``tolerance`` squared, or curvature is negative, or the limit is met."""
        self.scalars.zero_()
        self._prepare.launch()
        self._start.launch()
        state = self._read()
        limit = tolerance**2 * state[START]
        done = 0
        while done < max_iterations and state[RESIDUAL] > limit and not state[STOPPED]:
            for _ in range(self._check):
                for launch in self._iteration:
                    launch.launch()
            done += self._check
            state = self._read()
        return LinearReport(int(state[ITERATIONS]), bool(state[STOPPED]), float(state[START]), float(state[RESIDUAL]))

    def _read(self) -> np.ndarray:
        return self.scalars.numpy()
