"""What the verdicts say of where something went wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from studio_pipeline.physics.intersections import SelfIntersections
from studio_pipeline.physics.scenes import bar_character, bar_rig, bar_solid, swing
from studio_pipeline.schema.records import Motion
from studio_pipeline.stages.refined_motion.fem import RefineResult, refine
from studio_pipeline.stages.refined_motion.judge import judge, measure
from studio_pipeline.stages.refined_motion.settings import FemSettings

SOLID = bar_solid(2, 4)
CHARACTER = bar_character(SOLID)


def refined(motion: Motion, settings: FemSettings | None = None) -> RefineResult:
    return refine(CHARACTER, bar_rig(4, CHARACTER.vertices), SOLID, motion, settings)


def test_a_fallback_names_its_tetrahedra_and_joint() -> None:
    motion = swing(12, degrees=5.0, travel=0.05)
    wild = motion.translations.copy()
    wild[8, 2] = [0.0, 2.0, 1.0]
    result = refined(replace(motion, translations=wild), FemSettings(max_iterations=2, max_halvings=0))
    at = result.trajectory.unsolved[0]
    message = {verdict.name: verdict.message for verdict in judge(result.report)}["solver_converged"]
    where = f"{at.frame + 1001} (tetrahedra {at.tets[0]} {at.tets[1]} {at.tets[2]} at {at.joint}"
    assert where in message and f"{at.squeezed} at {at.squeezed_joint}" in message
    assert where in str(result.report.figures["fallback_where"])
    assert "\n" not in message


def test_self_intersections_name_their_worst_frame() -> None:
    result = refined(swing(12, degrees=5.0, travel=0.05))
    points = result.points.points.copy()
    # One end of the bar laid through the other in a single frame.
    x, y, z = points[0].T
    across = np.stack([1.5 * (y - 0.8), 0.31 + x, 0.8 * z], axis=1)
    points[6] = np.where(points[0][:, 1:2] > 0.6, across, points[0])
    cache = replace(result.points, points=points)
    report = measure(CHARACTER, cache, result.skinned, result.trajectory, SOLID, samples=12)
    counter = SelfIntersections(CHARACTER.vertices, CHARACTER.faces)
    counts = [counter.count(clip) for clip in points]
    verdict = {verdict.name: verdict for verdict in judge(report)}["no_new_self_intersections"]
    assert int(np.argmax(counts)) == 6 and not verdict.passed
    assert f"most at frame {1001 + 6}" in verdict.message
    assert report.figures["new_intersections_frame"] == 1001 + 6
    assert "new_intersections_frame" not in result.report.figures
    assert "frame" not in {v.name: v.message for v in judge(result.report)}["no_new_self_intersections"]
