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
from ml_assets.assets.monitoring import AUC
from ml_assets.prediction_log.segments import day_at, label_text
from ml_assets.records.plan import ServingPlan, Signature
from ml_assets.spec.model import ModelSpec
from ml_assets.state.plans import Plans
from ml_assets.state.versions import PROFILE, Versions

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.ml.performance import Period
    from ml_assets.ml.sequential.degradation import Degradation
    from ml_assets.prediction_log.labels import Counts

# Rows of the table in the UI; the plot and the check have all days.
DAYS_SHOWN = 30


class Performance(NamedTuple):
    """Live figures of each version, and whether the champion is worse than promised."""

    champion: str
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
        return f"version {self.champion}: {text or 'it has no labels yet'}"


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
            f"Live accuracy and ROC AUC of {spec.name} by version and day, with"
            " intervals, beside the figures of evaluation."
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
    from ml_assets.ml.performance import by_day
    from ml_assets.state.bundles import signature_of
    from ml_assets.state.logged import labelled

    plans = Plans().history(spec.name)
    if not plans:
        return None
    plan = plans[-1]
    champion = plan.live.version
    versions = {arm.version for item in plans for arm in item.arms}
    found = labelled(spec.name, _first_seen(plans, champion), versions)
    rows = found.rows[found.rows["p"].notna()]
    joined = as_outcomes(rows, signature_of(plan.live))
    offline = _offline(spec, champion)
    # A shadow answers the same requests, and is no part of the champion's figures.
    own = joined[(joined["version"] == champion) & (joined["arm"] != "shadow")]
    return Performance(
        champion,
        offline,
        by_day(joined) if len(joined) else [],
        _degradations(own, offline),
        found.counts,
    )


def as_outcomes(rows: "pd.DataFrame", signature: Signature) -> "pd.DataFrame":
    """Labelled predictions with ``day``, and what became of them.

    Of two classes both are True and False; of more, ``right`` is whether the class that
    was answered is the true one.
    """
    rows = rows.assign(
        day=[day_at(at) for at in rows[["time", "received"]].min(axis=1)]
    )
    if signature.task != "binary":
        return rows.assign(right=(rows["label"] == rows["truth"]).to_numpy(dtype=bool))
    text = label_text(signature.positive)
    return rows.assign(
        probability=rows["p"].astype("float64"),
        predicted=(rows["label"] == text).to_numpy(dtype=bool),
        label=(rows["truth"] == text).to_numpy(dtype=bool),
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
    """Figures of evaluation that live ones are compared with; NaN where unknown."""
    store = Versions()
    evaluation = store.evaluation(spec.name, version) or {}
    metrics = evaluation.get("metrics", {})
    profile = store.document(spec.name, version, PROFILE) or {}
    return {
        "accuracy": _number(metrics.get("accuracy")),
        "rows": float(store.get(spec.name, version).test_rows),
        **{name: _number(profile.get(name)) for name in AUC},
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _degradations(
    own: "pd.DataFrame", offline: dict[str, float]
) -> "list[Degradation]":
    from ml_assets.ml.sequential.degradation import accuracy_degraded, auc_degraded

    found: list[Degradation] = []
    if not len(own):
        return found
    if not math.isnan(offline["accuracy"]):
        is_known = "right" in own.columns
        right = own["right"] if is_known else own["predicted"] == own["label"]
        figures = offline["accuracy"], int(offline["rows"])
        found.append(accuracy_degraded(right, *figures))
    if not math.isnan(offline["roc_auc_low"]):
        given = own["probability"], own["label"], offline["roc_auc_low"]
        found.append(auc_degraded(*given))
    return found


def describe(spec: ModelSpec, found: Performance) -> dict[str, Any]:
    """What the UI shows: every version on all days, then day by day."""
    from ml_assets.ml.plots import monitoring

    own = [p for p in found.periods if p.version == found.champion and p.day is None]
    live = own[0] if own else None
    shown: dict[str, Any] = {
        "version": found.champion,
        "finding": found.sentence,
        "degraded": found.degraded,
        "offline_accuracy": found.offline["accuracy"],
        "offline_roc_auc": found.offline["roc_auc"],
        **found.counts._asdict(),
        "figures": dg.MetadataValue.md(table(found.periods)),
    }
    if live is not None:
        shown["accuracy"] = live.accuracy
        image = monitoring.performance(
            found.periods, found.champion, found.offline["accuracy"]
        )
        # It has all days: the newest one of a version shows what the earlier ones did.
        about = f"reports/{spec.name}/performance/{found.champion}."
        shown |= keep_plots(about, {"accuracy": image})
    if live is not None and live.auc is not None:
        shown["roc_auc"] = live.auc
    return {
        name: value
        for name, value in shown.items()
        if not (isinstance(value, float) and math.isnan(value))
    }


def table(periods: "Sequence[Period]") -> str:
    """Versions and days as Markdown, all days together first."""
    import pandas as pd

    whole = [period for period in periods if period.day is None]
    single = [period for period in periods if period.day is not None]
    single.sort(key=lambda period: (period.day or "", period.version))
    rows = [
        {
            "version": period.version,
            "day": period.day or "all",
            "labels": period.n,
            "accuracy": f"{period.accuracy:.4f}",
            "95 %": f"{period.accuracy_low:.4f} - {period.accuracy_high:.4f}",
            "ROC AUC": _shown(period.auc),
            "95 % of it": f"{_shown(period.auc_low)} - {_shown(period.auc_high)}",
        }
        for period in [*whole, *single[-DAYS_SHOWN:]]
    ]
    return markdown_table(pd.DataFrame(rows))


def _shown(value: float | None) -> str:
    return "?" if value is None else f"{value:.4f}"
