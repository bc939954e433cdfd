"""Where a studio keeps everything: the store, Dagster's instance, logs, scratch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from studio_pipeline.schema.errors import StorageError

__all__ = ["Home", "open_home"]

_DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
run_coordinator:
  module: dagster._core.run_coordinator
  class: DefaultRunCoordinator
concurrency:
  pools:
    granularity: op
    default_limit: 1
"""


# DAGSTER_HOME values that this process set itself: a second home opened here must not inherit the first one's.
_opened: set[str] = set()


@dataclass(frozen=True)
class Home:
    """The folder named by ``STUDIO_HOME``. Two homes know nothing of each other."""

    root: Path

    @property
    def store(self) -> Path:
        """The artifact store."""
        return self.root / "store"

    @property
    def dagster(self) -> Path:
        """Dagster's instance; ``DAGSTER_HOME`` wins when it is set."""
        given = os.environ.get("DAGSTER_HOME")
        return Path(given) if given and given not in _opened else self.root / "dagster"

    @property
    def scratch(self) -> Path:
        """Where stages write before their work is committed."""
        return self.root / "scratch"


def open_home(root: str | Path | None = None) -> Home:
    """Open, and make when needed, the studio's home.

    Args:
        root: The folder; ``STUDIO_HOME`` or ``./.studio`` when absent.

    Raises:
        StorageError: It cannot be made or written.
    """
    home = Home(Path(root or os.environ.get("STUDIO_HOME") or ".studio").expanduser().resolve())
    try:
        for folder in (home.root, home.store, home.scratch, home.dagster):
            folder.mkdir(parents=True, exist_ok=True)
        settings = home.dagster / "dagster.yaml"
        if not settings.exists():
            settings.write_text(_DAGSTER_YAML, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"the studio's home {home.root} can't be written ({error.strerror})", do="set STUDIO_HOME"
        ) from error
    dagster = str(home.dagster.resolve())
    if dagster == str(home.root / "dagster"):
        _opened.add(dagster)
    os.environ["STUDIO_HOME"] = str(home.root)
    os.environ["DAGSTER_HOME"] = dagster
    return home
