"""``<model>/drift``: requests and new data beside what the champion learnt from."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.assets.common import (
    MAY_SKIP,
    Events,
    check_result,
    check_spec,
    keep_plots,
    key,
    markdown_table,
    skipped,
    stage_arguments,
)
from ml_assets.lifecycle.drift_reports import (
    DRIFTED_COLUMNS,
    NamedReport,
    latest_reports,
    make_reports,
)
from ml_assets.spec.model import ModelSpec

if TYPE_CHECKING:
    from ml_assets.ml.drift import DriftReport


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that compares, and its check."""
    check = check_spec(
        spec,
        "drift",
        "No column differs from the reference profile surprisingly (adjusted for"
        f" their number) and by a PSI of {spec.monitoring.psi_floor:g} or more.",
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
    ) -> Events:
        found = make_reports(spec)
        if not found:
            reason = "nothing new to compare"
            context.log.info(reason)
            yield skipped(spec, "drift", reason)
            yield _check(spec, latest_reports(spec))
            return
        drifted = [item for item in found if item.report.drifted]
        for item in found:
            report = context.log.warning if item.report.drifted else context.log.info
            report(f"{item.source}: {item.report.sentence}")
        worst = (drifted or found)[0]
        yield dg.MaterializeResult(metadata=describe(spec, worst, found))
        yield _check(spec, [item.to_dict() for item in found])

    return dg.Definitions(assets=[drift])


def _check(spec: ModelSpec, reports: list[dict[str, Any]]) -> dg.AssetCheckResult:
    drifted = [report for report in reports if report["drifted"]]
    sentences = [f"{r['source']}: {r['sentence']}" for r in drifted or reports]
    text = "; ".join(sentences) or "there is nothing to compare yet"
    return check_result(spec, "drift", not drifted, text)


def describe(
    spec: ModelSpec, worst: NamedReport, found: list[NamedReport]
) -> dict[str, Any]:
    """What the UI shows: the table and the plots of the report that matters most."""
    from ml_assets.ml.plots.monitoring import distributions, drift

    report = worst.report
    images = {"drift": drift(report), "distributions": distributions(report)}
    raw = {name: text for name, text in worst.about.items() if name == "raw_version"}
    return {
        "drifted": report.drifted,
        "report_id": worst.id,
        "source": worst.source,
        "version": worst.version,
        **raw,
        DRIFTED_COLUMNS: sorted(
            {c.column for item in found for c in item.report.columns if c.drifted}
        ),
        "finding": report.sentence,
        "rows": report.rows_window,
        "rows without repetitions": report.rows_counted,
        "columns": dg.MetadataValue.md(table(report)),
        **keep_plots(f"reports/{spec.name}/drift/{worst.id}.", images),
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
