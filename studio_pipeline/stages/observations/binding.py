"""Late tracks find their place on the surface once a pose is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Observations

__all__ = ["bind_tracks"]


def bind_tracks(observations: Observations, face_ids: np.ndarray, barycentrics: np.ndarray) -> Observations:
    """Bind late tracks to the face that a first estimate of the motion shows under them when they were born.

    A track whose birth pixel shows the background is dropped. Births lie at pixel centres, so looking them up is
    exact. The arguments stay as they are; a record without late tracks comes back unchanged.

    Args:
        observations: What was seen.
        face_ids: The estimate, rasterised at the clip's size: face under each pixel, -1 on the background. [T, H, W]
        barycentrics: Where on that face, perspective-correct. [T, H, W, 3]

    Returns:
        A record whose late tracks have moved to the ordinary arrays, behind the tracks that were there.

    Raises:
        InputError: The rasters are not of the clip's size.
    """
    if face_ids.shape != observations.masks.shape or barycentrics.shape != (*face_ids.shape, 3):
        raise InputError(
            f"rasters {face_ids.shape} and {barycentrics.shape} don't fit masks {observations.masks.shape}",
            where="observations",
        )
    births = observations.late_births
    count = len(births)
    if not count:
        return observations
    height, width = face_ids.shape[1:]
    pixel = np.floor(observations.late_tracks[births, np.arange(count)]).astype(int)
    column, row = pixel[:, 0].clip(0, width - 1), pixel[:, 1].clip(0, height - 1)
    faces = face_ids[births, row, column].astype(np.int32)
    hit = faces >= 0
    shares = barycentrics[births, row, column].astype(np.float32)
    frames = len(observations.masks)
    return replace(
        observations,
        tracks=np.concatenate([observations.tracks, observations.late_tracks[:, hit]], axis=1),
        visibility=np.concatenate([observations.visibility, observations.late_visibility[:, hit]], axis=1),
        track_faces=np.concatenate([observations.track_faces, faces[hit]]),
        track_barycentrics=np.concatenate([observations.track_barycentrics, shares[hit]]),
        track_births=np.concatenate([observations.track_births, births[hit].astype(np.int32)]),
        late_tracks=np.zeros((frames, 0, 2), np.float32),
        late_visibility=np.zeros((frames, 0), bool),
        late_births=np.zeros(0, np.int32),
    )
