"""The databases that the state may be in: SQLite, and a real Postgres.

`installation` is such a database together with a storage of its kind.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from ml_assets_tests.kits.buckets import azure_container, s3_bucket


@pytest.fixture(params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The URL of an empty database, which is that of the state in this test."""
    if request.param == "sqlite":
        from ml_assets.state.engine import database_url

        yield database_url()
        return
    with _empty(request.getfixturevalue("postgres"), monkeypatch) as url:
        yield url


@pytest.fixture(
    params=[
        "directory and sqlite",
        pytest.param("s3 and postgresql", marks=pytest.mark.slow),
        pytest.param("azure and postgresql", marks=pytest.mark.slow),
    ]
)
def installation(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The URL of an empty storage, which is that of this test, and its database is."""
    kind = request.param.partition(" ")[0]
    if kind == "directory":
        url = str(tmp_path / "storage")
        monkeypatch.setenv("ML_ASSETS_STORAGE", url)
        yield url
        return
    make = {"s3": s3_bucket, "azure": azure_container}[kind]
    url, environment = make(request.getfixturevalue(f"{kind}_server"))
    for name, value in {**environment, "ML_ASSETS_STORAGE": url}.items():
        monkeypatch.setenv(name, value)
    with _empty(request.getfixturevalue("postgres"), monkeypatch):
        yield url


@contextlib.contextmanager
def _empty(address: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    url = f"postgresql://ann:p%40ss%2Fword@{address}"
    from ml_assets.state import engine as state

    _drop(url)
    state._engine.cache_clear()
    monkeypatch.setenv("ML_ASSETS_DATABASE_URL", url)
    yield url
    state._engine.cache_clear()
    # Other tests share the server, and begin without this.
    _drop(url)


def _drop(url: str) -> None:
    engine = create_engine(url.replace("://", "+psycopg2://", 1))
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA IF EXISTS ml_assets CASCADE"))
    engine.dispose()
