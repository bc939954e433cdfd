"""One Dagster asset per stage, partitioned by shot. The work is in `line.make`; this only translates."""

import sys
from collections import Counter
from typing import Any

import dagster as dg

from studio_pipeline.dag.kubernetes import pod_tags
from studio_pipeline.line.graph import graph
from studio_pipeline.line.make import Outcome, make_stage
from studio_pipeline.line.queues import CPU
from studio_pipeline.line.shots import load_shot
from studio_pipeline.line.trouble import Again, Busy, Retry, decide, kind_of_again
from studio_pipeline.schema.errors import StudioError
from studio_pipeline.stages.base import Stage, Verdict

__all__ = ["SHOTS", "RefusingIOManager", "Studio", "build_assets", "describe"]

SHOTS = dg.DynamicPartitionsDefinition(name="shots")
QUEUE_TAG = "dagster-celery/queue"
PROCESS = "studio/process"  # tag of a run in process, where somebody waits for it: who runs it
PREVIEW_ROUTE = "/studio-artifacts"
PROVENANCE_ROUTE = "/studio-provenance"
REVIEW_ROUTE = "/studio-review"


class Studio(dg.ConfigurableResource):
    """Opens the studio's home; ``home`` empty means ``STUDIO_HOME``."""

    home: str = ""

    def store(self) -> Any:
        """The artifact store of the home."""
        from studio_pipeline.line.shots import open_studio

        return open_studio(self.home or None)


class RefusingIOManager(dg.IOManager):
    """Assets find their inputs in the store; nothing passes through Dagster, so nothing is ever pickled."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Refuse any value."""
        if obj is not None:
            raise TypeError("assets return MaterializeResult only; values live in the store")

    def load_input(self, context: dg.InputContext) -> Any:
        """Refuse always."""
        raise TypeError("assets depend on each other through the store, not through Dagster")


def build_assets() -> list[dg.AssetsDefinition]:
    """The assets of the graph, one a stage."""
    return [_build(stage) for stage in graph().values()]


def describe(outcome: Outcome, *, shot: str = "") -> dict[str, Any]:
    """What Dagster shows of an artifact: figures, where it lies and comes from, its pictures, what is said of it."""
    metadata: dict[str, Any] = {}
    for index, name in enumerate(outcome.previews):  # first: the page shows entries in their order
        url = f"{PREVIEW_ROUTE}/{outcome.key}/{outcome.generation}/{name}"
        metadata["preview" if index == 0 else f"preview_{index + 1}"] = dg.MetadataValue.md(f"![{name}]({url})")
    metadata |= {
        "version": outcome.version,
        "made": outcome.made,
        "backend": outcome.backend,
        "artifact": dg.MetadataValue.path(outcome.place),
        "seconds": round(outcome.seconds, 2),
    }
    place = f"{outcome.key}/{outcome.generation}"
    metadata["made_from"] = dg.MetadataValue.md(_made_from(outcome, shot) or "nothing upstream")
    metadata["provenance"] = dg.MetadataValue.md(f"[the whole chain]({PROVENANCE_ROUTE}/{place}) of `{place}`")
    for name, value in outcome.figures.items():
        metadata[name if name not in metadata else f"figure_{name}"] = value
    if shot and "review.html" in outcome.files:
        # The artifact can't change any more: what people say later is behind this address.
        metadata["review"] = dg.MetadataValue.md(f"[page, status and notes]({REVIEW_ROUTE}/{shot})")
    return metadata


def _made_from(outcome: Outcome, shot: str) -> str:
    """Links to the very artifacts that were read, and to their assets' pages."""
    partition = f"?view=partitions&partition={shot}" if shot else ""
    return "  \n".join(
        f"[{ref.name}](/assets/{ref.name}{partition}) "
        f"[`{ref.content_hash[:12]}`]({PROVENANCE_ROUTE}/{ref.key}/{ref.generation})"
        for ref in outcome.inputs
    )


def check_result(stage: str, verdict: Verdict) -> dg.AssetCheckResult:
    """A verdict as Dagster's asset check; only a blocking one holds later stages."""
    return dg.AssetCheckResult(
        check_name=verdict.name,
        asset_key=stage,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.ERROR if verdict.blocking else dg.AssetCheckSeverity.WARN,
        description=verdict.message,
    )


def _build(stage: Stage) -> dg.AssetsDefinition:
    @dg.asset(
        name=stage.name,
        deps=list(stage.inputs),
        partitions_def=SHOTS,
        description=stage.summary,
        group_name=_group(stage.name),
        check_specs=[dg.AssetCheckSpec(name, asset=stage.name, blocking=True) for name in stage.checks],
        code_version=str(stage.version),
        op_tags={QUEUE_TAG: CPU, **pod_tags(stage.name)},  # a shot whose backend wants a GPU goes elsewhere
    )
    def _asset(context: dg.AssetExecutionContext, studio: Studio) -> dg.MaterializeResult:
        outcome = _make(context, studio, stage.name)
        return dg.MaterializeResult(
            metadata=describe(outcome, shot=context.partition_key),
            data_version=dg.DataVersion(outcome.content_hash),
            check_results=[check_result(stage.name, verdict) for verdict in outcome.verdicts],
        )

    return _asset


def _make(context: dg.AssetExecutionContext, studio: Studio, name: str) -> Outcome:
    def again(error: Exception) -> Retry | None:
        return decide(error, _spent(context), farm=PROCESS not in context.run.tags)

    try:
        store = studio.store()
        shot = load_shot(store, context.partition_key)
        return make_stage(store, shot, name, run_id=context.run.run_id, again=again)
    except Again as asked:
        retry = asked
    except (Busy, StudioError) as error:
        if (decided := again(error)) is None:
            # The decision is made: no retry policy of Dagster's shall make another.
            raise dg.Failure(str(error), metadata={"kind": type(error).__name__}, allow_retries=False) from None
        retry = Again(decided)
    # Waiting as a retry holds no slot; how often is `decide`'s business, which reads it from the log.
    raise dg.RetryRequested(max_retries=sys.maxsize, seconds_to_wait=retry.retry.wait) from retry


def _spent(context: dg.AssetExecutionContext) -> Counter[str]:
    """How often this step was tried again before, by kind."""
    if not context.retry_number:
        return Counter()
    step = context.op_execution_context.get_step_execution_context().step.key
    spent: Counter[str] = Counter()
    for entry in context.instance.all_logs(context.run.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY):
        if entry.step_key == step and entry.dagster_event is not None:
            error = entry.dagster_event.step_retry_data.error
            spent[kind_of_again(error.cause.message if error and error.cause else "")] += 1
    return spent


def _group(name: str) -> str:
    groups = {
        "cast": ("character", "rig", "solid"),
        "direction": ("canonical_view", "directives", "takes", "take_report", "reference_clip"),
        "motion": ("observations", "lifted_motion", "refined_motion"),
        "delivery": ("delivery", "review"),
    }
    return next(group for group, names in groups.items() if name in names)
