"""``<model>/drift``: requests and new data beside what the champion learnt from."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg

from ml_assets.assets.common import (
    MAY_SKIP,
    keep_plots,
    key,
    markdown_table,
    stage_arguments,
)
from ml_assets.model import ModelSpec
from ml_assets.resources.tables import MissingTableError, TableStore
from ml_assets.serving.plan import ServingPlan
from ml_assets.serving.store import PlanStore
from ml_assets.storage import create_bytes, read_json, storage_root
from ml_assets.versions import UnknownVersionError, VersionStore

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.ml.drift import DriftReport
    from ml_assets.ml.profile import Profile

DRIFT_CHECK = "drift"
# Of a longer window, rows are taken evenly: more would not be more certain.
MAX_ROWS = 100_000
HOUR_SECONDS = 3_600.0


class Comparison(NamedTuple):
    """One report, what it is called, and what was compared."""

    id: str
    source: str
    version: str
    report: "DriftReport"
    about: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {
            "id": self.id,
            "source": self.source,
            "version": self.version,
            **self.about,
            **self.report.to_dict(),
        }


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that compares, and its check."""
    drift_key = key(spec, "drift")
    check = dg.AssetCheckSpec(
        DRIFT_CHECK,
        asset=drift_key,
        description=(
            "No column differs from the reference profile surprisingly (adjusted for"
            f" their number) and by a PSI of {spec.monitoring.psi_floor:g} or more."
        ),
    )

    @dg.asset(
        **stage_arguments(spec, "drift", "python"),
        description=(
            f"Logged predictions and new data of {spec.name} beside the reference"
            " profile of its champion, column by column."
        ),
        deps=[key(spec, "predictions"), key(spec, "raw")],
        check_specs=[check],
        **MAY_SKIP,
    )
    def drift(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult | dg.AssetObservation | dg.AssetCheckResult]:
        found = compare_all(spec)
        if not found:
            reason = "nothing new to compare"
            context.log.info(reason)
            yield dg.AssetObservation(drift_key, metadata={"skipped": reason})
            yield _check(spec, latest(spec))
            return
        drifted = [item for item in found if item.report.drifted]
        for item in found:
            report = context.log.warning if item.report.drifted else context.log.info
            report(f"{item.source}: {item.report.sentence}")
        worst = (drifted or found)[0]
        yield dg.MaterializeResult(metadata=describe(spec, worst, found))
        yield _check(spec, [item.to_dict() for item in found])

    return dg.Definitions(assets=[drift])


def compare_all(spec: ModelSpec) -> list[Comparison]:
    """Compare what was not compared yet, and keep the reports."""
    root = storage_root()
    plan = PlanStore(root).current(spec.name)
    reference = _reference(spec, plan)
    if plan is None or reference is None:
        return []
    found = [_window(spec, plan, reference), _raw(spec, plan, reference)]
    return [item for item in found if item is not None and _keep(spec, item)]


def _reference(spec: ModelSpec, plan: ServingPlan | None) -> "Profile | None":
    from ml_assets.ml.profile import Profile

    if plan is None:
        return None
    store = VersionStore(storage_root())
    value = read_json(store.profile_path(spec.name, plan.live.version))
    return None if value is None else Profile.from_dict(value)


def _window(
    spec: ModelSpec, plan: ServingPlan, reference: "Profile"
) -> Comparison | None:
    """The champion's answers of the last hours, up to the newest of them."""
    import pandas as pd

    from ml_assets.interface import observed
    from ml_assets.predictionlog import newest_time, predictions

    root, version = storage_root(), plan.live.version
    until = newest_time(root, spec.name)
    span = spec.monitoring.window_hours * HOUR_SECONDS
    since = max(until - span, 0.0)
    columns, parts = ("arm", "p", "error", "x"), []
    for day in predictions(root, spec.name, columns, since, [version]):
        parts.append(day[(day["arm"] != "shadow") & day["error"].isna()])
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    report_id = f"predictions-{version}-{_stamp(until)}"
    if rows.empty or _path(spec, report_id).exists():
        return None
    step = -(-len(rows) // MAX_ROWS)
    rows = rows.iloc[::step]
    frame, unsent = observed(root, plan, rows["x"].tolist())
    # What no caller sends is no news of the data.
    report = _compare(spec, reference, frame, rows["p"].to_numpy(), unsent)
    about = {"since": _stamp(since), "until": _stamp(until)}
    return Comparison(report_id, "predictions", version, report, about)


def _raw(spec: ModelSpec, plan: ServingPlan, reference: "Profile") -> Comparison | None:
    """The newest raw table, unless the champion was trained on it."""
    import pandas as pd

    from ml_assets.ml.columns import with_columns

    raw_version = raw_to_compare(spec, plan)
    if raw_version is None:
        return None
    frame = TableStore(storage_root()).read(spec.name, "raw", raw_version)
    # A column that is gone is what the schema contract is about, and stopped there.
    watched = {*reference.numbers, *reference.categories} - {*spec.monitoring.ignore}
    if watched - {*frame.columns}:
        return None
    # A column that the YAML retypes: what is no number is missing.
    numbers = {
        name: pd.to_numeric(frame[name], "coerce")
        for name in reference.numbers
        if name in watched
    }
    report = _compare(spec, reference, with_columns(frame, numbers))
    version, about = plan.live.version, {"raw_version": raw_version}
    return Comparison(_raw_id(plan, raw_version), "raw", version, report, about)


def raw_to_compare(spec: ModelSpec, plan: ServingPlan) -> str | None:
    """Data version of a raw table that was not compared with the champion's data."""
    root = storage_root()
    tables = TableStore(root)
    try:
        newest = tables.version(spec.name, "raw", run_id="")
        trained_on = VersionStore(root).get(spec.name, plan.live.version).raw_version
    except (MissingTableError, UnknownVersionError):
        return None
    is_known = _path(spec, _raw_id(plan, newest)).exists()
    is_there = tables.path(spec.name, "raw", newest).exists()
    return newest if newest != trained_on and is_there and not is_known else None


def _raw_id(plan: ServingPlan, raw_version: str) -> str:
    return f"raw-{plan.live.version}-{raw_version[:16]}"


def _compare(
    spec: ModelSpec,
    reference: "Profile",
    frame: "pd.DataFrame",
    probability: Any = None,
    unsent: Sequence[str] = (),
) -> "DriftReport":
    from ml_assets.ml.drift import compare

    watched = spec.monitoring
    return compare(
        reference,
        frame,
        probability,
        ignore=[*watched.ignore, *unsent],
        floor=watched.psi_floor,
    )


def _keep(spec: ModelSpec, item: Comparison) -> bool:
    """Keep a report that tells; whether it does."""
    if not item.report.enough:
        return False
    data = json.dumps(item.to_dict(), indent=2, sort_keys=True).encode() + b"\n"
    return create_bytes(_path(spec, item.id), data)


def latest(spec: ModelSpec) -> list[dict[str, Any]]:
    """The newest report of each source on the version that serves."""
    plan = PlanStore(storage_root()).current(spec.name)
    if plan is None:
        return []
    found = []
    for source in ("predictions", "raw"):
        pattern = f"{source}-{plan.live.version}-*.json"
        paths = list(_path(spec, "x").parent.glob(pattern))
        if paths:
            found.append(read_json(max(paths, key=lambda path: path.stat().st_mtime)))
    return found


def _check(spec: ModelSpec, reports: list[dict[str, Any]]) -> dg.AssetCheckResult:
    drifted = [report for report in reports if report["drifted"]]
    told = [f"{r['source']}: {r['sentence']}" for r in drifted or reports]
    return dg.AssetCheckResult(
        check_name=DRIFT_CHECK,
        asset_key=key(spec, "drift"),
        passed=not drifted,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(told) or "there is nothing to compare yet",
    )


def describe(
    spec: ModelSpec, worst: Comparison, found: list[Comparison]
) -> dict[str, Any]:
    """What the UI shows: the table and the plots of the report that matters most."""
    from ml_assets.ml.live_plots import distributions, drift

    report = worst.report
    images = {"drift": drift(report), "distributions": distributions(report)}
    raw = {name: text for name, text in worst.about.items() if name == "raw_version"}
    return {
        "drifted": report.drifted,
        "report_id": worst.id,
        "source": worst.source,
        "version": worst.version,
        **raw,
        "finding": report.sentence,
        "rows": report.rows_window,
        "columns": dg.MetadataValue.md(table(report)),
        **keep_plots(_path(spec, worst.id).parent, f"{worst.id}.", images),
        "reports": dg.MetadataValue.json([item.id for item in found]),
    }


def table(report: "DriftReport") -> str:
    """Every column of a report as Markdown."""
    import pandas as pd

    rows = [
        {
            "column": column.column,
            "drifted": "**yes**" if column.drifted else "no",
            "PSI": f"{column.psi:.4f}",
            "beyond noise": f"{column.excess:.4f}",
            "JS (bits)": f"{column.js:.4f}",
            "test": column.test,
            "statistic": f"{column.statistic:.4f}",
            "p adjusted": f"{column.p_adjusted:.2g}",
            "missing before": f"{column.missing_reference:.2%}",
            "missing now": f"{column.missing_window:.2%}",
            "unseen": f"{column.unseen:.2%}",
        }
        for column in report.columns
    ]
    return markdown_table(pd.DataFrame(rows))


def _path(spec: ModelSpec, report_id: str) -> Path:
    return storage_root() / "reports" / spec.name / "drift" / f"{report_id}.json"


def _stamp(moment: float) -> str:
    at = dt.datetime.fromtimestamp(moment, dt.UTC)
    return at.strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
