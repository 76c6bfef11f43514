"""One sensor over every model: a fault of one keeps no other back."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import dagster as dg

Answer = TypeVar("Answer")


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


def skip_reason(
    reasons: Iterable[str], failed: Iterable[str], nothing: str
) -> dg.SkipReason:
    """Why no run is asked for, in one sentence for each model that has a reason."""
    faults = [f"{model}: the tick failed, see its log" for model in failed]
    return dg.SkipReason("; ".join([*reasons, *faults]) or nothing)
