"""Steps as Kubernetes jobs, by Dagster's own classes against an API on loopback that keeps and runs what it gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
import yaml
from support.answers import in_turn
from support.cluster import Cluster, cluster

import studio_pipeline.dag.kubernetes as kubernetes
import studio_pipeline.line.queues as queues
from studio_pipeline.dag.build import JOB, build_definitions
from studio_pipeline.dag.kubernetes import GPU_RESOURCE, pod_config
from studio_pipeline.dag.launch import register_shots
from studio_pipeline.line.graph import graph
from studio_pipeline.line.queues import queue_of
from studio_pipeline.line.shots import save_shot
from studio_pipeline.schema.errors import InputError, StorageError, StorageRefused

pytest.importorskip("dagster_k8s")
ROOT = Path(__file__).parents[2]


def job_for_test() -> dg.JobDefinition:
    """What a pod's `dagster api` builds from its code location."""
    return build_definitions().resolve_job_def(JOB)


@pytest.fixture
def kube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STUDIO_EXECUTOR", "kubernetes")
    # The pods are threads here: a process has one logging to set up, and one standard output to capture.
    monkeypatch.setattr(dg.DagsterInstance, "get_yaml_python_handlers", lambda _: [])
    monkeypatch.setenv("STUDIO_STORE", str(tmp_path / "home" / "store"))
    with cluster(tmp_path) as made:
        launcher = {
            "service_account_name": "dagster",
            "instance_config_map": "dagster-instance",
            "dagster_home": "/opt/dagster/dagster_home",
            "load_incluster_config": False,
            "kubeconfig_file": str(made.kubeconfig),
            "job_image": "studio_pipeline:test",
            "job_namespace": "studio",
            "env_secrets": ["studio-store"],
        }
        settings = {
            "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": launcher},
            "compute_logs": {
                "module": "dagster._core.storage.noop_compute_log_manager",
                "class": "NoOpComputeLogManager",
            },
        }
        with dg.instance_for_test(overrides=settings, temp_dir=str(tmp_path)) as instance:
            made.instance = instance
            yield made


def run(kube: Cluster, store, shot, *stages: str) -> dg.ExecuteJobResult:
    save_shot(store, shot)
    register_shots(kube.instance, [shot.id])
    return dg.execute_job(
        dg.reconstructable(job_for_test),
        instance=kube.instance,
        asset_selection=[dg.AssetKey(stage) for stage in stages],
        tags={"dagster/partition": shot.id},
    )


def pods(kube: Cluster) -> dict[str, dict]:
    return {job["metadata"]["labels"]["dagster/op"]: job for job in kube.jobs.values()}


def test_every_step_is_a_job_that_asks_for_what_its_stage_needs(kube: Cluster, store, shots) -> None:
    (shot,) = shots()
    done = run(kube, store, shot, "character", "rig", "directives", "takes")
    assert done.success
    assert {stage for stage, job in pods(kube).items()} == {"character", "rig", "directives", "takes"}
    for stage, job in pods(kube).items():
        pod = job["spec"]["template"]["spec"]
        box = pod["containers"][0]
        wanted = pod_config(stage, gpu=False)["container_config"]["resources"]
        assert box["resources"] == wanted and GPU_RESOURCE not in wanted["limits"]
        assert box["image"] == "studio_pipeline:test"
        assert box["envFrom"] == [{"secretRef": {"name": "studio-store"}}]
        assert "nodeSelector" not in pod and "tolerations" not in pod
        assert pod["serviceAccountName"] == "dagster" and pod["restartPolicy"] == "Never"
        assert job["spec"]["backoffLimit"] == 0  # starting again is Dagster's business


def test_a_stage_whose_backend_computes_on_a_gpu_goes_to_a_node_with_one(
    kube: Cluster, store, shots, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = graph()["takes"]
    monkeypatch.setitem(takes.backends, "plate", replace(takes.backends["plate"], uses_gpu=True))
    (shot,) = shots("  stages: {takes: {backend: plate}}\n")
    assert run(kube, store, shot, "character", "rig", "directives", "takes").success
    assert [stage for stage in graph() if queue_of(store, shot.id, stage) == "gpu"] == ["takes"]
    for stage, job in pods(kube).items():
        pod = job["spec"]["template"]["spec"]
        limits = pod["containers"][0]["resources"]["limits"]
        if stage == "takes":
            assert limits == {"memory": "24Gi", "nvidia.com/gpu": "1"}
            assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
            assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
            assert {"name": "STUDIO_QUEUE", "value": "gpu"} in pod["containers"][0]["env"]
        else:
            assert GPU_RESOURCE not in limits and "nodeSelector" not in pod


def test_a_store_that_is_away_is_waited_for_before_a_node_is_chosen(toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "PAUSES", (0.0, 0.0))
    answers: list[Exception | str] = []

    monkeypatch.setattr(queues, "queue_of", in_turn(answers))
    tags = {"dagster/partition": "sh_010_0010"}
    answers[:] = [StorageError("away"), StorageError("away"), "gpu"]
    assert kubernetes._wants_gpu(tags, "takes") and not answers
    answers[:] = [StorageRefused("no rights"), InputError("no such shot")]
    assert not kubernetes._wants_gpu(tags, "takes") and not kubernetes._wants_gpu(tags, "takes")
    answers[:] = [StorageError("away")] * 3
    with pytest.raises(StorageError, match="away"):
        kubernetes._wants_gpu(tags, "takes")


def test_no_secret_is_in_a_job(kube: Cluster, store, shots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    (shot,) = shots()
    assert run(kube, store, shot, "character").success
    assert "planted-secret" not in str(kube.jobs)


def test_the_chart_gets_what_the_executor_needs_and_no_secret() -> None:
    values = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "values.yaml").read_text())
    (location,) = values["dagster-user-deployments"]["deployments"]
    assert location["dagsterApiGrpcArgs"] == ["--module-name", "studio_pipeline.dag.definitions"]
    said = {item["name"]: item["value"] for item in location["env"]}
    assert said["STUDIO_EXECUTOR"] == "kubernetes" and said["STUDIO_STORE"].startswith("s3://")
    assert location["includeConfigInLaunchedRuns"] == {"enabled": True}
    assert not [name for name in said if "SECRET" in name or "PASSWORD" in name or "KEY" in name]
    assert "postgresqlPassword" not in values["postgresql"]
    launcher = values["runLauncher"]
    assert launcher["type"] == "K8sRunLauncher" and list(launcher["config"]) == ["k8sRunLauncher"]
    assert {item["name"] for item in launcher["config"]["k8sRunLauncher"]["envSecrets"]} == {"studio-store"}
    # Dagster's own release and the chart go together.
    assert "dagster==1.13.27" in (ROOT / "pyproject.toml").read_text()
    assert "--version 1.13.27" in (ROOT / "docs" / "farm_kubernetes.md").read_text()
