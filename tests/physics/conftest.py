"""Bodies that the physics tests share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from studio_pipeline.physics.body import Body, Material
from studio_pipeline.physics.solver import NewtonOptions, StepSolver
from studio_pipeline.physics.topology import Topology
from studio_pipeline.render.runtime import initialize

initialize()


@pytest.fixture(scope="session")
def make_solver() -> Callable[..., StepSolver]:
    """A solver of a body from vertices and tets, free of attachments unless given, in float64 unless said."""

    def make(
        vertices: np.ndarray,
        tets: np.ndarray,
        *,
        material: Material | None = None,
        attachment: np.ndarray | None = None,
        contact: np.ndarray | None = None,
        precision: str = "float64",
        **options: float,
    ) -> StepSolver:
        hold = np.zeros(len(vertices)) if attachment is None else attachment
        body = Body(
            Topology.build(vertices, tets),
            material or Material(),
            attachment=hold,
            contact=contact,
            precision=precision,
        )
        return StepSolver(body, NewtonOptions(**{"tolerance": 1e-10, "linear_tolerance": 1e-6, **options}))

    return make
