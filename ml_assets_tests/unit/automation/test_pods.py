"""What a model's YAML says of the pods of its runs."""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster_k8s import K8sRunLauncher
from dagster_k8s.executor import K8sStepHandler
from dagster_k8s.job import get_user_defined_k8s_config
from pydantic import ValidationError

from ml_assets.automation.pods import TAG
from ml_assets_tests.conftest import definitions_of

WANTED = {
    "requests": {"cpu": 2, "memory": "4Gi"},
    "limits": {"memory": "8Gi"},
    "node_selector": {"pool": "training"},
}
POD = {
    "container_config": {
        "resources": {
            "requests": {"cpu": "2", "memory": "4Gi"},
            "limits": {"memory": "8Gi"},
        }
    },
    "pod_spec_config": {"node_selector": {"pool": "training"}},
}


def jobs_of(spec: Any) -> dict[str, dg.JobDefinition]:
    found = definitions_of(spec).resolve_all_job_defs()
    return {job.name: job for job in found if not job.name.startswith("__")}


def test_a_model_that_says_nothing_gets_no_tag(make_spec: Callable[..., Any]) -> None:
    jobs = jobs_of(make_spec())
    assert not any(TAG in job.tags for job in jobs.values())
    assert {job.executor_def.name for job in jobs.values()} == {"in_process"}


def test_the_pods_of_its_runs_get_what_it_wants(make_spec: Callable[..., Any]) -> None:
    jobs = jobs_of(make_spec(resources=WANTED))
    for name in ("train", "deploy", "monitor", "replay"):
        assert json.loads(jobs[f"churn_{name}"].tags[TAG]) == POD
        # As the run launcher reads it.
        assert get_user_defined_k8s_config(jobs[f"churn_{name}"].tags)
    assert TAG not in jobs["churn_rollback"].tags


def test_step_pods_get_it_in_place_of_the_run(
    make_spec: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(resources={**WANTED, "executor": "k8s"})
    jobs = jobs_of(spec)
    assert TAG not in jobs["churn_train"].tags
    assert jobs["churn_train"].executor_def.name == "k8s"
    monkeypatch.setattr("kubernetes.config.load_incluster_config", lambda: None)
    handler = _made(jobs["churn_train"], k8s_launcher())._step_handler
    assert isinstance(handler, K8sStepHandler)
    config = handler._executor_container_context.run_k8s_config
    assert config.container_config == POD["container_config"]
    assert config.pod_spec_config == POD["pod_spec_config"]


def test_away_from_a_cluster_the_same_job_runs_in_one_process(
    make_spec: Callable[..., Any],
) -> None:
    job = jobs_of(make_spec(resources={"executor": "k8s"}))["churn_train"]
    assert type(_made(job, None)).__name__ == "InProcessExecutor"


def k8s_launcher() -> K8sRunLauncher:
    return K8sRunLauncher(
        service_account_name="dagster",
        instance_config_map="dagster-instance",
        dagster_home="/opt/dagster",
        load_incluster_config=True,
    )


def _made(job: dg.JobDefinition, launcher: Any) -> Any:
    """The executor, as a run makes it with this run launcher."""
    with dg.DagsterInstance.ephemeral() as instance:
        if launcher is not None:
            instance._run_launcher = launcher
        context = dg.InitExecutorContext(
            job=InMemoryJob(job),
            executor_def=job.executor_def,
            executor_config={},
            instance=instance,
        )
        create = job.executor_def.executor_creation_fn
        assert create is not None
        return create(context)


@pytest.mark.parametrize(
    "resources, message",
    [
        ({"requests": {"memory": "4 GB"}}, "requests.memory"),
        ({"requests": {"cpu": "two"}}, "requests.cpu"),
        ({"requests": {"gpu": 1}}, "requests.gpu"),
        ({"executor": "pods"}, "executor"),
        (
            {"requests": {"memory": "4Gi"}, "limits": {"memory": "512Mi"}},
            "requests.memory is 4Gi, which is more than limits.memory, 512Mi",
        ),
    ],
)
def test_what_kubernetes_would_refuse_is_refused_here(
    resources: Any, message: str, make_spec: Callable[..., Any]
) -> None:
    with pytest.raises(ValidationError, match=message.replace(".", r"\W*")):
        make_spec(resources=resources)
