"""The time loop: preroll, substeps, step halving, and what happens when a step cannot be solved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from studio_pipeline.physics.body import Body
from studio_pipeline.physics.drive import Drive, carry
from studio_pipeline.physics.solver import NewtonOptions, StepSolver
from studio_pipeline.physics.tape import Step, Tape

__all__ = ["Simulation", "SimulationOptions", "Trajectory", "Unsolved", "attachment_stiffness"]

STATIC_STEP = 10.0  # [s], inertia counts for nothing in a step this long
NAMED = 3  # tetrahedra that are named where a step could not be solved


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """How time is cut into steps."""

    fps: float = 24.0
    substeps: int = 1
    preroll: int = 0  # frames in which the first pose is held before index 0
    max_halvings: int = 4  # a step may be cut into 2^this
    newton: NewtonOptions = field(default_factory=NewtonOptions)


@dataclass(frozen=True, kw_only=True)
class Unsolved:
    """Where the worst step on the way to a frame did not converge."""

    frame: int  # index
    tets: tuple[int, ...]  # tetrahedra that the last Newton step would still have moved furthest, the worst first
    move: float  # [m], by how much the worst
    joint: str  # that carries the worst
    squeezed: int  # the tetrahedron with the smallest det F
    volume_ratio: float  # its det F
    squeezed_joint: str  # that carries it


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """States at the frames."""

    positions: np.ndarray  # [T, P, 3] float64 [m], never inverted
    skinned: np.ndarray  # [T, P, 3] float64 [m], where skinning alone puts the solid
    solved: np.ndarray  # [T] bool, every step that led to the frame converged
    volume_ratio_min: np.ndarray  # [T] float64, smallest det F
    volume_ratio_tet: np.ndarray  # [T] int, the tetrahedron that has it
    kinetic_energy: np.ndarray  # [T] float64 [J]
    newton_iterations: np.ndarray  # [T] int
    linear_iterations: np.ndarray  # [T] int
    halved: np.ndarray  # [T] bool, a step was cut on the way to the frame
    steps: tuple[tuple[float, float], ...]  # (time of its end in frames, length [s]) of every step taken after preroll
    unsolved: tuple[Unsolved, ...]  # one for each frame that is not solved


def attachment_stiffness(
    held: np.ndarray, weights: np.ndarray, sizes: np.ndarray, youngs_modulus: float, ratio: float
) -> np.ndarray:
    """Spring stiffness [N/m] of each vertex: ``ratio * E * size``, fading to zero where joints share a vertex evenly.

    Joints that pull one vertex in contradictory directions so let go of it instead of crushing what lies between.

    Args:
        held: Vertices that joints hold. [P] bool
        weights: By which weights. [P, J]
        sizes: Length of each vertex's share of volume [m]. [P]
        youngs_modulus: [Pa]
        ratio: Stiffness of the hold in units of the flesh around it.
    """
    leading = np.clip(2.0 * weights.max(1) - 1.0, 0.05, 1.0)
    return np.where(held, ratio * youngs_modulus * sizes * leading, 0.0)


class Simulation:
    """A body driven through a motion; with ``record`` it keeps its steps on a tape, for `adjoint.backward`."""

    def __init__(self, body: Body, drive: Drive, options: SimulationOptions, *, record: bool = False) -> None:
        self.body, self.drive, self.options = body, drive, options
        self.solver = StepSolver(body, options.newton)
        self.x = drive.rest.copy()
        self.v = np.zeros_like(self.x)
        self.tape = Tape() if record else None
        self._steps: list[tuple[float, float]] = []
        self._newton = self._linear = 0
        self._unsolved: Unsolved | None = None
        self._halved = False

    def run(self, progress: Callable[[float], None] = lambda fraction: None) -> Trajectory:
        """Simulate every frame of the motion from the rest pose."""
        if self.tape is not None:
            self.tape.clear()
        self._settle()
        self._steps.clear()
        frames = self.drive.motion.frame_count
        rows, unsolved = [], []
        for frame in range(frames):
            if frame > 0:
                self._begin()
                self._frame(frame)
            rows.append(self._row(frame))
            if self._unsolved is not None:
                unsolved.append(replace(self._unsolved, frame=frame))
            if self.tape is not None:
                self.tape.frames.append(len(self.tape.steps))
            progress((frame + 1) / frames)
        columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        return Trajectory(**columns, steps=tuple(self._steps), unsolved=tuple(unsolved))

    def _begin(self) -> None:
        self._newton = self._linear = 0
        self._unsolved, self._halved = None, False

    def _row(self, frame: int) -> dict[str, object]:
        ratios = self.body.topology.volume_ratios(self.x)
        return {
            "positions": self.x.copy(),
            "skinned": self.drive.positions(self.drive.affine(float(frame))),
            "solved": self._unsolved is None,
            "volume_ratio_min": float(ratios.min()),
            "volume_ratio_tet": int(ratios.argmin()),
            "kinetic_energy": float(0.5 * (self.body.mass_np[:, None] * self.v**2).sum()),
            "newton_iterations": self._newton,
            "linear_iterations": self._linear,
            "halved": self._halved,
        }

    def _settle(self) -> None:
        """From the rest pose to the first pose without inertia, then hold it for the preroll."""
        options = self.options
        moved = np.abs(self.drive.positions(self.drive.affine(0.0)) - self.drive.rest).max()
        self._begin()
        if moved > options.newton.tolerance:
            for part in range(1, 9):
                self._advance(-1.0 + (part - 1) / 8.0, -1.0 + part / 8.0, STATIC_STEP, 0, moving=False)
        if options.newton.gravity or options.newton.ground is not None:
            self._advance(0.0, 0.0, STATIC_STEP, 0, moving=False)
        for _ in range(options.preroll):
            self._unsolved = None  # what counts for index 0 is the last step before it
            self._advance(0.0, 0.0, 1.0 / options.fps, 0)

    def _frame(self, frame: int) -> None:
        count = self.options.substeps
        for part in range(count):
            start, end = frame - 1 + part / count, frame - 1 + (part + 1) / count
            self._advance(start, end, 1.0 / (self.options.fps * count), 0)

    def _advance(self, start: float, end: float, h: float, depth: int, *, moving: bool = True) -> None:
        """One step of ``h`` seconds from time ``start`` to ``end`` [frames], in halves where it does not converge.

        Unless ``moving``, the body stands still after it.
        """
        before, after = self.drive.affine(start), self.drive.affine(end)
        target = self.drive.positions(after)
        x, report = self.solver.step(self.x, self.v, h, target, carry(self.x, before, after))
        self._newton += report.iterations
        self._linear += report.linear_iterations
        spent = self._newton > 4 * self.options.newton.max_iterations
        if not report.converged and depth < self.options.max_halvings and not spent:
            self._halved = True
            middle = 0.5 * (start + end)
            self._advance(start, middle, 0.5 * h, depth + 1, moving=moving)
            self._advance(middle, end, 0.5 * h, depth + 1, moving=moving)
            return
        if self.tape is not None:
            step = Step(
                before=self.x,
                velocity=self.v,
                after=x,
                target=target,
                length=h,
                converged=report.converged,
                moving=moving,
            )
            self.tape.steps.append(step)
        # A state that did not converge is still free of inversion: go on from it at the speed of the skinning.
        speed = (x - self.x) / h if report.converged else (target - self.drive.positions(before)) / h
        self.v = speed if moving else np.zeros_like(x)
        self.x = x
        if not report.converged:
            self._note()
        self._steps.append((end, h))

    def _note(self) -> None:
        """Remember where the step that just failed did, unless an earlier one on the way to the frame was worse."""
        tets = self.body.topology.tets
        moves = self.solver.unsettled()[tets].max(1)
        worst = np.argsort(-moves, kind="stable")[:NAMED]
        if self._unsolved is not None and self._unsolved.move >= moves[worst[0]]:
            return
        ratios = self.body.topology.volume_ratios(self.x)
        squeezed = int(ratios.argmin())
        self._unsolved = Unsolved(
            frame=0,
            tets=tuple(worst.tolist()),
            move=float(moves[worst[0]]),
            joint=self._carrier(int(worst[0])),
            squeezed=squeezed,
            volume_ratio=float(ratios[squeezed]),
            squeezed_joint=self._carrier(squeezed),
        )

    def _carrier(self, tet: int) -> str:
        """Name of the joint that carries a tetrahedron more than any other does."""
        weights = self.drive.weights[self.body.topology.tets[tet]].sum(0)
        return self.drive.rig.names[int(weights.argmax())]
