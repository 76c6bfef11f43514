"""Edge cases on which a compiled pipeline must agree with scikit-learn."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.core.tolerance import is_close, scale_of
from ml_assets.records.plan import Column, Signature
from ml_assets.serving.compiler.encoding import NotCompiled
from ml_assets.serving.runtime.program import Program
from ml_assets.serving.runtime.protocol import Refused, Runtime

# A few thousand rows take scikit-learn well under a second.
MAX_CUTS = 256
# Each is a call of scikit-learn of its own.
MAX_REFUSED = 16
HUGE = (1e15, 1e38, 3.5e38, 1e300)
UNSEEN = "a category that training never saw \N{SNOWMAN}"


def check_answers(
    compiled: Runtime,
    reference: Runtime,
    rows: list[list[Any]],
    program: Program,
    cuts: dict[int, NDArray[np.float64]],
) -> None:
    """Compare both runtimes on the probe rows and on generated edge cases.

    Parameters
    ----------
    compiled, reference : Runtime
    rows : list of list
        Probe columns.
    program : Program
        What is checked.
    cuts : dict
        Request column to the values at which the answer may change.

    Raises
    ------
    NotCompiled
        At the first row that is answered otherwise, or by one of the two alone.
    """
    edges = list(zip(*_edge_rows(compiled.signature, rows, program, cuts)))
    scale = scale_of(reference.predict_many(rows))
    _compare(compiled, reference, rows, scale)
    _compare(compiled, reference, edges, scale)


def _edge_rows(
    signature: Signature,
    rows: list[list[Any]],
    program: Program,
    cuts: dict[int, NDArray[np.float64]],
) -> Iterator[list[Any]]:
    """Probe rows with one value replaced."""
    known = {source.column: source.categories for source in program.category}
    count = len(rows[0])
    turn = 0
    for index, column in enumerate(signature.columns):
        values = _edge_values(column, known.get(index, []), cuts.get(index))
        for value in values:
            row = [item[turn % count] for item in rows]
            row[index] = value
            turn += 1
            yield row


def _edge_values(
    column: Column, categories: list[Any], cuts: NDArray[np.float64] | None
) -> list[Any]:
    missing: list[Any] = [None]
    if column.kind == "string":
        return [*categories, UNSEEN, "", *missing]
    if column.kind == "boolean":
        return [True, False, *(missing if column.nullable else [])]
    found = np.array([]) if cuts is None else cuts
    if len(found) > MAX_CUTS:
        found = found[np.linspace(0, len(found) - 1, MAX_CUTS).astype(int)]
    near = [found, np.nextafter(found, -np.inf), np.nextafter(found, np.inf)]
    numbers = [*np.concatenate(near).tolist(), *map(float, categories), 0.0, -0.0]
    numbers += [sign * value for value in HUGE for sign in (1.0, -1.0)]
    return [*(value for value in numbers if np.isfinite(value)), *missing]


def _compare(
    compiled: Runtime, reference: Runtime, columns: list[Any], scale: float
) -> None:
    alone = [_answer(compiled, row) for row in zip(*columns)]
    is_refused = np.array([answer is None for answer in alone])
    _check_refused(reference, columns, np.flatnonzero(is_refused))
    answered = np.flatnonzero(~is_refused)
    if not len(answered):
        return
    columns = [[column[row] for row in answered] for column in columns]
    batch = compiled.predict_many(columns)
    try:
        expected = reference.predict_many(columns)
    except Refused as error:
        raise NotCompiled(f"scikit-learn alone refuses a row: {error}") from error
    for found in (np.array([alone[row] for row in answered]), batch):
        same = is_close(found, expected, scale)
        if not same.all():
            row = int(np.argmin(same))
            raise NotCompiled(
                f"the compiled answer {found[row]!r} is not scikit-learn's"
                f" {expected[row]!r} for {[column[row] for column in columns]}"
            )


def _check_refused(
    reference: Runtime, columns: list[Any], refused: NDArray[np.intp]
) -> None:
    """A sample of the rows that the compiled runtime refuses, one by one."""
    sample = np.linspace(0, len(refused) - 1, min(MAX_REFUSED, len(refused)))
    for row in refused[sample.astype(int)]:
        values = [column[row] for column in columns]
        if _answer(reference, values) is not None:
            raise NotCompiled(f"scikit-learn alone answers {values}")


def _answer(runtime: Runtime, row: Any) -> Any:
    """The answer to one row; None where it is refused, or is no number."""
    try:
        found = runtime.predict_one(list(row))
    except Refused:
        return None
    return None if np.isnan(found).any() else found
