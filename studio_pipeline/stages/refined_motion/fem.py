"""Backend ``fem``: backward-Euler finite elements driven by the rig (see docs/physics.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.physics.embedding import Embedding, blend_weights
from studio_pipeline.physics.simulate import Simulation, Trajectory
from studio_pipeline.render.runtime import initialize
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Motion, Observations, PointCache, Rig, Solid
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.refined_motion.build import build_simulation, usual_stiffness
from studio_pipeline.stages.refined_motion.guard import ClipView, Leading, Outline, lead
from studio_pipeline.stages.refined_motion.judge import Report, judge, measure
from studio_pipeline.stages.refined_motion.paint import factors, painted
from studio_pipeline.stages.refined_motion.settings import FemSettings

if TYPE_CHECKING:
    from studio_pipeline.physics.fitting import StiffnessFit
    from studio_pipeline.stages.lifted_motion.losses import Sight

__all__ = ["RefineResult", "refine", "run"]


@dataclass(frozen=True)
class RefineResult:
    """The refined surface and what was seen on the way."""

    points: PointCache
    skinned: np.ndarray  # [T, V, 3] float32 [m], the surface by skinning alone
    trajectory: Trajectory
    report: Report
    fit: StiffnessFit | None  # how the stiffness was found in the clip, if it was
    leading: Leading | None  # how flesh was kept to the clip's silhouette, if there is one


def refine(
    character: Character,
    rig: Rig,
    solid: Solid,
    motion: Motion,
    settings: FemSettings | None = None,
    progress: Callable[..., None] = lambda fraction, message="": None,
    sights: Sequence[Sight] = (),
    outline: Outline | None = None,
) -> RefineResult:
    """Simulate the solid under the joint motion and carry the surface along.

    Args:
        character: The character.
        rig: Its rig.
        solid: The rig's solid.
        motion: What drives it.
        settings: See `FemSettings`.
        progress: Told the fraction done and a word.
        sights: What cameras saw; with any, the stiffness of what isn't painted is fitted to them.
        outline: The clip's silhouette; with one, flesh that isn't painted is led until the refined surface keeps to it
            (`guard.lead`).

    Raises:
        InputError: The records don't belong together or hold values that are not finite.
    """
    initialize()
    settings = settings or FemSettings()
    if len(solid.surface_tets) != len(character.vertices) or rig.weights.shape[0] != len(character.vertices):
        raise InputError("was made for another surface than this character's", where="solid or rig")
    stiffness, held = painted(rig, solid, settings.stiffness, usual_stiffness(solid, settings))
    fit, done = None, 0.0
    if sights:
        from studio_pipeline.stages.refined_motion.fit import fit_to_clip

        fit = fit_to_clip(
            character, rig, solid, motion, sights, settings, start=stiffness, held=held,
            progress=lambda fraction: progress(0.7 * fraction, "fitting the stiffness"),
        )  # fmt: skip
        stiffness, done = np.exp(fit.log_youngs_modulus), 0.7
    body = _Flesh(character, rig, solid, motion, settings, stiffness)
    body.simulate(None, lambda fraction: progress(done + (0.8 - done) * fraction, "simulating"))
    leading = None
    if outline is not None and settings.iou_drop is not None:
        progress(0.8, "comparing with the clip")
        leading = lead(
            ClipView(character, rig, outline, body.skinned),
            body.simulate,
            body.skinned,
            body.points.points,
            np.full(rig.joint_count, settings.follow_hz),
            settings.iou_drop,
            held=np.isfinite(factors(rig, settings.stiffness)),
        )
        body.points = replace(body.points, points=leading.surface)
    progress(0.93, "counting self-intersections")
    report = measure(
        character, body.points, body.skinned, body.trajectory, solid,
        samples=settings.intersection_samples, leading=leading, names=rig.names,
    )  # fmt: skip
    return RefineResult(
        points=body.points, skinned=body.skinned, trajectory=body.trajectory, report=report, fit=fit, leading=leading
    )


class _Flesh:
    """A character's solid under a motion, and the surface of its last simulation."""

    points: PointCache
    trajectory: Trajectory

    def __init__(
        self, character: Character, rig: Rig, solid: Solid, motion: Motion, settings: FemSettings, stiffness: np.ndarray
    ) -> None:
        self.rig, self.solid, self.motion, self.settings, self.stiffness = rig, solid, motion, settings, stiffness
        # What doesn't belong together is told before anything is posed.
        self.build(None)
        self.skinned = pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, motion))
        self.embedding = Embedding(solid, character.vertices)

    def build(self, follow_hz: np.ndarray | None) -> Simulation:
        return build_simulation(
            self.rig, self.solid, self.motion, self.settings, stiffness=self.stiffness, follow_hz=follow_hz
        )

    def simulate(
        self, follow_hz: np.ndarray | None, progress: Callable[[float], None] = lambda fraction: None
    ) -> np.ndarray:
        """The surface [T, V, 3] with a leash of each joint's flesh [J] [Hz]; None: the settings' one."""
        simulation = self.build(follow_hz)
        self.trajectory = trajectory = simulation.run(progress)
        refined = self.embedding.carried(trajectory.positions, trajectory.skinned, self.skinned)
        share = blend_weights(~trajectory.solved, self.settings.blend_frames)[:, None, None]
        self.points = PointCache(
            points=((1.0 - share) * refined + share * self.skinned).astype(np.float32),
            stiffness=simulation.body.youngs_modulus.astype(np.float32),
            fallback=~trajectory.solved,
            fps=self.motion.fps,
            first_frame=self.motion.first_frame,
        )
        return self.points.points


def run(context: StageContext) -> StageResult:
    """Refine the lifted motion; see the package's docstring for the payload, figures and verdicts."""
    from studio_pipeline.stages.refined_motion.preview import write_plot, write_preview, write_stiffness

    character, rig = Character.load(context.inputs["character"]), Rig.load(context.inputs["rig"])
    solid, motion = Solid.load(context.inputs["solid"]), Motion.load(context.inputs["lifted_motion"])
    camera = CameraPath.load(context.inputs["reference_clip"])
    observations = Observations.load(context.inputs["observations"])
    settings: FemSettings = context.settings
    sights: tuple[Sight, ...] = ()
    if settings.fit == "clip":
        from studio_pipeline.stages.lifted_motion.sights import sight_of

        sights = (sight_of(character, camera, Clip.load(context.inputs["reference_clip"]), observations),)
    outline = Outline(camera, observations.masks)
    result = refine(character, rig, solid, motion, settings, context.progress, sights, outline)
    result.points.save(context.out)
    context.progress(0.97, "drawing")
    write_preview(context.out / "refined.png", character, result.skinned, result.points.points)
    write_plot(context.out / "refined_plot.png", result.points, result.skinned, result.trajectory)
    previews = ("refined.png", "refined_plot.png")
    if np.ptp(result.points.stiffness) > 0.0:
        write_stiffness(context.out / "stiffness.png", character, solid, result.points.stiffness)
        previews += ("stiffness.png",)
    return StageResult(
        figures={**result.report.figures, **_stiffness_figures(result)},
        previews=previews,
        verdicts=judge(result.report),
    )


def _stiffness_figures(result: RefineResult) -> dict[str, float | int]:
    """How soft and stiff the flesh is, and what fitting it gained."""
    low, high = np.percentile(result.points.stiffness, [1.0, 99.0])
    figures: dict[str, float | int] = {
        "stiffness_low_pa": round(float(low), 1),
        "stiffness_high_pa": round(float(high), 1),
    }
    if result.fit is not None:
        figures |= {
            "fit_loss_before": round(result.fit.losses[0], 6),
            "fit_loss_after": round(result.fit.losses[-1], 6),
            "fit_clusters": result.fit.clusters[-1] if result.fit.clusters else 0,
            "fit_evaluations": result.fit.evaluations,
        }
    return figures
