"""Wave and jump: keyed poses on feet that stay where they are until they leave the ground."""

from __future__ import annotations

import numpy as np
from body import ANKLE, BALL, FPS, HIP_HEIGHT, Act, Foot, X, Y, about, arms, trunk
from scipy.interpolate import PchipInterpolator

_STANCE, _TOE_OUT = 0.105, 10.0


def keyed(frames: int, *keys: tuple[float, float]) -> np.ndarray:
    """Values at each frame through keys (frame, value), without overshoot, still at both ends. [T]"""
    places, values = np.array(keys, dtype=np.float64).T
    # A second key just beside each end makes the curve begin and end at rest.
    places = np.concatenate([places[:1], places[:1] + 0.5, places[1:-1], places[-1:] - 0.5, places[-1:]])
    values = np.concatenate([values[:1], values[:1], values[1:-1], values[-1:], values[-1:]])
    return PchipInterpolator(places, values)(np.arange(frames))


def standing_feet(act: Act, *, roll: np.ndarray, lift: np.ndarray) -> None:
    """Both feet in place, on their balls by ``roll`` [T] deg, in the air by ``lift`` [T] m."""
    for end, side in ((".L", 1.0), (".R", -1.0)):
        heading = about(Y, side * _TOE_OUT)
        turn = heading @ about(X, roll)
        flat = np.array([side * _STANCE, ANKLE, 0.0])
        ankle = flat + heading @ BALL - turn @ BALL
        ankle[:, 1] += lift
        grounded = lift <= 1e-6
        toe = heading @ about(X, np.where(grounded, 0.0, roll * np.clip(lift / 0.2, 0.0, 1.0)))
        act.feet[end] = Foot(ankle, turn, toe)


def wave() -> Act:
    """Three seconds: the right hand goes up, waves three times and comes down; the weight is on the left leg."""
    frames = 91
    time = np.arange(frames)
    up = keyed(frames, (0, 0), (8, -0.06), (22, 1.0), (66, 1.0), (80, 0.0), (90, 0))
    hand = np.sin(2.0 * np.pi * (time - 22) / 14.0) * keyed(frames, (0, 0), (20, 0), (27, 1), (60, 1), (68, 0), (90, 0))
    breath = 0.5 - 0.5 * np.cos(2.0 * np.pi * time / 90.0)
    hips = np.stack([0.018 + 0.010 * up, HIP_HEIGHT - 0.022 + 0.004 * breath, -0.012 + 0.0 * up], axis=1)
    act = Act(frames, hips)
    standing_feet(act, roll=np.zeros(frames), lift=np.zeros(frames))
    pelvis = {"pitch": 1.0 + 0.0 * up, "yaw": -2.0 * up, "roll": 2.0 + 1.5 * up}
    chest = {"pitch": -1.0 - 1.5 * breath, "yaw": 5.0 * up, "roll": -2.0 - 3.0 * up + 1.2 * hand}
    head = {"pitch": 1.0 - 2.0 * up, "yaw": -4.0 * up, "roll": 6.0 * up - 1.5 * hand}
    trunk(act, pelvis, chest, head)
    arms(act, ".L", lower=80.0 - breath, swing=2.0, elbow=16.0 + 2.0 * breath, shrug=0.6 * breath)
    # Up: the upper arm to just above the shoulder, the forearm upright, palm to the front.
    arms(act, ".R", lower=80.0 - 92.0 * up, swing=2.0 + 16.0 * up,
         elbow=16.0 + (44.0 + 24.0 * hand) * np.clip(up, 0.0, 1.0),
         twist=-80.0 * np.clip(up, 0.0, 1.0), shrug=10.0 * up, wrist=-10.0 * hand)  # fmt: skip
    return act


def jump() -> Act:
    """Two seconds: down, up, half a second in the air, and down again, in place."""
    frames, leave, land = 61, 22, 37
    air = (land - leave) / FPS
    time = (np.arange(frames) - leave) / FPS
    flying = (np.arange(frames) > leave) & (np.arange(frames) < land)
    path = np.where(flying, 0.5 * 9.81 * time * (air - time), 0.0)
    height = keyed(frames, (0, 0), (3, 0.0), (15, -0.27), (18, -0.2), (leave, 0.035), (leave + 7, 0.0),
                   (land, 0.01), (land + 6, -0.23), (land + 15, -0.015), (60, 0))  # fmt: skip
    roll = keyed(
        frames,
        (0, 0),
        (15, 0),
        (19, 18),
        (leave, 58),
        (leave + 5, 46),
        (land - 3, 28),
        (land, 30),
        (land + 4, 0),
        (60, 0),
    )
    tuck = np.where(flying, np.sin(np.pi * np.clip(time / air, 0, 1)), 0.0) ** 2
    lean = keyed(frames, (0, 0), (15, 34), (leave, -2), (leave + 7, 2), (land, 8), (land + 6, 30), (60, 0))
    hips = np.stack(
        [0.0 * path, HIP_HEIGHT - 0.022 + height + path, -0.0022 * lean - 0.03 * (height < -0.05) * -height], axis=1
    )
    act = Act(frames, hips)
    standing_feet(act, roll=roll, lift=path + 0.07 * tuck)
    trunk(act, {"pitch": 1.0 + 0.75 * lean}, {"pitch": 1.2 * lean - 1.0}, {"pitch": 0.25 * lean})
    swing = keyed(
        frames,
        (0, 0),
        (14, -52),
        (leave, 148),
        (leave + 8, 132),
        (land + 2, 60),
        (land + 8, -12),
        (land + 16, 6),
        (60, 0),
    )
    elbow = keyed(frames, (0, 16), (14, 20), (leave - 3, 48), (leave + 2, 22), (land, 40), (land + 8, 34), (60, 16))
    spread = keyed(frames, (0, 80), (14, 74), (leave, 68), (leave + 8, 58), (land + 5, 62), (60, 80))
    for end in (".L", ".R"):
        arms(act, end, lower=spread, swing=2.0 + swing, elbow=elbow, shrug=np.clip(swing, 0.0, 90.0) * 0.1)
    return act
