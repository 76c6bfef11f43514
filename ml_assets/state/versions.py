"""Every trained version of a model: its record, its evaluation and its objects.

Record and evaluation are a row. Below ``versions/<model>/<version>/`` the storage has
``spec.json`` (its configuration), ``validation.json`` (that of its raw data),
``profile.json`` and ``bundle/``. Training saves the record last: without it a version
does not exist.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from typing import Any, cast

from sqlalchemy import func, select, tuple_

from ml_assets.core.decoding import from_json
from ml_assets.core.files import is_name
from ml_assets.core.storage import storage
from ml_assets.records.plan import STAMP, encode
from ml_assets.records.version import VersionRecord, object_name
from ml_assets.state.engine import reading, writing
from ml_assets.state.rows import (
    delete_rows,
    matching,
    parts,
    read_row,
    read_rows,
    read_value,
    read_values,
)
from ml_assets.state.schema import versions

PROFILE = "profile.json"
SPEC = "spec.json"
VALIDATION = "validation.json"
_IS_RECORDED = versions.c.record.is_not(None)


class UnknownVersionError(LookupError):
    """No such version of the model."""


class Versions:
    """The versions of every model, as the database and the storage have them."""

    def reserve(
        self,
        model: str,
        owner: str,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> str:
        """Take a version name that nobody else has: the UTC time, to the second.

        Of two trainings in one second, the later takes the next free second.

        Parameters
        ----------
        owner : str
            The run that trains it.
        """
        moment = now()
        with writing(model) as connection:
            while connection.scalar(_one(model, moment.strftime(STAMP))):
                moment += dt.timedelta(seconds=1)
            version = moment.strftime(STAMP)
            row = {"model": model, "version": version, "owner": owner}
            connection.execute(versions.insert().values(**row, reserved=_now()))
        return version

    def save(self, record: VersionRecord) -> None:
        """Make the version exist; to repeat it with the same record is harmless.

        Raises
        ------
        FileExistsError
            If it has another record.
        """
        key = {"model": record.model, "version": record.version}
        saved = {
            "record": encode(record).decode(),
            "registry_version": record.registry_version,
        }
        with writing(record.model) as connection:
            row = connection.execute(_one(**key, columns=("record",))).one_or_none()
            if row is None:
                new = {**key, **saved, "owner": record.run_id, "reserved": _now()}
                connection.execute(versions.insert().values(new))
            elif row.record is None:
                connection.execute(_update(**key).values(saved))
            elif row.record != saved["record"]:
                raise FileExistsError(
                    f"version {record.version} of {record.model} already has a record"
                )

    def remove(self, model: str, version: str) -> None:
        """Let the version exist no more; its objects are removed by the caller."""
        delete_rows(model, versions, model=model, version=version)

    def unfinished(self, model: str) -> dict[str, float]:
        """Reserved versions without a record, and the Unix seconds of that."""
        wanted = select(versions.c.version, versions.c.reserved).where(
            versions.c.model == model, versions.c.record.is_(None)
        )
        return {name: moment for name, moment in read_rows(wanted)}

    def models(self) -> list[str]:
        """Models that have a version."""
        wanted = select(versions.c.model).where(_IS_RECORDED)
        return sorted(read_values(wanted.distinct()))

    def names(self, model: str) -> list[str]:
        """Versions of `model` that exist, oldest first."""
        return read_values(_recorded(model, "version").order_by(versions.c.version))

    def latest(self, model: str, count: int | None = 1) -> list[str]:
        """The newest versions of `model`, newest first; None for all."""
        return read_values(_newest(_recorded(model, "version"), count))

    def count(self, model: str) -> int:
        """How many versions of `model` exist."""
        counted = _recorded(model, "version").subquery()
        return int(read_value(select(func.count()).select_from(counted)))

    def newest(self, model: str) -> VersionRecord | None:
        """The record of the newest version; None where there is none."""
        return next((self.get(model, name) for name in self.latest(model)), None)

    def of_run(self, model: str, run_id: str) -> VersionRecord | None:
        """The newest version that a run trained; None where it trained none."""
        return self._found(model, versions.c.owner == run_id)

    def registered(self, model: str, number: str) -> VersionRecord | None:
        """The version with that number in the registry; None where there is none."""
        return self._found(model, versions.c.registry_version == number)

    def get(self, model: str, version: str) -> VersionRecord:
        """The record of one version.

        Raises
        ------
        UnknownVersionError
            With the latest that there are.
        """
        text = self._column("record", model, version)
        if text is None:
            known = ", ".join(reversed(self.latest(model, 5))) or "none"
            raise UnknownVersionError(
                f"model {model} has no version {ascii(version)[1:-1]}; its latest are:"
                f" {known}"
            )
        return _record(text)

    def records(self, model: str) -> list[VersionRecord]:
        """Every version of `model`, oldest first."""
        oldest_first = _recorded(model, "record").order_by(versions.c.version)
        return [_record(text) for text in read_values(oldest_first)]

    def judged(
        self, model: str, limit: int | None = None
    ) -> list[tuple[VersionRecord, dict[str, Any] | None]]:
        """Record and evaluation of the newest versions, newest first; None for all."""
        newest = _newest(_recorded(model, "record", "evaluation"), limit)
        return [_judged(row) for row in read_rows(newest)]

    def judged_of_all(
        self, limit: int, others: Collection[tuple[str, str]] = ()
    ) -> Iterator[tuple[VersionRecord, dict[str, Any] | None]]:
        """Record and evaluation of the newest versions of each model, and of `others`.

        Of `others`, pairs of model and version, those that do not exist are left out.
        """
        rank = func.row_number().over(
            partition_by=versions.c.model, order_by=versions.c.version.desc()
        )
        columns = versions.c.model, versions.c.version
        ranked = select(*columns, rank.label("rank")).where(_IS_RECORDED).subquery()
        newest = select(ranked.c.model, ranked.c.version).where(ranked.c.rank <= limit)
        with reading() as connection:
            found = [(row.model, row.version) for row in connection.execute(newest)]
            named = sorted({*found, *others})
            for names in parts(named):
                several = select(versions.c.record, versions.c.evaluation)
                is_named = tuple_(*columns).in_(names)
                for row in connection.execute(several.where(_IS_RECORDED, is_named)):
                    yield _judged(row)

    def save_evaluation(self, model: str, version: str, evaluation: Any) -> None:
        """Keep the figures of a version and the gate's decision on it.

        Raises
        ------
        UnknownVersionError
            If there is no such version.
        """
        self.get(model, version)
        with writing(model) as connection:
            text = _json(evaluation)
            connection.execute(_update(model, version).values(evaluation=text))

    def evaluation(self, model: str, version: str) -> dict[str, Any] | None:
        """Figures and gate decision of a version; None where it was not evaluated."""
        text = self._column("evaluation", model, version)
        return None if text is None else json.loads(text)

    def last_evaluated(self, model: str) -> str | None:
        """The newest version that has an evaluation."""
        wanted = _recorded(model, "version").where(versions.c.evaluation.is_not(None))
        return cast(str | None, read_value(_newest(wanted)))

    def digests(self, model: str, version: str) -> dict[str, str]:
        """SHA-256 of record and evaluation, by the names that the ledger gives them."""
        columns = ("record", "evaluation")
        row = read_row(_one(model, version, columns))
        found = {} if row is None else row._mapping
        return {
            object_name(model, version, f"{name}.json"): _sha256(found[name])
            for name in columns
            if found.get(name) is not None
        }

    def save_document(self, model: str, version: str, name: str, value: Any) -> None:
        """Keep a JSON object of a version in the storage."""
        storage().put(object_name(model, version, name), _json(value).encode())

    def document(self, model: str, version: str, name: str) -> dict[str, Any] | None:
        """A JSON object of a version; None where there is none."""
        data = storage().get(object_name(model, version, name))
        return None if data is None else json.loads(data)

    def has_profile(self, model: str, version: str) -> bool:
        """Whether the reference profile is there, which deploying writes last."""
        return storage().size(object_name(model, version, PROFILE)) is not None

    def _column(self, name: str, model: str, version: str) -> str | None:
        # It may have come from a launchpad or a command.
        if not is_name(version):
            return None
        return cast(str | None, read_value(_one(model, version, (name,))))

    def _found(self, model: str, condition: Any) -> VersionRecord | None:
        text = read_value(_newest(_recorded(model, "record").where(condition)))
        return None if text is None else _record(text)


def _is(model: str, version: str) -> Any:
    return matching(versions, model=model, version=version)


def _one(model: str, version: str, columns: tuple[str, ...] = ("version",)) -> Any:
    wanted = select(*(versions.c[name] for name in columns))
    return wanted.where(_is(model, version))


def _update(model: str, version: str) -> Any:
    return versions.update().where(_is(model, version))


def _recorded(model: str, *columns: str) -> Any:
    wanted = select(*(versions.c[name] for name in columns))
    return wanted.where(versions.c.model == model, _IS_RECORDED)


def _judged(row: Any) -> tuple[VersionRecord, dict[str, Any] | None]:
    return _record(row.record), row.evaluation and json.loads(row.evaluation)


def _newest(wanted: Any, count: int | None = 1) -> Any:
    return wanted.order_by(versions.c.version.desc()).limit(count)


def _record(text: str) -> VersionRecord:
    return from_json(text, VersionRecord)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _now() -> float:
    return dt.datetime.now(dt.UTC).timestamp()
