"""What a run of releases shows: its checks, what is deployed, or why it failed."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from ml_assets.assets.retries import TRIES, WAIT_SECONDS
from ml_assets.delivery.checks import not_tried
from ml_assets.delivery.checks.finding import Finding
from ml_assets.delivery.refusals import DoneError, ReleaseError
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE

Events = Iterator[Any]


def told(
    context: dg.AssetExecutionContext, name: str, act: Callable[[], Any]
) -> Events:
    """The events of a delivery: its checks, and what is deployed, or a failure."""
    try:
        done = act_on(context, act)
    except DoneError as reason:
        yield from _repeated(context, name, reason)
        return
    entry = done.entry
    yield from _results(name, entry, done.findings or not_tried(entry.why))
    if not done.is_deployed:
        raise dg.Failure(entry.why, allow_retries=False)
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(entry.version),
        metadata={
            "digest": entry.version,
            "version": str(entry.evidence["name"]),
            "commit": str(entry.evidence["commit"]),
            "images": entry.evidence["images"],
            "before": str(entry.evidence["from"]),
            "reason": entry.why,
            "entry": entry.seq,
        },
    )


def _repeated(
    context: dg.AssetExecutionContext, name: str, reason: DoneError
) -> Events:
    """The events of a request that was answered before: the same checks once more."""
    from ml_assets.delivery.delivery import findings_of

    entry = reason.entry
    findings = findings_of(entry.evidence) if entry is not None else []
    if entry is None or not findings or entry.kind == "release_failure":
        raise dg.Failure(str(reason), allow_retries=False)
    context.log.info(str(reason))
    yield dg.AssetObservation(
        dg.AssetKey([RELEASE, name]), metadata={"skipped": str(reason)}
    )
    yield from _results(name, entry, findings)


def _results(name: str, entry: Entry, findings: list[Finding]) -> Events:
    for finding in findings:
        yield dg.AssetCheckResult(
            check_name=finding.name,
            asset_key=dg.AssetKey([RELEASE, name]),
            passed=finding.passed,
            description=finding.sentence,
            metadata={**finding.figures, "digest": entry.version, "entry": entry.seq},
        )


def act_on(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, act: Callable[[], Any]
) -> Any:
    """Do it; what passes is tried again, and what does not is a failure."""
    from ml_assets.delivery.oci_http import RegistryUnavailableError
    from ml_assets.state.locks import LockError
    from ml_assets.targets.clusters import ClusterError, OvertakenError

    try:
        return act()
    except (RegistryUnavailableError, ClusterError, LockError) as error:
        context.log.warning(f"it is tried again: {error}")
        raise dg.RetryRequested(TRIES, WAIT_SECONDS) from error
    except (OvertakenError, ReleaseError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
