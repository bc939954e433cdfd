# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""Vertex normals of posed meshes in Warp, and their adjoint; sums run in face order, so the CPU repeats every bit."""

from __future__ import annotations

import warp as wp

__all__ = ["areas_adjoint", "normals_of_sums", "sum_areas", "sums_adjoint"]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


@wp.kernel
def sum_areas(
    vertices: wp.array2d(dtype=wp.vec3),  # [T, V]
    faces: wp.array(dtype=wp.vec3i),
    groups: wp.array(dtype=wp.int32),  # [V]
    sums: wp.array2d(dtype=wp.vec3),  # [T, G], zeros
):
    """Add each face's area vector to its corners' groups; launched over (T, F)."""
    frame, face = wp.tid()
    c = faces[face]
    a = vertices[frame, c[0]]
    area = wp.cross(vertices[frame, c[1]] - a, vertices[frame, c[2]] - a)
    wp.atomic_add(sums, frame, groups[c[0]], area)
    wp.atomic_add(sums, frame, groups[c[1]], area)
    wp.atomic_add(sums, frame, groups[c[2]], area)


@wp.kernel
def normals_of_sums(
    sums: wp.array2d(dtype=wp.vec3), groups: wp.array(dtype=wp.int32), normals: wp.array2d(dtype=wp.vec3)
):
    """Unit normals of all vertices; launched over (T, V)."""
    frame, vertex = wp.tid()
    normals[frame, vertex] = wp.normalize(sums[frame, groups[vertex]])


@wp.kernel
def sums_adjoint(
    sums: wp.array2d(dtype=wp.vec3),
    groups: wp.array(dtype=wp.int32),
    g_normals: wp.array2d(dtype=wp.vec3),
    g_sums: wp.array2d(dtype=wp.vec3),  # zeros
):
    """Adjoint of `normals_of_sums`; launched over (T, V)."""
    frame, vertex = wp.tid()
    group = groups[vertex]
    length = wp.length(sums[frame, group])
    g = g_normals[frame, vertex]
    if length > 0.0:
        normal = sums[frame, group] / length
        wp.atomic_add(g_sums, frame, group, (g - normal * wp.dot(normal, g)) / length)


@wp.kernel
def areas_adjoint(
    vertices: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    groups: wp.array(dtype=wp.int32),
    g_sums: wp.array2d(dtype=wp.vec3),
    g_vertices: wp.array2d(dtype=wp.vec3),  # zeros
):
    """Adjoint of `sum_areas`; launched over (T, F)."""
    frame, face = wp.tid()
    c = faces[face]
    a = vertices[frame, c[0]]
    g = g_sums[frame, groups[c[0]]] + g_sums[frame, groups[c[1]]] + g_sums[frame, groups[c[2]]]
    g_b = wp.cross(vertices[frame, c[2]] - a, g)
    g_c = wp.cross(g, vertices[frame, c[1]] - a)
    wp.atomic_add(g_vertices, frame, c[0], -g_b - g_c)
    wp.atomic_add(g_vertices, frame, c[1], g_b)
    wp.atomic_add(g_vertices, frame, c[2], g_c)
