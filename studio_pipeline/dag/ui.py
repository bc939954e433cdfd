"""Dagster's web UI with the studio's pictures under its own origin, on loopback."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path
from typing import Any

from studio_pipeline.dag.assets import PREVIEW_ROUTE, PROVENANCE_ROUTE, REVIEW_ROUTE
from studio_pipeline.schema.errors import InputError, StudioError

__all__ = ["serve"]


def serve(*, host: str, port: int, store: Any) -> None:
    """Serve the UI until interrupted.

    Raises:
        InputError: The port is taken.
    """
    import socket

    import uvicorn
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster_webserver.app import create_app_from_workspace_process_context
    from starlette.routing import Route

    from studio_pipeline.dag.presence import home_instance
    from studio_pipeline.dag.workspace import workspace_target

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"can't listen on {host}:{port} ({error.strerror})", do="choose another with --port"
            ) from error
    with (
        home_instance() as instance,
        WorkspaceProcessContext(
            instance, workspace_load_target=workspace_target(), code_server_log_level="warning"
        ) as context,
    ):
        app = create_app_from_workspace_process_context(context, "", 2000)
        app.router.routes[:0] = [
            Route(f"{PREVIEW_ROUTE}/{{key}}/{{generation}}/{{name:path}}", _picture_endpoint(store)),
            Route(f"{PROVENANCE_ROUTE}/{{key}}/{{generation:int}}", _provenance_endpoint(store)),
            Route(f"{REVIEW_ROUTE}/{{shot}}", _review_endpoint(store)),
        ]
        uvicorn.run(app, host=host, port=port, log_level="warning")


def picture_path(store: Any, key: str, generation: str, name: str) -> Path | None:
    """The file of a picture in an artifact, or nothing when there is none of that name."""
    if not re.fullmatch(r"[0-9a-f]{64}", key) or not re.fullmatch(r"[0-9]{1,6}", generation):
        return None
    if Path(name).suffix.lower() not in {".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp4", ".html"}:
        return None
    try:
        with store.using():  # a fetched copy may go again as soon as it was the least recently used
            return store.local_file(store.get(key, int(generation)), name)
    except StudioError:
        return None


def _picture_endpoint(store: Any) -> Any:
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import FileResponse, PlainTextResponse

    async def endpoint(request: Any) -> Any:
        values = request.path_params
        # In a thread: it may have to be fetched.
        path = await run_in_threadpool(picture_path, store, values["key"], values["generation"], values["name"])
        if path is None:
            return PlainTextResponse("no such picture", status_code=404)
        kind = mimetypes.guess_type(path.name)[0]
        return FileResponse(path, media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"})

    return endpoint


def _review_endpoint(store: Any) -> Any:
    from starlette.responses import HTMLResponse, PlainTextResponse

    from studio_pipeline.line.review_page import review_page

    def endpoint(request: Any) -> Any:
        # A plain function: Starlette runs it in a thread, as it reads and hashes a payload.
        try:
            page = review_page(store, request.path_params["shot"])
        except StudioError as error:
            return PlainTextResponse(str(error), status_code=404)
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    return endpoint


def _provenance_endpoint(store: Any) -> Any:
    import json

    from starlette.responses import PlainTextResponse

    from studio_pipeline.line.provenance import artifact_provenance

    def endpoint(request: Any) -> Any:
        values = request.path_params
        try:
            found = artifact_provenance(store, store.get(values["key"], values["generation"]))
        except StudioError:
            return PlainTextResponse("no such artifact", status_code=404)
        text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False)
        return PlainTextResponse(text, media_type="application/json")

    return endpoint
