"""Attempts to change an environment: numbered, and each is written before it begins.

Its number is the fence: the Deployments carry it, and whoever comes with a lower one
changes nothing. An attempt holds what ran before, so that a process that comes after a
killed one knows where to return to. That it failed is written before it is reverted: a
process that finds this reverts the attempt, and does not try again. The ledger entry
that ends it is written in one transaction with the end.
"""

import json
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from ml_assets.core.decoding import from_json
from ml_assets.delivery.errors import ReleaseError
from ml_assets.records.ledger_entry import Entry, Kind
from ml_assets.records.plan import encode
from ml_assets.spec.reserved import RELEASE
from ml_assets.state import ledger
from ml_assets.state.engine import writing
from ml_assets.state.rows import matching, read_row, read_value
from ml_assets.state.schema import delivery_attempts as rows

Purpose = Literal["release", "rollback"]


class StaleError(ReleaseError):
    """Somebody else began to change the environment meanwhile."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt.

    Attributes
    ----------
    number : int
        From 1, per environment.
    key : str
        That of the ledger entry that will end it.
    digest, name, commit : str
        The release that is deployed.
    images : dict of str to str
        Target to image, of the release.
    wanted, before : dict of str to str
        Deployment to image: what shall run, and what ran before.
    """

    number: int
    environment: str
    purpose: Purpose
    key: str
    digest: str
    name: str
    commit: str
    images: dict[str, str]
    wanted: dict[str, str]
    before: dict[str, str]
    who: str
    why: str
    run_id: str | None
    began_at: str


class Attempts:
    """The attempts on one environment."""

    def __init__(self, environment: str) -> None:
        self.environment = environment

    def newest(self) -> Attempt | None:
        """The attempt with the highest number."""
        found = read_row(_newest(self.environment))
        return found and _attempt(found)

    def unfinished(self) -> Attempt | None:
        """The newest attempt, if no entry of the ledger ended it."""
        found = read_row(_newest(self.environment))
        return _attempt(found) if found and found.entry is None else None

    def create(self, attempt: Attempt) -> None:
        """Make the attempt exist.

        Raises
        ------
        StaleError
            If there is one with its number.
        """
        key = {"environment": attempt.environment, "number": attempt.number}
        row = {**key, "attempt": encode(attempt).decode()}
        with writing(RELEASE) as connection:
            try:
                connection.execute(rows.insert().values(row))
            except IntegrityError as error:
                raise StaleError(
                    f"somebody else began attempt {attempt.number} on"
                    f" {attempt.environment}; it was ours to begin"
                ) from error

    def note_failure(self, attempt: Attempt, failure: dict[str, Any]) -> None:
        """Write down that the attempt failed, before anything is reverted.

        Raises
        ------
        StaleError
            If there is a newer attempt.
        """
        with writing(RELEASE) as connection:
            _require_newest(connection, attempt)
            text = json.dumps(failure, sort_keys=True)
            connection.execute(_update(attempt).values(failure=text))

    def failure(self, attempt: Attempt) -> dict[str, Any] | None:
        """Why the attempt failed; None where it did not, or not yet."""
        found = read_value(select(rows.c.failure).where(_is(attempt)))
        return None if found is None else dict(json.loads(found))

    def end(
        self, attempt: Attempt, kind: Kind, why: str, evidence: dict[str, Any]
    ) -> Entry:
        """Write how the attempt ended, and into the ledger, at once.

        Raises
        ------
        StaleError
            If there is a newer attempt.
        """
        with writing(RELEASE) as connection:
            _require_newest(connection, attempt)
            entry = ledger.append(
                connection,
                RELEASE,
                kind,
                attempt.digest,
                None,
                who=attempt.who,
                why=why,
                evidence=evidence,
                key=attempt.key,
            )
            connection.execute(_update(attempt).values(entry=entry.seq))
        return entry


def _newest(environment: str) -> Any:
    of_environment = select(rows).where(rows.c.environment == environment)
    return of_environment.order_by(rows.c.number.desc()).limit(1)


def _require_newest(connection: Connection, attempt: Attempt) -> None:
    newest = connection.execute(_newest(attempt.environment)).first()
    if newest is not None and newest.number != attempt.number:
        raise StaleError(
            f"attempt {attempt.number} on {attempt.environment} was overtaken by"
            f" attempt {newest.number}"
        )


def _is(attempt: Attempt) -> Any:
    return matching(rows, environment=attempt.environment, number=attempt.number)


def _update(attempt: Attempt) -> Any:
    return rows.update().where(_is(attempt))


def _attempt(row: Any) -> Attempt:
    return from_json(row.attempt, Attempt)
