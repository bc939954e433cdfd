"""Steps as Kubernetes jobs: what each stage's pod asks for, and the executor that asks.

Runs are launched as pods by `dagster_k8s.K8sRunLauncher` (deploy/kubernetes/values.yaml); every step of a run is then a
job of its own. A step whose backend computes on a GPU goes to a node with one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg

__all__ = ["GPU_RESOURCE", "kubernetes_executor", "pod_config", "pod_tags"]

GPU_RESOURCE = "nvidia.com/gpu"
_GPU_NODES = {"nvidia.com/gpu.present": "true"}  # the label that NVIDIA's GPU operator puts on its nodes

# Memory of a stage's pod [GiB], twice what the demo's largest shot took and rounded up (docs/farm_kubernetes.md); a pod
# that needs more is killed, which the studio counts as a lost worker and then as out of memory.
_MEMORY = {"rig": 3, "takes": 3, "take_report": 3, "lifted_motion": 4, "refined_motion": 4, "delivery": 3}
_MEMORY_ELSE = 2
_GPU_MEMORY = 24  # [GiB] of the node: a video model is loaded there before it goes to the GPU
PAUSES = (1.0, 4.0, 10.0, 20.0, 30.0)  # [s] between looks at a store that is away for a moment
_CORES = {"lifted_motion": 2, "refined_motion": 2, "takes": 2, "rig": 2}


def pod_config(stage: str, *, gpu: bool) -> dict[str, Any]:
    """The ``dagster-k8s/config`` of a stage's pods: requests and limits, and for a GPU the node that has one."""
    memory = f"{_GPU_MEMORY if gpu else _MEMORY.get(stage, _MEMORY_ELSE)}Gi"
    requests = {"cpu": str(_CORES.get(stage, 1)), "memory": memory}
    limits = {"memory": memory}  # no limit of cores: a pod may use what its node has left
    config: dict[str, Any] = {
        "container_config": {"resources": {"requests": requests, "limits": limits}},
        # A pod that was lost is Dagster's to start again, with its attempt counted; Kubernetes starts none by itself.
        "job_spec_config": {"backoff_limit": 0, "ttl_seconds_after_finished": 86400},
    }
    if gpu:
        limits[GPU_RESOURCE] = "1"
        config["container_config"]["env"] = [{"name": "STUDIO_QUEUE", "value": "gpu"}]
        config["pod_spec_config"] = {
            "node_selector": dict(_GPU_NODES),
            "tolerations": [{"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}],
        }
    return config


def pod_tags(stage: str) -> dict[str, Any]:
    """Tags of a stage's asset: pods without a GPU, which `kubernetes_executor` replaces where a shot needs one."""
    return {"dagster-k8s/config": pod_config(stage, gpu=False)}


def kubernetes_executor() -> dg.ExecutorDefinition:
    """Dagster's own `k8s_job_executor`, whose steps go to a GPU node where the shot's backend computes on one.

    Raises:
        ImportError: dagster-k8s isn't installed.
    """
    from dagster_k8s import executor as k8s
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import UserDefinedDagsterK8sConfig

    @dg.executor(
        name="kubernetes",
        config_schema=k8s.k8s_job_executor.config_schema,
        requirements=dg.multiple_process_executor_requirements(),
    )
    def _executor(context: dg.InitExecutorContext) -> dg.Executor:
        made = k8s.k8s_job_executor.executor_creation_fn(context)  # type: ignore[misc]
        handler = made._step_handler  # type: ignore[union-attr]
        plain = handler._get_container_context

        def placed(step: Any) -> Any:
            stage = handler._get_step_key(step)
            if not _wants_gpu(step.dagster_run.tags, stage):
                return plain(step)
            config = UserDefinedDagsterK8sConfig.from_dict(pod_config(stage, gpu=True))
            return plain(step).merge(K8sContainerContext(run_k8s_config=config))

        handler._get_container_context = placed
        return made

    return _executor


def _wants_gpu(tags: Mapping[str, str], stage: str) -> bool:
    """Whether the step of this run does; a shot that is refused fails in its pod, where it is told.

    Raises:
        StorageError: The store couldn't be read for a minute: the run fails rather than send a GPU's work to a CPU.
    """
    from studio_pipeline.line.queues import GPU, queue_of
    from studio_pipeline.line.shots import open_studio
    from studio_pipeline.schema.errors import StorageError, StorageRefused, StudioError

    for pause in (*PAUSES, None):
        try:
            return queue_of(open_studio(reading=True), tags["dagster/partition"], stage) == GPU
        except StudioError as error:
            if not isinstance(error, StorageError) or isinstance(error, StorageRefused):
                return False
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")
