"""The stored schema contract of a model, and accepting data that breaks it.

A contract is that of the last accepted data. Data that breaks it is recorded: what
moved, and the contract that this data would make. Accepting writes the entry in the
ledger, takes that contract and removes the record, in one transaction.
"""

import datetime as dt
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, select

from ml_assets.records.ledger_entry import Entry
from ml_assets.state import ledger
from ml_assets.state.drift_reports import DriftReports
from ml_assets.state.engine import reading, writing
from ml_assets.state.rows import fields, matching, read_row, replace
from ml_assets.state.schema import blocked_contracts, contracts

if TYPE_CHECKING:
    from ml_assets.ml.contract import Contract


class ContractError(Exception):
    """What moved cannot be accepted so."""


class NothingBlockedError(ContractError):
    """No data of the model waits to be accepted."""


class Blocked(NamedTuple):
    """Data that broke the contract.

    Attributes
    ----------
    data_version : str
        Of the raw table.
    since : str
        When, in UTC, ISO 8601.
    moved : list of str
        Sentences without values of rows.
    contract : str
        JSON of the contract that this data would make.
    """

    data_version: str
    since: str
    moved: list[str]
    contract: str


class Accepted(NamedTuple):
    """JSON of the contract of accepted data, and when that was, in Unix seconds."""

    contract: str
    since: float


def accepted(model: str) -> Accepted | None:
    """The contract that data has to fit; None where none was accepted yet."""
    wanted = select(contracts.c.contract, contracts.c.accepted)
    row = read_row(wanted.where(contracts.c.model == model))
    return None if row is None else Accepted(*row)


def keep(model: str, contract: "Contract") -> None:
    """Store the contract of accepted data; no data waits any more."""
    with writing(model) as connection:
        _keep(connection, model, contract.to_json())


def block(
    model: str, data_version: str, moved: Sequence[str], contract: "Contract"
) -> None:
    """Record that data broke the contract; once for the same data and findings."""
    with writing(model) as connection:
        known = _blocked(connection, model)
        if known and (known.data_version, known.moved) == (data_version, [*moved]):
            return
        since = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        note = Blocked(data_version, since, [*moved], contract.to_json())
        replace(connection, blocked_contracts, model=model, **note._asdict())


def blocked(model: str) -> Blocked | None:
    """The data of `model` that waits to be accepted, if any."""
    with reading() as connection:
        return _blocked(connection, model)


def accept(model: str, who: str, why: str) -> tuple[Entry, Blocked]:
    """Accept what moved: the next data must fit the contract of the data that waits.

    Raises
    ------
    NothingBlockedError
        If no data waits.
    ContractError
        If `why` is blank.
    """
    if not why.strip():
        raise ContractError(f"accepting data of {model} takes a reason, found none")
    with writing(model) as connection:
        note = _blocked(connection, model)
        if note is None:
            raise NothingBlockedError(
                f"no data of {model} waits to be accepted: none broke its contract"
                " since data was last accepted"
            )
        entry = ledger.append(
            connection,
            model,
            "contract",
            note.data_version,
            None,
            who=who,
            why=why,
            evidence={"moved": note.moved, "since": note.since},
        )
        _keep(connection, model, note.contract)
    return entry, note


def remedy(model: str) -> str:
    """What to do where data moved on purpose, for the message of a failure."""
    return (
        f"if this moved on purpose: `ml-assets contract accept {model} --reason WHY`"
        f" or the job {model}_accept_contract, then train again"
    )


def drifted_columns(model: str, since: float) -> dict[str, str]:
    """Columns that drifted in answered requests since a moment in Unix seconds.

    Each with the name of its report. Reports on raw data do not count: then the data
    itself would excuse its breach of the contract.
    """
    found: dict[str, str] = {}
    reports = DriftReports()
    for name in reports.since(model, "predictions", since):
        report = reports.read(model, name)
        for column in report["columns"] if report else []:
            if column["drifted"] and column["kind"] != "prediction":
                found[column["column"]] = name
    return found


def _keep(connection: Connection, model: str, contract: str) -> None:
    now = time.time()
    replace(connection, contracts, model=model, contract=contract, accepted=now)
    waiting = matching(blocked_contracts, model=model)
    connection.execute(blocked_contracts.delete().where(waiting))


def _blocked(connection: Connection, model: str) -> Blocked | None:
    same = matching(blocked_contracts, model=model)
    wanted = fields(blocked_contracts, Blocked).where(same)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else Blocked(*row)
