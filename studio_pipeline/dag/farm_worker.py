"""`studio worker`: one process that makes steps, one that talks to the broker; nothing is lost when either dies."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from celery import Task
from celery.apps.worker import Worker
from celery.exceptions import Reject
from celery.signals import setup_logging, worker_ready
from celery.worker import state

from studio_pipeline.dag.celery_app import STEP_TASK, celery_app, queue_named
from studio_pipeline.line.home import open_home
from studio_pipeline.line.processes import process_name, sweep
from studio_pipeline.models.kept import keep_models
from studio_pipeline.schema.errors import one_line

__all__ = ["work"]

PAUSE = 5.0  # [s] before a step that couldn't be told to Dagster goes back to the queue
ALIVE_EVERY = 10.0  # [s]

_log = logging.getLogger("studio.worker")


def work(queues: Sequence[str], *, alive: Path | None = None) -> int:
    """Make steps of these queues until told to end; returns the exit code.

    SIGTERM or Ctrl-C: the step at hand is finished first. A second one: at once; another worker makes the step.

    Args:
        queues: Of `celery_app.QUEUES`; the first is preferred when several have work only as the broker likes.
        alive: A file touched every few seconds while this worker listens, for a health check.

    Raises:
        InputError: A queue or the broker isn't what it should be.
    """
    wanted = [queue_named(name).name for name in queues]
    name = f"{'-'.join(wanted)}-{process_name()}"
    app = celery_app()
    _add_step_task(app, name)
    _set_up_logging()
    sweep(open_home().scratch)
    _preload()
    keep_models("cpu" not in wanted)  # other steps in the same process want the memory
    if alive is not None:
        worker_ready.connect(lambda sender, **_: _touch_often(sender, alive), weak=False)
    worker = _Program(
        app=app,
        hostname=f"{name}@studio",
        queues=wanted,
        pool_cls="prefork",
        concurrency=1,
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    _log.info("%s listens to %s", name, ", ".join(wanted))
    worker.start()
    return int(worker.exitcode or 0)


class _Program(Worker):
    """Celery's worker as a program, with signals that do what an operator expects of them."""

    def install_platform_tweaks(self, worker: Any) -> None:
        super().install_platform_tweaks(worker)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._leave)

    def _leave(self, *_: Any) -> None:
        if state.should_stop is None:
            os.write(2, b"studio worker: ends after its step; once more ends it at once\n")
            state.should_stop = 0
            return
        # What isn't acknowledged goes back to the queue, and the lease of a dead process is anybody's.
        for process in self._children():
            os.kill(process.pid, signal.SIGKILL)
        os._exit(1)

    def _children(self) -> list[Any]:
        return list(getattr(getattr(getattr(self, "pool", None), "_pool", None), "_pool", None) or [])


def _add_step_task(app: Any, worker: str) -> None:
    @app.task(bind=True, name=STEP_TASK, ignore_result=True, acks_late=True, reject_on_worker_lost=True)
    def _step(task: Task, run_id: str, step: str, known_state: str) -> None:
        from studio_pipeline.dag.farm_step import make_step

        began = time.monotonic()
        try:
            told = make_step(run_id, step, known_state, worker=worker)
        except Exception as error:
            _log.error("%s %s: %s; it goes back to the queue", run_id[:8], step, one_line(error)[:300])
            time.sleep(PAUSE)
            raise Reject(error, requeue=True) from error
        _log.info("%s %s: %s (%.1f s)", run_id[:8], step, told, time.monotonic() - began)


def _preload() -> None:
    from studio_pipeline.dag.farm_step import preload

    preload()


def _touch_often(consumer: Any, alive: Path) -> None:
    alive.touch()
    consumer.timer.call_repeatedly(ALIVE_EVERY, alive.touch)


def _set_up_logging() -> None:
    def configure(**_: Any) -> None:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.WARNING)
        _log.setLevel(logging.INFO)
        logging.getLogger("dagster").setLevel(logging.CRITICAL)  # its events are in its database

    setup_logging.connect(configure, weak=False)
    configure()
