"""Walk and run: feet that roll from heel to toe and never slide, hips that sway and bob, shoulders against them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from body import ANKLE, BALL, FPS, HEEL, HIP_HEIGHT, Act, Foot, X, Y, about, arms, trunk
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator


@dataclass(frozen=True)
class Gait:
    """A cycle of two steps. Angles in degrees, lengths in metres, times as shares of the cycle."""

    frames: int  # of the cycle
    stride: float  # distance of a cycle
    ahead: float  # how far before the hips a foot's ankle comes down
    width: float  # from the middle to a foot
    toe_out: float
    pitch: tuple[tuple[float, float], ...]  # (time, toe down) of a foot from its strike on; heel down while negative
    lift_off: float  # when the toe leaves the ground
    swing: tuple[tuple[float, float], ...]  # (share of the swing, lift of the ankle)
    low: float  # how far the hips are below their rest height, on the average
    bob: tuple[float, float]  # amplitude, and when the hips are lowest after a strike
    sway: float
    lean: tuple[float, float]  # pelvis and chest
    yaw: tuple[float, float]  # pelvis and chest, each other's opposite
    drop: float  # of the swinging side's hip
    arm: tuple[float, float, float, float, float]  # lowered, swing, its middle, elbow, more elbow in front


WALK = Gait(
    frames=32, stride=1.30, ahead=0.27, width=0.075, toe_out=7.0,
    pitch=((0.0, -19.0), (0.035, -12.0), (0.09, 0.0), (0.3, 0.0), (0.38, 3.0), (0.5, 26.0), (0.62, 58.0), (0.68, 62.0),
           (0.8, 22.0), (0.9, -8.0), (1.0, -19.0)),
    lift_off=0.62, swing=((0.0, 0.0), (0.12, 0.022), (0.3, 0.045), (0.6, 0.032), (0.85, 0.012), (1.0, 0.0)),
    low=0.045, bob=(0.017, 0.045), sway=0.021, lean=(3.0, 2.0), yaw=(5.5, 6.5), drop=3.2,
    arm=(80.0, 24.0, 3.0, 14.0, 16.0),
)  # fmt: skip
RUN = Gait(
    frames=22, stride=2.35, ahead=0.24, width=0.05, toe_out=4.0,
    pitch=((0.0, -6.0), (0.05, 0.0), (0.14, 0.0), (0.22, 20.0), (0.33, 62.0), (0.42, 88.0), (0.6, 72.0), (0.8, 8.0),
           (0.92, -10.0), (1.0, -6.0)),
    lift_off=0.33, swing=((0.0, 0.0), (0.15, 0.14), (0.38, 0.30), (0.62, 0.20), (0.85, 0.055), (1.0, 0.0)),
    low=0.075, bob=(0.036, 0.15), sway=0.012, lean=(9.0, 11.0), yaw=(8.0, 11.0), drop=4.0,
    arm=(76.0, 42.0, -4.0, 88.0, 22.0),
)  # fmt: skip


def gait(plan: Gait) -> Act:
    """One cycle, left foot first; the last frame is the first one stride on."""
    phase = np.arange(plan.frames + 1) / plan.frames
    turn = 2.0 * np.pi * phase
    bob, lowest = plan.bob
    hips = np.stack(
        [
            plan.sway * np.sin(turn - 0.25),
            HIP_HEIGHT - plan.low - bob * np.cos(2.0 * (turn - 2.0 * np.pi * lowest)),
            plan.stride * phase - 0.006 * np.sin(2.0 * turn),
        ],
        axis=1,
    )
    act = Act(plan.frames + 1, hips)
    act.feet[".L"] = foot(plan, phase, 1.0)
    act.feet[".R"] = foot(plan, phase - 0.5, -1.0)
    wave = np.cos(turn)
    pelvis = {"pitch": plan.lean[0] + 0.0 * wave, "yaw": -plan.yaw[0] * wave, "roll": plan.drop * np.sin(turn - 0.35)}
    chest = {
        "pitch": plan.lean[1] + 1.2 * np.cos(2.0 * turn),
        "yaw": plan.yaw[1] * np.cos(turn - 0.2),
        "roll": -0.35 * pelvis["roll"],
    }
    head = {"pitch": 1.0 - 1.0 * np.cos(2.0 * turn), "yaw": 0.12 * plan.yaw[1] * wave, "roll": -0.1 * pelvis["roll"]}
    trunk(act, pelvis, chest, head)
    lowered, swing, middle, elbow, more = plan.arm
    for end, lead in ((".L", 1.0), (".R", -1.0)):
        ahead = -lead * np.cos(turn - 0.15)
        late = -lead * np.cos(turn - 0.5)
        arms(act, end, lower=lowered - 2.0 * ahead, swing=middle + swing * ahead,
             elbow=elbow + more * 0.5 * (1.0 + late), twist=8.0 * ahead,
             shrug=0.8 * ahead, wrist=4.0 * late)  # fmt: skip
    return act


def foot(plan: Gait, phase: np.ndarray, side: float) -> Foot:
    """A foot over time: on its heel, flat, on its ball, through the air.

    Args:
        plan: The gait.
        phase: Cycles since this foot's strike at zero [T], any number.
        side: +1 left, -1 right.
    """
    cycle = np.floor(phase + 1e-9)
    inner = np.clip(phase - cycle, 0.0, 1.0)
    # The phase counts the foot's own cycles, the hips' way the body's: half a stride between the feet.
    base = plan.stride * (cycle + (0.5 if side < 0.0 else 0.0))
    pitch = PchipInterpolator(*np.array(plan.pitch).T)
    heading = about(Y, side * plan.toe_out)

    def standing(time: np.ndarray) -> np.ndarray:
        """The ankle while the foot is on the ground: it rolls over its heel or its ball."""
        roll = heading @ about(X, pitch(time))
        pivot = np.where(pitch(time)[:, None] < 0.0, HEEL, BALL)
        flat = np.array([side * plan.width, ANKLE, plan.ahead])
        return flat + pivot @ heading.T - np.einsum("tab,tb->ta", roll, pivot)

    step = 1e-3
    ends = np.array([plan.lift_off, 1.0])
    leave, left = standing(np.array([plan.lift_off - step, plan.lift_off]))
    land = standing(np.array([0.0]))[0] + [0.0, 0.0, plan.stride]
    # It lands a little slower than the body moves, and from above.
    speeds = np.stack([(left - leave) / step, np.array([0.0, -0.12, 0.25 * plan.stride])])
    flight = CubicHermiteSpline(ends, np.stack([left, land]), speeds)
    lift = PchipInterpolator(*np.array(plan.swing).T)
    share = np.clip((inner - plan.lift_off) / (1.0 - plan.lift_off), 0.0, 1.0)
    flying = flight(np.maximum(inner, plan.lift_off))
    flying[:, 1] += lift(share)
    stands = inner <= plan.lift_off
    ankle = np.where(stands[:, None], standing(np.minimum(inner, plan.lift_off)), flying)
    ankle[:, 2] += base
    angle = pitch(inner)
    # On its ball the toes stay flat; in the air they come back softly.
    back = np.clip(share / 0.5, 0.0, 1.0) ** 1.5
    bent = np.where(stands, np.minimum(angle, 0.0), angle * back)
    toe = np.where(angle <= 0.0, angle, bent)
    return Foot(ankle, heading @ about(X, angle), heading @ about(X, toe))


def seconds(plan: Gait) -> float:
    """How long a cycle takes."""
    return plan.frames / FPS
