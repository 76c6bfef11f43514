"""One sensor over every model: a fault of one keeps no other back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import dagster as dg
import msgspec

from ml_assets.spec.model import ModelSpec

Answer = TypeVar("Answer")
Tick = Callable[[dg.SensorEvaluationContext, Mapping[str, ModelSpec]], dg.SensorResult]


def model_sensor(
    name: str,
    tick: Tick,
    specs: Sequence[ModelSpec],
    jobs: Sequence[Any],
    seconds: int,
    description: str,
) -> dg.SensorDefinition:
    """A sensor over `specs`, which starts `jobs`: one of each model."""
    by_name = {spec.name: spec for spec in specs}

    @dg.sensor(
        name=name,
        jobs=jobs,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return tick(context, by_name)

    return sensor


def each_model(
    context: dg.SensorEvaluationContext,
    models: Iterable[str],
    answer: Callable[[str], Answer],
) -> tuple[dict[str, Answer], list[str]]:
    """What `answer` gives for each model, and the models for which it failed.

    Raises
    ------
    Exception
        What it raised, where it failed for every model: then the tick fails, too.
    """
    found, faults = {}, {}
    for model in sorted(models):
        try:
            found[model] = answer(model)
        except Exception as error:  # whatever it is, it is this model's
            context.log.exception(f"{model}: the tick failed: {error}")
            faults[model] = error
    if faults and not found:
        raise next(iter(faults.values()))
    return found, [*faults]


def tick_result(
    requests: list[dg.RunRequest],
    reasons: Iterable[str],
    failed: Iterable[str],
    nothing: str,
    cursor: msgspec.Struct | None = None,
) -> dg.SensorResult:
    """The runs that are asked for; else why not, a sentence for each model."""
    faults = [f"{model}: the tick failed, see its log" for model in failed]
    reason = dg.SkipReason("; ".join([*reasons, *faults]) or nothing)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else reason,
        cursor=None if cursor is None else msgspec.json.encode(cursor).decode(),
    )
