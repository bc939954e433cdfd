"""What an artist or a TD can set on the physics."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from studio_pipeline.stages.base import Settings

__all__ = ["FemSettings", "smaller"]

Stiffness = Literal["very_soft", "soft", "usual", "firm", "stiff", "rigid"] | Annotated[float, Field(ge=1e-3, le=1e3)]


class FemSettings(Settings):
    """Settings of the ``fem`` backend; SI units, lengths against the character's height in metres."""

    # [Pa]; None: 5e4 for a body with a diagonal of 1 m, growing with its square, so that large and small look alike.
    youngs_modulus: float | None = Field(default=None, ge=1e2, le=1e9)
    poisson: float = Field(default=0.4, ge=0.0, le=0.49)
    density: float = Field(default=1000.0, ge=1.0, le=1e5)  # [kg/m^3]
    damping: float = Field(default=0.002, ge=0.0, le=10.0)  # [s], viscosity over Young's modulus
    gravity: float = Field(default=0.0, ge=0.0, le=1000.0)  # [m/s^2] downwards; the lifted motion already stands in it
    ground: float | Literal["rest"] | None = None  # height of the floor [m]; "rest": that of the lowest rest vertex
    friction: float = Field(default=0.0, ge=0.0, le=10.0)  # Coulomb's coefficient of the floor
    friction_slip: float = Field(default=0.01, ge=1e-4, le=1.0)  # diagonals a second, below which friction sticks
    attachment: float = Field(default=10.0, ge=0.01, le=1e4)  # hold of the bones, in units of the flesh's stiffness
    # Share of the skinned pose's own stretch that costs nothing: at 1 flesh at rest lies as skinning has it (but for
    # the volume that skinning loses), at 0 as an elastic body with its rest shape would.
    pose_share: float = Field(default=1.0, ge=0.0, le=1.0)
    follow_hz: float = Field(default=2.0, ge=0.0, le=100.0)  # how fast free flesh returns to the skinned pose; 0: never
    # What the physics may cost of the IoU with the clip's silhouette, against skinning: where it costs more, the leash
    # of the joints that it is lost at is tightened (painted ones keep theirs). None: never.
    iou_drop: float | None = Field(default=0.004, gt=0.0, le=1.0)
    # By joint ("ears: soft", "tail_*: 0.3"): a word or a factor on the rest's stiffness; painted flesh isn't fitted.
    stiffness: dict[str, Stiffness] = Field(default_factory=dict, max_length=200)
    # "clip": the stiffness around each bone is fitted to what the clip shows, then that of halves where it wants it.
    fit: Literal["none", "clip"] = "none"
    fit_evaluations: int = Field(default=12, ge=1, le=1000)  # simulations a level, at most; the first has one unknown
    fit_splits: int = Field(default=1, ge=0, le=8)  # further levels, in each of which clusters are halved
    fit_smooth: float = Field(default=0.01, ge=0.0, le=10.0)  # pull between what touches, a share of the first loss
    fit_range: tuple[float, float] = (0.02, 50.0)  # bounds, times the Young's modulus that is set
    substeps: int = Field(default=1, ge=1, le=32)  # steps a frame
    preroll: int = Field(default=0, ge=0, le=500)  # frames in which the first pose is held before index 0
    tolerance: float = Field(default=1e-4, ge=1e-7, le=1e-2)  # Newton's last step, part of the rest diagonal
    max_iterations: int = Field(default=40, ge=2, le=1000)  # Newton iterations a step
    max_halvings: int = Field(default=4, ge=0, le=8)  # an unsolved step is cut into up to 2^this
    blend_frames: int = Field(default=3, ge=0, le=100)  # around a frame that falls back to the skinned pose
    precision: Literal["float32", "float64"] = "float32"
    intersection_samples: int = Field(default=8, ge=1, le=2000)  # frames in which self-intersections are counted

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.friction > 0.0 and self.ground is None:
            raise ValueError("friction needs ground: a height in metres, or rest")
        if not 0.0 < self.fit_range[0] <= 1.0 <= self.fit_range[1]:
            raise ValueError("fit_range must hold 1: the least and the most times the stiffness that is set")
        return self

    def distributions(self) -> tuple[str, ...]:
        """What fitting needs beside."""
        return ("torch",) if self.fit == "clip" else ()


def smaller(settings: FemSettings) -> FemSettings | None:
    """Single precision, then, where stiffness is fitted, fewer substeps: the fit holds every one of them."""
    if settings.precision == "float64":
        return settings.changed(precision="float32")
    if settings.fit == "clip" and settings.substeps > 1:
        return settings.changed(substeps=settings.substeps // 2)
    return None
