"""The farm's run launcher: runs are processes of the code location, and somebody asks whether they still live."""

from __future__ import annotations

from dagster import DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

__all__ = ["WatchedRunLauncher"]


class WatchedRunLauncher(DefaultRunLauncher):
    """`DefaultRunLauncher` that can say whether a run's process is alive.

    The code location's server notices itself when a run's process dies. When the server dies too (its container, its
    machine), nobody is left to notice: Dagster's monitoring asks here, and the server that took its place doesn't know
    the run.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Ask the server that started the run; one that doesn't answer is asked again at the next round."""
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:
            return CheckRunHealthResult(WorkerStatus.FAILED, "no code location has started this run")
        request = CanCancelExecutionRequest(run_id=run.run_id)
        try:
            answer = deserialize_value(client.can_cancel_execution(request, timeout=10), CanCancelExecutionResult)
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the code location doesn't answer just now")
        if answer.can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished or now.status != run.status:
            return CheckRunHealthResult(WorkerStatus.SUCCESS)
        return CheckRunHealthResult(WorkerStatus.FAILED, "its process is gone")
