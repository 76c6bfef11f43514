"""The verdict on an experiment, from all its evidence."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from ml_assets.ml.sequential.evidence import Evidence
from ml_assets.ml.sequential.guardrail import Guardrail

Verdict = Literal["promote", "roll_back", "keep", "not_yet"]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict, and its reason as a sentence.

    ``roll_back`` ends the experiment because the challenger is worse; ``keep`` because
    its time is over without evidence; both leave the champion in place.
    """

    verdict: Verdict
    sentence: str


def decide(
    evidence: Evidence,
    guardrails: Sequence[Guardrail] = (),
    *,
    expired: bool = False,
    minimum_requests: int = 100,
) -> Decision:
    """The verdict, as of now; it may be asked after every label.

    Parameters
    ----------
    evidence : Evidence
        The comparison of the two arms: a Shadow, Split, Betting or Planned.
    guardrails : sequence of Guardrail
        A breach of one ends the experiment, whatever the comparison shows.
    expired : bool
        Whether the experiment reached its longest duration.
    minimum_requests : int
        Requests of the challenger that each guardrail must have seen before a
        promotion: no figures are not good figures.

    Examples
    --------
    >>> from ml_assets.ml.sequential import Shadow
    >>> decide(Shadow()).verdict
    'not_yet'
    >>> decide(Shadow(), expired=True).verdict
    'keep'
    """
    breached = [rail.describe() for rail in guardrails if rail.breached]
    if breached:
        return Decision(
            verdict="roll_back", sentence="guardrail breached: " + "; ".join(breached)
        )
    figures = evidence.describe()
    if evidence.decided == "roll_back":
        return Decision(
            verdict="roll_back", sentence=f"the challenger is worse: {figures}"
        )
    unseen = [
        rail.name for rail in guardrails if rail.requests_challenger < minimum_requests
    ]
    if evidence.decided == "promote" and not unseen:
        return Decision(
            verdict="promote", sentence=f"the challenger is better: {figures}"
        )
    if evidence.decided == "promote":
        figures += f"; guardrails await requests: {', '.join(unseen)}"
    # A planned comparison that was won may still await its guardrails.
    used_up = evidence.finished and evidence.decided is None
    if expired or used_up:
        over = "time is" if expired else "the planned labels are"
        return Decision(
            verdict="keep",
            sentence=f"{over} over without evidence for the challenger: {figures}",
        )
    return Decision(verdict="not_yet", sentence=figures)
