"""What one expectation found."""

from typing import Any

import msgspec


class ExpectationOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one expectation on one table.

    Parameters
    ----------
    name : str
        Unique among the expectations of the model, letters, digits and ``_`` only:
        the name of the asset check.
    expectation : str
        Great Expectations name in snake_case.
    kwargs : dict
        As written in the YAML.
    passed : bool
    message : str
        One sentence: the column, what was found and what was expected.
    finding : str or None
        The same in counts and the words of the YAML, without a value of a row; None
        where `message` cannot be said so.
    unexpected_count : int or None
        Values that break a rule on single values; None for a rule on the whole column
        or table, and where the rule could not be evaluated.
    unexpected_percent : float or None
        The same in percent of the values that are not missing, because a missing value
        breaks no rule but the ones on missing values.
    examples : tuple
        Some distinct unexpected values, in the order of the rows.
    observed : any JSON value
        The figure that a rule on the whole column or table looked at, where it failed.
    error : str or None
        Why the rule could not be evaluated, in Great Expectations' words.
    """

    name: str
    expectation: str
    kwargs: dict[str, Any]
    passed: bool
    message: str
    finding: str | None = None
    unexpected_count: int | None = None
    unexpected_percent: float | None = None
    examples: tuple[Any, ...] = ()
    observed: Any = None
    error: str | None = None
