"""Connections to Dagster's database, held by processes that write much."""

from __future__ import annotations

from typing import Any

from dagster import DagsterInstance

__all__ = ["hold_connections"]


def hold_connections(instance: DagsterInstance) -> None:
    """Keep a few connections open where Dagster would open one for every statement.

    With PostgreSQL that is most of what an event costs; a connection that the server has dropped is noticed before it
    is used. With SQLite nothing changes.
    """
    instance.optimize_for_webserver(statement_timeout=120_000, pool_recycle=600, max_overflow=8)
    for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
        pool: Any = getattr(getattr(storage, "_engine", None), "pool", None)
        if hasattr(pool, "_pre_ping"):
            pool._pre_ping = True
