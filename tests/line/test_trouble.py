"""What kind of trouble it was, by real errors of the libraries, and what follows from it."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable

import numpy as np
import pytest

from studio_pipeline.line.make import GateClosed, StageCrashed, WorkersLost
from studio_pipeline.line.trouble import (
    FARM,
    Again,
    Busy,
    Passing,
    Reduced,
    Retry,
    decide,
    is_passing,
    kind_of_again,
    out_of_memory,
)
from studio_pipeline.schema.errors import (
    BackendUnavailable,
    InputError,
    OutOfMemory,
    StorageError,
    StorageFull,
    StorageRefused,
)
from studio_pipeline.store.disk import DiskPrimitive, _told
from studio_pipeline.store.primitive import Unreadable
from studio_pipeline.store.s3client import Failing


def raised(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def by_numpy() -> object:
    return np.empty(1 << 55, np.uint8)


def by_torch() -> object:
    import torch

    return torch.empty(1 << 55, dtype=torch.uint8)


def by_warp() -> object:
    import warp as wp

    wp.config.quiet = True
    return wp.empty(1 << 30, dtype=wp.types.matrix(shape=(64, 64), dtype=wp.float64), device="cpu")


def by_opencv() -> object:
    import cv2

    return cv2.copyMakeBorder(np.zeros((4, 4), np.float64), 0, 1 << 20, 0, 1 << 20, cv2.BORDER_REPLICATE)


def by_a_killed_child() -> object:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    return subprocess.run([sys.executable, "-c", code], check=True)


def by_a_limited_process() -> object:
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


def behind_ours() -> object:
    try:
        return by_torch()
    except RuntimeError as error:
        raise BackendUnavailable("the pipeline failed") from error


def hidden_behind_ours() -> object:
    try:
        raise MemoryError
    except MemoryError:
        raise BackendUnavailable("needs more memory") from None


@pytest.mark.parametrize(
    "call",
    [by_numpy, by_torch, by_warp, by_opencv, by_a_killed_child, by_a_limited_process, behind_ours, hidden_behind_ours],
)
def test_memory_that_ran_out_is_recognised(call: Callable[[], object]) -> None:
    said = out_of_memory(raised(call))
    assert said and "\n" not in said and len(said) <= 200


def test_gpu_memory_that_ran_out_is_recognised_by_class_and_by_words() -> None:
    class OutOfMemoryError(RuntimeError):  # as torch's is called
        pass

    assert out_of_memory(OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"))
    assert out_of_memory(RuntimeError("Failed to allocate 4294967296 bytes on device 'cuda:0'"))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("out of memory"),
        RuntimeError("shapes differ"),
        InputError("too small"),
        OSError(errno.ENOSPC, "full"),
    ],
)
def test_other_trouble_is_not_taken_for_it(error: Exception) -> None:
    assert out_of_memory(error) == ""


def test_trouble_of_the_network_passes() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    refused = raised(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5))
    assert is_passing(refused) and is_passing(OSError(errno.EIO, "Input/output error"))
    assert not is_passing(FileNotFoundError(errno.ENOENT, "no such file")) and not is_passing(KeyError("x"))


def reduced() -> Reduced:
    error = Reduced("out of memory")
    error.reduced = "size 512 -> 384"
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Busy("somebody is at it"), "busy"),
        (StorageError("no answer"), "hiccup"),
        (Failing("HTTP 500"), "hiccup"),
        (Unreadable("its disk is away"), "hiccup"),
        (Passing("ConnectionResetError"), "hiccup"),
        (StorageFull("the disk is full"), "full"),
        (reduced(), "memory"),
        (OutOfMemory("nothing gets smaller"), ""),
        (StorageRefused("access denied"), ""),
        (InputError("no limbs"), ""),
        (BackendUnavailable("no weights"), ""),
        (GateClosed("rig failed joints_inside"), ""),
        (StageCrashed("ValueError"), ""),
        (WorkersLost("three times"), ""),
        (ValueError("anything else"), ""),
    ],
)
def test_what_is_tried_again(error: Exception, kind: str) -> None:
    retry = decide(error, {})
    assert (retry.kind if retry else "") == kind
    if retry:
        assert (
            retry.wait > 0
            and kind_of_again(f"studio_pipeline.line.trouble.{type(Again(retry)).__name__}: {Again(retry)}") == kind
        )


@pytest.mark.parametrize(("error", "kind"), [(StorageError("no answer"), "hiccup"), (StorageFull("full"), "full")])
def test_pauses_grow_and_end(error: Exception, kind: str) -> None:
    waits = []
    while (retry := decide(error, {kind: len(waits), "busy": 50})) is not None:
        waits.append(retry.wait)
    assert waits == sorted(waits) and tuple(waits) == FARM[kind] and 2 <= len(waits) <= 6
    assert sum(FARM["full"]) > sum(FARM["hiccup"])


def test_nobody_sits_at_a_desk_and_waits_for_a_full_disk() -> None:
    assert decide(StorageFull("full"), {}, farm=False) is None
    assert decide(StorageError("no answer"), {}, farm=False).wait <= 5


def test_waiting_for_a_busy_key_has_no_end() -> None:
    assert isinstance(decide(Busy("x"), {"busy": 100_000, "hiccup": 3}), Retry)
    assert decide(Busy("x"), {}).wait < decide(Busy("x"), {"busy": 10}).wait <= 30


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EACCES, StorageRefused),
        (errno.EROFS, StorageRefused),
        (errno.EIO, StorageError),
        (errno.ESTALE, StorageError),
    ],
)
def test_a_disk_s_errors_by_kind(tmp_path, number: int, kind: type) -> None:
    DiskPrimitive(tmp_path)

    def fail() -> None:
        with _told(tmp_path):
            raise OSError(number, "trouble")

    assert type(raised(fail)) is kind
