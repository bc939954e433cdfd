"""Where the studio's code is found by those who ask for runs: a farm's code location, or this very installation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import GrpcServerTarget, ModuleTarget, WorkspaceLoadTarget

from studio_pipeline.schema.errors import BackendUnavailable, InputError, one_line

__all__ = ["CODE_HOST", "CODE_PORT", "LOCATION", "opened_workspace", "workspace_target"]

LOCATION = "studio"
CODE_HOST, CODE_PORT = "STUDIO_CODE_HOST", "STUDIO_CODE_PORT"


def workspace_target() -> WorkspaceLoadTarget:
    """The code location that the environment names, else this installation's own module.

    Raises:
        InputError: The port is none.
    """
    host, port = os.environ.get(CODE_HOST, ""), os.environ.get(CODE_PORT, "")
    if not host:
        return ModuleTarget(
            module_name="studio_pipeline.dag.definitions",
            attribute=None,
            working_directory=None,
            location_name=LOCATION,
        )
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError("the code location's port is a number", where=CODE_PORT, do="write 4000")
    return GrpcServerTarget(host=host, port=int(port), socket=None, location_name=LOCATION)


@contextmanager
def opened_workspace(instance: DagsterInstance) -> Iterator[tuple[WorkspaceRequestContext, Any]]:
    """The workspace, loaded once, and its one code location.

    Raises:
        BackendUnavailable: The code location doesn't answer, or has errors.
    """
    with WorkspaceProcessContext(
        instance, workspace_load_target=workspace_target(), code_server_log_level="critical"
    ) as process:
        request = process.create_request_context()
        if not request.has_code_location(LOCATION):
            errors = [entry.load_error for entry in request.get_code_location_entries().values() if entry.load_error]
            host = os.environ.get(CODE_HOST, "")
            where = f"{host}:{os.environ.get(CODE_PORT, '')}" if host else "studio_pipeline.dag.definitions"
            reason = one_line(errors[0].message)[:200] if errors else "no reason given"
            raise BackendUnavailable(
                f"the code location doesn't load ({reason})",
                where=where,
                do=f"start it, or set {CODE_HOST} and {CODE_PORT}" if host else "run `studio check` to see why",
            )
        yield request, request.get_code_location(LOCATION)
