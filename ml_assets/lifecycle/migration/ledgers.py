"""Ledgers and plans of before release 0.2: their files become rows.

Each ledger is verified before, and the hashes of its entries are the same after.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from ml_assets.core.decoding import from_json
from ml_assets.core.files import is_name, read_json
from ml_assets.core.signing import keys
from ml_assets.records.ledger_entry import START, canonical
from ml_assets.records.plan import ServingPlan, digest
from ml_assets.state import ledger as ledgers
from ml_assets.state import plans
from ml_assets.state.engine import writing
from ml_assets.state.ledger_chain import Head, head_text
from ml_assets.state.schema import alias_syncs, ledger, ledger_heads
from ml_assets.state.schema import plans as plan_rows

Body = dict[str, Any]


class MigrationError(Exception):
    """Something of the old installation is not what it should be; nothing was moved."""


class History(NamedTuple):
    """What was found of one model: entries as JSON, plans, and a deployer's note."""

    bodies: list[Body]
    plans: list[ServingPlan]
    note: Body | None
    is_labelled: bool


def subjects(source: Path) -> list[str]:
    """What has a ledger or a plan in the old installation under `source`."""
    named = [path.stem for path in (source / "ledger").glob("*.jsonl")]
    planned = [path.parent.name for path in (source / "plans").glob("*/[0-9]*.json")]
    return sorted(name for name in {*named, *planned} if is_name(name))


def read(source: Path, subject: str) -> History:
    """The ledger and the plans of a model, or of the platform's releases.

    Raises
    ------
    MigrationError
        If the ledger does not verify.
    """
    directory = source / "ledger"
    path = directory / f"{subject}.jsonl"
    data = path.read_bytes() if path.exists() else b""
    # A writer that died left a part of a line, which is no entry.
    lines = data.split(b"\n")[:-1]
    bodies = [_body(path, number, line) for number, line in enumerate(lines, 1)]
    _verify(path, bodies, read_json(directory / f"{subject}.head.json"))
    paths = sorted((source / "plans" / subject).glob("[0-9]*.json"))
    return History(
        bodies,
        [from_json(item.read_bytes(), ServingPlan) for item in paths],
        read_json(directory / f"{subject}.pending.json"),
        not (directory / f"{subject}.unlabelled.json").exists(),
    )


def copy(subject: str, old: History) -> bool:
    """Write what was read, in one transaction; False where it is there already.

    Raises
    ------
    MigrationError
        If the state holds something else of `subject`, or what was written does not
        verify.
    """
    with writing(subject) as connection:
        is_new = _copy(connection, subject, old)
    plans.publish(subject)
    problems = ledgers.Ledger().verify(subject)
    if problems:
        raise MigrationError(
            f"the ledger of {subject} as copied: {problems[0].message}"
        )
    return is_new


def _body(path: Path, number: int, line: bytes) -> Body:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise MigrationError(f"{path}: entry {number} is not readable") from error
    return dict(found)


def _verify(path: Path, bodies: list[Body], head: Body | None) -> None:
    before = START
    for number, body in enumerate(bodies, 1):
        if body["seq"] != number or body["previous"] != before:
            raise MigrationError(f"{path}: the chain is broken before entry {number}")
        before = hashlib.sha256(_line(body)).hexdigest()
        if body["hash"] != before:
            raise MigrationError(f"{path}: entry {number} was edited")
        signature, known = body.get("signature"), keys()
        if signature and known.shared and not known.is_signed(before, signature):
            raise MigrationError(
                f"{path}: entry {number} is signed with another key, or forged"
            )
    if head is not None and head["seq"] > len(bodies):
        raise MigrationError(
            f"{path}: entries after {len(bodies)} are missing: there were {head['seq']}"
        )


def _line(body: Body) -> bytes:
    kept = {key: body[key] for key in body if key not in ("hash", "signature")}
    return canonical(kept)


def _copy(connection: Connection, subject: str, old: History) -> bool:
    """Write what was read; False where it is there already."""
    wanted = select(ledger.c.hash).where(ledger.c.model == subject)
    known = [*connection.scalars(wanted.order_by(ledger.c.seq))]
    hashes = [body["hash"] for body in old.bodies]
    count = select(func.count()).where(plan_rows.c.model == subject)
    has_plans = bool(connection.scalar(count))
    if known or has_plans:
        if known[: len(hashes)] == hashes and (has_plans or not old.plans):
            return False
        raise MigrationError(
            f"the state has another history of {subject} already: begin with an empty"
            " database, or remove what was begun there"
        )
    for body in old.bodies:
        connection.execute(
            ledger.insert().values(
                **{name: body[name] for name in ("seq", "kind", "version", "key")},
                model=subject,
                line=_line(body).decode(),
                hash=body["hash"],
                signature=body.get("signature"),
            )
        )
    if old.bodies:
        last = old.bodies[-1]
        end = last["seq"], last["hash"]
        head = Head(*end, keys().sign(head_text(*end)))
        row = {"model": subject, **head._asdict()}
        connection.execute(ledger_heads.insert().values(row))
    for plan in old.plans:
        plans.commit(connection, plan)
    _finish(connection, subject, old)
    return True


def _finish(connection: Connection, subject: str, old: History) -> None:
    """Write the entry of a plan whose deployer died before it could."""
    note = dict(old.note or {})
    wanted = note.pop("plan", None)
    if wanted is not None and wanted in {digest(plan) for plan in old.plans}:
        ledgers.append(connection, subject, **note)
    elif old.is_labelled and old.bodies:
        seq = old.bodies[-1]["seq"]
        connection.execute(alias_syncs.insert().values(model=subject, seq=seq))
