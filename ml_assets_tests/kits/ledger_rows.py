"""The rows of ledgers, changed as somebody would who can write the database."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from ml_assets.records.ledger_entry import canonical
from ml_assets.state.engine import writing

Row = dict[str, Any]
NAMES = ("model", "seq", "kind", "version", "key", "line", "hash", "signature")


def rows(model: str = "churn") -> list[Row]:
    """The ledger of `model`, oldest entry first."""
    query = text("SELECT * FROM ledger WHERE model = :model ORDER BY seq")
    with writing(model) as connection:
        found = connection.execute(query, {"model": model})
        return [dict(row) for row in found.mappings()]


def rewrite(change: Callable[[list[Row]], list[Row]], model: str = "churn") -> None:
    """Replace the ledger of `model` by what `change` makes of its rows."""
    changed = change(rows(model))
    values = ", ".join(f":{name}" for name in NAMES)
    with writing(model) as connection:
        connection.execute(text("DELETE FROM ledger WHERE model = :m"), {"m": model})
        for row in changed:
            connection.execute(text(f"INSERT INTO ledger VALUES ({values})"), row)


def forge(old: str, new: str, model: str = "churn") -> None:
    """Replace a text in every entry, and nothing that would hide it."""
    rewrite(
        lambda found: [{**row, "line": row["line"].replace(old, new)} for row in found],
        model,
    )


def edit(row: Row, **fields: Any) -> Row:
    """The row with other fields in its JSON, and with the hash of that."""
    line = canonical({**json.loads(row["line"]), **fields}).decode()
    return {**row, "line": line, "hash": hashlib.sha256(line.encode()).hexdigest()}


def tampered(row: Row, old: str, new: str) -> Row:
    """The row with another text in its JSON, and its hash as it was."""
    return {**row, "line": row["line"].replace(old, new)}


def make_anew(found: list[Row]) -> list[Row]:
    """The chain and the head made anew, as far as one can without the key."""
    before, made = "0" * 64, []
    for row in found:
        made.append(edit(row, previous=before))
        before = made[-1]["hash"]
    model = found[0]["model"]
    statement = text(
        "UPDATE ledger_heads SET seq = :seq, hash = :hash WHERE model = :m"
    )
    with writing(model) as connection:
        given = {"seq": made[-1]["seq"], "hash": before, "m": model}
        connection.execute(statement, given)
    return made
