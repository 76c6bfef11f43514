"""``<model>/performance``: how right the answers were, by the labels that came."""

import datetime as dt
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg

from ml_assets.assets.common import (
    MAY_SKIP,
    Events,
    check_result,
    check_spec,
    keep_plots,
    key,
    markdown_table,
    nothing_to_do,
    stage_arguments,
)
from ml_assets.prediction_log.segments import day_at
from ml_assets.records.plan import ServingPlan
from ml_assets.spec.metrics import in_words
from ml_assets.spec.model import ModelSpec
from ml_assets.state.plans import Plans
from ml_assets.state.versions import PROFILE, Versions

if TYPE_CHECKING:
    from ml_assets.ml.performance import Figure, Period
    from ml_assets.ml.sequential.degradation import Degradation
    from ml_assets.prediction_log.labels import Counts

# Rows of the table in the UI; the plot and the check have all days.
DAYS_SHOWN = 30
UNKNOWN = "?"


class Performance(NamedTuple):
    """Live figures of each version, and whether the champion is worse than promised.

    ``own`` is how many labelled answers the champion gave itself, not as a shadow.
    """

    champion: str
    own: int
    offline: dict[str, float]
    periods: "Sequence[Period]"
    degradations: "Sequence[Degradation]"
    counts: "Counts"

    @property
    def degraded(self) -> bool:
        """Whether the champion is worse than evaluation promised."""
        return any(item.degraded for item in self.degradations)

    @property
    def sentence(self) -> str:
        """The finding in words."""
        found = [item for item in self.degradations if item.degraded == self.degraded]
        text = "; ".join(item.sentence for item in found)
        nothing = "no answer of its own has a label yet"
        if self.own:
            nothing = (
                "evaluation promised no figure that its labels could fall short of"
            )
        return f"version {self.champion}: {text or nothing}"


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that joins labels and figures, and its check."""
    check = check_spec(
        spec,
        "performance",
        "The champion is not worse, live, than evaluation promised.",
    )

    @dg.asset(
        **stage_arguments(spec, "performance", "python"),
        description=(
            f"Live figures of {spec.name} by version and day, with intervals, beside"
            " those of evaluation."
        ),
        deps=[key(spec, "predictions"), key(spec, "labels")],
        check_specs=[check],
        **MAY_SKIP,
    )
    def performance(
        context: dg.AssetExecutionContext,
    ) -> Events:
        found = assess(spec)
        if found is None or not found.counts.joined:
            pending = found.counts.pending if found else 0
            reason = f"no answer has a label yet; {pending} label(s) wait for theirs"
            yield from nothing_to_do(context, spec, "performance", reason)
            return
        report = context.log.warning if found.degraded else context.log.info
        report(found.sentence)
        yield dg.MaterializeResult(metadata=describe(spec, found))
        yield check_result(spec, "performance", not found.degraded, found.sentence)

    return dg.Definitions(assets=[performance])


def assess(spec: ModelSpec) -> Performance | None:
    """Live figures of every version; None where the model was never deployed.

    Labels count since the champion first answered, in the order in which they were
    received, because the check may be asked after each of them.
    """
    from ml_assets.lifecycle.live_tasks import champion_task, live_tasks, with_inputs
    from ml_assets.ml.performance import by_day
    from ml_assets.ml.tasks.live import outcomes
    from ml_assets.state.logged import labelled

    plans = Plans().history(spec.name)
    if not plans:
        return None
    plan = plans[-1]
    champion, task = plan.live.version, champion_task(plan)
    versions = {arm.version for item in plans for arm in item.arms}
    extra = ("x",) if task.needs_rows else ()
    found = labelled(spec.name, _first_seen(plans, champion), versions, extra)
    joined = found.rows[found.rows["error"].isna()]
    joined = joined.assign(
        day=[day_at(at) for at in joined[["time", "received"]].min(axis=1)]
    )
    if task.needs_rows:
        joined = with_inputs(plans, joined)
    offline = _offline(spec, champion)
    # A shadow answers the same requests, and is no part of the champion's figures.
    own = joined[(joined["version"] == champion) & (joined["arm"] != "shadow")]
    degradations: Sequence[Degradation] = ()
    if len(own):
        bound, y, answers = outcomes(task, own)
        degradations = bound.degradations(y, answers, offline)
    tasks = live_tasks(plans, {*joined["version"]})
    return Performance(
        champion, len(own), offline, by_day(joined, tasks), degradations, found.counts
    )


def _first_seen(plans: Sequence[ServingPlan], version: str) -> float:
    """Unix seconds at which a version first came into a plan."""
    created = next(
        plan.created_at
        for plan in plans
        if any(arm.version == version for arm in plan.arms)
    )
    return dt.datetime.fromisoformat(created).timestamp()


def _offline(spec: ModelSpec, version: str) -> dict[str, float]:
    """Figures of evaluation and of the profile that live ones are compared with."""
    store = Versions()
    evaluation = store.evaluation(spec.name, version) or {}
    profile = store.document(spec.name, version, PROFILE) or {}
    known = {**profile, **evaluation.get("metrics", {})}
    rows = float(store.get(spec.name, version).test_rows)
    numbers = {k: float(v) for k, v in known.items() if isinstance(v, int | float)}
    return {**numbers, "rows": rows}


def describe(spec: ModelSpec, found: Performance) -> dict[str, Any]:
    """What the UI shows: every version on all days, then day by day."""
    from ml_assets.ml.plots import monitoring

    own = [p for p in found.periods if p.version == found.champion and p.day is None]
    live = own[0] if own else None
    shown: dict[str, Any] = {
        "version": found.champion,
        "finding": found.sentence,
        "degraded": found.degraded,
        **found.counts._asdict(),
        "figures": dg.MetadataValue.md(table(found.periods)),
    }
    if live is not None:
        for name, figure in live.figures.items():
            shown |= {name: figure.value, f"offline_{name}": found.offline.get(name)}
            expected = f"expected_{name}"
            shown[expected] = found.offline.get(expected)
        offline = found.offline.get(live.main, math.nan)
        image = monitoring.performance(found.periods, found.champion, offline)
        # It has all days: the newest one of a version shows what the earlier ones did.
        about = f"reports/{spec.name}/performance/{found.champion}."
        shown |= keep_plots(about, {live.main: image})
    return {
        name: value
        for name, value in shown.items()
        if not (value is None or isinstance(value, float) and math.isnan(value))
    }


def table(periods: "Sequence[Period]") -> str:
    """Versions and days as Markdown, all days together first."""
    import pandas as pd

    whole = [period for period in periods if period.day is None]
    single = [period for period in periods if period.day is not None]
    single.sort(key=lambda period: (period.day or "", period.version))
    rows = []
    for period in [*whole, *single[-DAYS_SHOWN:]]:
        row: dict[str, Any] = {
            "version": period.version,
            "day": period.day or "all",
            "labels": period.n,
        }
        for name, figure in period.figures.items():
            row[in_words(name)] = _shown(figure)
        rows.append(row)
    return markdown_table(pd.DataFrame(rows).fillna(UNKNOWN))


def _shown(figure: "Figure") -> str:
    """A figure and its 95 % interval."""
    if figure.value is None:
        return UNKNOWN
    if figure.low is None or figure.high is None:
        return f"{figure.value:.4f}"
    return f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"
