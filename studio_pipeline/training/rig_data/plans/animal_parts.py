"""Heads, tails, legs and membrane wings of animals. Unit: the animal's own, about hip height."""
# ruff: noqa: RUF005 - a point plus an offset is a sum here, not a longer list

from __future__ import annotations

import numpy as np

from studio_pipeline.training.rig_data.kit import Kit, spline

__all__ = ["animal_head", "animal_tail", "leg_chain", "membrane_wing"]


def animal_head(
    kit: Kit,
    parent: int,
    at: np.ndarray,
    size: float,
    neck: float,
    *,
    pitch: float = 0.0,
    round_skull: bool = False,
) -> int:
    """A head of length ``size`` whose joint is at the end of the neck [3], nose tilted by ``pitch`` [rad].

    Args:
        kit: The body.
        parent: The last neck joint.
        at: Where the head's joint is. [3]
        size: From the joint to the nose.
        neck: Radius of the neck there.
        pitch: Above the horizontal.
        round_skull: Almost all skull and hardly any muzzle, as toys have.

    Returns:
        The head's joint.
    """
    kit.begin("head", "neck" if "neck" in kit.sections else "body", kit.blend)
    ahead = np.array([0, np.sin(pitch), np.cos(pitch)])
    up = np.array([0, np.cos(pitch), -np.sin(pitch)])
    nose = at + size * ahead
    joint = kit.joint("head", at, parent, nose)
    skull = max(size * (kit.u(0.45, 0.6) if round_skull else kit.u(0.3, 0.44)), 1.05 * neck)
    kit.ball(joint, at + 0.6 * skull * ahead + 0.1 * skull * up, (skull * kit.u(0.8, 1.05), skull * 0.95, skull * 1.1))
    if size > 1.3 * skull:
        _muzzle(kit, joint, (at, nose), (ahead, up), skull)
    _ears(kit, joint, at + 0.5 * skull * ahead + 0.75 * skull * up, skull, up)
    if kit.chance(0.15):
        kit.begin("eye.L", None, 0.002)
        kit.ball(joint, at + 0.95 * skull * ahead + 0.4 * skull * up + [0.65 * skull, 0, 0], 0.22 * skull)
    return joint


def _muzzle(kit: Kit, joint: int, line: tuple, frame: tuple, skull: float) -> None:
    """A snout from the skull to the nose, now and then with a jaw; ``line`` is the head's joint and the nose."""
    (at, nose), (ahead, up) = line, frame
    blunt = kit.u(0.3, 0.75)
    start = at + skull * ahead - 0.15 * skull * up
    end = nose - 0.3 * skull * blunt * ahead - 0.2 * skull * up
    kit.cone(joint, start, end, (0.62 * skull, skull * blunt), flat=(kit.u(0.8, 1.2), 1.0))
    if kit.chance(0.25):
        hinge = at + 0.4 * skull * ahead - 0.45 * skull * up
        tip = nose - 0.5 * skull * up - 0.2 * skull * ahead
        jaw = kit.joint("jaw", hinge, joint, tip)
        kit.begin("jaw", "head", 0.3 * kit.blend)
        kit.cone(jaw, hinge + 0.3 * skull * ahead, tip, (0.4 * skull, 0.3 * skull * blunt), flat=(1.2, 1.0))


def _ears(kit: Kit, joint: int, top: np.ndarray, skull: float, up: np.ndarray) -> None:
    """Ears with no joint, one, or a chain when long; or horns and antlers, which have none."""
    what = kit.pick("none", "ears", "long", "horns", "antlers", weights=(0.25, 0.42, 0.15, 0.12, 0.06))
    if what == "none":
        return
    base = top + [0.5 * skull, -0.05 * skull, -0.2 * skull]
    way = up + [kit.u(0.1, 0.8), 0.0, 0.0] + np.array([0, 0, kit.u(-0.4, 0.1)])
    way /= np.linalg.norm(way)
    kit.begin("ear.L", "head", 0.3 * kit.blend)
    if what in ("ears", "long"):
        length = skull * (kit.u(0.5, 0.95) if what == "ears" else kit.u(1.1, 2.2))
        if what == "long" and kit.chance(0.3):
            way = np.array([0.8, -0.6, 0.0])  # hanging
        wide = skull * kit.u(0.2, 0.38)
        bones = (
            (kit.count(1, 4) if length > 1.5 * skull else kit.count(1, 2))
            if kit.chance(0.6 if what == "long" else 0.25)
            else 0
        )
        points = np.linspace(base, base + length * way, max(bones, 1) + 1)
        radii = np.linspace(wide, 0.3 * wide, len(points))
        if bones:
            kit.chain([f"ear_{i + 1:02d}.L" for i in range(bones)], list(points), list(radii), joint, flat=(1.0, 0.4))
        else:
            kit.cone(joint, points[0], points[-1], (wide, 0.3 * wide), flat=(1.0, 0.4))
    else:
        size = skull * kit.u(0.6, 1.6)
        tip = base + size * way
        kit.cone(joint, base, tip, (0.14 * skull, 0.06 * skull))
        kit.cone(joint, tip, tip + 0.6 * size * np.array([0.1, 1.0, 0.3]), (0.06 * skull, 0.03 * skull))
        if what == "antlers":
            for share in (0.4, 0.7):
                kit.cone(
                    joint,
                    base + share * size * way,
                    base + share * size * way + 0.5 * size * np.array([0.4, 0.6, 0.5]),
                    0.05 * skull,
                )


def animal_tail(
    kit: Kit, parent: int, base: np.ndarray, length: float, radius: float, joints: int, *, ground: float
) -> None:
    """A tail from ``base`` [3] backwards with ``joints`` joints; it stays ``ground`` above the ground."""
    if joints == 0:
        kit.ball(parent, base, radius * kit.u(1.0, 2.0))
        return
    heavy = kit.chance(0.7)
    lift = kit.u(-0.9, 0.7) if length < 1.2 else kit.u(-0.4, 0.15)
    middle = base + length * np.array([0, 0.35 * lift + kit.u(-0.1, 0.1), -0.5])
    end = base + length * np.array([0, lift, -max(0.25, 1.0 - abs(lift))])
    middle[1], end[1] = max(middle[1], ground + radius), max(end[1], ground + radius)
    points = spline([base, middle, end], joints + 1)
    tip = radius * (kit.u(0.15, 0.5) if heavy else kit.u(0.6, 2.2) if radius < 0.12 else kit.u(0.3, 0.9))
    radii = np.linspace(radius, tip, joints + 1)
    kit.chain([f"tail_{i + 1:02d}" for i in range(joints)], list(points), list(radii), parent)
    kit.cone(kit.find("tail_01"), points[0] + [0, 0, 0.6 * radius], points[0], 1.1 * radius)


def leg_chain(
    kit: Kit, parent: int, at: np.ndarray, which: str, *, radius: float, sprawl: bool, zigzag: float, inner: str | None
) -> None:
    """One leg of the left side from its joint ``at`` [3] to the ground.

    Args:
        kit: The body.
        parent: Hips or chest.
        at: Joint at the top. [3]
        which: "hind" or "front"; names of the joints begin with it.
        radius: At the top.
        sprawl: The legs go aside first, as a lizard's.
        zigzag: 0 a pillar, 1 a runner's leg with knee forward and hock backward.
        inner: Name of a joint between parent and leg, or None.
    """
    hind = which == "hind"
    if inner:
        parent = kit.joint(f"{inner}.L", at * [0.45, 1.0, 1.0] + [0, 0.1 * at[1], 0], parent, at)
    height = at[1]
    segments = kit.pick(2, 3, 4, weights=(0.25, 0.5, 0.25)) if zigzag else kit.pick(2, 3, weights=(0.5, 0.5))
    points = _leg_line(kit, at, hind, segments, sprawl=sprawl, zigzag=zigzag)
    foot_y = float(points[-1][1])
    toe = points[-1] * [1, 0, 1] + np.array([0, 0.6 * foot_y, height * kit.u(0.08, 0.22)])
    thinner = (1.0, 0.62, 0.45, 0.42) if zigzag else (1.0, 0.85, 0.75, 0.75)
    radii = radius * np.array(thinner[: len(points)]) * kit.u(0.9, 1.1)
    names = (["thigh", "shin", "hock"] if hind else ["upper_arm", "lower_arm", "wrist"])[: len(points) - 1]
    made = kit.chain([f"{which}_{n}.L" for n in names], points, list(radii), parent, hint=(1, 0, 0))
    paw = max(foot_y, 1.15 * radii[-1]) if zigzag else 1.1 * radii[-1]
    owner = made[-1]
    if kit.chance(0.8):
        owner = kit.joint(f"{which}_foot.L", points[-1], made[-1], toe)
    sole = min(paw, max(foot_y * 0.9, 0.6 * radii[-1]))
    heel, front = points[-1] * [1, 0, 1] + [0, sole, 0], toe * [1, 0, 1] + [0, sole, 0]
    kit.cone(owner, heel, front, (sole, 0.9 * sole), flat=(paw / sole, 1.0))
    if segments == 4 and owner != made[-1]:
        ball = 0.4 * points[-1] + 0.6 * toe
        toes = kit.joint(f"{which}_toe.L", ball, owner, toe + [0, 0, 0.3 * sole])
        kit.cone(toes, ball * [1, 0, 1] + [0, sole, 0], front, 0.8 * sole)


def _leg_line(kit: Kit, at: np.ndarray, hind: bool, segments: int, *, sprawl: bool, zigzag: float) -> list[np.ndarray]:
    """Joints of a leg from its top ``at`` [3] to the foot's joint; arguments as `leg_chain`."""
    height = at[1]
    bend = zigzag * height * kit.u(0.06, 0.24)
    foot_y = height * kit.u(0.07, 0.13)
    if sprawl:
        out = height * kit.u(0.35, 0.9)
        knee = at + [out, kit.u(-0.3, 0.0) * height, kit.u(-0.15, 0.15) * height]
        ankle = np.array([at[0] + out * kit.u(1.0, 1.25), foot_y, knee[2] + kit.u(-0.2, 0.2) * height])
        return [at, knee, ankle]
    if segments == 2:
        knee = at * [1, kit.u(0.45, 0.7), 1] + [0, 0, (bend if hind else -0.6 * bend)]
        return [at, knee, np.array([at[0], foot_y, at[2] - 0.1 * bend])]
    knee = np.array([at[0], height * kit.u(0.52, 0.72), at[2] + (bend if hind else -0.7 * bend)])
    hock = np.array([at[0], height * kit.u(0.22, 0.34), at[2] + (-1.3 * bend if hind else -0.2 * bend)])
    return [at, knee, hock, np.array([at[0], foot_y, hock[2] + kit.u(0.0, 0.6) * bend])]


def membrane_wing(kit: Kit, parent: int, base: np.ndarray, span: float) -> None:
    """A bat's or dragon's wing of the left side: arm bones, and fingers that spread a thin skin."""
    rise = kit.u(-0.1, 0.7)
    elbow = base + span * np.array([0.28, 0.3 + 0.2 * rise, -0.12])
    wrist = base + span * np.array([0.55, 0.3 + 0.5 * rise, kit.u(0.0, 0.15)])
    thick = 0.03 * span
    arm = kit.chain(["wing_upper.L", "wing_lower.L"], [base, elbow, wrist], [thick, 0.7 * thick, 0.6 * thick], parent)
    fingers = kit.count(1, 4)
    sheet = 0.012 * span
    tips = []
    for i in range(fingers):
        angle = 0.2 + 1.25 * i / max(fingers - 1, 1) if fingers > 1 else 0.6
        way = np.array([np.cos(angle), 0.5 * rise - 0.25 * i, -np.sin(angle)])
        tips.append(wrist + span * 0.5 * way / np.linalg.norm(way))
    rigged = kit.chance(0.8)
    for i, tip in enumerate(tips):
        owner = arm[-1]
        if rigged or i == 0:
            bones = kit.pick(1, 2, weights=(0.7, 0.3)) if i == 0 else 1
            points = np.linspace(wrist, tip, bones + 1)
            names = [f"wing_finger_{i + 1}{'' if k == 0 else '_' + str(k + 1)}.L" for k in range(bones)]
            if i:
                points = np.linspace(wrist + (tip - wrist) * (0.03 + 0.03 * i), tip, bones + 1)
            owner = kit.chain(names, list(points), [0.5 * thick] * (bones + 1), arm[-1])[0]
        neighbour = tips[i + 1] if i + 1 < fingers else base + [0.02 * span, 0, -0.35 * span]
        _sheet(kit, owner, wrist, tip, neighbour, sheet)
    _sheet(kit, arm[1], elbow, wrist, base + np.array([0.1, 0.05, -0.35]) * span, sheet)
    _sheet(kit, arm[0], base, elbow, base + np.array([0.0, 0.0, -0.35]) * span, sheet)


def _sheet(kit: Kit, owner: int, a: np.ndarray, b: np.ndarray, c: np.ndarray, thick: float) -> None:
    """A thin round patch over the triangle a, b, c."""
    start, end = 0.5 * (a + c), b
    along = end - start
    across = a - c
    across = across - np.dot(across, along) / max(float(np.dot(along, along)), 1e-9) * along
    wide = max(0.4 * float(np.linalg.norm(across)), 2.0 * thick)
    middle = 0.5 * (start + 0.7 * (end - start) + start)
    kit.cone(
        owner,
        0.8 * start + 0.2 * middle,
        start + 0.75 * (end - start),
        (wide, 0.35 * wide),
        flat=(thick / wide, 1.0),
        hint=across,
    )
