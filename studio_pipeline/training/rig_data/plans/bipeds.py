"""Bipeds: from chibi to realistic proportions, skinned people, creatures and boxy robots. Unit: the body's height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.kit import Kit, frame_along, mix
from studio_pipeline.training.rig_data.plans import biped_extras, hands, heads

__all__ = ["biped"]


@dataclass
class Figure:
    """The measures of one biped, in body heights."""

    realism: float  # 0 chibi, 1 grown-up
    detail: float  # 0 a toy, 1 a film character: more joints where more is modelled
    girth: float
    limb: float  # thickness of limbs
    head: float  # height of the head
    crotch: float  # height of the thigh joints
    hip: float  # half distance of the thigh joints
    shoulder: float  # half distance of the shoulder joints
    shoulder_y: float
    neck_y: float
    head_y: float
    chest: np.ndarray  # radii of the chest (x, z)
    waist: np.ndarray
    pelvis: np.ndarray
    arm: float  # shoulder to wrist
    boxy: bool
    stubs: bool  # arms and legs of one bone each


def draw_figure(kit: Kit) -> Figure:
    """Draw proportions; realism ties most of them together."""
    u = kit.u
    r = float(np.clip(kit.pick(u(0.0, 0.45), u(0.3, 1.0), u(0.75, 1.0), weights=(0.35, 0.3, 0.35)), 0.0, 1.0))
    detail = float(np.clip(mix(0.25, 0.7, r) + 0.28 * kit.rng.standard_normal(), 0.0, 1.0))
    girth = float(np.exp(0.2 * kit.rng.standard_normal())) * (1.0 if kit.chance(0.85) else u(1.2, 1.7))
    head = mix(0.46, 0.125, r**0.6) * u(0.88, 1.12)
    crotch = mix(0.2, 0.5, r**0.8) * u(0.9, 1.08)
    chin = 1.0 - head
    neck_y = max(chin - mix(0.01, 0.04, r) * u(0.4, 1.6), crotch + 0.14)
    shoulder_y = neck_y - mix(0.035, 0.04, r) * u(0.6, 1.5)
    width = mix(0.105, 0.09, r) * u(0.75, 1.3) * girth**0.5
    chest = np.array([width * u(0.8, 1.05), mix(0.085, 0.062, r) * u(0.8, 1.25) * girth**0.6])
    pelvis = np.array([mix(0.1, 0.085, r) * u(0.85, 1.2), mix(0.085, 0.065, r) * u(0.85, 1.15)]) * girth**0.6
    waist = 0.5 * (chest + pelvis) * u(0.72, 1.05) * girth**0.5
    return Figure(
        realism=r,
        detail=detail,
        girth=girth,
        limb=mix(1.55, 1.0, r) * u(0.7, 1.25) * girth**0.5,
        head=head,
        crotch=crotch,
        hip=pelvis[0] * u(0.5, 0.8),
        shoulder=width * u(0.95, 1.2),
        shoulder_y=shoulder_y,
        neck_y=neck_y,
        head_y=max(chin + u(-0.01, 0.03) * mix(1.0, 0.5, r), neck_y + 0.02),
        chest=chest,
        waist=waist,
        pelvis=pelvis,
        arm=(mix(0.22, 0.29, r) if kit.chance(0.9) else 0.36) * u(0.88, 1.15),
        boxy=False,
        stubs=detail < 0.28 and kit.chance(0.35),
    )


def biped(rng: np.random.Generator, plan: str = "biped") -> Body:
    """A biped of one of the plans "biped", "robot" and "winged"."""
    kit = Kit(plan, rng, blend=0.012)
    figure = draw_figure(kit)
    if plan == "robot":
        figure.boxy, kit.rigid, kit.blend = True, kit.chance(0.75), 0.003
        figure.limb *= kit.u(0.9, 1.4)
    kit.blend *= kit.u(0.6, 1.8)
    kit.sections["body"].blend = kit.blend
    top = _trunk(kit, figure)
    heads.head(kit, figure, top)
    _arm(kit, figure, top)
    _leg(kit, figure)
    biped_extras.extras(kit, figure, winged=plan == "winged")
    return kit.build()


def _piece(kit: Kit, figure: Figure, owner, start, end, radii, flat=(1.0, 1.0), bulge: float = 0.0) -> None:
    """A limb's or trunk's solid: a round cone, or a box on boxy figures."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    if not figure.boxy:
        kit.cone(owner, start, end, radii, flat=flat, bulge=bulge)
        return
    length = float(np.linalg.norm(end - start))
    radius = 0.5 * (radii[0] + radii[1]) * kit.u(0.85, 1.1)
    half = (flat[0] * radius, 0.5 * length + 0.35 * radius, flat[1] * radius)
    if kit.chance(0.7):
        kit.box(owner, 0.5 * (start + end), half, frame_along(end - start), kit.u(0.1, 0.6))
    else:
        kit.cone(owner, start, end, (radius, radius), flat=flat)


def _trunk(kit: Kit, f: Figure) -> int:
    """Root, hips and spine with their solid; gives the joint that carries neck and arms."""
    hips_y = f.crotch + kit.u(0.0, 0.035) * mix(0.6, 1.0, f.realism)
    z = kit.u(-0.25, 0.1) * f.waist[1]
    hips = kit.joint("hips", (0.0, hips_y, z), kit.ground(kit.u(-0.3, 0.1) * f.waist[1]))
    bones = 1 + int(np.clip(round(mix(0.6, 2.4, f.detail) + 0.45 * kit.rng.standard_normal()), 0, 3))
    bones = 1 if f.stubs else bones
    chest_y = mix(hips_y, f.shoulder_y, kit.u(0.55, 0.85) if bones > 1 else kit.u(0.25, 0.6))
    first = min(hips_y + mix(0.1, 0.3, kit.u(0, 1)) * (chest_y - hips_y), chest_y)
    heights = np.linspace(first, chest_y, bones) if bones > 1 else np.array([chest_y])
    parent = hips
    for i, y in enumerate(heights):
        parent = kit.joint(f"spine_{i + 1:02d}", (0.0, y, z * kit.u(0.6, 1.2)), parent)
    spine = [kit.find(f"spine_{i + 1:02d}") for i in range(bones)]
    owners = [hips, *spine]
    pelvis_y, waist_y = f.crotch + 0.35 * f.pelvis[1], mix(f.crotch, f.shoulder_y, kit.u(0.35, 0.5))
    if f.boxy:
        _box_trunk(kit, f, owners, pelvis_y, waist_y)
    else:
        _soft_trunk(kit, f, owners, pelvis_y, waist_y)
    return spine[-1]


def _soft_trunk(kit: Kit, f: Figure, owners: list[int], pelvis_y: float, waist_y: float) -> None:
    """Belly and chest; ``owners`` are the hips and the spine's joints."""
    top_y = f.shoulder_y - 0.45 * f.chest[1]
    flat_p, flat_c = f.pelvis[0] / f.pelvis[1], f.chest[0] / f.chest[1]
    flat, bulge = 0.5 * (flat_p + f.waist[0] / f.waist[1]), kit.u(-0.05, 0.1) * f.waist[1]
    low, high = (owners[:2], owners[1:]) if len(owners) > 2 else (owners, owners)
    radii = (f.pelvis[1], f.waist[1])
    kit.cone(low, (0, pelvis_y, 0), (0, waist_y, 0), radii, flat=(flat, 1.0), bulge=bulge)
    radii, bulge = (f.waist[1], f.chest[1]), kit.u(0.0, 0.12) * f.chest[1]
    kit.cone(high, (0, waist_y, 0), (0, top_y, 0), radii, flat=(flat_c, 1.0), bulge=bulge)
    if kit.chance(0.3):
        belly = f.waist[1] * kit.u(0.9, 1.3) * f.girth
        centre = (0, mix(pelvis_y, waist_y, kit.u(0.4, 1.0)), 0.35 * belly)
        kit.ball(owners[:2], centre, (belly * kit.u(0.9, 1.2), belly * kit.u(0.8, 1.2), belly))


def _box_trunk(kit: Kit, f: Figure, owners: list[int], pelvis_y: float, waist_y: float) -> None:
    edge = kit.u(0.1, 0.7)
    low = max(pelvis_y - 0.5 * f.pelvis[1], 0.6 * f.crotch)
    pelvis = (f.pelvis[0], 0.5 * (waist_y - low), f.pelvis[1])
    kit.box(owners[0], (0, 0.5 * (waist_y + low) - 0.01, 0), pelvis, rounding=edge)
    chest = (
        f.chest[0] * kit.u(1.0, 1.3),
        0.5 * (f.shoulder_y + f.chest[1] * 0.4 - waist_y),
        f.chest[1] * kit.u(1.0, 1.3),
    )
    kit.begin("chest", None, 0.002)
    kit.box(owners[-1], (0, waist_y + chest[1], 0), chest, rounding=edge)
    if kit.chance(0.4):
        kit.cone(owners[1], (0, waist_y - 0.03, 0), (0, waist_y + 0.03, 0), 0.6 * f.waist[1])


def _arm(kit: Kit, f: Figure, top: int) -> None:
    """Clavicle if there is one, arm and hand of the left side."""
    kit.begin("arm.L", None if f.boxy else "body", kit.blend)
    shoulder = np.array([f.shoulder, f.shoulder_y - kit.u(0.0, 0.02), kit.u(-0.2, 0.1) * f.chest[1]])
    parent = top
    if kit.chance(mix(0.1, 0.95, f.detail)):
        inner = np.array(
            [shoulder[0] * kit.u(0.2, 0.5), shoulder[1] + kit.u(-0.02, 0.015), shoulder[2] + kit.u(0, 0.01)]
        )
        parent = kit.joint("clavicle.L", inner, top, shoulder)
        start = inner if not f.boxy else mix(inner, shoulder, 0.6)
        kit.cone(parent, start, shoulder, (0.036 * f.limb, 0.032 * f.limb))
    down = np.radians(kit.pick(kit.u(-6, 8), kit.u(25, 60), kit.u(65, 84), weights=(0.45, 0.35, 0.2)))
    aside = np.array([np.cos(down), -np.sin(down), 0.0])
    upper = f.arm * kit.u(0.46, 0.54)
    bend = np.radians(kit.u(0, 12) if kit.chance(0.75) else kit.u(10, 75))
    elbow = shoulder + upper * (aside + np.array([0, 0, -0.04 * kit.u(0, 1)]))
    fore = aside * np.cos(bend) + np.array([0.0, 0.0, np.sin(bend)])
    wrist = elbow + (f.arm - upper) * fore / np.linalg.norm(fore)
    radii = np.array([0.031, 0.026, 0.018]) * f.limb * np.array([1.0, kit.u(0.85, 1.1), kit.u(0.8, 1.5)])
    upper_arm = kit.joint("upper_arm.L", shoulder, parent, wrist if f.stubs else elbow)
    if f.stubs:
        wrist = shoulder + f.arm * aside
        kit.joints[upper_arm].tail = wrist
        _piece(kit, f, upper_arm, shoulder, wrist, radii[[0, 2]])
        kit.ball(upper_arm, wrist, float(radii[2]) * kit.u(1.0, 1.6))
        return
    lower_arm = kit.joint("lower_arm.L", elbow, upper_arm)
    _piece(kit, f, upper_arm, shoulder, elbow, radii[:2], bulge=kit.u(0.0, 0.15) * radii[0])
    _piece(kit, f, lower_arm, elbow, wrist, radii[1:], bulge=kit.u(0.0, 0.2) * radii[1])
    if f.boxy and kit.chance(0.5):
        kit.ball(lower_arm, elbow, 1.05 * float(radii[1]))
    hands.hand(kit, f, lower_arm, wrist, fore / np.linalg.norm(fore), float(radii[2]))


def _leg(kit: Kit, f: Figure) -> None:
    """Leg and foot of the left side, standing on y = 0."""
    kit.begin("leg.L", None if f.boxy else "body", kit.blend)
    spread = np.radians(kit.u(0, 4) if kit.chance(0.7) else kit.u(3, 16))
    foot = 0.042 * f.limb * kit.u(0.8, 1.2)
    ankle_y = mix(0.045, 0.062, f.realism) * kit.u(0.8, 1.2)
    hip = np.array([f.hip, f.crotch, kit.u(-0.2, 0.15) * f.pelvis[1]])
    length = f.crotch - ankle_y
    ankle = np.array([f.hip + np.tan(spread) * length, ankle_y, hip[2] + kit.u(-0.03, 0.01)])
    knee = 0.5 * (hip + ankle) + np.array([0, kit.u(-0.02, 0.03) * length, kit.u(0.0, 0.07) * length])
    scale = f.limb * mix(0.85, 1.0, f.realism)
    radii = np.array([0.058, 0.038, 0.027]) * scale * np.array([kit.u(0.85, 1.15), 1.0, kit.u(0.85, 1.4)])
    radii = np.minimum(radii, [1.25 * f.hip, 1.2 * f.hip, 1.1 * f.hip]) if kit.chance(0.85) else radii
    thigh = kit.joint("thigh.L", hip, kit.find("hips"), ankle if f.stubs else knee)
    if f.stubs:
        _piece(kit, f, thigh, hip, ankle, radii[[0, 2]])
        sole = np.array([ankle[0], 0.6 * foot, ankle[2]])
        kit.cone(thigh, sole, sole + np.array([0, 0, 1.6 * foot]), 0.6 * foot, flat=(1.3, 1.0))
        return
    shin = kit.joint("shin.L", knee, thigh)
    _piece(kit, f, thigh, hip, knee, radii[:2], bulge=kit.u(0.0, 0.08) * radii[0])
    _piece(kit, f, shin, knee, ankle, radii[1:], bulge=kit.u(0.0, 0.18) * radii[1])
    _foot(kit, f, shin, ankle, foot, float(radii[2]))


def _foot(kit: Kit, f: Figure, shin: int, ankle: np.ndarray, width: float, leg: float) -> None:
    low = kit.chance(0.25)  # some artists put the foot's joint at the sole
    turn = np.radians(kit.u(0, 15))
    ahead = np.array([np.sin(turn), 0.0, np.cos(turn)])
    length = mix(0.11, 0.1, f.realism) * kit.u(0.85, 1.35) * f.limb**0.5
    width = max(width, 0.95 * leg)
    head = ankle * [1, 0.3, 1] if low else ankle
    ball_point = ankle * [1, 0, 1] + ahead * length * kit.u(0.5, 0.65) + [0, 0.35 * width, 0]
    tip = ankle * [1, 0, 1] + ahead * length + [0, 0.3 * width, 0]
    foot = kit.joint("foot.L", head, shin, ball_point)
    toes = kit.chance(mix(-0.1, 0.85, f.detail)) and length > 0.08
    toe = kit.joint("toe.L", ball_point, foot, tip) if toes else foot
    heel = ankle * [1, 0, 1] - ahead * 0.2 * length
    if f.boxy:
        _box_foot(
            kit, (foot, toe), (heel, ball_point, tip), (width, max(0.5 * float(ankle[1]) + 0.25 * leg, 0.4 * width))
        )
        return
    sole = 0.62 * width
    kit.cone(foot, ankle, ball_point * [1, 0, 1] + [0, sole, 0], (leg, sole), flat=(1.1, 1.0))
    kit.cone(
        foot, heel * [1, 0, 1] + [0, sole, 0], ball_point * [1, 0, 1] + [0, sole, 0], (sole, sole), flat=(1.25, 1.0)
    )
    kit.cone(
        toe,
        ball_point * [1, 0, 1] + [0, sole, 0],
        tip * [1, 0, 1] + [0, 0.8 * sole, 0],
        (sole, 0.8 * sole),
        flat=(1.35, 1.0),
    )


def _box_foot(kit: Kit, owners: tuple[int, int], line: tuple, size: tuple[float, float]) -> None:
    """One block, or two when the toes have their own joint; ``line`` is heel, ball and tip of the foot."""
    heel, ball, tip = (np.asarray(p) * [1, 0, 1] for p in line)
    width, thick = size
    ahead = (tip - heel) / np.linalg.norm(tip - heel)
    frame = np.stack([np.cross([0, 1, 0], ahead), [0, 1, 0], ahead])
    cuts = [(owners[0], heel, tip)] if owners[0] == owners[1] else [(owners[0], heel, ball), (owners[1], ball, tip)]
    for owner, start, end in cuts:
        half = 0.5 * float(np.linalg.norm(end - start)) + 0.05 * width
        kit.box(owner, 0.5 * (start + end) + [0, thick, 0], (width, thick, half), frame, 0.3)
        thick = 0.8 * thick
