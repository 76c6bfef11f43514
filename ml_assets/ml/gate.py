"""The gate: whether a version may be deployed, and why.

The evaluation's check and the deployment sensor share the one `Gate`, on figures that
travel as JSON; nothing heavy is imported, because the sensor asks every few seconds.
"""

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

from ml_assets.ml.gate_figures import GateFigures as GateFigures
from ml_assets.ml.intervals import lower_bound, upper_bound
from ml_assets.records.signature import summary
from ml_assets.spec.gate import GateSpec
from ml_assets.spec.metrics import in_words, is_better, metrics_of

# The one clause that somebody may overrule, who knows the callers.
INTERFACE = "interface"

# Significance level: of a model without skill, and of a good group found bad.
LEVEL = 0.05
# In a group of fewer rows, a few of them decide.
MIN_GROUP = 30
RANKING = "ranking"
RANKED = ("roc_auc", "average_precision", "roc_auc_ovr")
BEST_CONSTANT = {
    "accuracy": "the majority class",
    "expected_cost": "the best constant decision",
    "f1": "always saying the positive class",
    "precision": "always saying the positive class",
    "log_loss": "answering how frequent each class is",
    **dict.fromkeys(metrics_of("regression"), "the mean and the median of training"),
}


@dataclass(frozen=True)
class Clause:
    """One condition of the gate, and how it came out."""

    name: str
    passed: bool
    sentence: str


@dataclass(frozen=True)
class GateDecision:
    """Every clause; the gate is passed when all are.

    ``metric`` is that by which versions are compared. ``repeats``: the version is the
    champion again, so that nothing is to be deployed.
    """

    clauses: tuple[Clause, ...]
    metric: str
    repeats: bool = False

    @property
    def passed(self) -> bool:
        """Whether the version may be deployed."""
        return all(clause.passed for clause in self.clauses)

    @property
    def deploys(self) -> bool:
        """Whether the version is to be deployed."""
        return self.passed and not self.repeats

    @property
    def reason(self) -> str:
        """Why not, or, where it may, why."""
        if self.passed and self.repeats:
            return next(c.sentence for c in self.clauses if c.name == "champion")
        return "; ".join(c.sentence for c in self.clauses if c.passed == self.passed)

    def without(self, overruled: Collection[str]) -> "GateDecision":
        """The decision, if these clauses are not asked."""
        kept = tuple(c for c in self.clauses if c.name not in overruled)
        return replace(self, clauses=kept)

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {
            "passed": self.passed,
            "metric": self.metric,
            "repeats": self.repeats,
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
        clauses = []
        for metric, least in self.spec.demands.items():
            which = f" {metric}" if self.spec.metrics else ""
            value = figures.metrics.get(metric, math.nan)
            what, lower = _words(metric), self.spec.lower_is_better(metric)
            clauses.append(_beyond(f"threshold{which}", lower, what, value, least))
            # A constant has a recall of 1, which nothing beats.
            if self.spec.beat_majority and metric != "recall":
                clauses.append(_majority(f"majority{which}", metric, lower, figures))
        if figures.repeats:
            clauses.append(_repetition(figures))
        elif self.spec.beat_champion:
            main = self.spec.main
            lower = self.spec.lower_is_better(main)
            clauses.append(_champion(main, lower, figures))
        if self.spec.confidence is not None:
            clauses.append(self._bound(figures, self.spec.confidence))
        for column, least in self.spec.slices.items():
            clauses.append(_slice(figures, column, least))
        if figures.champion is not None:
            clauses.append(_interface(figures))
        return GateDecision(tuple(clauses), self.spec.main, figures.repeats)

    def _bound(self, figures: GateFigures, confidence: float) -> Clause:
        accuracy = figures.metrics.get("accuracy", math.nan)
        bound = lower_bound(accuracy, figures.n, confidence)
        what = f"the lower {confidence:.0%} confidence bound of accuracy"
        least = self.spec.demands.get("accuracy", self.spec.demands[self.spec.main])
        return _beyond("confidence", False, what, bound, least)


def _majority(name: str, metric: str, lower: bool, figures: GateFigures) -> Clause:
    """Better than the best constant, in a way and by an order that chance has not."""
    value = figures.metrics.get(metric, math.nan)
    other = figures.majority.get(metric, math.nan)
    whose = f" of {BEST_CONSTANT.get(metric, 'any constant answer')}"
    found = _beyond(name, lower, _words(metric), value, other, whose)
    # The ranking is of classes, and is not asked twice of a metric of the ranking.
    tests = (
        {metric: RANKING} if metric in RANKED else {metric: metric, RANKING: RANKING}
    )
    p_values = {
        _words(what): figures.chance[test]
        for what, test in tests.items()
        if test in figures.chance
    }
    if not found.passed or not p_values:
        return found
    levels = " and ".join(f"p = {p:.2g} for {what}" for what, p in p_values.items())
    # NaN is no evidence.
    if all(p <= LEVEL for p in p_values.values()):
        return Clause(name, True, f"{found.sentence}, beyond chance ({levels})")
    why = f"not beyond chance ({levels}; {LEVEL:g} at most is asked)"
    return Clause(name, False, f"{found.sentence}, but {why}")


def _repetition(figures: GateFigures) -> Clause:
    sentence = (
        f"it is the champion {figures.champion} again, made of the same or with the"
        " same answers: there is nothing to deploy"
    )
    return Clause("champion", True, sentence)


def _champion(metric: str, lower: bool, figures: GateFigures) -> Clause:
    if figures.champion is None:
        return Clause("champion", True, "there is no champion to compare with")
    other = figures.champion_metrics.get(metric, math.nan)
    if figures.problem or math.isnan(other):
        reason = figures.problem or f"its {_words(metric)} on these rows is not defined"
        sentence = (
            f"the champion {figures.champion} cannot be compared: {reason}; mend that,"
            " or deploy once without comparing (gate: {beat_champion: false})"
        )
        return Clause("champion", False, sentence)
    value = (figures.own_metrics or figures.metrics).get(metric, math.nan)
    shown, against = digits(value, other)
    worse = "above" if lower else "below"
    is_worse = is_better(other, value, lower)
    relation = f"is {worse}" if is_worse else f"is not {worse}"
    if math.isnan(value):
        limit = "most" if lower else "least"
        relation = f"is not shown to be at {limit}"
    rows = figures.compared_on or f"the same {figures.n:,} test rows"
    sentence = (
        f"{_words(metric)} {shown} {relation} {against} of the champion"
        f" {figures.champion} on {rows}"
    )
    return Clause("champion", not is_worse and not math.isnan(value), sentence)


def _interface(figures: GateFigures) -> Clause:
    champion = figures.champion
    if not figures.refuses:
        sentence = f"it takes every request that the champion {champion} takes"
        return Clause(INTERFACE, True, sentence)
    return Clause(
        INTERFACE,
        False,
        f"it does not answer every request as the champion {champion} does:"
        f" {summary(figures.refuses)}; `ml-assets deploy --accept-interface-change`"
        " activates it all the same",
    )


def _slice(figures: GateFigures, column: str, least: float) -> Clause:
    groups = figures.slices.get(column, {})
    name = f"slice {column}"
    if not groups:
        return Clause(name, False, f"there are no figures for the groups of {column}")
    judged = {group: item for group, item in groups.items() if item.n >= MIN_GROUP}
    if not judged:
        sentence = f"no group of {column} has {MIN_GROUP} test rows: none is judged"
        return Clause(name, True, sentence)
    # Of many groups that are good enough, one would be found bad by chance.
    confidence = 1 - LEVEL / len(judged)
    highest = {
        group: upper_bound(item.accuracy, item.n, confidence)
        for group, item in judged.items()
    }
    failed = [
        f"accuracy of {column} {group} ({judged[group].n:,} rows)"
        f" {judged[group].accuracy:.4f} is not above {least}, and at most {bound:.4f}"
        for group, bound in highest.items()
        if not bound >= least
    ]
    if failed:
        return Clause(name, False, ", ".join(failed))
    small = len(groups) - len(judged)
    rest = f" ({small} with fewer than {MIN_GROUP} rows not judged)" if small else ""
    sentence = f"no group of {column} is shown to be at {least} or below{rest}"
    return Clause(name, True, sentence)


def _beyond(
    name: str, lower: bool, what: str, value: float, limit: float, whose: str = ""
) -> Clause:
    """Strictly better than the limit, in the direction of the metric."""
    passed = is_better(value, limit, lower)
    shown, against = digits(value, limit)
    side = "below" if lower else "above"
    relation = f"is {side}" if passed else f"is not {side}"
    # A limit that was set is shown as it was written, a measured one in full.
    against = against if whose else repr(limit)
    return Clause(name, passed, f"{what} {shown} {relation} {against}{whose}")


def digits(value: float, other: float) -> tuple[str, str]:
    """Both numbers with as many digits as distinguish them, at least four.

    Examples
    --------
    >>> digits(0.79999999, 0.8)
    ('0.79999999', '0.80000000')
    """
    for decimals in range(4, 17):
        shown, against = f"{value:.{decimals}f}", f"{other:.{decimals}f}"
        if shown != against or value == other:
            break
    return shown, against


def _words(metric: str) -> str:
    return "the ranking" if metric == RANKING else in_words(metric)
