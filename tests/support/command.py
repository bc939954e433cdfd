"""The `studio` command, called in this process, in a folder and a home of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from studio_pipeline.cli.main import main

__all__ = ["Command", "studio"]

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Call the command; gives its exit code, standard output and standard error."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["studio", *words])
        with pytest.raises(SystemExit) as left:
            main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err + printed.out
        assert os.environ["STUDIO_HOME"] == str(tmp_path / "home") and "DAGSTER_HOME" not in os.environ
        return int(left.value.code or 0), printed.out, printed.err

    return call
