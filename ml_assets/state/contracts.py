"""The stored schema contract of a model, and accepting data that breaks it.

``contracts/<model>.json`` is the contract of the last accepted data. Data that breaks
it leaves ``contracts/<model>.blocked.json``: what moved, and the contract that this
data would make. Accepting writes the entry in the ledger, then that contract, and
removes the note last; an acceptance that is killed is finished by the next.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ml_assets.core.files import (
    below,
    locked,
    read_json,
    storage_root,
    write_bytes,
    write_json,
)
from ml_assets.records.ledger_entry import Entry
from ml_assets.state.ledger import Ledger

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


def contract_path(model: str) -> Path:
    """The contract of the last accepted raw data of a model."""
    return below(storage_root() / "contracts", f"{model}.json")


def blocked_path(model: str) -> Path:
    """The note on data that broke the contract, and waits."""
    return below(storage_root() / "contracts", f"{model}.blocked.json")


def keep(model: str, contract: "Contract") -> None:
    """Store the contract of accepted data; no data waits any more."""
    with locked(_lock(model)):
        write_bytes(contract_path(model), contract.to_json().encode())
        blocked_path(model).unlink(missing_ok=True)


def block(
    model: str, data_version: str, moved: Sequence[str], contract: "Contract"
) -> None:
    """Note that data broke the contract; once for the same data and findings."""
    with locked(_lock(model)):
        known = blocked(model)
        if known and (known.data_version, known.moved) == (data_version, [*moved]):
            return
        since = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        note = Blocked(data_version, since, [*moved], contract.to_json())
        write_json(blocked_path(model), note._asdict())


def blocked(model: str) -> Blocked | None:
    """The data of `model` that waits to be accepted, if any."""
    note = read_json(blocked_path(model))
    return None if note is None else Blocked(**note)


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
    with locked(_lock(model)):
        note = blocked(model)
        if note is None:
            raise NothingBlockedError(
                f"no data of {model} waits to be accepted: none broke its contract"
                " since data was last accepted"
            )
        entry = Ledger().append(
            model,
            "contract",
            note.data_version,
            None,
            who=who,
            why=why,
            evidence={"moved": note.moved, "since": note.since},
            key=f"contract:{note.data_version}:{note.since}",
        )
        write_bytes(contract_path(model), note.contract.encode())
        blocked_path(model).unlink()
    return entry, note


def remedy(model: str) -> str:
    """What to do where data moved on purpose, for the message of a failure."""
    return (
        f"if this moved on purpose: `ml-assets contract accept {model} --reason WHY`"
        f" or the job {model}_accept_contract, then train again"
    )


def drifted_columns(root: Path, model: str) -> dict[str, str]:
    """Columns that drifted in answered requests since data was last accepted.

    Each with the name of its report. Reports on raw data do not count: then the data
    itself would excuse its breach of the contract.
    """
    accepted = contract_path(model)
    since = accepted.stat().st_mtime if accepted.exists() else 0.0
    found: dict[str, str] = {}
    for path in _reports(below(root / "reports", model) / "drift", since):
        for column in read_json(path)["columns"]:
            if column["drifted"] and column["kind"] != "prediction":
                found[column["column"]] = path.stem
    return found


def _reports(directory: Path, since: float) -> Iterable[Path]:
    paths = sorted(directory.glob("predictions-*.json"))
    return [path for path in paths if path.stat().st_mtime >= since]


def _lock(model: str) -> Path:
    return below(storage_root() / "contracts", f"{model}.lock")
