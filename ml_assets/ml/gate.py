"""The gate: whether a version may be deployed, and why.

The evaluation's check and the deployment sensor share the one `Gate`, on figures that
travel as JSON; nothing heavy is imported, because the sensor asks every few seconds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ml_assets.ml.intervals import lower_bound
from ml_assets.model import GateSpec
from ml_assets.serving.interface import told

# The one clause that somebody may overrule, who knows the callers.
INTERFACE = "interface"


@dataclass(frozen=True)
class Group:
    """Accuracy within one group of a slice, over `n` test rows."""

    n: int
    accuracy: float


@dataclass(frozen=True)
class GateFigures:
    """What the gate looks at, all on the same test rows.

    Attributes
    ----------
    n : int
        Number of test rows.
    metrics : dict of str to float
        The version's metrics; at least the gate's.
    majority : dict of str to float
        The same metrics of a model that always says the more frequent class.
    champion : str, optional
        The version that is serving; None where there is none.
    champion_metrics : dict of str to float
        The champion's metrics.
    slices : dict of str to dict of str to Group
        Column, then group.
    refuses : sequence of str
        What requests to the champion the version would refuse, or answer otherwise.
    """

    n: int
    metrics: Mapping[str, float]
    majority: Mapping[str, float]
    champion: str | None = None
    champion_metrics: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Group]] = field(default_factory=dict)
    refuses: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it; NaN becomes null."""
        return {
            "n": self.n,
            "metrics": _without_nan(self.metrics),
            "majority": _without_nan(self.majority),
            "champion": self.champion,
            "champion_metrics": _without_nan(self.champion_metrics),
            "slices": {
                column: {
                    name: _without_nan(asdict(group)) for name, group in groups.items()
                }
                for column, groups in self.slices.items()
            },
            "refuses": list(self.refuses),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "GateFigures":
        """The inverse of `to_dict`."""
        return cls(
            n=int(value["n"]),
            metrics=_with_nan(value["metrics"]),
            majority=_with_nan(value["majority"]),
            champion=value.get("champion"),
            champion_metrics=_with_nan(value.get("champion_metrics", {})),
            slices={
                column: {
                    name: Group(int(group["n"]), _number(group["accuracy"]))
                    for name, group in groups.items()
                }
                for column, groups in value.get("slices", {}).items()
            },
            refuses=tuple(value.get("refuses", ())),
        )


@dataclass(frozen=True)
class Clause:
    """One condition of the gate, and how it came out."""

    name: str
    passed: bool
    sentence: str


@dataclass(frozen=True)
class GateDecision:
    """Every clause; the gate is passed when all are."""

    clauses: tuple[Clause, ...]

    @property
    def passed(self) -> bool:
        """Whether the version may be deployed."""
        return all(clause.passed for clause in self.clauses)

    @property
    def reason(self) -> str:
        """Why not, or, where it may, why."""
        told = [c.sentence for c in self.clauses if c.passed == self.passed]
        return "; ".join(told)

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {
            "passed": self.passed,
            "reason": self.reason,
            "clauses": [asdict(clause) for clause in self.clauses],
        }


class Gate:
    """The rule of one model.

    Examples
    --------
    >>> figures = GateFigures(10, {"accuracy": 0.8}, majority={"accuracy": 0.7})
    >>> decision = Gate(GateSpec()).decide(figures)
    >>> decision.passed, decision.reason
    (False, 'accuracy 0.8000 is not above 0.8')
    """

    def __init__(self, spec: GateSpec) -> None:
        self.spec = spec

    def decide(self, figures: GateFigures) -> GateDecision:
        """Hold `figures` against every clause. NaN passes none."""
        clauses = [self._threshold(figures)]
        if self.spec.beat_majority:
            clauses.append(self._majority(figures))
        if self.spec.beat_champion:
            clauses.append(self._champion(figures))
        if self.spec.confidence is not None:
            clauses.append(self._bound(figures, self.spec.confidence))
        for column, least in self.spec.slices.items():
            clauses.append(_slice(figures, column, least))
        if figures.champion is not None:
            clauses.append(_interface(figures))
        return GateDecision(tuple(clauses))

    def _value(self, metrics: Mapping[str, float]) -> float:
        return metrics.get(self.spec.metric, math.nan)

    def _threshold(self, figures: GateFigures) -> Clause:
        value = self._value(figures.metrics)
        return _above("threshold", _words(self.spec.metric), value, self.spec.threshold)

    def _majority(self, figures: GateFigures) -> Clause:
        other = self._value(figures.majority)
        value = self._value(figures.metrics)
        what = _words(self.spec.metric)
        return _above("majority", what, value, other, " of the majority class")

    def _champion(self, figures: GateFigures) -> Clause:
        if figures.champion is None:
            return Clause("champion", True, "there is no champion to compare with")
        value = self._value(figures.metrics)
        other = self._value(figures.champion_metrics)
        passed = value >= other
        shown, against = digits(value, other)
        relation = "is not below" if passed else "is not shown to be at least"
        if value < other:
            relation = "is below"
        sentence = (
            f"{_words(self.spec.metric)} {shown} {relation} {against} of the champion"
            f" {figures.champion} on the same {figures.n:,} test rows"
        )
        return Clause("champion", passed, sentence)

    def _bound(self, figures: GateFigures, confidence: float) -> Clause:
        accuracy = figures.metrics.get("accuracy", math.nan)
        bound = lower_bound(accuracy, figures.n, confidence)
        what = f"the lower {confidence:.0%} confidence bound of accuracy"
        return _above("confidence", what, bound, self.spec.threshold)


def _interface(figures: GateFigures) -> Clause:
    champion = figures.champion
    if not figures.refuses:
        sentence = f"it takes every request that the champion {champion} takes"
        return Clause(INTERFACE, True, sentence)
    return Clause(
        INTERFACE,
        False,
        f"it does not answer every request as the champion {champion} does:"
        f" {told(figures.refuses)}; `ml-assets deploy --accept-interface-change` puts"
        " it in force all the same",
    )


def _slice(figures: GateFigures, column: str, least: float) -> Clause:
    groups = figures.slices.get(column, {})
    name = f"slice {column}"
    if not groups:
        return Clause(name, False, f"there are no figures for the groups of {column}")
    failed = [
        _above(
            name,
            f"accuracy of {column} {group} ({item.n:,} rows)",
            item.accuracy,
            least,
        )
        for group, item in groups.items()
        if not item.accuracy > least
    ]
    if failed:
        return Clause(name, False, ", ".join(clause.sentence for clause in failed))
    return Clause(name, True, f"accuracy of every group of {column} is above {least}")


def _above(name: str, what: str, value: float, limit: float, whose: str = "") -> Clause:
    passed = value > limit
    shown, against = digits(value, limit)
    relation = "is above" if passed else "is not above"
    # A limit that was set is shown as it was written, a measured one in full.
    against = against if whose else repr(limit)
    return Clause(name, passed, f"{what} {shown} {relation} {against}{whose}")


def digits(value: float, other: float) -> tuple[str, str]:
    """Both numbers with as many digits as tell them apart, at least four.

    Examples
    --------
    >>> digits(0.79999999, 0.8)
    ('0.79999999', '0.80000000')
    """
    for places in range(4, 17):
        shown, against = f"{value:.{places}f}", f"{other:.{places}f}"
        if shown != against or value == other:
            break
    return shown, against


def _words(metric: str) -> str:
    return {"roc_auc": "ROC AUC", "f1": "F1"}.get(metric, metric.replace("_", " "))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _with_nan(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: _number(value) for name, value in values.items()}


def _without_nan(values: Mapping[str, float]) -> dict[str, float | None]:
    return {
        name: None if math.isnan(value) else value for name, value in values.items()
    }
