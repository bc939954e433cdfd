# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""The atlas as a pyramid of halved pictures, and filtered lookups in it.

A face takes the level at which a texel is about as large as a pixel, blended with the next one; so small pictures
of large textures neither flicker nor give gradients of noise. Faces that magnify the atlas, and faces that point at
one texel of a palette, read the full picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp

from studio_pipeline.render.kernel_math import cross2, mix3

__all__ = ["Lookup", "Pyramid", "atlas_pyramid", "face_level", "look_up", "pixel_level"]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


@wp.struct
class Pyramid:
    """All levels one after the other, linear light; level 0 is the atlas itself."""

    texels: wp.array(dtype=wp.vec3)
    levels: wp.array(dtype=wp.vec3i)  # where a level begins, its width, its height


@wp.struct
class Lookup:
    """A filtered texture lookup and its slopes per unit of uv."""

    value: wp.vec3
    du: wp.vec3
    dv: wp.vec3


def atlas_pyramid(atlas: np.ndarray, *, device: str = "cpu") -> Any:
    """The `Pyramid` of ``atlas`` [h, w, 3] float32 linear, by averaging 2 x 2 texels, on ``device``."""
    pictures = [np.ascontiguousarray(atlas, np.float32)]
    while max(pictures[-1].shape[:2]) > 1:
        last = pictures[-1]
        even = np.pad(last, ((0, last.shape[0] % 2), (0, last.shape[1] % 2), (0, 0)), mode="edge")
        pictures.append(even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).mean((1, 3)))
    starts = np.cumsum([0] + [picture.shape[0] * picture.shape[1] for picture in pictures[:-1]])
    levels = [(start, picture.shape[1], picture.shape[0]) for start, picture in zip(starts, pictures, strict=True)]
    pyramid = Pyramid()
    texels = np.concatenate([picture.reshape(-1, 3) for picture in pictures])
    pyramid.texels = wp.array(texels, dtype=wp.vec3, device=device)
    pyramid.levels = wp.array(np.array(levels, np.int32), dtype=wp.vec3i, device=device)
    return pyramid


@wp.func
def face_level(
    pyramid: Pyramid, a: wp.vec3, b: wp.vec3, c: wp.vec3, uv_a: wp.vec2, uv_b: wp.vec2, uv_c: wp.vec2
) -> float:
    """Level at which a face's texels are as large as the screen's pixels; 0 when they are larger anyway."""
    full = pyramid.levels[0]
    texels = wp.abs(cross2(uv_b[0] - uv_a[0], uv_b[1] - uv_a[1], uv_c[0] - uv_a[0], uv_c[1] - uv_a[1]))
    texels *= float(full[1]) * float(full[2])
    pixels = wp.abs(cross2(b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]))
    return level_for(pyramid, texels, pixels)


@wp.func
def level_for(pyramid: Pyramid, texels: float, pixels: float) -> float:
    """Level at which so many texels of the full picture become so many of the level's."""
    if texels <= pixels or pixels <= 0.0:
        return 0.0
    return wp.min(0.5 * wp.log2(texels / pixels), float(pyramid.levels.shape[0] - 1))


@wp.func
def pixel_level(
    pyramid: Pyramid, a: wp.vec3, b: wp.vec3, c: wp.vec3, uv_a: wp.vec2, uv_b: wp.vec2, uv_c: wp.vec2, depth: float
) -> float:
    """`face_level`; for a face that reaches behind the camera, the level that suits the place seen at ``depth``.

    Such a face has no size on the screen. With corners h = z (x, y, 1), barycentrics change over the screen by the
    determinant depth^3 / det(h_a, h_b, h_c).
    """
    if a[2] > 0.0 and b[2] > 0.0 and c[2] > 0.0:
        return face_level(pyramid, a, b, c, uv_a, uv_b, uv_c)
    full = pyramid.levels[0]
    texels = wp.abs(cross2(uv_b[0] - uv_a[0], uv_b[1] - uv_a[1], uv_c[0] - uv_a[0], uv_c[1] - uv_a[1]))
    pixels = wp.abs(cross2(b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]))
    return level_for(
        pyramid,
        texels * float(full[1]) * float(full[2]),
        pixels * wp.abs((a[2] / depth) * (b[2] / depth) * (c[2] / depth)),
    )


@wp.func
def repeated(index: int, count: int) -> int:
    """``index`` within 0..count-1, repeating; most lookups need no division."""
    if index >= 0 and index < count:
        return index
    return ((index % count) + count) % count


@wp.func
def look_up_level(pyramid: Pyramid, index: int, uv: wp.vec2) -> Lookup:
    """Bilinear in one level, texel centres at +0.5, repeating."""
    level = pyramid.levels[index]
    u = uv[0] * float(level[1]) - 0.5
    v = uv[1] * float(level[2]) - 0.5
    fx = u - wp.floor(u)
    fy = v - wp.floor(v)
    left = repeated(int(wp.floor(u)), level[1])
    right = wp.where(left + 1 < level[1], left + 1, 0)
    row = repeated(int(wp.floor(v)), level[2])
    above = level[0] + row * level[1]
    below = level[0] + wp.where(row + 1 < level[2], row + 1, 0) * level[1]
    t00 = pyramid.texels[above + left]
    t10 = pyramid.texels[above + right]
    t01 = pyramid.texels[below + left]
    t11 = pyramid.texels[below + right]
    result = Lookup()
    result.value = mix3(mix3(t00, t10, fx), mix3(t01, t11, fx), fy)
    result.du = mix3(t10 - t00, t11 - t01, fy) * float(level[1])
    result.dv = mix3(t01 - t00, t11 - t10, fx) * float(level[2])
    return result


@wp.func
def look_up(pyramid: Pyramid, uv: wp.vec2, level: float) -> Lookup:
    """Bilinear within two levels and linear between them."""
    low = int(wp.floor(level))
    result = look_up_level(pyramid, low, uv)
    part = level - wp.floor(level)
    if part > 0.0:
        coarse = look_up_level(pyramid, wp.min(low + 1, pyramid.levels.shape[0] - 1), uv)
        result.value = mix3(result.value, coarse.value, part)
        result.du = mix3(result.du, coarse.du, part)
        result.dv = mix3(result.dv, coarse.dv, part)
    return result
