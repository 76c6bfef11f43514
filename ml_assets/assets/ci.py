"""``delivery/ci``: how the branch's workflows do on GitHub."""

from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from ml_assets.delivery.ci_report import CiReport

KEY = dg.AssetKey(["delivery", "ci"])


@dg.asset(
    key=KEY,
    group_name="delivery",
    owners=["team:ml-platform"],
    kinds={"github"},
    description=(
        "The workflows of the main branch on GitHub: what passes, how long it takes,"
        " how often it fails, which tests are flaky, and which are slow."
    ),
)
def ci(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Read what is new; GitHub's faults are said in the metadata, and fail no run."""
    from ml_assets.delivery.ci_report import report
    from ml_assets.delivery.ci_status import ci_settings, ci_status
    from ml_assets.delivery.environments import SettingsError

    try:
        settings = ci_settings()
    except SettingsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    snapshot, problem = ci_status(settings)
    if problem:
        context.log.warning(problem)
    problems = sorted({text for run in snapshot.runs for text in run.problems})
    metadata: dict[str, Any] = {
        "repository": settings.repository,
        "branch": settings.branch,
        "github": problem or "read",
        **({"not_read": "\n".join(problems)} if problems else {}),
        **metadata_of(report(snapshot.runs)),
    }
    if snapshot.read_at:
        metadata["read_at"] = dg.MetadataValue.timestamp(snapshot.read_at)
    return dg.MaterializeResult(metadata=metadata)


def metadata_of(found: "CiReport") -> dict[str, Any]:
    """The figures of a report; `workflows` is what the exporter makes metrics of."""
    from ml_assets.delivery.ci_tables import tables

    metadata: dict[str, Any] = {
        "tests": found.tests,
        "failing": len(found.failing_tests),
        "flaky": len(found.flaky),
        "workflows": {
            item.name: {
                "passing": item.passing,
                "runs": item.runs,
                "failure_ratio": item.failure_ratio,
                "earlier_failure_ratio": item.earlier_ratio,
                "seconds": item.seconds,
                "started": item.last.started,
            }
            for item in found.workflows
        },
    }
    if found.passing is not None:
        metadata["passing"] = found.passing
    if found.coverage is not None:
        metadata["coverage"] = found.coverage
    texts = {name: dg.MetadataValue.md(text) for name, text in tables(found).items()}
    return metadata | texts
