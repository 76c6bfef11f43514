"""Commands whose database is away."""

from pathlib import Path

import pytest

from ml_assets_tests.kits.cli import VERSION, evaluated, in_service, invoke

MODEL = "breast_cancer"


@pytest.fixture
def without_database(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    evaluated(home, MODEL, VERSION, 0.95, passed=True)
    in_service(home, MODEL, VERSION)
    monkeypatch.setenv("ML_ASSETS_TARGET", "kubernetes")
    # Nothing listens at port 1.
    monkeypatch.setenv("K8S_SERVER", "https://127.0.0.1:1")
    monkeypatch.setenv("K8S_TOKEN", "none")
    monkeypatch.setenv("ML_ASSETS_DATABASE_URL", "postgresql://ann@127.0.0.1:1/none")
    return home


@pytest.mark.parametrize(
    "command",
    [
        ("hold", MODEL, VERSION),
        ("unhold", MODEL, VERSION),
        ("retention", MODEL),
        ("ledger", MODEL, "--repair"),
        ("rollback", MODEL),
    ],
)
def test_a_database_that_is_away_is_reported_in_a_sentence(
    without_database: Path, command: tuple[str, ...]
) -> None:
    result = invoke(*command)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the ")
    assert "Connection refused" in result.stderr
    assert "Traceback" not in result.output
