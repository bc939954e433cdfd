"""What is cancelled stays ended, however early in a run's life that is."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster._core.storage.tags import WILL_RETRY_TAG

import studio_pipeline.dag.launch as launch
from studio_pipeline.dag.cancel import cancel_runs


class Dying:
    """Launches nothing; what it is told to terminate dies of the signal, as a process does that isn't up yet."""

    def __init__(self, instance: dg.DagsterInstance, *, of_itself: bool) -> None:
        self.instance, self.of_itself = instance, of_itself

    def terminate(self, run_id: str) -> bool:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        if not self.of_itself:
            self.instance.report_run_canceling(run)
        self.instance.report_run_failed(run, "Run execution process unexpectedly exited.")
        return not self.of_itself


@pytest.mark.parametrize(("of_itself", "now"), [(False, "cancelled"), (True, "failure")])
def test_a_run_that_dies_while_it_starts_is_cancelled_and_not_begun_again(
    toy, shots, store, monkeypatch: pytest.MonkeyPatch, of_itself: bool, now: str
) -> None:
    launch._job.cache_clear()
    with dg.instance_for_test(overrides={"run_retries": {"enabled": True, "max_retries": 3}}) as instance:
        run = instance.create_run_for_job(
            launch._job(), tags={"dagster/partition": "toy_a_0010"}, status=dg.DagsterRunStatus.STARTING
        )
        dying = Dying(instance, of_itself=of_itself)
        monkeypatch.setattr(type(instance), "run_launcher", property(lambda self: dying))
        (found,) = cancel_runs(instance, [run], wait=5.0)
        assert (found.was, found.now) == ("running", now)
        after = instance.get_run_by_id(run.run_id)
        assert after is not None and after.is_finished and after.tags[WILL_RETRY_TAG] == "false"
    launch._job.cache_clear()
