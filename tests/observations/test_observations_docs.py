"""The adapters that docs/observations.md prints: they are Python, and they keep to the contract."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "observations.md"


def _blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def test_every_adapter_is_python() -> None:
    blocks = _blocks()
    assert len(blocks) == 2
    for block in blocks:
        compile(block, str(DOCUMENT), "exec")


def test_the_cotracker_lines_keep_to_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):
        """Stands in for the network: every point moves by (2, -1) a frame from its birth on, in centre-based pixels."""

        def forward(self, video, queries):
            assert video.shape == (1, 3, 3, 16, 20) and video.dtype == torch.float32 and video.max() > 1.0
            assert queries[0, 0].tolist() == [0.0, 4.0, 6.0] and queries[0, 1].tolist() == [1.0, 7.0, 8.0]
            since = (torch.arange(3)[:, None] - queries[0, :, 0]).clamp(min=0)[..., None]
            return (queries[:, None, :, 1:] + since * torch.tensor([2.0, -1.0]))[0][None], torch.ones(1, 3, 2) > 0.5

    monkeypatch.setattr(torch.hub, "load", lambda *name: Network())
    points = np.array([[0, 4.5, 6.5], [1, 7.5, 8.5]], np.float32)
    frames = np.full((3, 16, 20, 3), 200, np.uint8)
    np.savez(tmp_path / "in.npz", frames=frames, points=points)
    monkeypatch.setattr(sys, "argv", ["cotracker3.py", str(tmp_path / "in.npz"), str(tmp_path / "out.npz")])
    block = next(block for block in _blocks() if "co-tracker" in block)
    exec(compile(block, "cotracker3.py", "exec"), {})
    with np.load(tmp_path / "out.npz", allow_pickle=False) as answer:
        np.testing.assert_allclose(answer["tracks"][2], [[8.5, 4.5], [9.5, 7.5]])
        assert answer["visibility"].dtype == bool and answer["visibility"].shape == (3, 2)


def test_the_alltracker_lines_keep_to_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")

    class Net:
        """Stands in for the network: everything moves by (2, -1) a frame, sure in the first two frames."""

        def __init__(self, window: int) -> None:
            assert window == 16

        def load_state_dict(self, state: object) -> None:
            assert state == "weights"

        def cuda(self) -> Net:
            return self

        def eval(self) -> Net:
            return self

        def forward_sliding(self, rgbs, iters, sw, is_training):
            _, count, _, rows, columns = rgbs.shape
            assert (rows, columns) == (16, 24)
            time = torch.arange(count).reshape(1, -1, 1, 1, 1)
            step = torch.tensor([2.0, -1.0]).reshape(1, 1, 2, 1, 1)
            sure = (time < 2).float().expand(1, count, 2, rows, columns)
            return (time * step).expand(1, count, 2, rows, columns), sure, None, None

    monkeypatch.setitem(sys.modules, "nets", types.ModuleType("nets"))
    monkeypatch.setitem(sys.modules, "nets.alltracker", types.SimpleNamespace(Net=Net))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda url, **how: {"model": "weights"})
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)
    points = np.array([[0, 4.5, 6.5], [1, 7.5, 8.5], [2, 3.5, 3.5]], np.float32)
    np.savez(tmp_path / "in.npz", frames=np.full((3, 16, 24, 3), 200, np.uint8), points=points)
    monkeypatch.setattr(sys, "argv", ["alltracker.py", str(tmp_path / "in.npz"), str(tmp_path / "out.npz")])
    block = next(block for block in _blocks() if "alltracker" in block)
    exec(compile(block, "alltracker.py", "exec"), {})
    with np.load(tmp_path / "out.npz", allow_pickle=False) as answer:
        np.testing.assert_allclose(answer["tracks"][2], [[8.5, 4.5], [9.5, 7.5], [3.5, 3.5]], atol=1e-5)
        assert answer["visibility"].tolist() == [[True, False, False], [True, True, False], [False, True, True]]
