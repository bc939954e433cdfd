"""The `studio` command, called in this process, in a folder and a home of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import studio_pipeline.dag.launch as launch
from studio_pipeline.cli.main import main

__all__ = ["Command", "caller", "command", "studio"]

Command = Callable[..., tuple[int, str, str]]


def caller(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in the home that the environment names; gives its exit code, standard output and standard error."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["studio", *words])
        with pytest.raises(SystemExit) as left:
            main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err + printed.out
        return int(left.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """`caller` with a graph that other tests haven't kept."""
    launch._job.cache_clear()
    yield caller(monkeypatch, capsys)
    launch._job.cache_clear()


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Call the command; gives its exit code, standard output and standard error."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    call = caller(monkeypatch, capsys)

    def at_home(*words: str) -> tuple[int, str, str]:
        found = call(*words)
        assert os.environ["STUDIO_HOME"] == str(tmp_path / "home") and "DAGSTER_HOME" not in os.environ
        return found

    return at_home
