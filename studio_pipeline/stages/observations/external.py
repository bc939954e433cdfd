"""Tracks by a user's own command: frames and points go out in one array file, tracks come back in another."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from studio_pipeline.schema.arrays import load_arrays, save_arrays
from studio_pipeline.schema.errors import BackendUnavailable, InputError, OutOfMemory, one_line, was_killed
from studio_pipeline.stages.observations.parts import Scene
from studio_pipeline.stages.observations.sampling import SurfacePoints, corner_response, sampled, spread_points
from studio_pipeline.stages.observations.settings import ObservationSettings
from studio_pipeline.stages.observations.tracking import Tracked

__all__ = ["ask_tracker", "external_tracks"]

LARGEST = 1 << 30  # bytes of an answer
LOG_BYTES = 64 << 10  # of what the command said last, kept to explain a failure


def external_tracks(
    scene: Scene, masks: np.ndarray, points: SurfacePoints, settings: ObservationSettings
) -> tuple[Tracked, str]:
    """Tracks of the points, and of corners on surface of later frames, by the command in the settings."""
    frames = scene.clip.frames
    asked = [np.concatenate([np.zeros((len(points.pixels), 1)), points.pixels], axis=1)]
    asked += _late_queries(frames, masks, settings)
    queries = np.concatenate(asked).astype(np.float32)
    tracks, visibility = ask_tracker(frames, queries, settings)
    births = queries[:, 0].astype(np.int32)
    numbers = np.arange(len(births))
    # Where a track was born is known exactly, whatever the tracker says.
    tracks[births, numbers] = queries[:, 1:]
    for index, mask in enumerate(masks):
        visibility[index] &= sampled(mask.astype(np.float32), tracks[index]) > 127.0
    visibility[births, numbers] = True
    visibility &= np.arange(len(frames))[:, None] >= births
    name = settings.program or Path(settings.command[0])
    return Tracked(tracks, visibility, births), f"external ({name.name})"


def _late_queries(frames: np.ndarray, masks: np.ndarray, settings: ObservationSettings) -> list[np.ndarray]:
    """Corners of two later frames: some lie on surface that index 0 doesn't show. [(n, 3)]"""
    import cv2

    result, picked = [], sorted({len(frames) // 3, 2 * len(frames) // 3} - {0})
    for index in picked:
        inner = cv2.erode((masks[index] > 127).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        room = settings.late_tracks // len(picked)
        if not inner.any() or not room:
            continue
        spacing = max(2.0, 0.8 * float(np.sqrt(inner.sum() / room)))
        rows = spread_points(corner_response(cv2.cvtColor(frames[index], cv2.COLOR_RGB2GRAY)), inner, spacing, room)
        result.append(np.concatenate([np.full((len(rows), 1), index), rows[:, ::-1] + 0.5], axis=1))
    return result


def ask_tracker(
    frames: np.ndarray, queries: np.ndarray, settings: ObservationSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Run the command once.

    It reads ``{input}``, an npz with ``frames`` [T, H, W, 3] uint8 and ``points`` [N, 3] float32 (frame index, x, y,
    pixel centres at +0.5), and writes ``{output}``, an npz with ``tracks`` [T, N, 2] and ``visibility`` [T, N] bool.
    No shell is between; it runs in a folder of its own that is deleted afterwards.

    Raises:
        BackendUnavailable: The program is not there.
        InputError: It fails, takes too long, or its answer is not what was asked for.
    """
    with tempfile.TemporaryDirectory(prefix="studio-tracker-") as name:
        folder = Path(name)
        given, answer = folder / "input.npz", folder / "output.npz"
        save_arrays(given, frames=frames, points=queries)
        marks = {"{input}": str(given), "{output}": str(answer), "{program}": str(settings.program or "")}
        words = [_filled(word, marks) for word in settings.command]
        _run(words, folder, settings.timeout_s)
        if not answer.is_file():
            raise InputError("tracker command wrote no {output}", where=settings.command[0])
        if answer.stat().st_size > LARGEST:
            raise InputError(f"tracker command wrote more than {LARGEST >> 20} MB", where=settings.command[0])
        found = _loaded(answer, settings.command[0])
    return _checked(found, len(frames), len(queries), frames.shape[1:3], settings.command[0])


def _filled(word: str, marks: dict[str, str]) -> str:
    for mark, value in marks.items():
        word = word.replace(mark, value)
    return word


def _run(words: list[str], folder: Path, timeout_s: float) -> None:
    log = folder / "said"
    with log.open("wb") as stream:
        try:
            process = subprocess.Popen(
                words, cwd=folder, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
            )
        except OSError as error:
            raise BackendUnavailable(
                f"tracker command can't be started ({error.strerror}): {words[0]}", do="set observations' command"
            ) from None
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise InputError(
                f"tracker command took longer than {timeout_s:g} s{_last_line(log)}", where=words[0], do="set timeout_s"
            ) from None
        finally:
            _end(process)
    if was_killed(code):
        raise OutOfMemory(f"tracker command was killed{_last_line(log)}", where=words[0])
    if code:
        raise InputError(f"tracker command failed with code {code}{_last_line(log)}", where=words[0])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and whatever it started and left running."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - LOG_BYTES))
        lines = [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
    return f": {one_line(lines[-1])[:300]}" if lines else ""


def _loaded(path: Path, where: str) -> dict[str, np.ndarray]:
    """The answer's arrays; np.savez_compressed is as welcome as np.savez."""
    try:
        return load_arrays(path, unpacked=LARGEST)
    except InputError as error:
        raise InputError(f"tracker command's answer {error.what}", where=where) from None


def _checked(
    found: dict[str, np.ndarray], frames: int, points: int, size: tuple[int, int], where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Tracks [T, N, 2] float32 and visibility [T, N] bool of an answer, or an error that says what is wrong."""
    for name, shape, kind, said in (
        ("tracks", (frames, points, 2), np.floating, "floats"),
        ("visibility", (frames, points), np.bool_, "booleans"),
    ):
        value = found.get(name)
        if value is None:
            raise InputError(f"tracker command's answer holds no array {name!r}", where=where)
        if value.shape != shape or not np.issubdtype(value.dtype, kind):
            raise InputError(
                f"tracker command's {name!r} is {value.shape} of {value.dtype}", where=where, do=f"{said} of {shape}"
            )
    tracks, visibility = found["tracks"].astype(np.float32), np.array(found["visibility"])
    if not np.isfinite(tracks[visibility]).all():
        raise InputError("tracker command gives visible tracks that are not finite", where=where)
    tracks = np.nan_to_num(tracks, nan=0.0, posinf=0.0, neginf=0.0)
    outside = (tracks < 0.0).any(-1) | (tracks[..., 0] > size[1]) | (tracks[..., 1] > size[0])
    return tracks.clip(-1e5, 1e5), visibility & ~outside
