"""How the camera moves: each value of ``camera.move``, eased, from index 0 to the last.

Turning moves leave the eye where it is, travelling ones change the parallax, and a zoom does neither: it grows the
focal length alone. Without an explicit camera a move is laid around the standpoint (half of it before, half beyond),
and steps back so that the character stays in the picture; from an explicit one it begins exactly there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from studio_pipeline.stages.takes.filming.framing import Standpoint

__all__ = ["MOVES", "Shooting", "moved"]


@dataclass(frozen=True)
class Shooting:
    """What a move may know."""

    stand: Standpoint
    fps: float
    centred: bool  # laid around the standpoint
    room: tuple[float, float]  # free share of the picture beside and above the character, at its tightest
    ground: float  # [m]
    centre: np.ndarray  # [T, 3] m, the middle of the character
    impacts: tuple[int, ...]
    seed: int

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.stand.eye)

    def along(self) -> np.ndarray:
        """Progress of the move [T]: 0..1, or -0.5..0.5 when it is laid around the standpoint."""
        u = np.arange(self.frames) / max(self.frames - 1, 1)
        u = np.clip((u - 0.04) / 0.92, 0.0, 1.0)
        eased = u**3 * (u * (6.0 * u - 15.0) + 10.0)
        return eased - 0.5 if self.centred else eased

    def wide(self, least: float, most: float, axis: int = 0) -> float:
        """How far a move may carry the character, in shares of the picture: as far as there is room."""
        span = float(np.clip(self.room[axis], least, most))
        return 2.0 * span if self.centred else span


Move = Callable[[Shooting], Standpoint]

_BACK = {
    "pan_left": 1.18, "pan_right": 1.18, "tilt_up": 1.25, "tilt_down": 1.25, "whip_pan": 1.3, "slide_left": 1.2,
    "slide_right": 1.2, "crane_up": 1.12, "crane_down": 1.12, "orbit": 1.08, "handheld": 1.06, "shake": 1.08,
    "roll": 1.16, "follow_pan": 1.2,
}  # fmt: skip


def moved(shooting: Shooting, move: str) -> Standpoint:
    """The standpoint over time under a move of `MOVES`."""
    if shooting.centred and move in _BACK:
        shooting = replace(shooting, stand=_stepped(shooting.stand, np.array(_BACK[move])))
    return MOVES[move](shooting)


def _stepped(stand: Standpoint, factor: np.ndarray) -> Standpoint:
    """Nearer to the pivot or farther away along the line of sight, ``factor`` times as far. [] or [T]"""
    back = stand.rotation[:, 2]
    eye = stand.eye + back * (stand.distance * (np.atleast_1d(factor) - 1.0))[:, None]
    return replace(stand, eye=eye)


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotations [T, 3, 3] about a coordinate axis by ``angle`` [T] rad."""
    return Rotation.from_rotvec(angle[:, None] * np.eye(3)[axis]).as_matrix()


def _turned(stand: Standpoint, *, yaw: np.ndarray | None = None, pitch: np.ndarray | None = None,
            roll: np.ndarray | None = None) -> Standpoint:  # fmt: skip
    """Turn the camera to its left (about the world's vertical), upwards, and its head to its left [rad, T]."""
    rotation = stand.rotation
    if yaw is not None:
        turn = _about(1, yaw)
        rotation = np.einsum("tab,tcb->tac", rotation, turn)
    for axis, angle in ((0, pitch), (2, roll)):
        if angle is not None:
            turn = _about(axis, angle)
            rotation = np.einsum("tba,tbc->tac", turn, rotation)
    return replace(stand, rotation=rotation)


def _angle(shooting: Shooting, share: np.ndarray, axis: int = 0) -> np.ndarray:
    """The turn [rad] that carries what is in the middle by a share of the picture."""
    side = shooting.stand.width if axis == 0 else shooting.stand.height
    return np.arctan(share * side / shooting.stand.focal)


def _fix(shooting: Shooting) -> Standpoint:
    return shooting.stand


def _pan(way: float) -> Move:
    def move(shooting: Shooting) -> Standpoint:
        share = way * shooting.along() * shooting.wide(0.13, 0.24)
        return _turned(shooting.stand, yaw=_angle(shooting, share))

    return move


def _tilt(way: float) -> Move:
    def move(shooting: Shooting) -> Standpoint:
        share = way * shooting.along() * shooting.wide(0.13, 0.22, 1)
        return _turned(shooting.stand, pitch=_angle(shooting, share, 1))

    return move


def _whip_pan(shooting: Shooting) -> Standpoint:
    """Rest, a turn within a sixth of a second, rest."""
    fast = max(3.0, shooting.fps / 6.0)
    start = round(0.45 * shooting.frames)
    u = np.clip((np.arange(shooting.frames) - start) / fast, 0.0, 1.0)
    eased = u * u * (3.0 - 2.0 * u)
    share = -(eased - 0.5 if shooting.centred else eased) * shooting.wide(0.24, 0.32)
    return _turned(shooting.stand, yaw=_angle(shooting, share))


def _travel(shooting: Shooting, first: float, last: float) -> np.ndarray:
    """Factors [T] of distance or focal length that run evenly to the eye."""
    u = shooting.along() + (0.5 if shooting.centred else 0.0)
    return np.exp(np.log(first) * (1.0 - u) + np.log(last) * u)


def _truck_in(shooting: Shooting) -> Standpoint:
    return _stepped(shooting.stand, _travel(shooting, *((1.75, 1.0) if shooting.centred else (1.0, 0.6))))


def _truck_back(shooting: Shooting) -> Standpoint:
    return _stepped(shooting.stand, _travel(shooting, 1.0, 1.75))


def _zoom_in(shooting: Shooting) -> Standpoint:
    factor = _travel(shooting, *((1.0 / 1.75, 1.0) if shooting.centred else (1.0, 1.7)))
    return replace(shooting.stand, focal=shooting.stand.focal * factor)


def _zoom_out(shooting: Shooting) -> Standpoint:
    return replace(shooting.stand, focal=shooting.stand.focal * _travel(shooting, 1.0, 1.0 / 1.75))


def _slide(way: float) -> Move:
    def move(shooting: Shooting) -> Standpoint:
        stand = shooting.stand
        share = way * shooting.along() * shooting.wide(0.14, 0.26)
        steps = share * stand.width / stand.focal * stand.distance
        return replace(stand, eye=stand.eye + steps[:, None] * stand.rotation[:, 0])

    return move


def _crane(way: float) -> Move:
    def move(shooting: Shooting) -> Standpoint:
        """The eye rises; it keeps looking at the character by most of the way."""
        stand = shooting.stand
        rise = way * shooting.along() * 0.62 * stand.distance
        low = shooting.ground + 0.07 * stand.distance
        eye = stand.eye + rise[:, None] * np.array([0.0, 1.0, 0.0])
        eye[:, 1] = np.maximum(eye[:, 1], np.minimum(low, stand.eye[:, 1]))
        level = np.linalg.norm((stand.pivot - stand.eye)[:, [0, 2]], axis=1)
        before = np.arctan2(stand.pivot[1] - stand.eye[:, 1], level)
        after = np.arctan2(stand.pivot[1] - eye[:, 1], level)
        return _turned(replace(stand, eye=eye), pitch=0.85 * (after - before))

    return move


def _orbit(shooting: Shooting) -> Standpoint:
    stand = shooting.stand
    turn = _about(1, np.radians(70.0) * shooting.along())
    eye = np.einsum("tab,tb->ta", turn, stand.eye - stand.pivot) + stand.pivot
    return replace(stand, eye=eye, rotation=np.einsum("tab,tcb->tac", stand.rotation, turn))


def _unrest(shooting: Shooting, count: int, rates: tuple[float, ...]) -> np.ndarray:
    """Smooth unrest, 0 at index 0. [count, T]"""
    rng = np.random.default_rng([shooting.seed, 41])
    seconds = np.arange(shooting.frames) / shooting.fps
    curves = np.zeros((count, shooting.frames))
    for rate in rates:
        phase = rng.uniform(0.0, 2.0 * np.pi, (count, 1))
        size = rng.uniform(0.6, 1.0, (count, 1)) * (rates[0] / rate) ** 0.6
        curves += size * (np.sin(2.0 * np.pi * rate * seconds + phase) - np.sin(phase))
    return curves / len(rates) ** 0.5


def _handheld(shooting: Shooting) -> Standpoint:
    stand = shooting.stand
    across, up, lean, side, rise = _unrest(shooting, 5, (0.7, 1.3, 2.6))
    moved = stand.eye + 0.012 * stand.distance * (side[:, None] * stand.rotation[:, 0] + rise[:, None] * [0, 1.0, 0])
    yaw, pitch = _angle(shooting, 0.017 * across), _angle(shooting, 0.017 * up, 1)
    return _turned(replace(stand, eye=moved), yaw=yaw, pitch=pitch, roll=np.radians(0.7) * lean)


def _shake(shooting: Shooting) -> Standpoint:
    """Every impact throws the picture about; the throws die down in a third of a second."""
    index = np.arange(shooting.frames)
    rng = np.random.default_rng([shooting.seed, 43])
    curves = np.zeros((3, shooting.frames))
    for impact in shooting.impacts:
        since = index - impact
        size = np.where(since >= 0, np.exp(-np.maximum(since, 0) / (0.16 * shooting.fps)), 0.0)
        thrown = rng.uniform(0.7, 1.0, (3, shooting.frames)) * rng.choice([-1.0, 1.0], (3, 1))
        curves += size * thrown * np.where(index % 2 == 0, 1.0, -1.0)
    yaw, pitch = _angle(shooting, 0.03 * curves[0]), _angle(shooting, 0.045 * curves[1], 1)
    return _turned(shooting.stand, yaw=yaw, pitch=pitch, roll=np.radians(1.2) * curves[2])


def _roll(shooting: Shooting) -> Standpoint:
    progress = shooting.along() + (0.5 if shooting.centred else 0.0)
    return _turned(shooting.stand, roll=np.radians(24.0) * progress)


def _follow_pan(shooting: Shooting) -> Standpoint:
    """The eye stays, the camera turns with the character: it keeps its place in the picture."""
    stand = shooting.stand
    path = gaussian_filter1d(shooting.centre, 0.12 * shooting.fps, axis=0, mode="nearest")
    to = path - stand.eye
    heading = np.unwrap(np.arctan2(-to[:, 0], -to[:, 2]))
    rise = np.arctan2(to[:, 1], np.hypot(to[:, 0], to[:, 2]))
    return _turned(stand, yaw=heading - heading[0], pitch=rise - rise[0])


MOVES: dict[str, Move] = {
    "fix": _fix, "pan_left": _pan(1.0), "pan_right": _pan(-1.0), "tilt_up": _tilt(1.0), "tilt_down": _tilt(-1.0),
    "follow_pan": _follow_pan, "whip_pan": _whip_pan, "truck_in": _truck_in, "truck_back": _truck_back,
    "zoom_in": _zoom_in, "zoom_out": _zoom_out, "slide_left": _slide(-1.0), "slide_right": _slide(1.0),
    "crane_up": _crane(1.0), "crane_down": _crane(-1.0), "orbit": _orbit, "handheld": _handheld, "shake": _shake,
    "roll": _roll,
}  # fmt: skip
"""By value of ``camera.move``."""
