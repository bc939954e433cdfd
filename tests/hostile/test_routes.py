"""The web server's own routes: pictures of committed payloads and pages of known shots, whatever is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import corpus_files as files
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from studio_pipeline.dag.ui import _picture_endpoint, _provenance_endpoint, _review_endpoint
from studio_pipeline.store import open_store

PLACES = [
    "../../../outside/secret.png", "/etc/passwd", "..%2f..%2foutside%2fsecret.png", "....//secret.png", "a\x00.png",
    "a.png/../../manifest.json", "manifest.json", "%00.png", "C:\\secret.png", "stage.json", ".png",
    "~/a.png",
]  # fmt: skip


async def asked(app: Starlette, path: str) -> tuple[int, bytes]:
    """What the application answers to a path, taken as it is: no client tidies it up first."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": b"", "headers": [], "scheme": "http", "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2),
        "http_version": "1.1", "root_path": "",
    }  # fmt: skip

    said = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in said:
            return message
        return await asyncio.Event().wait()  # the client stays

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


@pytest.fixture
def app(tmp_path: Path) -> tuple[Starlette, str]:
    store = open_store(str(tmp_path / "store"))
    payload = tmp_path / "payload"
    payload.mkdir()
    (payload / "frame.png").write_bytes(b"pixels")
    (payload / "stage.json").write_bytes(b"{}")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.png").write_bytes(b"a secret")
    key = "ab" * 32
    store.commit(key, payload, {"stage": "rig"})
    routes = [
        Route("/p/{key}/{generation}/{name:path}", _picture_endpoint(store)),
        Route("/v/{key}/{generation:int}", _provenance_endpoint(store)),
        Route("/r/{shot}", _review_endpoint(store)),
    ]
    return Starlette(routes=routes), key


def test_only_pictures_of_payloads_are_served(app: tuple[Starlette, str]) -> None:
    server, key = app
    assert asyncio.run(asked(server, f"/p/{key}/1/frame.png")) == (200, b"pixels")
    paths = [f"/p/{key}/1/{place}" for place in PLACES]
    paths += [f"/p/{bad}/1/frame.png" for bad in ("..", "AB" * 32, "ab" * 31, key + "0", "%2e%2e", "../" + key)]
    paths += [f"/p/{key}/{number}/frame.png" for number in ("0", "2", "-1", "1e9", "9" * 400, "..", "\u0661")]
    paths += [f"/v/{key}/{number}" for number in ("2", "9" * 400, "0")] + ["/v/../1", "/v/x/1"]
    paths += [f"/r/{name}" for name in files.NAMES.values() if name and len(name) < 2000]
    for path in paths:
        status, body = asyncio.run(asked(server, path))
        assert status == 404, (path, status)
        assert b"secret" not in body.replace(b"secret.png", b"") and b"Traceback" not in body and len(body) < 1000, path
