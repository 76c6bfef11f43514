"""Small values that the steps of one asset hand to each other.

They are read by steps in other processes, on other machines, and by a later run that
goes on where this one failed.
"""

import json
import time
from typing import Any, NamedTuple

from sqlalchemy import func, select

from ml_assets.state.engine import writing
from ml_assets.state.rows import delete_rows, matching, read_rows, read_value, replace
from ml_assets.state.schema import step_values


class MissingStepError(LookupError):
    """The output of an earlier step is no longer there."""


class RunSteps(NamedTuple):
    """The values of one run: when the last was written (Unix seconds), and bytes."""

    run: str
    made: float
    size: int


class StepValues:
    """The values of the steps of every model."""

    def write(self, model: str, run: str, name: str, value: Any) -> None:
        """Keep what a step returned, as JSON; a repeated step replaces it."""
        key = {"model": model, "run": run, "name": name}
        text = json.dumps(value)
        with writing(model) as connection:
            replace(connection, step_values, **key, value=text, made=time.time())

    def read(self, model: str, run: str, name: str) -> Any:
        """What a step returned.

        Raises
        ------
        MissingStepError
            If it is not there.
        """
        same = matching(step_values, model=model, run=run, name=name)
        found = read_value(select(step_values.c.value).where(same))
        if found is None:
            raise MissingStepError(
                f"the output {name} of run {run} of {model} is no longer there;"
                " start a new run"
            )
        return json.loads(found)

    def runs(self, model: str) -> list[RunSteps]:
        """The runs that have values."""
        row = step_values.c
        size = func.sum(func.length(row.value))
        wanted = select(row.run, func.max(row.made), size).where(row.model == model)
        found = read_rows(wanted.group_by(row.run))
        return [RunSteps(run, made, int(size)) for run, made, size in found]

    def remove(self, model: str, run: str) -> None:
        """Remove the values of a run."""
        delete_rows(model, step_values, model=model, run=run)
