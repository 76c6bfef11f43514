"""Whether a release may go to production, decided from facts alone."""

from typing import Literal, NamedTuple

from ml_assets.delivery.image_tags import is_version

Verdict = Literal["go", "wait", "refuse", "done"]


class Facts(NamedTuple):
    """What is known of a release at the moment of the decision.

    Attributes
    ----------
    name : str
        The tag that was asked for, or that was approved.
    digest : str
        The release that was approved.
    points_at : str or None
        What the tag points at in the registry now; None where it is gone.
    staging : bool or None
        Whether it passed in staging; None where it was not tried.
    staging_reason : str
        Why it failed there.
    approved_by : str or None
        Who let it into production; None where nobody did.
    used_by : str or None
        The entry that used the approval, if there is one.
    current : str or None
        The digest that is in production.
    ledger_problems : tuple of str
        What is wrong with the ledger itself.
    stopped_by : str or None
        A hold on the release, which a later image of the platform wrote.
    """

    name: str
    digest: str
    points_at: str | None
    staging: bool | None = None
    staging_reason: str = ""
    approved_by: str | None = None
    used_by: str | None = None
    current: str | None = None
    ledger_problems: tuple[str, ...] = ()
    stopped_by: str | None = None


class Decision(NamedTuple):
    """The verdict, and its reason in a sentence.

    ``wait`` becomes ``go`` when somebody does what is missing; ``refuse`` never does.
    """

    verdict: Verdict
    reason: str


def decide(facts: Facts) -> Decision:
    """Decide by the first clause that applies; ``go`` where none does.

    Examples
    --------
    >>> decide(Facts("main", "sha256:1", "sha256:1")).reason
    'main is no version: only tags such as v1.2.3 go to production'
    >>> passed = Facts("v1.0.0", "sha256:1", "sha256:1", staging=True)
    >>> decide(passed).verdict, decide(passed._replace(approved_by="user ada")).verdict
    ('wait', 'go')
    """
    return next(
        (
            Decision(verdict, reason)
            for applies, verdict, reason in _clauses(facts)
            if applies
        ),
        Decision(
            "go", f"{facts.name} passed in staging, approved by {facts.approved_by}"
        ),
    )


def _clauses(facts: Facts) -> tuple[tuple[bool, Verdict, str], ...]:
    name, approved = facts.name, facts.approved_by is not None
    return (
        (
            facts.used_by is not None,
            "done",
            f"this approval of {name} was used: {facts.used_by}",
        ),
        (
            bool(facts.ledger_problems),
            "refuse",
            "the ledger of releases cannot be trusted: "
            + "; ".join(facts.ledger_problems),
        ),
        (
            not is_version(name),
            "refuse",
            f"{name} is no version: only tags such as v1.2.3 go to production",
        ),
        (
            facts.points_at is None,
            "refuse",
            f"the registry has no tag {name} any more",
        ),
        (
            facts.points_at != facts.digest,
            "refuse",
            f"{name} points at {facts.points_at} now, and not at the {facts.digest}"
            " that was approved",
        ),
        (
            facts.stopped_by is not None,
            "wait",
            f"{name} is on hold: {facts.stopped_by}",
        ),
        (
            facts.current == facts.digest,
            "done",
            f"{name} is in production",
        ),
        (
            facts.staging is False,
            "refuse",
            f"{name} failed in staging: {facts.staging_reason}",
        ),
        (
            not approved,
            "wait",
            f"{name} is not approved: `ml-assets approve {name} --reason ...`",
        ),
        (
            facts.staging is None,
            "wait",
            f"{name} has not been through staging yet",
        ),
    )
