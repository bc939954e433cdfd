"""Make the characters that ship with the studio: ``python assets/characters/generate.py [pip tumble mochi]``.

The same bytes come out every time (given the same library versions). Metres, Y up, facing +Z, feet on y = 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from glb import write_glb
from kit import Body, Mesh, Skeleton, bake, ellipsoid, limb, mask, mesh_body, mix, skin

FOLDER = Path(__file__).resolve().parent
INK = (0.13, 0.10, 0.16)
WHITE = (1.0, 1.0, 1.0)
ELBOW, WRIST = (0.258, 0.505, 0.005), (0.385, 0.405, 0.03)  # of pip


def srgb(code: str) -> np.ndarray:
    """A colour from its hexadecimal code. [3] in [0, 1]"""
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)]) / 255.0


def oval(
    p: np.ndarray, centre: tuple[float, float], radii: tuple[float, float], axes: tuple[int, int] = (0, 1)
) -> np.ndarray:
    """Roughly the signed distance [n] to an ellipse, seen along the third axis [m]."""
    q = (p[:, list(axes)] - centre) / radii
    return (np.linalg.norm(q, axis=1) - 1.0) * min(radii)


def face(
    color: np.ndarray,
    p: np.ndarray,
    front: np.ndarray,
    texel: float,
    *,
    eye: tuple[float, float],
    size: tuple[float, float],
    cheek: tuple[float, float, float],
    mouth: tuple[float, float],
) -> np.ndarray:
    """Eyes with lights, cheeks and a smile on the side that faces +Z. ``front`` [n, 1] is 1 there."""
    blush = srgb("FF8A8A")
    for side in (-1.0, 1.0):
        x = side * cheek[0]
        color = mix(color, blush, 0.55 * front * mask(oval(p, (x, cheek[1]), (cheek[2] * 1.25, cheek[2] * 0.8)), 0.022))
    for side in (-1.0, 1.0):
        x = side * eye[0]
        color = mix(color, INK, front * mask(oval(p, (x, eye[1]), size), texel))
        glow = oval(p, (x, eye[1] - 0.42 * size[1]), (0.62 * size[0], 0.42 * size[1]))
        color = mix(color, srgb("5A4A86"), front * mask(glow, 0.012))
        shine = oval(p, (x + 0.28 * size[0], eye[1] + 0.40 * size[1]), (0.34 * size[0], 0.28 * size[1]))
        color = mix(color, WHITE, front * mask(shine, texel))
        spark = oval(p, (x - 0.36 * size[0], eye[1] - 0.42 * size[1]), (0.15 * size[0], 0.12 * size[1]))
        color = mix(color, WHITE, front * mask(spark, texel))
    width, y = mouth
    curve = y + 0.35 * width * ((p[:, 0] / width) ** 2 - 1.0)
    line = np.maximum(np.abs(p[:, 1] - curve) - 0.0065, np.abs(p[:, 0]) - width)
    return mix(color, srgb("6B2F3A"), front * mask(line, texel))


def shade(color: np.ndarray, p: np.ndarray, n: np.ndarray) -> np.ndarray:
    """A breath of light from above, so that flat renderers show form too."""
    return color * (0.955 + 0.045 * n[:, 1:2]) * (0.97 + 0.03 * np.clip(p[:, 1:2] / 0.5, 0.0, 1.0))


def pip() -> tuple[Body, Mesh, np.ndarray, Skeleton, np.ndarray]:
    """A small biped in a hooded suit with round ears."""
    body = Body(
        [
            ellipsoid("torso", (0, 0.455, -0.005), (0.145, 0.125, 0.125)),
            ellipsoid("torso", (0, 0.57, 0.0), (0.115, 0.12, 0.10), blend=0.08),
            limb("torso", (0, 0.60, 0), (0, 0.72, 0), 0.075, 0.07, blend=0.06),
            ellipsoid("head", (0, 0.885, 0.01), (0.262, 0.225, 0.222), blend=0.05),
            ellipsoid("head", (0, 0.825, 0.055), (0.215, 0.14, 0.175), blend=0.08),
            ellipsoid(
                "ear", (0.185, 1.085, -0.01), (0.088, 0.10, 0.052), turn=(0, 0, -0.45), blend=0.035, mirrored=True
            ),
            limb("tuft", (0, 1.09, 0.05), (0, 1.150, 0.028), 0.036, 0.030, blend=0.035),
            limb("tuft", (0, 1.150, 0.028), (0, 1.205, 0.045), 0.030, 0.026, blend=0.02),
            limb("tuft", (0, 1.205, 0.045), (0, 1.232, 0.090), 0.026, 0.015, blend=0.02),
            limb("arm", (0.085, 0.63, 0), ELBOW, 0.056, 0.046, blend=0.04, mirrored=True),
            limb("arm", ELBOW, WRIST, 0.046, 0.054, blend=0.02, mirrored=True),
            ellipsoid(
                "hand", (0.437, 0.362, 0.042), (0.060, 0.074, 0.058), turn=(0, 0, 0.80), blend=0.02, mirrored=True
            ),
            limb("hand", (0.412, 0.375, 0.078), (0.398, 0.352, 0.112), 0.030, 0.024, blend=0.025, mirrored=True),
            limb("leg", (0.088, 0.405, 0), (0.118, 0.235, 0.012), 0.083, 0.068, blend=0.035, mirrored=True),
            limb("leg", (0.118, 0.235, 0.012), (0.136, 0.105, -0.005), 0.068, 0.064, blend=0.03, mirrored=True),
            ellipsoid(
                "foot", (0.142, 0.062, 0.04), (0.082, 0.064, 0.128), turn=(0, 0.16, 0), blend=0.035, mirrored=True
            ),
            ellipsoid("torso", (0, 0.43, -0.145), (0.055, 0.055, 0.05), blend=0.03),
        ],
        floor=True,
    )
    mesh = mesh_body(body, (0, -0.05, -0.35), (0.6, 1.32, 0.4), 5200)

    def paint(p: np.ndarray, n: np.ndarray, texel: float) -> np.ndarray:
        suit, trim, cream, skin_tone = srgb("2FA7A0"), srgb("F7B538"), srgb("FFF3DC"), srgb("FFD9B8")
        part = body.evaluate(p)[1]
        color = np.tile(suit, (len(p), 1))
        color = mix(color, srgb("238B8C"), mask(p[:, 1] - 0.30, 0.10) * (part == body.parts.index("leg"))[:, None])
        belly = mask(oval(p, (0.0, 0.49), (0.092, 0.118)), texel) * mask(0.02 - p[:, 2], 0.01)
        color = mix(color, cream, belly * (part == body.parts.index("torso"))[:, None])
        hand = (part == body.parts.index("hand"))[:, None]
        forearm = np.subtract(WRIST, ELBOW) / np.linalg.norm(np.subtract(WRIST, ELBOW))
        along = (p * [1.0, 1.0, 1.0] * np.where(p[:, :1] < 0.0, [-1.0, 1.0, 1.0], 1.0) - WRIST) @ forearm
        reach = (np.abs(p[:, :1]) > 0.28) & (p[:, 1:2] < 0.6)
        color = mix(color, trim, hand | (mask(-along, texel) * reach > 0.5))
        color = mix(color, cream, mask(np.abs(along) - 0.016, texel) * reach)
        foot = (part == body.parts.index("foot"))[:, None]
        boot = np.maximum(mask(p[:, 1] - 0.128, texel) * (part == body.parts.index("leg"))[:, None], foot)
        color = mix(color, trim, boot)
        color = mix(color, srgb("8A4B2A"), boot * mask(p[:, 1] - 0.022, texel))
        cuff = mask(np.abs(p[:, 1] - 0.137) - 0.014, texel) * (p[:, 1] < 0.2)[:, None]
        color = mix(color, cream, cuff)
        head = ((part == body.parts.index("head")) | (part == body.parts.index("ear")))[:, None]
        opening = oval(p, (0.0, 0.858), (0.203, 0.158))
        front = mask(0.05 - p[:, 2], 0.012) * head
        color = mix(color, cream, front * mask(opening - 0.016, texel))
        color = mix(color, skin_tone, front * mask(opening, texel))
        inner = oval(np.abs(p), (0.192, 1.098), (0.050, 0.060))
        color = mix(color, srgb("FFB3A0"), mask(inner, texel) * mask(-p[:, 2] + 0.0, 0.012) * (p[:, 1:2] > 1.0))
        color = mix(color, trim, (part == body.parts.index("tuft"))[:, None] * mask(1.118 - p[:, 1], 0.006))
        tail = np.linalg.norm(p - [0, 0.43, -0.15], axis=1) - 0.058
        color = mix(color, cream, mask(tail, texel) * mask(p[:, 2] + 0.115, 0.006))
        color = face(
            color, p, front * mask(opening, texel), texel, eye=(0.088, 0.868), size=(0.034, 0.049),
            cheek=(0.142, 0.800, 0.034), mouth=(0.034, 0.788),
        )  # fmt: skip
        nose = oval(p, (0.0, 0.818), (0.014, 0.010))
        color = mix(color, srgb("E8896B"), front * mask(nose, texel))
        return shade(color, p, n)

    picture = bake(mesh, body, 1024, {"head": 1.5, "ear": 1.2}, paint)
    skeleton = _pip_skeleton()
    return body, mesh, picture, skeleton, skin(mesh, skeleton, 0.035)


def _pip_skeleton() -> Skeleton:
    middle = [
        ("hips", "", (0, 0.43, -0.005), (0, 0.50, 0.0), 0.14),
        ("spine", "hips", (0, 0.50, 0.0), (0, 0.58, 0.0), 0.12),
        ("chest", "spine", (0, 0.58, 0.0), (0, 0.67, 0.0), 0.10),
        ("neck", "chest", (0, 0.67, 0.0), (0, 0.74, 0.005), 0.07),
        ("head", "neck", (0, 0.74, 0.005), (0, 1.05, 0.01), 0.24),
        ("tuft", "head", (0, 1.095, 0.045), (0, 1.22, 0.06), 0.035),
    ]
    limbs = [
        ("clavicle", "chest", (0.03, 0.635, 0.0), (0.10, 0.62, 0.0), 0.06),
        ("upper_arm", "clavicle", (0.10, 0.62, 0.0), ELBOW, 0.055),
        ("forearm", "upper_arm", ELBOW, WRIST, 0.055),
        ("hand", "forearm", WRIST, (0.475, 0.325, 0.05), 0.06),
        ("thigh", "hips", (0.09, 0.40, 0.0), (0.118, 0.235, 0.012), 0.085),
        ("shin", "thigh", (0.118, 0.235, 0.012), (0.136, 0.095, -0.01), 0.07),
        ("foot", "shin", (0.136, 0.095, -0.01), (0.155, 0.045, 0.13), 0.07),
    ]
    rows = list(middle)
    for side, sign in (("L", 1.0), ("R", -1.0)):
        for name, parent, a, b, radius in limbs:
            above = parent if parent in ("chest", "hips") else f"{parent}.{side}"
            rows.append((f"{name}.{side}", above, (sign * a[0], *a[1:]), (sign * b[0], *b[1:]), radius))
    names = [row[0] for row in rows]
    parents = [names.index(row[1]) if row[1] else -1 for row in rows]
    heads, tails = (np.array([row[k] for row in rows], dtype=float) for k in (2, 3))
    return Skeleton(names, parents, heads, tails, np.array([row[4] for row in rows]))


def tumble() -> tuple[Body, Mesh, np.ndarray, None, None]:
    """A light-footed quadruped with a long ringed tail."""
    spine = [(0, 0.60, -0.30), (0, 0.66, -0.40), (0, 0.74, -0.50), (0, 0.80, -0.62), (0, 0.81, -0.75)]
    spine += [(0, 0.80, -0.88), (0, 0.83, -1.01), (0, 0.92, -1.10), (0, 1.04, -1.12)]
    radii = [0.050, 0.055, 0.064, 0.074, 0.082, 0.086, 0.083, 0.070, 0.036]
    spine, radii = _spline(np.array(spine), 4), _spline(np.array(radii)[:, None], 4)[:, 0]
    tail = [
        limb("tail", tuple(spine[i]), tuple(spine[i + 1]), radii[i], radii[i + 1], blend=0.02 if i else 0.07)
        for i in range(len(spine) - 1)
    ]
    body = Body(
        [
            ellipsoid("torso", (0, 0.555, 0.20), (0.150, 0.165, 0.185)),
            ellipsoid("torso", (0, 0.575, 0.0), (0.128, 0.130, 0.22), blend=0.09),
            ellipsoid("torso", (0, 0.565, -0.20), (0.142, 0.150, 0.165), blend=0.09),
            limb("neck", (0, 0.62, 0.27), (0, 0.80, 0.40), 0.105, 0.09, blend=0.07),
            ellipsoid("head", (0, 0.885, 0.44), (0.165, 0.145, 0.150), blend=0.05),
            ellipsoid("head", (0, 0.835, 0.50), (0.135, 0.085, 0.115), blend=0.06),
            ellipsoid("muzzle", (0, 0.825, 0.60), (0.066, 0.052, 0.068), blend=0.05),
            ellipsoid(
                "ear", (0.125, 1.035, 0.40), (0.070, 0.125, 0.034), turn=(-0.1, 0.35, -0.42), blend=0.03, mirrored=True
            ),
            limb("foreleg", (0.095, 0.50, 0.245), (0.108, 0.28, 0.235), 0.082, 0.056, blend=0.05, mirrored=True),
            limb("foreleg", (0.108, 0.28, 0.235), (0.112, 0.085, 0.25), 0.056, 0.050, blend=0.03, mirrored=True),
            ellipsoid("paw", (0.114, 0.048, 0.278), (0.062, 0.050, 0.085), blend=0.03, mirrored=True),
            limb("hindleg", (0.095, 0.53, -0.235), (0.118, 0.32, -0.175), 0.105, 0.068, blend=0.05, mirrored=True),
            limb("hindleg", (0.118, 0.32, -0.175), (0.122, 0.185, -0.285), 0.066, 0.050, blend=0.03, mirrored=True),
            limb("hindleg", (0.122, 0.185, -0.285), (0.122, 0.075, -0.265), 0.050, 0.048, blend=0.03, mirrored=True),
            ellipsoid("paw", (0.124, 0.046, -0.235), (0.062, 0.048, 0.085), blend=0.03, mirrored=True),
            *tail,
        ],
        floor=True,
    )
    mesh = mesh_body(body, (0, -0.05, -1.28), (0.4, 1.3, 0.8), 5600)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(spine, axis=0), axis=1))])

    def paint(p: np.ndarray, n: np.ndarray, texel: float) -> np.ndarray:
        coat, dark, cream = srgb("E8743B"), srgb("7A3322"), srgb("FFF0DA")
        part = body.evaluate(p)[1]
        is_in = {name: (part == i)[:, None] for i, name in enumerate(body.parts)}
        color = np.tile(coat, (len(p), 1))
        back = mask(0.655 - p[:, 1] + 0.02 * np.sin(22.0 * p[:, 2]), 0.03) * mask(np.abs(p[:, 2]) - 0.34, 0.05)
        color = mix(color, srgb("D25F2E"), back * is_in["torso"])
        trunk = is_in["torso"] | is_in["neck"]
        chest = np.minimum(
            oval(p, (0.0, 0.60), (0.105, 0.17)) + 0.5 * np.maximum(0.24 - p[:, 2], 0.0),
            0.6 * (p[:, 1] - 0.475 + 0.25 * np.abs(p[:, 0])),
        )
        color = mix(
            color,
            cream,
            mask(chest, 0.008) * mask(-0.16 - p[:, 2], 0.06) * mask(-0.05 - n[:, 2] + 0.9 * n[:, 1], 0.1) * trunk,
        )
        for leg, top in (("foreleg", 0.205), ("hindleg", 0.185)):
            color = mix(color, dark, mask(p[:, 1] - top - 0.012 * np.sin(60.0 * p[:, 0]), 0.006) * is_in[leg])
        color = mix(color, dark, is_in["paw"])
        color = mix(color, cream, is_in["paw"] * mask(p[:, 1] - 0.018, texel))
        along = _along(p, spine, length)
        rings = np.sin((along - 0.05) / length[-1] * 2.0 * np.pi * 5.5)
        color = mix(color, cream, is_in["tail"] * mask(-(rings - 0.25) * 0.03, texel * 1.5) * mask(0.10 - along, 0.004))
        color = mix(color, dark, is_in["tail"] * mask(length[-1] * 0.90 - along, texel * 1.5))
        return shade(_tumble_head(color, p, n, texel, is_in), p, n)

    return body, mesh, bake(mesh, body, 1024, {"head": 1.8, "muzzle": 1.8, "ear": 1.3}, paint), None, None


def _spline(points: np.ndarray, between: int) -> np.ndarray:
    """Points [k, d] with ``between`` steps of a smooth curve from each to the next."""
    from scipy.interpolate import CubicSpline

    return CubicSpline(np.arange(len(points)), points)(np.linspace(0, len(points) - 1, (len(points) - 1) * between + 1))


def _along(p: np.ndarray, curve: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Length of the curve [k, 3] up to the point nearest to each of ``p`` [n]."""
    best, result = np.full(len(p), np.inf), np.zeros(len(p))
    for i in range(len(curve) - 1):
        step = curve[i + 1] - curve[i]
        t = np.clip((p - curve[i]) @ step / (step @ step), 0.0, 1.0)
        distance = np.linalg.norm(p - curve[i] - t[:, None] * step, axis=1)
        closer = distance < best
        best[closer] = distance[closer]
        result[closer] = (length[i] + t * np.linalg.norm(step))[closer]
    return result


def _tumble_head(
    color: np.ndarray, p: np.ndarray, n: np.ndarray, texel: float, is_in: dict[str, np.ndarray]
) -> np.ndarray:
    cream, dark = srgb("FFF0DA"), srgb("7A3322")
    skull = is_in["head"] | is_in["muzzle"]
    front = mask(0.475 - p[:, 2], 0.012) * skull
    q = np.abs(p)
    patch = np.minimum(oval(q, (0.080, 0.842), (0.082, 0.072)), oval(q, (0.0, 0.80), (0.10, 0.07)))
    color = mix(color, cream, front * mask(patch, texel))
    brow = oval(q, (0.075, 0.968), (0.030, 0.017))
    color = mix(color, cream, front * mask(brow, texel))
    stripe = np.maximum(np.abs(p[:, 0]) - 0.022 - 0.12 * (p[:, 1] - 0.87), 0.875 - p[:, 1])
    color = mix(color, srgb("C9562B"), mask(stripe, texel) * mask(0.40 - p[:, 2], 0.02) * skull)
    color = mix(color, dark, is_in["ear"] * mask(1.085 - p[:, 1], 0.006))
    inner = oval(q, (0.128, 1.045), (0.040, 0.078))
    color = mix(color, srgb("FFD2B5"), is_in["ear"] * mask(inner, texel) * mask(0.25 - n[:, 2], 0.1))
    color = face(
        color,
        p,
        front,
        texel,
        eye=(0.072, 0.888),
        size=(0.026, 0.038),
        cheek=(0.112, 0.836, 0.022),
        mouth=(0.030, 0.797),
    )
    nose = np.linalg.norm((p - [0.0, 0.850, 0.655]) / [1.0, 0.8, 1.0], axis=1) - 0.027
    return mix(color, np.array(INK), mask(nose, texel))


def mochi() -> tuple[Body, Mesh, np.ndarray, None, None]:
    """A dumpling of a mascot without limbs, with a sprout."""
    body = Body(
        [
            ellipsoid("body", (0, 0.30, 0.0), (0.44, 0.335, 0.40)),
            ellipsoid("body", (0, 0.46, 0.0), (0.33, 0.30, 0.30), blend=0.16),
            ellipsoid("body", (0, 0.64, -0.005), (0.15, 0.13, 0.14), blend=0.14),
            limb("stem", (0, 0.72, -0.005), (0, 0.845, -0.015), 0.045, 0.028, blend=0.07),
            ellipsoid(
                "leaf", (0.105, 0.895, -0.015), (0.122, 0.030, 0.074), turn=(0, 0.0, 0.50), blend=0.025, mirrored=True
            ),
        ],
        floor=True,
    )
    mesh = mesh_body(body, (0, -0.06, -0.55), (0.6, 1.06, 0.55), 4200)

    def paint(p: np.ndarray, n: np.ndarray, texel: float) -> np.ndarray:
        top, bottom = srgb("FFC2D1"), srgb("FFF3EC")
        part = body.evaluate(p)[1]
        main = (part == body.parts.index("body"))[:, None]
        turn = np.arctan2(p[:, 0], p[:, 2])
        drip = 0.40 + 0.045 * np.cos(3.0 * turn + np.pi) + 0.028 * np.cos(7.0 * turn) + 0.012 * np.cos(11.0 * turn)
        color = mix(np.tile(bottom, (len(p), 1)), srgb("FFE3DC"), mask(p[:, 1] - 0.05, 0.06))
        rim = mask(drip - 0.012 - p[:, 1], texel)
        color = mix(color, srgb("F59AB5"), rim)
        color = mix(color, top, mask(drip - p[:, 1], texel))
        color = mix(color, srgb("FFD4DE"), mask(0.62 - p[:, 1], 0.10))
        color = _sprinkles(color, p, texel, main, drip)
        green, fresh = srgb("5FB365"), srgb("8FD36B")
        color = mix(color, green, (part == body.parts.index("stem"))[:, None] * mask(0.755 - p[:, 1], 0.012))
        leaf = (part == body.parts.index("leaf"))[:, None]
        color = mix(color, fresh, leaf)
        vein = np.maximum(np.abs(p[:, 2] + 0.015) - 0.006, 0.03 - np.abs(p[:, 0]))
        color = mix(color, green, leaf * mask(vein, texel) * (n[:, 1:2] > 0.0))
        front = mask(0.05 - p[:, 2], 0.02) * main
        color = face(
            color,
            p,
            front,
            texel,
            eye=(0.132, 0.335),
            size=(0.040, 0.058),
            cheek=(0.222, 0.262, 0.042),
            mouth=(0.036, 0.278),
        )
        return shade(color, p, n)

    return body, mesh, bake(mesh, body, 1024, {"body": 1.0}, paint), None, None


def _sprinkles(color: np.ndarray, p: np.ndarray, texel: float, main: np.ndarray, drip: np.ndarray) -> np.ndarray:
    """Sugar sprinkles on the glaze, scattered evenly."""
    rng = np.random.default_rng(7)
    palette = [srgb(code) for code in ("FFF7C2", "FFFFFF", "A7E3F2", "F5739B")]
    taken: list[np.ndarray] = []
    while len(taken) < 46:
        turn, height = rng.uniform(-np.pi, np.pi), rng.uniform(0.50, 0.70)
        spot = np.array([np.sin(turn), height * 3.0, np.cos(turn)])
        if all(np.linalg.norm(spot - other) > 0.26 for other in taken):
            taken.append(spot)
            radius = np.hypot(p[:, 0], p[:, 2])
            across = np.angle(np.exp(1j * (np.arctan2(p[:, 0], p[:, 2]) - turn))) * radius
            up = p[:, 1] - height
            slant = rng.uniform(0.0, np.pi)
            u, v = across * np.cos(slant) + up * np.sin(slant), up * np.cos(slant) - across * np.sin(slant)
            rod = np.hypot(np.maximum(np.abs(u) - 0.016, 0.0), v) - 0.0075
            color = mix(color, palette[len(taken) % 4], mask(rod, texel) * main * mask(drip + 0.03 - p[:, 1], texel))
    return color


MAKERS = {"pip": pip, "tumble": tumble, "mochi": mochi}


def main(names: list[str], folder: Path = FOLDER) -> None:
    """Make the named characters, all when none is named."""
    for name in names or list(MAKERS):
        _, mesh, picture, skeleton, weights = MAKERS[name]()
        counts = write_glb(folder / f"{name}.glb", name, mesh, picture, skeleton, weights)
        sys.stdout.write(f"{name}: {counts}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
