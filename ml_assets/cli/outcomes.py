"""What becomes of each row of a batch: an answer, or why the model refuses it."""

from collections.abc import Sequence

import msgspec

from ml_assets.cli.rows import Row
from ml_assets.cli.scorers import Prediction, Refusal, Scorer
from ml_assets.serving.requests.problems import FieldError

# What a refusal finds in a column that the model does not take.
UNKNOWN = "an unknown column"
Outcome = Prediction | Refusal


def outcomes(scorer: Scorer, rows: Sequence[Row]) -> list[Outcome]:
    """The outcome of each row, whatever the others are.

    A refusal names some of the rows that do not fit, and the request as a whole is not
    answered: those that it names are left out and the rest is asked for again; where it
    names none, the rows are halved until it is clear which one is meant.
    """
    found: dict[int, Outcome] = {}
    waiting = [[*range(len(rows))]]
    while waiting:
        group = waiting.pop()
        if not group:
            continue
        body = msgspec.json.encode({"rows": [rows[place] for place in group]})
        try:
            found.update(zip(group, scorer.score(body), strict=True))
        except Refusal as refusal:
            named = _by_row(refusal) if len(group) > 1 else {0: refusal.errors}
            for number, errors in named.items():
                found[group[number]] = Refusal(str(refusal), errors)
            rest = [place for n, place in enumerate(group) if n not in named]
            half = 0 if named else len(group) // 2
            waiting += [rest[half:], rest[:half]]
    return [found[place] for place in range(len(rows))]


def _by_row(refusal: Refusal) -> dict[int, list[FieldError]]:
    named: dict[int, list[FieldError]] = {}
    for error in refusal.errors:
        if error.row is not None:
            named.setdefault(error.row, []).append(error)
    return named


def reason(refusal: Refusal) -> str:
    """Why one row is refused, without its number."""
    errors = [msgspec.structs.replace(error, row=None) for error in refusal.errors]
    return "; ".join(dict.fromkeys(map(str, errors))) or str(refusal)


def told(refusal: Refusal, done: int) -> str:
    """What is wrong where, with rows counted from 1 over the whole file."""
    if not refusal.errors:
        return f"rows from {done + 1:,} on are refused: {refusal}"
    # The same fault of each row is told once, at its first row.
    first: dict[tuple[str | None, str, str], FieldError] = {}
    for error in refusal.errors:
        first.setdefault((error.column, error.expected, error.found), error)
    lines = [str(_counted(error, done)) for error in first.values()]
    if any(error.found == UNKNOWN for error in refusal.errors):
        lines.append("leave out what the model does not take: --ignore-unknown")
    return "\n  ".join(["the rows do not fit the model:", *lines])


def _counted(error: FieldError, done: int) -> FieldError:
    if error.row is None:
        return error
    return msgspec.structs.replace(error, row=error.row + done + 1)
