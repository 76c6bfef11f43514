"""Drift: whether a window of rows is still distributed like the training rows."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import pandas as pd
from numpy.typing import ArrayLike

from ml_assets.ml.column_drift import (
    ColumnDrift,
    category_drift,
    number_drift,
    prediction_drift,
)
from ml_assets.ml.duplicates import independent_rows
from ml_assets.ml.predictions import Predictions
from ml_assets.ml.profile import Profile
from ml_assets.ml.two_sample import holm


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `compare` found; JSON by `msgspec.json`.

    Parameters
    ----------
    rows_reference, rows_window : int
    rows_counted : int
        Of the window, without repeated rows and entities.
    alpha, floor : float
        As given to `compare`.
    enough : bool
        Whether the window had rows enough to find drift in.
    drifted : bool
        Whether a column drifted.
    sentence : str
        The finding in words.
    columns : tuple of ColumnDrift
        Largest excess of PSI over its noise first.
    """

    rows_reference: int
    rows_window: int
    rows_counted: int
    alpha: float
    floor: float
    enough: bool
    drifted: bool
    sentence: str
    columns: tuple[ColumnDrift, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        value: dict[str, Any] = msgspec.to_builtins(self)
        return value


def compare(
    reference: Profile,
    frame: pd.DataFrame,
    predicted: Predictions | ArrayLike | None = None,
    *,
    entities: Sequence[str | None] | None = None,
    ignore: Collection[str] = (),
    alpha: float = 0.01,
    floor: float = 0.1,
    minimum_rows: int = 100,
) -> DriftReport:
    """Compare a window of rows with the reference profile, column by column.

    A column drifted when its difference is surprising, by a p-value that Holm's method
    adjusts for the number of columns, and large, by a population stability index that
    exceeds its own sampling noise by `floor`. The first keeps small windows from
    alarming by chance, the second large windows from alarming by size.

    Parameters
    ----------
    reference : Profile
        Of the version's training rows.
    frame : DataFrame of shape (n_rows, n_columns)
        The window, with every column of the profile; others are ignored.
    predicted : Predictions or array-like of shape (n_predictions,), optional
        What was predicted for the window; an array is of probabilities. Compared as one
        more column, and so are the classes.
    entities : sequence of str or None, of length n_rows, optional
        Whom each row is about; see `~ml_assets.ml.duplicates.independent_rows`.
    ignore : collection of str
        Columns that are not compared, because they have a season.
    alpha : float
        Chance of finding drift in a window that has none.
    floor : float
        Least excess of PSI that counts as drift; 0.1 is the customary "moderate".
    minimum_rows : int
        Of those that count; below it nothing is found, and the sentence is that.

    Raises
    ------
    KeyError
        If `frame` lacks a column of the profile.
    ValueError
        If a numeric column holds something that is no number.

    Examples
    --------
    >>> import numpy as np
    >>> from ml_assets.ml.profile import profile
    >>> rng = np.random.default_rng(0)
    >>> before = pd.DataFrame({"age": rng.normal(40, 10, 5_000)})
    >>> after = pd.DataFrame({"age": rng.normal(46, 10, 500)})
    >>> report = compare(profile(before, np.full(5_000, 0.5)), after)
    >>> report.sentence
    '1 of 1 columns drifted over 500 rows: age (PSI 0.34)'
    """
    names = {*reference.numbers, *reference.categories} - {*ignore}
    absent = sorted(name for name in names if name not in frame.columns)
    if absent:
        raise KeyError(
            f"the window has no column '{absent[0]}' of the reference profile;"
            f" it has {', '.join(map(str, frame.columns))}"
        )
    counted = independent_rows(
        frame[sorted({*reference.numbers, *reference.categories} & {*frame.columns})],
        reference.alike,
        entities,
    )
    enough = len(counted) >= minimum_rows
    found: list[ColumnDrift] = []
    if len(counted):
        given = None if predicted is None else Predictions.of(predicted)
        if given is not None and len(given.values) == len(frame):
            given = given.take(counted)
        found = _columns(reference, frame.iloc[counted], given, ignore)
    adjusted = holm([column.p_value for column in found])
    columns = [
        msgspec.structs.replace(
            column,
            p_adjusted=p,
            drifted=enough and p <= alpha and column.excess >= floor,
        )
        for column, p in zip(found, adjusted)
    ]
    columns.sort(key=lambda column: -column.excess)
    return DriftReport(
        rows_reference=reference.rows,
        rows_window=len(frame),
        rows_counted=len(counted),
        alpha=alpha,
        floor=floor,
        enough=enough,
        drifted=any(column.drifted for column in columns),
        sentence=_sentence(columns, len(frame), len(counted), minimum_rows),
        columns=tuple(columns),
    )


def _columns(
    reference: Profile,
    frame: pd.DataFrame,
    predicted: Predictions | None,
    ignore: Collection[str],
) -> list[ColumnDrift]:
    found = [
        number_drift(name, before, frame[name])
        for name, before in reference.numbers.items()
        if name not in ignore
    ]
    found += [
        category_drift(name, before, frame[name])
        for name, before in reference.categories.items()
        if name not in ignore
    ]
    if predicted is not None and len(predicted.values):
        used = {column.column for column in found} | {*ignore}
        found += [
            _renamed(column, used) for column in prediction_drift(reference, predicted)
        ]
    return found


def _renamed(column: ColumnDrift, used: Collection[str]) -> ColumnDrift:
    """What was predicted under a name that no input has, such as `probability`."""
    name = column.column
    while name in used:
        name = f"{name} (predicted)"
    return msgspec.structs.replace(column, column=name)


def _sentence(
    columns: list[ColumnDrift], rows: int, counted: int, minimum_rows: int
) -> str:
    over = f"{rows:,} rows"
    if counted < rows:
        over += f" ({counted:,} without repetitions)"
    if counted < minimum_rows:
        return f"{over} are too few to tell; {minimum_rows:,} are needed"
    drifted = [column for column in columns if column.drifted]
    if not drifted:
        return f"none of {len(columns)} columns drifted over {over}"
    named = ", ".join(f"{column.column} (PSI {column.psi:.2f})" for column in drifted)
    finding = f"{len(drifted)} of {len(columns)} columns drifted over {over}: "
    hints = [
        f"; {column.column}: {column.hint}: if it is, name it in monitoring.ignore"
        for column in drifted
        if column.hint and column.kind != "prediction"
    ]
    return finding + named + "".join(hints)
