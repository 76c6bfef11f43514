"""The figures that the gate decides on, as JSON carries them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Group:
    """Accuracy within one group of a slice, over `n` test rows."""

    n: int
    accuracy: float


@dataclass(frozen=True)
class GateFigures:
    """The figures that the gate decides on, all of the same test rows.

    Attributes
    ----------
    n : int
        Number of test rows.
    metrics : dict of str to float
        The version's metrics; at least the gate's.
    majority : dict of str to float
        The same metrics of the best constant answer.
    chance : dict of str to float
        How probable it is that an answer which knows nothing of a row is as good, by
        metric, and for its ``ranking`` of the rows; empty where none was computed.
    champion : str, optional
        The version that is serving; None where there is none.
    champion_metrics, own_metrics : dict of str to float
        The champion's metrics, and the version's on the same rows where those are not
        all test rows.
    compared_on : str
        Which rows those are; empty for all test rows.
    problem : str
        Why the champion cannot be compared, if so.
    repeats : bool
        Whether the version is the champion again: made of the same, or with the same
        answers.
    slices : dict of str to dict of str to Group
        Column, then group.
    refuses : sequence of str
        What requests to the champion the version would refuse, or answer otherwise.
    """

    n: int
    metrics: Mapping[str, float]
    majority: Mapping[str, float]
    chance: Mapping[str, float] = field(default_factory=dict)
    champion: str | None = None
    champion_metrics: Mapping[str, float] = field(default_factory=dict)
    own_metrics: Mapping[str, float] = field(default_factory=dict)
    compared_on: str = ""
    problem: str = ""
    repeats: bool = False
    slices: Mapping[str, Mapping[str, Group]] = field(default_factory=dict)
    refuses: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it; NaN becomes null."""
        value: dict[str, Any] = without_nan(asdict(self))
        return value

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "GateFigures":
        """The inverse of `to_dict`."""
        return cls(
            n=int(value["n"]),
            metrics=_with_nan(value["metrics"]),
            majority=_with_nan(value["majority"]),
            chance=_with_nan(value.get("chance", {})),
            champion=value.get("champion"),
            champion_metrics=_with_nan(value.get("champion_metrics", {})),
            own_metrics=_with_nan(value.get("own_metrics", {})),
            compared_on=value.get("compared_on", ""),
            problem=value.get("problem", ""),
            repeats=value.get("repeats", False),
            slices={
                column: {
                    name: Group(int(group["n"]), _number(group["accuracy"]))
                    for name, group in groups.items()
                }
                for column, groups in value.get("slices", {}).items()
            },
            refuses=tuple(value.get("refuses", ())),
        )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _with_nan(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: _number(value) for name, value in values.items()}


def without_nan(value: Any) -> Any:
    """`value` with None for every NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
