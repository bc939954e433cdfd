"""A Kubernetes API on loopback that a test can look into: it takes job specs and runs their steps in this process."""

from __future__ import annotations

import base64
import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["Cluster", "cluster"]

_KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
clusters: [{{name: test, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: test, user: {{}}}}]
"""


class Cluster:
    """What was asked of the API, and where its kubeconfig lies."""

    def __init__(self, folder: Path) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.running: list[threading.Thread] = []
        self.kubeconfig = folder / "kubeconfig"
        self.instance: Any = None  # of Dagster; set by the test

    def submit(self, body: dict[str, Any]) -> None:
        """Keep the job and run what its container would: ``dagster api execute_step ARGUMENTS``."""
        self.jobs[body["metadata"]["name"]] = body
        box = body["spec"]["template"]["spec"]["containers"][0]
        assert box["args"] == ["dagster", "api", "execute_step"], box
        environment = {item["name"]: item.get("value", "") for item in box["env"]}
        thread = threading.Thread(target=self._step, args=(_arguments(environment),), daemon=True)
        self.running.append(thread)
        thread.start()

    def _step(self, text: str) -> None:
        from dagster._cli.api import _execute_step_command_body
        from dagster._grpc.types import ExecuteStepArgs
        from dagster._serdes import deserialize_value

        arguments = deserialize_value(text, ExecuteStepArgs)
        run = self.instance.get_run_by_id(arguments.run_id)
        list(_execute_step_command_body(arguments, self.instance, run))


def _arguments(environment: dict[str, str]) -> str:
    """The step's arguments, as Dagster hands them to a pod."""
    return zlib.decompress(base64.b64decode(environment["DAGSTER_COMPRESSED_EXECUTE_STEP_ARGS"])).decode()


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Serve such an API while the block runs."""
    found = Cluster(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.submit(body)
            self._answer(body)

        def do_GET(self) -> None:
            name = self.path.partition("?")[0].removesuffix("/status").rpartition("/")[2]
            job = found.jobs.get(name)
            self._answer({**job, "status": {"active": 1}} if job else {"items": []})

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.kubeconfig.write_text(_KUBECONFIG.format(port=server.server_port))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        for step in found.running:
            step.join(60)
        server.shutdown()
        server.server_close()
