"""Hooks against a real HTTP server, and a file that several processes append to."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import studio_pipeline.line.hooks as hooks
from studio_pipeline.line.hooks import FailureTold, Hooks, append_line, hooks_present, tell_failures

TOLD = FailureTold("demo_a_0010", "rig", "mesh has no limbs - draw some", "run-7", 2)
SECRET = "hook-token-5f3e9a"


class Listener:
    """A web server that keeps what it was sent and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.hang = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, dict(self.headers), body))
                code = outer.answers.pop(0) if outer.answers else 200
                if code == 0:
                    outer.hang.wait(30)
                    return
                self.send_response(code)
                if code in (301, 302, 307):
                    self.send_header("Location", f"http://127.0.0.1:{outer.port}/elsewhere")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - as http.server calls it

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hooks/{SECRET}?key={SECRET}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    found = Listener()
    monkeypatch.setattr(hooks, "PAUSES", (0.02, 0.04))
    monkeypatch.setattr(hooks, "TIMEOUT", 0.5)
    monkeypatch.setenv("STUDIO_HOOK_URL", found.url)
    monkeypatch.delenv("STUDIO_HOOK_FILE", raising=False)
    yield found
    found.hang.set()
    found.server.shutdown()
    found.server.server_close()


def test_the_webhook_gets_json(listener: Listener) -> None:
    assert hooks_present() and tell_failures([TOLD]) == []
    ((path, headers, body),) = listener.got
    record = json.loads(body)
    assert path == f"/hooks/{SECRET}?key={SECRET}" and headers["Content-Type"] == "application/json"
    assert record.pop("time").endswith("+00:00")
    assert record == {
        "shot": "demo_a_0010", "stage": "rig", "cause": TOLD.cause, "run": "run-7", "attempt": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "requests", "problem"),
    [
        ([500, 503, 200], 3, ""),
        ([500, 500, 500], 3, "HTTP 500"),
        ([429, 200], 2, ""),
        ([404], 1, "HTTP 404"),
        ([302], 1, "HTTP 302"),  # never followed: the address is meant for one place
        ([307], 1, "HTTP 307"),
        ([0, 200], 2, ""),  # no answer in time
        ([0, 0, 0], 3, "TimeoutError"),
    ],
)
def test_it_is_tried_again_and_given_up(listener: Listener, answers: list[int], requests: int, problem: str) -> None:
    listener.answers = list(answers)
    told = tell_failures([TOLD])
    assert len(listener.got) == requests and told == ([f"STUDIO_HOOK_URL: {problem}"] if problem else [])


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/", "no address", "http://", "http://[::1", "data:,x"]
)
def test_only_http_is_spoken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("STUDIO_HOOK_URL", url)
    assert tell_failures([TOLD]) == ["STUDIO_HOOK_URL: is no http or https address"]


def test_nobody_listening_is_a_line(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    listener.server.shutdown()
    listener.server.server_close()
    with caplog.at_level(logging.DEBUG):
        (problem,) = tell_failures([TOLD])
    assert problem == "STUDIO_HOOK_URL: ConnectionRefusedError"
    assert "could not be told" in caplog.text and SECRET not in caplog.text + problem


def test_a_command_is_not_held_up(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "TIMEOUT", 20.0)
    monkeypatch.setattr(hooks, "LEAVE", 0.1)
    listener.answers = [0]
    began = threading.Event()
    with Hooks() as telling:
        telling.tell([TOLD])
        began.set()  # at once, though the server never answers
    assert began.is_set() and telling.problems == []


def test_no_secret_is_told(listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STUDIO_HOOK_FILE", str(tmp_path / "failures.jsonl"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret-1")
    monkeypatch.setenv("STUDIO_BROKER_URL", "amqp://studio:planted-secret-2@broker:5672//")
    cause = (
        f"boom planted-secret-1 and planted-secret-2 at amqp://studio:planted-secret-2@broker:5672// {listener.url} "
        "https://who:planted-secret-3@host/path?token=planted-secret-4 in /shows/demo/rig.glb"
    )
    assert tell_failures([FailureTold("s", "rig", cause, "r")]) == []
    text = listener.got[0][2].decode() + (tmp_path / "failures.jsonl").read_text()
    assert "planted-secret" not in text and SECRET not in text and "/shows/demo/rig.glb" in text


def test_without_hooks_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STUDIO_HOOK_URL", "STUDIO_HOOK_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert not hooks_present() and tell_failures([TOLD]) == []


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_many_processes_append_whole_lines(tmp_path: Path) -> None:
    path, each, processes = tmp_path / "f.jsonl", 60, 4
    path.write_bytes(b'{"cut off": tru')
    code = (
        "import sys; sys.path[:0] = [sys.argv[3]]\n"
        "from studio_pipeline.line.hooks import append_line\n"
        f"for i in range({each}): append_line(sys.argv[1], {{'who': sys.argv[2], 'i': i, 'pad': 'x' * 9000}})\n"
    )
    root = str(Path(hooks.__file__).parents[2])
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), str(n), root]) for n in range(processes)]
    assert [writer.wait(60) for writer in writers] == [0] * processes
    first, *rest = path.read_text().splitlines()
    assert first == '{"cut off": tru' and len(rest) == each * processes
    records = [json.loads(line) for line in rest]
    for n in range(processes):
        assert [record["i"] for record in records if record["who"] == str(n)] == list(range(each))


def test_a_file_that_cannot_be_written_is_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STUDIO_HOOK_URL", raising=False)
    monkeypatch.setenv("STUDIO_HOOK_FILE", str(tmp_path / "none" / "f.jsonl"))
    assert tell_failures([TOLD]) == ["STUDIO_HOOK_FILE can't be written (No such file or directory)"]
    monkeypatch.setenv("STUDIO_HOOK_FILE", str(tmp_path))
    assert "Is a directory" in tell_failures([TOLD])[0]


def test_a_file_that_somebody_holds_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import fcntl

    monkeypatch.setattr(hooks, "TIMEOUT", 0.1)
    with (tmp_path / "f.jsonl").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OSError):
            append_line(str(tmp_path / "f.jsonl"), {})
