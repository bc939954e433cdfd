"""`studio ui` for real: the server on loopback, Dagster's GraphQL, the picture, and a browser where there is one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SHOT = "- {show: ui, sequence: a, shot: '0010', character: mochi, frames: [1, 4], resolution: [64, 64]}\n"
METADATA = """{assetNodes {assetKey {path} assetMaterializations(limit: 1) {partition metadataEntries {
  label ... on MarkdownMetadataEntry {mdStr}}}}}"""


def get(url: str, data: dict | None = None) -> bytes:
    body = json.dumps(data).encode() if data else None
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A home with one character made, and its UI on a free port."""
    folder = tmp_path_factory.mktemp("ui")
    environment = {**os.environ, "STUDIO_HOME": str(folder / "home")}
    environment.pop("DAGSTER_HOME", None)
    (folder / "shots.yaml").write_text(SHOT)
    command = [sys.executable, "-m", "studio_pipeline.cli"]
    subprocess.run([*command, "run", "shots.yaml", "--stage", "character"], cwd=folder, env=environment, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "ui.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "ui", "--port", str(port)], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                get(f"{url}/server_info")
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None, (folder / "ui.log").read_text()
                time.sleep(0.5)
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def pictures(url: str) -> dict[str, list[str]]:
    """Addresses of the pictures in the assets' metadata, by asset."""
    nodes = json.loads(get(f"{url}/graphql", {"query": METADATA}))["data"]["assetNodes"]
    return {
        node["assetKey"]["path"][0]: re.findall(
            r"\((/studio-artifacts/[^)]+)\)", json.dumps(node["assetMaterializations"])
        )
        for node in nodes
    }


def test_the_graph_and_the_actual_picture(served: str) -> None:
    found = pictures(served)
    assert len(found) == 13 and found["rig"] == []
    (address,) = found["character"]
    assert get(served + address).startswith(b"\x89PNG")
    for wrong in ("/../manifest.json", "/stage.json"):
        with pytest.raises(urllib.error.HTTPError):
            get(served + address.rsplit("/", 1)[0] + wrong)


def test_a_browser_shows_it(served: str, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium here")
    quiet = "--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
    page = f"{served}/assets/character?view=partitions&partition=ui_a_0010"
    command = [
        browser,
        "--headless=new",
        "--no-sandbox",
        *quiet.split(),
        "--disable-sync",
        f"--user-data-dir={tmp_path}",
    ]
    done = subprocess.run(
        [*command, "--virtual-time-budget=30000", "--dump-dom", page], capture_output=True, text=True, timeout=120
    )
    assert re.search(r'<img[^>]+src="/studio-artifacts/[0-9a-f]{64}/1/preview.png"', done.stdout)
