# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""How much light reaches a surface of a given normal, and the adjoint: one distant light, or spherical harmonics."""

from __future__ import annotations

import warp as wp

__all__ = ["HARMONICS", "LAMBERT", "UNLIT", "lighting", "lighting_adjoint"]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

UNLIT = 0
LAMBERT = 1
HARMONICS = 2


@wp.struct
class Light:
    """How the surface is lit: not at all, by one direction, or by spherical harmonics given per frame."""

    mode: int
    ambient: float
    direction: wp.vec3


@wp.func
def lighting(light: Light, harmonics: wp.array2d(dtype=wp.vec3), frame: int, n: wp.vec3) -> wp.vec3:
    """Light that reaches a surface of unit normal n: a factor of its colour."""
    if light.mode == LAMBERT:
        value = light.ambient + (1.0 - light.ambient) * wp.max(wp.dot(n, light.direction), 0.0)
        return wp.vec3(value, value, value)
    if light.mode == HARMONICS:
        total = harmonics[frame, 0] * 0.282095
        total += harmonics[frame, 1] * (0.488603 * n[1])
        total += harmonics[frame, 2] * (0.488603 * n[2])
        total += harmonics[frame, 3] * (0.488603 * n[0])
        total += harmonics[frame, 4] * (1.092548 * n[0] * n[1])
        total += harmonics[frame, 5] * (1.092548 * n[1] * n[2])
        total += harmonics[frame, 6] * (0.315392 * (3.0 * n[2] * n[2] - 1.0))
        total += harmonics[frame, 7] * (1.092548 * n[0] * n[2])
        total += harmonics[frame, 8] * (0.546274 * (n[0] * n[0] - n[1] * n[1]))
        return total
    return wp.vec3(1.0, 1.0, 1.0)


@wp.func
def lighting_adjoint(
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    frame: int,
    n: wp.vec3,
    g: wp.vec3,
    g_harmonics: wp.array2d(dtype=wp.vec3),
) -> wp.vec3:
    """From the adjoint g of `lighting` add to the coefficients' and return the normal's."""
    if light.mode == LAMBERT:
        if wp.dot(n, light.direction) > 0.0:
            return light.direction * ((1.0 - light.ambient) * (g[0] + g[1] + g[2]))
        return wp.vec3(0.0, 0.0, 0.0)
    if light.mode == HARMONICS:
        x = n[0]
        y = n[1]
        z = n[2]
        wp.atomic_add(g_harmonics, frame, 0, g * 0.282095)
        wp.atomic_add(g_harmonics, frame, 1, g * (0.488603 * y))
        wp.atomic_add(g_harmonics, frame, 2, g * (0.488603 * z))
        wp.atomic_add(g_harmonics, frame, 3, g * (0.488603 * x))
        wp.atomic_add(g_harmonics, frame, 4, g * (1.092548 * x * y))
        wp.atomic_add(g_harmonics, frame, 5, g * (1.092548 * y * z))
        wp.atomic_add(g_harmonics, frame, 6, g * (0.315392 * (3.0 * z * z - 1.0)))
        wp.atomic_add(g_harmonics, frame, 7, g * (1.092548 * x * z))
        wp.atomic_add(g_harmonics, frame, 8, g * (0.546274 * (x * x - y * y)))
        s1 = wp.dot(harmonics[frame, 1], g) * 0.488603
        s2 = wp.dot(harmonics[frame, 2], g) * 0.488603
        s3 = wp.dot(harmonics[frame, 3], g) * 0.488603
        s4 = wp.dot(harmonics[frame, 4], g) * 1.092548
        s5 = wp.dot(harmonics[frame, 5], g) * 1.092548
        s6 = wp.dot(harmonics[frame, 6], g) * 1.892352
        s7 = wp.dot(harmonics[frame, 7], g) * 1.092548
        s8 = wp.dot(harmonics[frame, 8], g) * 1.092548
        return wp.vec3(s3 + y * s4 + z * s7 + x * s8, s1 + x * s4 + z * s5 - y * s8, s2 + y * s5 + x * s7 + z * s6)
    return wp.vec3(0.0, 0.0, 0.0)
