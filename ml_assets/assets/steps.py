"""An asset as several steps: a list, one step for each of its items, and a join.

Each step is a process of its own with Dagster's multiprocess executor, and a pod of its
own with that of Kubernetes. One that fails or dies is repeated alone.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from ml_assets.assets.common import STEPS
from ml_assets.spec.model import ModelSpec

ATTEMPTS = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL)
NAME_LENGTH = 40


def step_arguments(spec: ModelSpec, name: str) -> dict[str, Any]:
    """Arguments of ``dg.op`` that these steps share; ops have unique names."""
    return {
        "name": f"{spec.name}__{name}",
        "tags": {"model": spec.name},
        "retry_policy": ATTEMPTS,
    }


def step_output(spec: ModelSpec) -> dict[str, Any]:
    """Arguments of a ``dg.Out`` or ``dg.DynamicOut`` that the next step reads."""
    return {"io_manager_key": STEPS, "metadata": {"model": spec.name}}


def fan_out(items: Iterable[tuple[str, Any]]) -> Iterator[dg.DynamicOutput[Any]]:
    """One dynamic output for each name and value, under a key that orders them."""
    for number, (name, value) in enumerate(items):
        label = re.sub(r"\W+", "_", name)[-NAME_LENGTH:]
        yield dg.DynamicOutput(value, mapping_key=f"{number:05d}_{label}".rstrip("_"))
