"""One release into one environment: deployed, checked, and taken back if it fails.

An attempt is written down before it begins and ended by one entry of the ledger. A
process that is killed in between leaves an attempt without an entry: the next one with
the same key goes on with it, and one with another key takes it back first.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ml_assets.delivery.checks.finding import Finding, Site
from ml_assets.delivery.environment_session import Order, Place
from ml_assets.delivery.records import Attempt
from ml_assets.records.ledger_entry import Entry, Kind
from ml_assets.spec.reserved import RELEASE
from ml_assets.targets.clusters import StuckError

Judge = Callable[[Site], list[Finding]]

SUCCESS: dict[tuple[str, str], Kind] = {
    ("staging", "release"): "release_staging",
    ("production", "release"): "release_production",
    ("production", "rollback"): "rollback",
}
ABANDONED = "its run ended before it did, and another release was asked for"


class Delivered(NamedTuple):
    """The entry that ended an attempt, and the findings of its checks."""

    entry: Entry
    findings: list[Finding]

    @property
    def is_deployed(self) -> bool:
        """Whether the release runs."""
        return self.entry.kind != "release_failure"


def deliver(place: Place, order: Order, judge: Judge) -> Delivered:
    """Deploy a release, once per key, and tell the ledger how it ended.

    Raises
    ------
    ClusterError, LockError, OvertakenError, StaleError
        If that is not known yet: nothing was taken back, and a call with the same order
        goes on.
    """
    known = place.ledger.find(RELEASE, order.key)
    if known is not None:
        return Delivered(known, findings_of(known.evidence))
    attempt = place.unended()
    if attempt is not None and attempt.key != order.key:
        abandon(place)
        attempt = None
    attempt = attempt or place.begin(order)
    failure = place.attempts.failure(attempt)
    if failure is not None:
        return _give_up(place, attempt, failure)
    findings, reason = _try(place, attempt, order, judge)
    place.attempts.require_newest(attempt)
    if reason is not None:
        failure = {"why": reason, "checks": _listed(findings)}
        place.attempts.note_failure(attempt, failure)
        return _give_up(place, attempt, failure)
    kind = SUCCESS[attempt.environment, attempt.purpose]
    entry = _end(place, attempt, kind, attempt.why, {"checks": _listed(findings)})
    return Delivered(entry, findings)


def abandon(place: Place) -> Entry | None:
    """Take back an attempt that nobody goes on with; None where there is none."""
    attempt = place.unended()
    if attempt is None:
        return None
    failure = place.attempts.failure(attempt)
    if failure is None:
        failure = {"why": ABANDONED, "checks": []}
        place.attempts.note_failure(attempt, failure)
    return _give_up(place, attempt, failure).entry


def findings_of(evidence: dict[str, Any]) -> list[Finding]:
    """The findings that an entry or a note of a failure has."""
    return [Finding(**item) for item in evidence.get("checks", [])]


def _try(
    place: Place, attempt: Attempt, order: Order, judge: Judge
) -> tuple[list[Finding], str | None]:
    """The findings, and why the release failed, if it did."""
    try:
        place.fleet.put(attempt)
    except StuckError as error:
        return [], str(error)
    models = place.fleet.serving()
    findings = judge(Site(place.settings, order.image, attempt.key, models))
    failed = [finding for finding in findings if not finding.passed]
    reason = f"{failed[0].name}: {failed[0].sentence}" if failed else None
    return findings, reason


def _give_up(place: Place, attempt: Attempt, failure: dict[str, Any]) -> Delivered:
    problems = place.fleet.take_back(attempt)
    way = "; ".join(problems) or "what ran before runs again"
    evidence = {
        "checks": failure["checks"],
        "returned": not problems,
        "purpose": attempt.purpose,
    }
    why = f"{failure['why']} | {way}"
    entry = _end(place, attempt, "release_failure", why, evidence)
    return Delivered(entry, findings_of(failure))


def _end(
    place: Place, attempt: Attempt, kind: Kind, why: str, evidence: dict[str, Any]
) -> Entry:
    known = {
        "environment": attempt.environment,
        "attempt": attempt.number,
        "name": attempt.name,
        "commit": attempt.commit,
        "images": attempt.images,
        "before": attempt.before,
        "from": digest_in(attempt.before.get(place.settings.deployment, "")),
    }
    return place.ledger.append(
        RELEASE,
        kind,
        attempt.digest,
        None,
        who=attempt.who,
        why=why,
        evidence=known | evidence,
        key=attempt.key,
    )


def _listed(findings: list[Finding]) -> list[dict[str, Any]]:
    return [finding._asdict() for finding in findings]


def digest_in(image: str) -> str:
    """The digest by which an image is named; the whole of it where it is by tag.

    Examples
    --------
    >>> digest_in("ghcr.io/acme/ml-assets@sha256:12"), digest_in("ml-assets:0.1.0")
    ('sha256:12', 'ml-assets:0.1.0')
    """
    return image.rpartition("@")[2]
