"""Dagster's Celery executor with the farm's messages: its loop, our queues, results from the event log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import dagster as dg
from celery.exceptions import TaskRevokedError
from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._serdes import serialize_value
from dagster_celery.core_execution_loop import core_celery_execution_loop
from dagster_celery.executor import CeleryExecutor
from dagster_celery.tags import DAGSTER_CELERY_RUN_PRIORITY_TAG

from studio_pipeline.dag.celery_app import QUEUES, STEP_TASK, celery_app, message_priority, queue_named
from studio_pipeline.dag.connections import hold_connections
from studio_pipeline.dag.step_log import StepLog
from studio_pipeline.line.queues import queue_of
from studio_pipeline.line.shots import open_studio
from studio_pipeline.schema.errors import StorageError, StorageRefused, StudioError

__all__ = ["StepHandle", "farm_executor"]

LOST_AFTER = 60.0  # [s] an empty queue and a step that nobody has begun: its message is gone
LOOK_AGAIN_AFTER = 5.0  # [s] the store couldn't be read when it was to say which queue a step goes to
LET_GO_AFTER = 30.0  # [s] a step that doesn't answer a cancelled run isn't waited for any longer


@dg.executor(
    name="celery",
    config_schema={"retries": get_retries_config()},
    requirements=dg.multiple_process_executor_requirements(),
)
def farm_executor(init_context: dg.InitExecutorContext) -> FarmExecutor:
    """Steps are made by the farm's workers (`studio worker`); the broker comes from the environment."""
    return FarmExecutor(retries=RetryMode.from_config(init_context.executor_config["retries"]))


class FarmExecutor(CeleryExecutor):
    """`CeleryExecutor` that asks the farm's own application for steps."""

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Run the plan; the events are those of the workers."""
        hold_connections(plan_context.instance)
        log = StepLog(plan_context.instance, plan_context.run_id)

        def ask(_app: Any, context: Any, step: Any, queue: str, _priority: int, known_state: Any) -> StepHandle:
            return StepHandle(
                log,
                run_id=context.run_id,
                step=step.key,
                queue=partial(_queue, context, step.key, queue),
                priority=message_priority(_priority_of(context)),
                known_state=serialize_value(known_state),
                say=lambda line: context.instance.report_engine_event(line, context.dagster_run, step_key=step.key),
            )

        return core_celery_execution_loop(plan_context, execution_plan, step_execution_fn=ask)

    def app_args(self) -> dict[str, Any]:
        """The loop makes an application to read defaults from; it connects to nothing."""
        return {"broker": "memory://", "backend": "disabled://"}


class StepHandle:
    """A step that was asked for; what the loop takes for Celery's ``AsyncResult``."""

    def __init__(
        self,
        log: StepLog,
        *,
        run_id: str,
        step: str,
        queue: Callable[[], str],
        priority: int,
        known_state: str,
        say: Callable[[str], None],
    ) -> None:
        """Ask for the step.

        Args:
            log: What becomes of it is read there.
            run_id: The run it belongs to.
            step: Its key.
            queue: Finds the queue it goes to; asked again while it raises `StorageError`.
            priority: Of the message.
            known_state: Dagster's state of the run's retries, serialized.
            say: Takes a line for people.
        """
        self._log, self._step, self._find_queue, self._priority = log, step, queue, priority
        self._message = {"run_id": run_id, "step": step, "known_state": known_state}
        self._revoked_at: float | None = None
        self._say, self._queue = say, ""
        self._look_for_queue()

    def ready(self) -> bool:
        """Whether the step has ended, or needn't be waited for."""
        if self._log.ended(self._step):
            return True
        if not self._queue:  # nobody was asked yet
            if self._revoked_at is None and time.monotonic() - self._looked_at > LOOK_AGAIN_AFTER:
                self._look_for_queue()
            return self._revoked_at is not None
        begun = self._log.begun(self._step)
        if self._revoked_at is not None:
            return not begun or time.monotonic() - self._revoked_at > LET_GO_AFTER
        if not begun and time.monotonic() - self._asked_at > LOST_AFTER:
            self._ask_again_if_lost()
        return False

    def get(self) -> list[str]:
        """The step's events, serialized as the loop wants them.

        Raises:
            TaskRevokedError: The run was cancelled before there were any.
        """
        events = self._log.take(self._step) if self._log.ended(self._step) else []
        if not events:
            raise TaskRevokedError(f"step {self._step} was cancelled")
        return [serialize_value(event) for event in events]

    def revoke(self) -> None:
        """Stop waiting. Workers ask Dagster whether the run still goes on, before a step and while they make it."""
        self._revoked_at = time.monotonic()

    def _look_for_queue(self) -> None:
        """A GPU step that went to a CPU worker because the store was away for a moment would stay there: it waits."""
        self._looked_at = time.monotonic()
        try:
            self._queue = self._find_queue()
        except StorageError as error:
            say, self._say = self._say, lambda _: None  # once is enough
            say(f"{self._step} waits: its queue is read from the store. {error}")
            return
        self._send()

    def _send(self) -> None:
        celery_app().send_task(
            STEP_TASK,
            kwargs=self._message,
            queue=queue_named(self._queue),
            routing_key=self._queue,
            priority=self._priority,
            ignore_result=True,
        )
        self._asked_at, self._looked_empty = time.monotonic(), False

    def _ask_again_if_lost(self) -> None:
        """A broker that lost its disk lost the message too. Asked for twice does no harm: the store makes it once."""
        self._asked_at = time.monotonic()
        try:
            with celery_app().connection_for_write(connect_timeout=3) as connection:
                waiting = queue_named(self._queue)(connection.default_channel).queue_declare(passive=True)
            empty = waiting.message_count == 0
        except Exception as error:  # every transport has its own kinds
            # No such queue: whoever kept it has forgotten it. No broker: nothing can be said.
            empty = getattr(error, "reply_code", None) == 404
        # Twice in a row: between the queue and the first event of the step there is a moment.
        if empty and self._looked_empty:
            self._send()
        else:
            self._looked_empty = empty


def _queue(context: Any, step: str, tagged: str) -> str:
    """The queue of the stage's tag, unless this shot's backend of it wants the other one.

    Raises:
        StorageError: The store can't be read now.
    """
    default = tagged if tagged in QUEUES else QUEUES[0]
    shot = context.dagster_run.tags.get("dagster/partition", "")
    try:
        return queue_of(open_studio(reading=True), shot, step) or default
    except StudioError as error:
        if isinstance(error, StorageError) and not isinstance(error, StorageRefused):
            raise
        return default  # asking again changes nothing, and the step itself says what is wrong


def _priority_of(context: Any) -> int:
    try:
        return int(context.dagster_run.tags.get(DAGSTER_CELERY_RUN_PRIORITY_TAG, "0"))
    except ValueError:
        return 0
