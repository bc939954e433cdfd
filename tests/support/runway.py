"""A local HTTP server that speaks Runway's protocol: create a task, look at it, fetch its video, cancel it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CREATED = "2026-01-01T00:00:00.000Z"
PENDING: dict[str, Any] = {"status": "PENDING", "estimatedCost": {"credits": 25}}
THROTTLED: dict[str, Any] = {"status": "THROTTLED", "estimatedCost": {"credits": 25}}
Answer = tuple[int, Any, dict[str, str]]  # status, body (JSON or bytes), headers


def running(progress: float) -> dict[str, Any]:
    """A task that is being worked on."""
    return {"status": "RUNNING", "progress": progress, "estimatedCost": {"credits": 25}}


@dataclass
class Service:
    """What the server answers, and what it was asked."""

    key: str
    url: str = ""
    creates: list[Answer] = field(default_factory=list)  # before tasks are created
    looks: list[dict[str, Any] | Answer] = field(default_factory=list)  # before a task has succeeded
    files: list[Answer] = field(default_factory=list)  # before the video
    video: bytes = b""
    output: Any = None  # of a task that has succeeded; None: one address of this server
    created: list[dict[str, Any]] = field(default_factory=list)
    fetched: list[dict[str, str]] = field(default_factory=list)  # headers
    cancelled: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def create(self, headers: dict[str, str], body: bytes) -> Answer:
        self._check(headers)
        if self.creates:
            return self.creates.pop(0)
        self.created.append(json.loads(body))
        return 200, {"id": f"task-{len(self.created)}"}, {}

    def look(self, headers: dict[str, str], task: str) -> Answer:
        self._check(headers)
        answer = self.looks.pop(0) if self.looks else self._succeeded()
        if isinstance(answer, tuple):
            return answer
        return 200, {"id": task, "createdAt": CREATED, **answer}, {}

    def _succeeded(self) -> dict[str, Any]:
        output = [f"{self.url}/files/clip.mp4?sig=signed-address"] if self.output is None else self.output
        return {"status": "SUCCEEDED", "output": output, "cost": {"credits": 25}}

    def fetch(self, headers: dict[str, str]) -> Answer:
        self.fetched.append(headers)
        return self.files.pop(0) if self.files else (200, self.video, {"content-type": "video/mp4"})

    def _check(self, headers: dict[str, str]) -> None:
        if headers.get("authorization") != f"Bearer {self.key}":
            self.problems.append("no key")
        if not headers.get("x-runway-version"):
            self.problems.append("no version of the protocol")


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    """Serve on a free port of the loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            self._answer(service.create(self._headers(), body) if self.path == "/v1/image_to_video" else (404, {}, {}))

        def do_GET(self) -> None:
            if self.path.startswith("/v1/tasks/"):
                self._answer(service.look(self._headers(), self.path.rpartition("/")[2]))
            else:
                self._answer(service.fetch(self._headers()))

        def do_DELETE(self) -> None:
            service.cancelled.append(self.path.rpartition("/")[2])
            self._answer((204, b"", {}))

        def _headers(self) -> dict[str, str]:
            return {name.lower(): value for name, value in self.headers.items()}

        def _answer(self, answer: Answer) -> None:
            status, body, headers = answer
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            kind = {} if isinstance(body, bytes) else {"content-type": "application/json"}
            self.send_response(status)
            for name, value in {"content-length": str(len(data)), **kind, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
