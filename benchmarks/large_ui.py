"""Dagster's pages of a home that knows 10,000 shots, in a real Chromium: seconds until a page shows what it is for.

``python benchmarks/large_ui.py --shots 10000 --made 300`` keeps that many shots' records, reports the artifacts of
those that are made to Dagster (`studio run` does, cached as they are), starts `studio ui` on loopback and opens the
pages.
Pictures of them are left in ``--pictures``.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from large_counts import command, fill, fill_records, listing, partitions, place, told


def registered(arguments: argparse.Namespace, scratch: Path) -> None:
    """Fill the home, then look at it."""
    from studio_pipeline.line.shots import read_shot_lists

    path = listing(scratch / "shots.yaml", arguments.shots)
    shots = read_shot_lists([path])
    with place(scratch, s3=False) as (where, environment):
        fill_records(Path(where), shots)
        fill(where, shots[: arguments.made], 2)
        partitions(environment, [shot.id for shot in shots])
        made = listing(scratch / "made.yaml", arguments.made)
        command(environment, "run", str(made), "--json", "--stage", "refined_motion", folder=scratch)
        with served(environment, scratch) as url:
            look(url, shots[arguments.made // 2].id, arguments.pictures)


@contextmanager
def served(environment: dict[str, str], scratch: Path) -> Iterator[str]:
    """`studio ui` until the block ends."""
    from support.ports import free_ports

    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    line = [sys.executable, "-m", "studio_pipeline.cli", "ui", "--port", str(port)]
    server = subprocess.Popen(line, env=environment, cwd=scratch, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        began = time.monotonic()
        while True:
            try:
                urllib.request.urlopen(f"{url}/server_info", timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None and time.monotonic() - began < 300, "the server doesn't start"
                time.sleep(0.5)
        told(page="server", seconds=round(time.monotonic() - began, 1))
        yield url
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def look(url: str, shot: str, pictures: Path | None) -> None:
    """Open the pages one after the other."""
    import shutil

    from playwright.sync_api import sync_playwright

    words = ["--disable-gpu", "--disable-quic"] + (["--no-sandbox"] if os.geteuid() == 0 else [])
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=words)
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        page.set_default_timeout(120_000)
        for name, address, wanted in (
            ("graph", "/asset-groups", "cast"),
            ("asset", "/assets/refined_motion?view=overview", "Latest materialization"),
            ("partitions", "/assets/refined_motion?view=partitions", shot.rpartition("_")[0]),
            ("one shot", f"/assets/refined_motion?view=partitions&partition={shot}", shot),
            ("runs", "/runs", "Runs"),
        ):
            began = time.monotonic()
            found = shown(page, url + address, wanted)
            told(page=name, seconds=round(time.monotonic() - began, 1), shown=found)
            if pictures:
                page.wait_for_timeout(3000)
                page.screenshot(path=str(pictures / f"{name.replace(' ', '_')}.png"))
        browser.close()


def shown(page: Any, address: str, wanted: str) -> bool:
    """Open a page; whether what it is for came up."""
    from playwright.sync_api import TimeoutError

    page.goto(address)
    try:
        page.get_by_text(wanted).locator("visible=true").first.wait_for()
    except TimeoutError:
        return False
    return True


def main() -> None:
    """Print the figures, a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=10_000)
    parser.add_argument("--made", type=int, default=300)
    parser.add_argument("--pictures", type=Path, help="an existing folder")
    parser.add_argument("--scratch", type=Path, help="folder for everything; a temporary one when absent")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.scratch, ignore_cleanup_errors=True) as scratch:
        registered(arguments, Path(scratch))


if __name__ == "__main__":
    main()
