"""Two processes and one GPU: one after the other, whatever becomes of the first."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

import studio_pipeline.line.gpu_turn as gpu_turn_module
from studio_pipeline.line.gpu_turn import gpu_turn

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
import studio_pipeline.line.gpu_turn as module
module._has_gpu = lambda: True
with module.gpu_turn(True, print):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A process that has the GPU, and keeps it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(gpu_turn_module, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(gpu_turn_module, "_has_gpu", lambda: True)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_waits_and_says_so_until_the_first_is_gone(holder: subprocess.Popen) -> None:
    said: list[str] = []
    waiting, entered = threading.Event(), threading.Event()

    def say(_fraction: float, words: str) -> None:
        said.append(words)
        waiting.set()

    def second() -> None:
        with gpu_turn(True, say):
            entered.set()

    thread = threading.Thread(target=second, daemon=True)
    thread.start()
    assert waiting.wait(30) and not entered.is_set() and "waits for the GPU" in said[0]
    holder.kill()  # the system gives back what it held
    assert entered.wait(30)
    thread.join(30)
    with gpu_turn(True, say):  # and the second gave it back too
        assert len(set(said)) == 1


def test_who_needs_no_gpu_or_sees_another_one_waits_for_nobody(
    holder: subprocess.Popen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(*_: object) -> None:
        raise AssertionError("nobody is to wait")

    with gpu_turn(False, say):
        pass
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with gpu_turn(True, say):
        pass
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(gpu_turn_module, "_has_gpu", lambda: False)
    with gpu_turn(True, say):
        pass
    monkeypatch.setattr(gpu_turn_module, "_has_gpu", lambda: True)
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")  # no lock can be kept there
    with gpu_turn(True, say):
        pass
    assert holder.poll() is None
