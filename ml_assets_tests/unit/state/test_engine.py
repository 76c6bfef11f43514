"""The database of the state: its URL, its schema, and its transactions."""

import multiprocessing
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ml_assets.state import engine, migrations
from ml_assets.state.engine import StateError, database_url, reading, writing
from ml_assets.state.schema import ledger, metadata

ROW = {"kind": "hold", "version": "v", "line": "{}", "hash": "h"}

# A revision of a later release.
NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade():
    op.add_column("ledger", sa.Column("colour", sa.String, server_default="red"))
"""


def count() -> int:
    with reading() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM ledger")) or 0)


def test_without_a_url_it_is_a_file_of_the_home(home: Path) -> None:
    assert count() == 0
    assert database_url() == f"sqlite:///{home}/state.db"
    assert (home / "state.db").is_file()


@pytest.mark.usefixtures("database")
class TestEachDatabase:
    """On SQLite, and on Postgres where that is installed."""

    def test_the_revisions_lead_to_the_tables_that_the_code_reads(self) -> None:
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        def ours(kind: str, name: str | None) -> bool:
            return not (kind == "table" and name == migrations.VERSION_TABLE)

        with reading() as connection:
            options = {"include_name": lambda name, kind, _: ours(kind, name)}
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, metadata) == []

    def test_a_transaction_that_fails_leaves_nothing(self) -> None:
        with pytest.raises(RuntimeError), writing("churn") as connection:
            connection.execute(ledger.insert().values(model="churn", seq=1, **ROW))
            raise RuntimeError
        assert count() == 0

    def test_a_transaction_is_there_at_its_end_and_not_before(self) -> None:
        with writing("churn") as connection:
            connection.execute(ledger.insert().values(model="churn", seq=1, **ROW))
            assert count() == 0
        assert count() == 1

    def test_what_is_read_together_is_of_one_moment(self) -> None:
        statement = text("SELECT count(*) FROM ledger")
        with reading() as connection:
            assert connection.scalar(statement) == 0
            with writing("churn") as other:
                other.execute(ledger.insert().values(model="churn", seq=1, **ROW))
            assert connection.scalar(statement) == 0

    def test_writers_of_one_subject_follow_each_other(self) -> None:
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=_add, args=(25,)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0] * 4
        assert count() == 100

    def test_a_schema_of_an_earlier_release_is_brought_forward_and_its_rows_stay(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        with writing("churn") as connection:
            connection.execute(ledger.insert().values(model="churn", seq=1, **ROW))
        assert engine.pending_revisions() == []
        copy = tmp_path / "migrations"
        shutil.copytree(Path(migrations.__file__).parent, copy)
        (copy / "versions" / "0002_next.py").write_text(NEXT)
        monkeypatch.setattr(migrations, "__file__", str(copy / "__init__.py"))
        monkeypatch.setattr(migrations, "REVISIONS", ("0001", "0002"))
        assert engine.pending_revisions() == ["0002"]
        engine._engine.cache_clear()
        with reading() as connection:
            found = connection.execute(text("SELECT seq, colour FROM ledger")).all()
        assert [tuple(row) for row in found] == [(1, "red")]
        assert engine.pending_revisions() == []

    def test_a_schema_of_a_later_release_is_refused(self) -> None:
        with writing("churn") as connection:
            changed = f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'"
            connection.execute(text(changed))
        engine._engine.cache_clear()
        with pytest.raises(StateError, match="revision 9999, and this release knows"):
            count()


def _add(times: int) -> None:
    for _ in range(times):
        with writing("churn") as connection:
            newest = connection.scalar(text("SELECT max(seq) FROM ledger")) or 0
            given = {"model": "churn", "seq": newest + 1, **ROW}
            connection.execute(ledger.insert().values(**given))


def test_processes_that_start_at_once_make_the_schema_once() -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add, args=(1,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert count() == 4


@pytest.mark.parametrize(
    "url, message",
    [
        ("mysql://ann@db/state", "names mysql, expected sqlite or postgresql"),
        ("sqlite:////proc/none/state.db", "the database sqlite:////proc/none"),
        ("postgresql://ann:secret@127.0.0.1:1/x", "the database postgresql://ann:\\*"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    monkeypatch.setenv("ML_ASSETS_DATABASE_URL", url)
    with pytest.raises(StateError, match=message) as caught:
        count()
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(home: Path) -> None:
    (home / "state.db").write_bytes(b"no database at all, but long enough to be read")
    with pytest.raises(StateError, match="file is not a database"):
        count()


def test_a_reader_does_not_wait_for_a_writer(home: Path) -> None:
    count()
    other: Any = sqlite3.connect(home / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert count() == 0
    other.close()
