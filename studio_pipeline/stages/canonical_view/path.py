"""From a shot's camera to a matrix per frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio_pipeline.geometry.cameras import focal_from_fov, frame_points, look_at
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.schema.shot import CameraKey, CameraSpec

__all__ = ["DEFAULT_FOV_DEG", "framed_path", "keyed_path"]

DEFAULT_FOV_DEG = 30.0
_FOV_LIMITS = (0.5, 170.0)


def keyed_path(spec: CameraSpec, frame_numbers: Sequence[int], *, width: int, height: int) -> CameraPath:
    """The camera of a shot at each of ``frame_numbers``.

    Between keys eye, target, up and the logarithm of the focal length follow a monotone cubic (PCHIP, a straight
    line between two keys): keys are met exactly and never overshot. Before the first and after the last key the
    camera rests. A view without a lens has 30 degrees.

    Raises:
        InputError: A lens is out of range, or in between two keys the camera has nowhere to look.
    """
    views = spec.views()
    eyes, targets, ups = (np.array([getattr(view, name) for view in views], float) for name in ("eye", "target", "up"))
    ups = ups / np.linalg.norm(ups, axis=1, keepdims=True)
    focal = np.array([_focal_px(view, spec.sensor_mm, height) for view in views])
    keys = np.array([view.frame for view in views], float)
    values = np.concatenate([eyes, targets, ups, np.log(focal)[:, None]], axis=1)
    sampled = _interpolate(keys, values, np.array(list(frame_numbers), float))
    matrices = [_matrix(row, number) for row, number in zip(sampled, frame_numbers, strict=True)]
    return CameraPath(world_to_camera=np.stack(matrices), focal=np.exp(sampled[:, 9]), width=width, height=height)


def framed_path(
    points: np.ndarray,
    frame_count: int,
    *,
    width: int,
    height: int,
    azimuth_deg: float,
    elevation_deg: float,
    fov_y_deg: float,
    fill: float,
) -> CameraPath:
    """A still camera in which ``points`` [V, 3] fill ``fill`` of the picture's tighter side, for all frames."""
    camera = frame_points(
        points,
        width=width,
        height=height,
        azimuth=np.radians(azimuth_deg),
        elevation=np.radians(elevation_deg),
        fov_y=np.radians(fov_y_deg),
        fill=fill,
    )
    return camera.at(np.zeros(frame_count, dtype=int))


def _focal_px(view: CameraKey, sensor_mm: float, height: int) -> float:
    if view.focal_mm is None:
        return float(focal_from_fov(np.radians(view.fov_y_deg or DEFAULT_FOV_DEG), height))
    fov = np.degrees(2.0 * np.arctan2(sensor_mm / 2.0, view.focal_mm))
    if not _FOV_LIMITS[0] < fov < _FOV_LIMITS[1]:
        raise InputError(
            f"a lens of {view.focal_mm:g} mm on a sensor {sensor_mm:g} mm high sees {fov:.3g} degrees",
            where="camera.focal_mm",
            do=f"choose a lens between {_FOV_LIMITS[0]} and {_FOV_LIMITS[1]} degrees",
        )
    return view.focal_mm / sensor_mm * height


def _interpolate(keys: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values [K, D] at ``keys`` [K], sampled at ``at`` [T] and held outside. [T, D]"""
    from scipy.interpolate import PchipInterpolator

    if len(keys) == 1:
        return np.repeat(values, len(at), axis=0)
    return PchipInterpolator(keys, values, axis=0)(np.clip(at, keys[0], keys[-1]))


def _matrix(row: np.ndarray, number: int) -> np.ndarray:
    eye, target, up = row[:3], row[3:6], row[6:9]
    if np.linalg.norm(np.cross(target - eye, up)) < 1e-6 * max(1.0, float(np.linalg.norm(target - eye))):
        raise InputError(
            "between two keys eye, target and up fall on one line",
            where=f"camera.keys, frame {number}",
            do="add a key there, or move the target or up of a key",
        )
    return look_at(eye, target, up)
