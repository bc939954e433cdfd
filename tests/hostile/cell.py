"""A project on hostile ground: its own folders, things outside that nobody may touch, and commands that run in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
_PROGRESS = re.compile(r"studio: warning:|\[ *\d+/\d+\] \S+  \w+ (?!failed)")
SECRET = "a line that only the file outside holds 7f3a91"
KERNELS = Path.home() / ".cache" / "warp"  # compiled once a machine, by whoever renders first
MORE = 1 << 30  # [bytes] that a refused file may cost over what the product itself takes


class Listener:
    """A server on loopback that counts who comes: nobody should."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        visits = self.visits

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                visits.append(self.path)
                self.send_error(404)

            do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Warden:
    """The process that forks for every command (`warden.py`)."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("warden.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
            cwd="/",
        )  # fmt: skip
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.base: int = ready["ready"]
        assert Path(ready["package"]).is_relative_to(ROOT)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Ended:
    """How a command ended."""

    code: int
    lines: list[str]  # of standard error
    out: str
    resident: int  # most memory of it or a child [bytes], the product's own included
    cpu: float
    did: list[list[str]]
    late: bool
    left: bool


@dataclass
class Cell:
    """One hostile file's surroundings: ``project`` is where commands run, ``outside`` is nobody's business."""

    root: Path
    warden: Warden
    listener: Listener
    before: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("project", "home", "tmp", "user", "outside"):
            (self.root / name).mkdir(parents=True)
        (self.outside / "secret.txt").write_text(SECRET + "\n")
        (self.outside / "secret.bin").write_bytes(SECRET.encode() * 64)
        (self.outside / "mesh.usda").write_text(f'#usda 1.0\n(doc = "{SECRET}")\ndef Xform "stolen" {{}}\n')
        (self.root / "user" / "notes.txt").write_text("mine")

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def outside(self) -> Path:
        return self.root / "outside"

    @property
    def canary(self) -> Path:
        """What code in a hostile file would leave."""
        return self.root / "outside" / "ran"

    def seal(self) -> None:
        """Note what is there; a file that is read from now on shows by its access time where the system keeps one."""
        for path in sorted(self.outside.iterdir()):
            os.utime(path, (1_000_000_000, 1_500_000_000))
        self.before = self.seen()

    def seen(self) -> dict[str, Any]:
        found = {}
        for name in ("outside", "user"):
            for path in sorted((self.root / name).rglob("*")):
                state = path.stat()
                found[str(path)] = (state.st_size, state.st_mtime_ns, state.st_atime_ns)
        return found

    def run(self, *words: str, seconds: float = 60.0, environment: dict[str, str] | None = None) -> Ended:
        """A command in the project's folder."""
        scratch = self.root / "told"
        scratch.mkdir(exist_ok=True)
        given = {
            "STUDIO_HOME": str(self.root / "home"), "DAGSTER_HOME": "", "TMPDIR": str(self.root / "tmp"),
            "HOME": str(self.root / "user"), "STUDIO_STORE": "", "WARP_CACHE_PATH": str(KERNELS), **(environment or {}),
        }  # fmt: skip
        request = {
            "words": list(words), "folder": str(self.project), "environment": given, "seconds": seconds,
            "out": str(scratch / "out"), "err": str(scratch / "err"), "log": str(scratch / "log"),
            "allowed": [*(str(self.root / name) for name in ("project", "home", "tmp")), str(KERNELS)],
        }  # fmt: skip
        told = self.warden.ask(request)
        lines = [
            line for line in (scratch / "err").read_text(errors="replace").splitlines()
            if line.strip() and not _PROGRESS.match(line)
        ]  # fmt: skip
        out = (scratch / "out").read_text(errors="replace")
        return Ended(
            told["code"], lines, out, told["resident"], told["cpu"], told["did"], told["late"], told["left"]
        )  # fmt: skip

    def check_untouched(self) -> None:
        """Nothing ran, nothing outside was written or read, nobody was called, no scratch was left."""
        assert not self.canary.exists(), "code of the hostile file ran"
        now = self.seen()
        assert now == self.before, {name: (self.before.get(name), now.get(name)) for name in self.before | now
                                    if self.before.get(name) != now.get(name)}  # fmt: skip
        assert self.listener.visits == [], "the hostile file made the product call somebody"
        # torch makes itself a folder there, and leaves it empty.
        left = [path for path in (self.root / "tmp").iterdir() if not path.name.startswith("torchinductor_")]
        assert left == []

    def check_refused(self, ended: Ended, *, codes: tuple[int, ...] = (2,), most: int = 3) -> None:
        """One clear line each, the documented exit code, bounded memory, nothing done that is none of its business."""
        said = "\n".join(ended.lines)
        assert not ended.late, f"hangs: {said}"
        assert ended.code in codes, (ended.code, said)
        assert "Traceback" not in said + ended.out, said
        assert 1 <= len(ended.lines) <= most, said
        for line in ended.lines:
            assert len(line) < 3000 and line.isprintable(), line
        assert SECRET not in said + ended.out
        assert ended.did == [], ended.did
        assert not ended.left, "left a process running"
        assert ended.resident < self.warden.base + MORE, f"{ended.resident >> 20} MB, {self.warden.base >> 20} at rest"
        self.check_untouched()
