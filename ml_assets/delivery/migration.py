"""Releases, attempts and notifications of before release 0.2, which were files.

They are copied into the database of the state after the ledgers, and the old files stay
as they are. What is there already is passed over, so that it may be repeated.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select

from ml_assets.core.decoding import from_json
from ml_assets.core.files import read_json
from ml_assets.delivery.attempts import Attempt
from ml_assets.delivery.releases import Release
from ml_assets.records.plan import encode
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.engine import writing
from ml_assets.state.rows import Values, add_missing
from ml_assets.state.schema import (
    delivery_attempts,
    ledger,
    notification_counts,
    notifications,
    release_tags,
    releases,
)


class Moved(NamedTuple):
    """What was found in the old installation."""

    releases: int
    attempts: int
    notifications: int


def migrate(source: Path, dry_run: bool = False) -> Moved:
    """Copy what the installation under `source` has; its ledgers must be copied before.

    Parameters
    ----------
    source : Path
        The old ``ML_ASSETS_STORAGE``.
    dry_run : bool, default=False
        Read only.

    Raises
    ------
    msgspec.MsgspecError, ValueError
        If a file is not what it should be; then nothing is copied.
    """
    directory = source / "releases"
    found = [*_releases(directory / "images")]
    attempts = [
        row for name in ("staging", "production") for row in _attempts(directory / name)
    ]
    sent = [*_notifications(source / "notifications" / "claims")]
    tags = read_json(directory / "heads.json") or {}
    counts = read_json(source / "notifications" / "counts.json") or {}
    moved = Moved(len(found), len(attempts), len(sent))
    if dry_run:
        return moved
    with writing(RELEASE) as connection:
        ended = select(ledger.c.key, ledger.c.seq).where(ledger.c.model == RELEASE)
        entries = {row.key: row.seq for row in connection.execute(ended)}
        add_missing(connection, releases, found)
        add_missing(connection, release_tags, _pairs("name", "digest", tags))
        add_missing(
            connection,
            delivery_attempts,
            [
                {**row, "entry": entries.get(json.loads(row["attempt"])["key"])}
                for row in attempts
            ],
        )
        add_missing(connection, notifications, sent)
        add_missing(
            connection,
            notification_counts,
            [
                {"kind": kind, **row}
                for kind, results in counts.items()
                for row in _pairs("result", "number", results)
            ],
        )
    return moved


def _releases(directory: Path) -> Iterator[Values]:
    for path in sorted(directory.glob("*.json")):
        release = from_json(path.read_bytes(), Release)
        yield {"digest": release.digest, "release": encode(release).decode()}


def _attempts(directory: Path) -> Iterator[Values]:
    for path in sorted(directory.glob("*.json")):
        if not path.stem.isdigit():
            continue
        attempt = from_json(path.read_bytes(), Attempt)
        failure = read_json(path.with_suffix(".failed.json"))
        yield {
            "environment": attempt.environment,
            "number": attempt.number,
            "attempt": encode(attempt).decode(),
            "failure": None if failure is None else json.dumps(failure),
        }


def _notifications(directory: Path) -> Iterator[Values]:
    for path in sorted(directory.glob("*")):
        key = path.read_text(encoding="utf-8").rstrip("\n")
        # One that was created, and is still without its text, names nothing.
        if key:
            yield {"key": key, "claimed_at": path.stat().st_mtime}


def _pairs(first: str, second: str, values: Mapping[str, Any]) -> list[Values]:
    return [{first: key, second: value} for key, value in values.items()]
