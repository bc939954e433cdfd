"""A proxy before an S3 service that misbehaves as told: strips conditions, loses answers, fails, cuts connections."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.s3server import KEY_ID, S3Server

CONDITIONS = ("if-none-match", "if-match")
# What to do with a request: "pass", "strip" its conditions, "lose" the answer, "cut" it off unheard, answer a status.
Rule = Callable[[str, str, int], str | int]


class S3Proxy:
    """Listens on loopback; ``rule(method, path, number)`` decides, number counting the requests from 1."""

    def __init__(self, server: S3Server, rule: Rule) -> None:
        self.rule, self.seen = rule, []
        self._server, self._mutex = server, threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                proxy.handle(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def __enter__(self) -> S3Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def environment(self) -> dict[str, str]:
        return {**self._server.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._http.server_port}"}

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        with self._mutex:
            self.seen.append(request.command)
            act = self.rule(request.command, request.path, len(self.seen))
        headers = {name: value for name, value in request.headers.items() if name.lower() != "expect"}
        if act == "cut":
            return self._cut(request)
        if isinstance(act, int):
            request.send_response(act)
            request.send_header("Content-Length", "0")
            return request.end_headers()
        if act == "strip":
            headers = self._signed_again(request, headers, body)
        status, answer, data = self._forward(request, headers, body)
        if act == "lose":
            return self._cut(request)
        request.send_response(status)
        for name, value in answer:
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                request.send_header(name, value)
        length = dict(answer).get("Content-Length", len(data)) if request.command == "HEAD" else len(data)
        if status != 204:
            request.send_header("Content-Length", str(length))
        request.end_headers()
        request.wfile.write(data)

    def _forward(self, request: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes):
        connection = http.client.HTTPConnection("127.0.0.1", self._server.s3, timeout=30)
        connection.request(request.command, request.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), data

    def _signed_again(self, request: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes) -> dict[str, str]:
        """Without conditions; they are signed, so the signature has to be made anew."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        drop = {*CONDITIONS, "authorization", "x-amz-date"}
        kept = {name: value for name, value in headers.items() if name.lower() not in drop}
        made = AWSRequest(request.command, f"http://{kept['Host']}{request.path}", kept, body)
        made.context["payload_signing_enabled"] = True
        S3SigV4Auth(Credentials(KEY_ID, self._server.secret), "s3", "us-east-1").add_auth(made)
        return dict(made.headers.items())

    @staticmethod
    def _cut(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        request.connection.shutdown(2)
