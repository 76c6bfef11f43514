"""Drift reports of a model: its requests and new data, each compared once."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_assets.records.plan import ServingPlan
from ml_assets.spec.model import ModelSpec
from ml_assets.state.drift_reports import DriftReports
from ml_assets.state.plans import Plans
from ml_assets.state.tables import MissingTableError, Tables
from ml_assets.state.versions import PROFILE, UnknownVersionError, Versions

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.ml.drift import DriftReport
    from ml_assets.ml.profile import Profile

# Of a longer window, evenly spaced rows: more would not be more certain.
MAX_ROWS = 100_000
HOUR_SECONDS = 3_600.0
# Names of the columns that drifted, in the metadata of the asset.
DRIFTED_COLUMNS = "drifted_columns"


class NamedReport(NamedTuple):
    """A report with its id, and what was compared."""

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


def make_reports(spec: ModelSpec) -> list[NamedReport]:
    """Compare what was not compared yet, and store the reports."""
    plan = Plans().current(spec.name)
    reference = _reference(spec, plan)
    if plan is None or reference is None:
        return []
    found = [_window(spec, plan, reference), _raw(spec, plan, reference)]
    return [item for item in found if item is not None and _keep(spec, item)]


def latest_reports(spec: ModelSpec) -> list[dict[str, Any]]:
    """The newest report of each source on the version that serves."""
    plan = Plans().current(spec.name)
    if plan is None:
        return []
    found, store = [], DriftReports()
    for source in ("predictions", "raw"):
        latest = store.latest(spec.name, source, plan.live.version)
        report = store.read(spec.name, latest.report) if latest else None
        if report is not None:
            found.append(report)
    return found


def _reference(spec: ModelSpec, plan: ServingPlan | None) -> "Profile | None":
    from ml_assets.ml.profile import Profile

    if plan is None:
        return None
    value = Versions().document(spec.name, plan.live.version, PROFILE)
    return None if value is None else Profile.from_dict(value)


def _window(
    spec: ModelSpec, plan: ServingPlan, reference: "Profile"
) -> NamedReport | None:
    """The champion's answers of the last hours, up to the newest of them."""
    import pandas as pd

    from ml_assets.lifecycle.monitored_columns import observed
    from ml_assets.ml.tasks import task_of
    from ml_assets.state.bundles import signature_of
    from ml_assets.state.logged import newest_time, predictions

    version = plan.live.version
    until = newest_time(spec.name)
    span = spec.monitoring.window_hours * HOUR_SECONDS
    since = max(until - span, 0.0)
    task = task_of(signature_of(plan.live))
    columns, parts = ("arm", "entity", "error", "x", task.column), []
    for day in predictions(spec.name, columns, since, [version]):
        parts.append(day[(day["arm"] != "shadow") & day["error"].isna()])
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    report_id = f"predictions-{version}-{_stamp(until)}"
    if rows.empty or DriftReports().has(spec.name, report_id):
        return None
    step = -(-len(rows) // MAX_ROWS)
    rows = rows.iloc[::step]
    frame, unsent = observed(plan, rows["x"].tolist())
    entities = rows["entity"].astype(object).where(rows["entity"].notna(), None)
    report = _compare(
        spec,
        reference,
        frame,
        predicted=task.watched(task.logged(rows[task.column])),
        entities=entities.tolist(),
        # What no caller sends is no news of the data.
        ignore=unsent,
    )
    about = {"since": _stamp(since), "until": _stamp(until)}
    return NamedReport(report_id, "predictions", version, report, about)


def _raw(
    spec: ModelSpec, plan: ServingPlan, reference: "Profile"
) -> NamedReport | None:
    """The newest raw table, unless the champion was trained on it."""
    import pandas as pd

    from ml_assets.ml.frames import with_columns

    raw_version = raw_to_compare(spec, plan)
    if raw_version is None:
        return None
    frame = Tables().read(spec.name, "raw", raw_version)
    # A column that is gone is stopped by the schema contract.
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
    return NamedReport(_raw_id(plan, raw_version), "raw", version, report, about)


def raw_to_compare(spec: ModelSpec, plan: ServingPlan) -> str | None:
    """Data version of a raw table that was not compared with the champion's data."""
    tables = Tables()
    try:
        newest = tables.version(spec.name, "raw")
        trained_on = Versions().get(spec.name, plan.live.version).raw_version
    except (MissingTableError, UnknownVersionError):
        return None
    is_known = DriftReports().has(spec.name, _raw_id(plan, newest))
    is_there = tables.exists(spec.name, "raw", newest)
    return newest if newest != trained_on and is_there and not is_known else None


def _raw_id(plan: ServingPlan, raw_version: str) -> str:
    return f"raw-{plan.live.version}-{raw_version[:16]}"


def _compare(
    spec: ModelSpec,
    reference: "Profile",
    frame: "pd.DataFrame",
    ignore: Sequence[str] = (),
    **given: Any,
) -> "DriftReport":
    from ml_assets.ml.drift import compare

    watched = spec.monitoring
    return compare(
        reference,
        frame,
        ignore=[*watched.ignore, *ignore],
        floor=watched.psi_floor,
        **given,
    )


def _keep(spec: ModelSpec, item: NamedReport) -> bool:
    """Keep a report that had enough rows and is new; whether it was kept."""
    return item.report.enough and DriftReports().add(
        spec.name, item.id, item.source, item.version, item.to_dict()
    )


def _stamp(moment: float) -> str:
    at = dt.datetime.fromtimestamp(moment, dt.UTC)
    return at.strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
