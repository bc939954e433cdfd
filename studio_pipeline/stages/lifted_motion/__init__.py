"""Joint motion fitted to a clip: what the character did, read off the pixels.

The workhorse is analysis by synthesis: render the current pose, measure by optical flow, contours, tracks and
depth where the picture disagrees, and move the joints by a Gauss-Newton step over all frames at once. Gradients
through our differentiable rasterizer then minimise the loss of the paper (rgb, mask, track, depth, smooth, reg).

Payload: ``motion.{npz,json}``, ``residuals.json``, ``overlay.png`` and ``overlay.mp4`` (clip, mask and tracks,
lift, difference), ``residuals.png`` (curves).
Figures: ``iou_mean``, ``iou_min``, ``track_error_px`` (median), ``rgb_error`` (mean absolute, 0..1), ``iterations``,
``frames_unseen``, ``frames_doubted``, ``joints_unseen``, ``contacts``, ``foot_slide_mm`` (the farthest that a
planted point still slides). Verdicts: ``finite`` (blocking), ``silhouette`` (mean IoU, blocking below 0.5),
``track_residual``, ``frames_seen``, ``frames_explained``.

Backend ``provided`` takes the motion from an animated file instead (`studio retarget`, a DCC). Its payload is
``motion.{npz,json}`` and ``preview.png``, its figures ``frames``, ``joints_moving`` and ``source``; it is not held
against the clip, and its verdicts say so.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from studio_pipeline.stages.base import Backend, InputFile, Override, Settings, Stage

__all__ = ["STAGE", "LiftSettings", "ProvidedMotionSettings", "smaller"]


class LiftSettings(Settings):
    """Settings of the lift; standard deviations say how far a thing may lie off before it costs."""

    # Gauss-Newton
    rounds_first: int = Field(default=4, ge=1, le=50)  # rounds on each frame in turn
    rounds_all: int = Field(default=4, ge=0, le=50)  # rounds over all frames at once
    samples: int = Field(default=1200, ge=100, le=20000)  # surface points a frame
    flow_px: float = Field(default=0.7, gt=0.0)  # noise of the flow between render and frame [px]
    contour_px: float = Field(default=0.7, gt=0.0)  # noise of the mask's contour [px]
    track_px: float = Field(default=2.0, gt=0.0)  # noise of the tracks [px]
    depth_fraction: float = Field(default=0.03, gt=0.0)  # noise of depth, of the rest box's diagonal
    rest_rad: float = Field(default=0.5, gt=0.0)  # pull of joint rotations to rest [rad]
    rest_shift: float = Field(
        default=0.003, gt=0.0
    )  # the same of other joints' translations than the root's, of the diagonal
    speed: float = Field(default=0.5, gt=0.0)  # first differences over frames [rad, or diagonals]
    acceleration: float = Field(default=0.15, gt=0.0)  # second differences
    shift_smoothness: float = Field(default=0.15, gt=0.0)  # factor on both for translations
    # Refinement by gradients through the renderer; weights are ratios to the rgb term at the start
    iterations: int = Field(default=30, ge=0, le=5000)
    weight_rgb: float = Field(default=1.0, ge=0.0)
    weight_mask: float = Field(default=1.0, ge=0.0)  # of exact masks; of guessed ones 0.3 of it
    weight_track: float = Field(default=0.02, ge=0.0)  # tracks drift by half a pixel: they are for the start
    weight_depth: float = Field(default=0.2, ge=0.0)
    weight_smooth: float = Field(default=0.04, ge=0.0)
    weight_reg: float = Field(default=0.02, ge=0.0)
    limit_rad: float = Field(default=2.6, gt=0.0)  # rotations beyond this are regularised
    limit_shift: float = Field(default=0.05, gt=0.0)  # non-root translations beyond this, of the diagonal
    renderer: Literal["warp", "pytorch3d"] = "warp"  # what the gradients go through
    views: InputFile | None = None  # a folder of further clips of the shot, from known cameras (see `views`)
    contacts: bool = True  # feet that are planted in the clip don't slide
    # Terms that are left out, of both solvers: for ablation. "start": no Gauss-Newton; the gradients start at rest.
    without: tuple[Literal["rgb", "mask", "track", "depth", "smooth", "start"], ...] = ()

    def distributions(self) -> tuple[str, ...]:
        """PyTorch3D's version, where gradients go through it."""
        return ("pytorch3d",) if self.renderer == "pytorch3d" else ()


class ProvidedMotionSettings(Settings):
    """Whose animation is used."""

    file: InputFile  # GLB or glTF of the character on the shot's rig, with an animation
    animation: str | None = None  # its name; None: the first


def smaller(settings: LiftSettings) -> LiftSettings | None:
    """Half as many surface points a frame: the equations of all frames are held at once. None below 150."""
    return settings.changed(samples=settings.samples // 2) if settings.samples >= 300 else None


STAGE = Stage(
    name="lifted_motion",
    version=1,
    summary="Joint rotations and translations fitted to the clip by differentiable rendering",
    inputs=("character", "rig", "reference_clip", "observations"),
    shot_fields=(),
    backends={
        "warp": Backend(
            run="studio_pipeline.stages.lifted_motion.backend:run",
            settings=LiftSettings,
            smaller="studio_pipeline.stages.lifted_motion:smaller",
            distributions=("torch", "warp-lang", "opencv-python-headless", "numpy", "scipy", "pillow"),
        ),
        "provided": Backend(
            run="studio_pipeline.stages.lifted_motion.provided:run",
            settings=ProvidedMotionSettings,
            distributions=("warp-lang", "opencv-python-headless", "numpy", "scipy"),
        ),
    },
    default="warp",
    checks=("finite", "silhouette", "track_residual", "frames_seen", "frames_explained"),
    override=Override(
        backend="provided", setting="file", check="studio_pipeline.stages.lifted_motion.provided:check_file"
    ),
)
