"""The databases that the state may be in: SQLite, and a real Postgres."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text


@pytest.fixture(params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The URL of an empty database, which is that of the state in this test."""
    if request.param == "sqlite":
        from ml_assets.state.engine import database_url

        yield database_url()
        return
    address: Any = request.getfixturevalue("postgres")
    url = f"postgresql://ann:p%40ss%2Fword@{address}"
    engine = create_engine(url.replace("://", "+psycopg2://", 1))
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA IF EXISTS ml_assets CASCADE"))
    engine.dispose()
    from ml_assets.state import engine as state

    state._engine.cache_clear()
    monkeypatch.setenv("ML_ASSETS_DATABASE_URL", url)
    yield url
    state._engine.cache_clear()
