"""A video from the address that a service gave: without the key, bounded in size and time, checked before use."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from studio_pipeline.media.reading import ClipPixels, read_clip
from studio_pipeline.schema.errors import BackendUnavailable, InputError, one_line
from studio_pipeline.stages.takes.hosted_runway import is_loopback

__all__ = ["download_clip"]

MOST_BYTES = 512 << 20
MOST_FRAMES = 2000
MOST_PIXELS = 4096  # a side
LONGEST_S = 900.0  # for all of it
REQUEST_S = 60.0  # without a byte
ATTEMPTS = 4
PAUSE_S = 1.0
REDIRECTS = 5


def download_clip(url: str, *, service: str) -> ClipPixels:
    """Fetch and decode an MP4.

    Args:
        url: Where it lies; https, or this machine's own when the service is on it.
        service: The service's own address, to know whether it is on this machine.

    Raises:
        BackendUnavailable: It can't be fetched, is too large, or is no usable video. No message holds the address,
            which is a signed one.
    """
    import httpx

    end = time.monotonic() + LONGEST_S
    with tempfile.TemporaryDirectory(prefix="studio_hosted_") as folder, _unlogged():
        path = Path(folder) / "clip.mp4"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _fetch(url, path, local=is_loopback(service), end=end)
                break
            except _Passing as error:
                told = str(error)
            except httpx.HTTPError as error:
                told = type(error).__name__
            if attempt == ATTEMPTS or time.monotonic() > end:
                raise _unusable(f"can't be fetched ({attempt} attempts: {told})")
            time.sleep(PAUSE_S * 2.0 ** (attempt - 1))
        try:
            return read_clip(path, max_frames=MOST_FRAMES, max_pixels=MOST_PIXELS)
        except InputError as error:
            raise _unusable(error.what.replace(str(path), "clip.mp4")) from None


class _Passing(Exception):
    """A failure that may pass."""


def _unusable(why: str) -> BackendUnavailable:
    return BackendUnavailable(f"the service's video {one_line(why)}", where="takes: hosted", do="make the take again")


def _fetch(url: str, path: Path, *, local: bool, end: float) -> None:
    import httpx

    with httpx.Client(timeout=REQUEST_S, follow_redirects=False) as client:
        for _ in range(REDIRECTS + 1):
            _check_address(url, local=local)
            with client.stream("GET", url) as answer:
                if answer.is_redirect:
                    url = urljoin(url, answer.headers.get("location", ""))
                    continue
                if answer.status_code in (408, 429) or answer.status_code >= 500:
                    raise _Passing(str(answer.status_code))
                if answer.status_code != 200:
                    raise _unusable(f"can't be fetched ({answer.status_code})")
                _save(answer, path, end)
                return
    raise _unusable(f"is redirected more than {REDIRECTS} times")


def _save(answer: Any, path: Path, end: float) -> None:
    size = 0
    with path.open("wb") as file:
        for piece in answer.iter_bytes():
            size += len(piece)
            if size > MOST_BYTES:
                raise _unusable(f"is larger than {MOST_BYTES >> 20} MB")
            if time.monotonic() > end:
                raise _unusable(f"took longer than {LONGEST_S:g} s to fetch")
            file.write(piece)


def _check_address(url: str, *, local: bool) -> None:
    try:
        parts = urlsplit(url)
        safe = parts.scheme == "https" or (parts.scheme == "http" and local and is_loopback(url))
        safe = safe and bool(parts.hostname) and parts.username is None
    except ValueError:
        safe = False
    if not safe:
        raise _unusable("lies at an address that isn't https")


@contextmanager
def _unlogged() -> Iterator[None]:
    """The HTTP client logs every address at INFO; a signed one lets anybody fetch the video."""
    logger = logging.getLogger("httpx")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
