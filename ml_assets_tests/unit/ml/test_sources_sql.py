"""Reading from databases: SQLite in a file, and Postgres where it is installed."""

import sqlite3
from pathlib import Path

import pytest

from ml_assets.ml.sources import SourceError, read_source
from ml_assets.spec.source import SourceSpec
from ml_assets_tests.kits.postgres import postgres

__all__ = ["postgres"]

ROWS = [(31, 0.5, "f", "no"), (52, None, "m", "yes"), (47, 1.5, None, "no")]
QUERY = "SELECT age, score, sex, churned FROM customers ORDER BY age DESC"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "crm.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (age, score, sex, churned)")
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?, ?)", ROWS)
    connection.close()
    return path


def sql(url: str, query: str = QUERY) -> SourceSpec:
    return SourceSpec(type="sql", url=url, query=query)


def test_the_rows_of_a_query_come_in_its_order(database: Path, tmp_path: Path) -> None:
    frame = read_source(sql(f"sqlite:///{database}"), tmp_path)
    assert frame["age"].tolist() == [52, 47, 31]
    assert frame.dtypes.astype(str).tolist() == [
        "int64",
        "float64",
        "category",
        "category",
    ]


def test_chunks_make_one_table(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_assets.ml.sources.sql._CHUNK_ROWS", 1)
    frame = read_source(sql(f"sqlite:///{database}"), tmp_path)
    assert frame["age"].tolist() == [52, 47, 31]
    assert frame["score"].isna().tolist() == [True, False, False]


def test_the_query_is_filled_in_from_the_environment(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM", str(database))
    monkeypatch.setenv("OLDEST", "50")
    spec = sql("sqlite:///${CRM}", "SELECT age FROM customers WHERE age < ${OLDEST}")
    assert len(read_source(spec, tmp_path)) == 2


@pytest.mark.parametrize(
    "query, message",
    [
        ("SELECT age FROM orders", "no such table: orders"),
        ("SELECT age FRM", "no such column: age"),
        (
            "SELECT age FROM customers WHERE age > 99",
            "there are columns but no rows",
        ),
        ("SELECT age, age FROM customers", "column 'age' appears 2 times"),
        (
            "DELETE FROM customers",
            "the query returns no rows; it must be a SELECT",
        ),
    ],
)
def test_each_fault_of_a_query_is_named(
    query: str, message: str, database: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{database}"
    with pytest.raises(SourceError) as caught:
        read_source(sql(url, query), tmp_path)
    assert str(caught.value) == f"sql source {url}: {message}"
    assert len(read_source(sql(url), tmp_path)) == 3


@pytest.mark.parametrize(
    "url, message",
    [
        ("sqlite:///no/such.db", "there is no such database file"),
        ("oracle+oracledb://h/d", "the driver 'oracledb' is not installed"),
        ("nodb://h/d", "Can't load plugin"),
    ],
)
def test_each_fault_of_an_address_is_named(
    url: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError) as caught:
        read_source(sql(url), tmp_path)
    assert str(caught.value).startswith(f"sql source {url}: {message}")


@pytest.mark.parametrize(
    "url, shown",
    [
        (
            "postgresql://ann:${PW}@127.0.0.1:1/crm",
            "postgresql://ann:${PW}@127.0.0.1:1",
        ),
        (
            "postgresql://ann:hunter2@127.0.0.1:1/crm",
            "postgresql://ann:***@127.0.0.1:1",
        ),
        ("${CRM_URL}", "${CRM_URL}"),
    ],
)
def test_a_password_shows_nowhere(
    url: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", "hunter2")
    monkeypatch.setenv("CRM_URL", "postgresql://ann:hunter2@127.0.0.1:1/crm")
    with pytest.raises(SourceError) as caught:
        read_source(sql(url), tmp_path)
    assert str(caught.value).startswith(f"sql source {shown}")
    assert "refused" in str(caught.value)
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_postgres_is_read_in_chunks_and_read_only(
    scheme: str, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", "p%40ss%2Fword")
    url = f"{scheme}://ann:${{PW}}@{postgres}"
    query = (
        "SELECT n AS id, n / 4.0 AS price, 'v' || n % 3 AS kind, n % 2 = 0 AS even,"
        " DATE '2024-01-01' + n AS day FROM generate_series(1, 120000) AS n"
        " WHERE 'v' || n LIKE 'v%' ORDER BY n"
    )
    frame = read_source(sql(url, query), tmp_path)
    assert frame["id"].tolist() == list(range(1, 120_001))
    kinds = frame.dtypes.astype(str).tolist()
    assert kinds == ["int64", "float64", "category", "bool", "category"]
    state = "SELECT current_setting('transaction_read_only') AS read_only"
    assert read_source(sql(url, state), tmp_path)["read_only"].tolist() == ["on"]


@pytest.mark.slow
def test_a_wrong_postgres_password_is_said_and_not_shown(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", "hunter2")
    with pytest.raises(SourceError, match="password authentication failed") as caught:
        read_source(sql(f"postgresql://ann:${{PW}}@{postgres}"), tmp_path)
    assert "hunter2" not in str(caught.value)
    assert "${PW}" in str(caught.value)
