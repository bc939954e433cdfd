"""What the command line says while stages are made."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from studio_pipeline.cli.watch import Terminal


def test_a_stage_found_ready_took_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(total=1) as terminal:
        terminal.finished("a_b_1", "takes", SimpleNamespace(made=False, version="v001"))
    assert "cached in 0.0 s" in capsys.readouterr().err
