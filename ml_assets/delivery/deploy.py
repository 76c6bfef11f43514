"""One release into one environment: deployed, checked, and reverted if it fails.

An attempt is written down before it begins and ended by one entry of the ledger. A
process that is killed in between leaves an attempt without an entry: the next one with
the same key goes on with it, and one with another key reverts it first.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ml_assets.delivery.attempts import Attempt
from ml_assets.delivery.checks import CheckContext, CheckResult
from ml_assets.delivery.environment_session import DeliveryRequest, EnvironmentSession
from ml_assets.records.ledger_entry import Entry, Kind
from ml_assets.spec.reserved import RELEASE
from ml_assets.targets.clusters import StuckError

Checks = Callable[[CheckContext], list[CheckResult]]

SUCCESS: dict[tuple[str, str], Kind] = {
    ("staging", "release"): "release_staging",
    ("production", "release"): "release_production",
    ("production", "rollback"): "rollback",
}
ABANDONED = "its run ended before it did, and another release was asked for"


class DeliveryResult(NamedTuple):
    """The entry that ended an attempt, and the results of its checks."""

    entry: Entry
    checks: list[CheckResult]

    @property
    def is_deployed(self) -> bool:
        """Whether the release runs."""
        return self.entry.kind != "release_failure"


def deploy(
    session: EnvironmentSession, request: DeliveryRequest, run_checks: Checks
) -> DeliveryResult:
    """Deploy a release, once per key, and write into the ledger how it ended.

    Raises
    ------
    ClusterError, LockError, OvertakenError, StaleError
        If that is not known yet: nothing was reverted, and a call with the same request
        goes on.
    """
    known = session.ledger.find(RELEASE, request.key)
    if known is not None:
        return DeliveryResult(known, results_in(known.evidence))
    attempt = session.attempts.unfinished()
    if attempt is not None and attempt.key != request.key:
        revert_unfinished(session)
        attempt = None
    attempt = attempt or session.begin(request)
    failure = session.attempts.failure(attempt)
    if failure is not None:
        return _revert(session, attempt, failure)
    results, reason = _roll_out(session, attempt, request, run_checks)
    if reason is not None:
        failure = {"why": reason, "checks": _listed(results)}
        session.attempts.note_failure(attempt, failure)
        return _revert(session, attempt, failure)
    kind = SUCCESS[attempt.environment, attempt.purpose]
    entry = _end(session, attempt, kind, attempt.why, {"checks": _listed(results)})
    return DeliveryResult(entry, results)


def revert_unfinished(session: EnvironmentSession) -> None:
    """Revert an attempt that no process goes on with, if there is one."""
    attempt = session.attempts.unfinished()
    if attempt is None:
        return
    failure = session.attempts.failure(attempt)
    if failure is None:
        failure = {"why": ABANDONED, "checks": []}
        session.attempts.note_failure(attempt, failure)
    _revert(session, attempt, failure)


def results_in(evidence: dict[str, Any]) -> list[CheckResult]:
    """The results of checks in an entry, or in the note of a failure."""
    return [CheckResult(**item) for item in evidence.get("checks", [])]


def _roll_out(
    session: EnvironmentSession,
    attempt: Attempt,
    request: DeliveryRequest,
    run_checks: Checks,
) -> tuple[list[CheckResult], str | None]:
    """The results of the checks, and why the release failed, if it did."""
    fleet = session.fleet
    try:
        fleet.deploy(attempt)
    except StuckError as error:
        return [], str(error)
    results = run_checks(
        CheckContext(session.settings, request.release, attempt.key, fleet.serving())
    )
    failed = [result for result in results if not result.passed]
    reason = f"{failed[0].name}: {failed[0].sentence}" if failed else None
    return results, reason


def _revert(
    session: EnvironmentSession, attempt: Attempt, failure: dict[str, Any]
) -> DeliveryResult:
    problems = session.fleet.revert(attempt)
    outcome = "; ".join(problems) or "what ran before runs again"
    evidence = {
        "checks": failure["checks"],
        "returned": not problems,
        "purpose": attempt.purpose,
    }
    why = f"{failure['why']} | {outcome}"
    entry = _end(session, attempt, "release_failure", why, evidence)
    return DeliveryResult(entry, results_in(failure))


def _end(
    session: EnvironmentSession,
    attempt: Attempt,
    kind: Kind,
    why: str,
    evidence: dict[str, Any],
) -> Entry:
    """Write the entry that ends an attempt."""
    known = {
        "environment": attempt.environment,
        "attempt": attempt.number,
        "name": attempt.name,
        "commit": attempt.commit,
        "images": attempt.images,
        "before": attempt.before,
        "from": digest_in(attempt.before.get(session.settings.deployment, "")),
    }
    return session.attempts.end(attempt, kind, why, known | evidence)


def _listed(results: list[CheckResult]) -> list[dict[str, Any]]:
    return [result._asdict() for result in results]


def digest_in(image: str) -> str:
    """The digest by which an image is named; the whole of it where it is by tag.

    Examples
    --------
    >>> digest_in("ghcr.io/acme/ml-assets@sha256:12"), digest_in("ml-assets:0.1.0")
    ('sha256:12', 'ml-assets:0.1.0')
    """
    return image.rpartition("@")[2]
