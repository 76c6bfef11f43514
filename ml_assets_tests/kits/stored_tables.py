"""Rows of tables and steps, dated as a test needs them."""

import pandas as pd

from ml_assets.state.engine import writing
from ml_assets.state.rows import replace
from ml_assets.state.schema import CURRENT, step_values, table_pointers


def frame(version: str, rows: int = 3, **attributes: str) -> pd.DataFrame:
    """A table that says that it is of a data version."""
    made = pd.DataFrame({"age": range(rows), "sex": ["f", "m", "f"][:rows]})
    made.attrs |= {"data_version": version, **attributes}
    return made


def point(model: str, stage: str, run: str, version: str) -> None:
    """Let a run point at a table, as the current one."""
    with writing(model) as connection:
        for name in (run, CURRENT):
            row = {"model": model, "stage": stage, "run": name, "made": 0.0}
            replace(connection, table_pointers, **row, data_version=version)


def backdate(model: str, moment: float) -> None:
    """Date every row of tables and steps at Unix second `moment`."""
    with writing(model) as connection:
        for rows in (table_pointers, step_values):
            connection.execute(rows.update().values(made=moment))
