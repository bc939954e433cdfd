"""Animations of a glTF file: channels, and their values at any time (step, linear, cubic spline)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.gltf.document import Document
from studio_pipeline.geometry.gltf.json_view import JsonObject

__all__ = ["Channel", "Clip", "read_clip", "read_clip_names"]

_PATHS = {"translation": 3, "rotation": 4, "scale": 3}


@dataclass(frozen=True)
class Channel:
    """One animated property of one node. K keys, D numbers a key."""

    node: int
    path: str  # translation, rotation, scale or weights
    interpolation: str  # LINEAR, STEP or CUBICSPLINE
    times: np.ndarray  # [K] float64 [s], increasing
    values: np.ndarray  # [K, D] float64, or [K, 3, D] (in-tangent, value, out-tangent) for CUBICSPLINE

    def sample(self, at: np.ndarray) -> np.ndarray:
        """Values [T, D] at the times ``at`` [T] in seconds, held before the first key and after the last."""
        spline = self.interpolation == "CUBICSPLINE"
        keys = self.values[:, 1] if spline else self.values
        at = np.clip(np.asarray(at, dtype=np.float64), self.times[0], self.times[-1])
        right = np.clip(np.searchsorted(self.times, at, side="right"), 1, max(len(self.times) - 1, 1))
        left = right - 1
        if len(self.times) == 1:
            result = np.repeat(keys[:1], len(at), axis=0)
        elif self.interpolation == "STEP":
            result = keys[np.searchsorted(self.times, at, side="right") - 1]
        else:
            step = self.times[right] - self.times[left]
            u = ((at - self.times[left]) / np.where(step > 0.0, step, 1.0))[:, None]
            if spline:
                result = _hermite(keys, self.values, left, right, u, step[:, None])
            elif self.path == "rotation":
                result = slerp(keys[left], keys[right], u)
            else:
                result = keys[left] * (1.0 - u) + keys[right] * u
        if self.path == "rotation":
            length = np.linalg.norm(result, axis=-1, keepdims=True)
            result = np.where(length > 1e-9, result / np.maximum(length, 1e-9), [0.0, 0.0, 0.0, 1.0])
        return result

    def varies_from(self, default: np.ndarray) -> bool:
        """Whether any key differs from ``default`` [D]: a constant track at the default moves nothing."""
        keys = self.values[:, 1] if self.interpolation == "CUBICSPLINE" else self.values
        if self.path == "rotation":
            return bool((np.abs(keys @ default) < 1.0 - 1e-9).any())
        return bool((np.abs(keys - default) > 1e-6 * max(1.0, float(np.abs(default).max(initial=0.0)))).any())


def _hermite(
    keys: np.ndarray, values: np.ndarray, left: np.ndarray, right: np.ndarray, u: np.ndarray, step: np.ndarray
) -> np.ndarray:
    u2, u3 = u * u, u * u * u
    return (
        (2 * u3 - 3 * u2 + 1) * keys[left]
        + (u3 - 2 * u2 + u) * step * values[left, 2]
        + (3 * u2 - 2 * u3) * keys[right]
        + (u3 - u2) * step * values[right, 0]
    )


def slerp(a: np.ndarray, b: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Spherical interpolation of unit quaternions [T, 4] along the shorter arc, ``u`` [T, 1]."""
    cosine = (a * b).sum(-1, keepdims=True)
    b = np.where(cosine < 0.0, -b, b)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    sine = np.sin(angle)
    near = sine < 1e-6
    safe = np.where(near, 1.0, sine)
    first = np.where(near, 1.0 - u, np.sin((1.0 - u) * angle) / safe)
    return first * a + np.where(near, u, np.sin(u * angle) / safe) * b


@dataclass(frozen=True)
class Clip:
    """One animation."""

    name: str
    duration: float  # last key [s]
    channels: list[Channel]


def read_clip_names(document: Document) -> list[str]:
    """Names of the animations, made unique; an unnamed one is ``animation_<index>``."""
    names: list[str] = []
    for index, item in enumerate(document.list("animations")):
        name = " ".join(item.text("name", "").split()) or f"animation_{index}"
        while name in names:
            name += "_"
        names.append(name)
    return names


def read_clip(document: Document, index: int) -> Clip:
    """Read one animation.

    Raises:
        InputError: A key is not finite, times go backwards, or counts don't match.
    """
    item = document.list("animations")[index]
    samplers = item.objects("samplers")
    channels = []
    for entry in item.objects("channels"):
        target = entry.object("target")
        path = target.text("path")
        node = target.optional_index("node", len(document.list("nodes")))
        if node is not None and (path in _PATHS or path == "weights"):
            channels.append(_channel(document, samplers[entry.index("sampler", len(samplers))], node, path))
    duration = max((float(c.times[-1]) for c in channels), default=0.0)
    return Clip(read_clip_names(document)[index], duration, channels)


def _channel(document: Document, sampler: JsonObject, node: int, path: str) -> Channel:
    times = document.floats(sampler.index("input", document.accessor_count), "SCALAR")[:, 0]
    values = document.floats(sampler.index("output", document.accessor_count), "SCALAR", "VEC3", "VEC4")
    mode = sampler.text("interpolation", "LINEAR")
    if mode not in ("LINEAR", "STEP", "CUBICSPLINE"):
        raise sampler.error(f"is {mode[:20]!r}", "interpolation")
    if not (np.isfinite(times).all() and np.isfinite(values).all()):
        raise sampler.error("has keys that are not finite")
    if (np.diff(times) < 0.0).any():
        raise sampler.error("has times that go backwards", "input")
    per_key = 3 if mode == "CUBICSPLINE" else 1
    width = _PATHS.get(path) or values.size // max(len(times) * per_key, 1)
    if values.size != len(times) * per_key * width or width == 0:
        raise sampler.error(f"has {values.size} numbers for {len(times)} keys of {path}", "output")
    shape = (len(times), 3, width) if per_key == 3 else (len(times), width)
    keys = values.reshape(shape)
    if path == "rotation" and per_key == 1:
        length = np.linalg.norm(keys, axis=-1, keepdims=True)
        keys = np.where(length > 1e-9, keys / np.maximum(length, 1e-9), [0.0, 0.0, 0.0, 1.0])
    return Channel(node, path, mode, times, keys)
