"""The home's Dagster: opening it, and whether there is anything to look at - which needs no import of Dagster."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance

__all__ = ["has_instance", "home_instance"]

_DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_PATIENCE = 60.0  # [s] for another process to make them


def home_instance() -> DagsterInstance:
    """Dagster's instance of the home (``DAGSTER_HOME``); of the processes that open it first one makes its databases.

    Two that do so at once leave them with half of their tables, or with two versions.
    """
    from dagster import DagsterInstance
    from filelock import FileLock, Timeout

    if has_instance():
        return DagsterInstance.get()
    lock = FileLock(Path(os.environ.get("DAGSTER_HOME", "")).absolute() / ".opening.lock")
    try:
        lock.acquire(timeout=_PATIENCE)
    except (OSError, Timeout):  # whatever is wrong with the folder, opening the instance says it better
        return DagsterInstance.get()
    try:
        return DagsterInstance.get()
    finally:
        lock.release()


def has_instance() -> bool:
    """Whether the home's Dagster has ever had a run, or keeps its runs elsewhere; looking makes nothing.

    Dagster makes its databases when it is opened first, and two processes that do so at once spoil them: whoever only
    looks waits until all of them are there.
    """
    folder = Path(os.environ.get("DAGSTER_HOME", "")).absolute()
    try:
        elsewhere = "storage:" in (folder / "dagster.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        elsewhere = False
    return elsewhere or all(_is_made(folder / name) for name in _DATABASES)


def _is_made(path: Path) -> bool:
    """Whether an SQLite database has its tables and its version."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=2.0)) as database:
            return len(database.execute("SELECT version_num FROM alembic_version").fetchall()) == 1
    except sqlite3.Error:
        return False
