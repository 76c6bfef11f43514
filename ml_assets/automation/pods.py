"""The pods of a model's runs on Kubernetes, by the ``resources`` of its YAML.

Elsewhere these settings do nothing: the same YAML runs on a laptop.
"""

from typing import Any

import dagster as dg

from ml_assets.spec.model import ModelSpec
from ml_assets.spec.operation import ResourcesSpec

TAG = "dagster-k8s/config"


def pod_tags(spec: ModelSpec) -> dict[str, Any]:
    """Tags of a job for the pod of its run; none where the YAML asks for nothing.

    A run whose steps have pods of their own only watches them, and needs no more than
    any other: there the steps get the resources.
    """
    config = _pod(spec.resources)
    return {TAG: config} if config and spec.resources.executor == "in_process" else {}


def executor_of(spec: ModelSpec) -> dg.ExecutorDefinition | None:
    """The executor of a job; None where its steps share a process."""
    if spec.resources.executor == "in_process":
        return None
    pod = _pod(spec.resources)

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        given: dict[str, Any] = {"retries": {"enabled": {}}}
        chosen = dg.in_process_executor
        launcher = type(context.instance.run_launcher)
        if launcher.__module__.startswith("dagster_k8s"):
            # The client of Kubernetes takes seconds and 60 MB.
            from dagster_k8s import k8s_job_executor

            chosen = k8s_job_executor
            given |= {"step_k8s_config": pod}
        if chosen.executor_creation_fn is None:
            raise TypeError(f"executor {chosen.name} cannot be made")
        return chosen.executor_creation_fn(context._replace(executor_config=given))

    return dg.ExecutorDefinition(
        name="k8s",
        description="Each step in a pod of its own, where runs are pods.",
        requirements=dg.multiple_process_executor_requirements(),
        executor_creation_fn=create,
    )


def _pod(resources: ResourcesSpec) -> dict[str, Any]:
    """Settings that Dagster merges into the pods of the run launcher."""
    amounts = {
        kind: part.model_dump(exclude_none=True)
        for kind, part in (
            ("requests", resources.requests),
            ("limits", resources.limits),
        )
    }
    amounts = {kind: part for kind, part in amounts.items() if part}
    config: dict[str, Any] = {}
    if amounts:
        config["container_config"] = {"resources": amounts}
    if resources.node_selector:
        config["pod_spec_config"] = {"node_selector": dict(resources.node_selector)}
    return config
