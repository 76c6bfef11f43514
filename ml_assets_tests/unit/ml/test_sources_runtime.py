"""What a launchpad may name as a source, and what it may not."""

from pathlib import Path
from typing import Any

import pytest

from ml_assets.ml.sources import runtime_sources
from ml_assets.spec.source import SourceSpec

HTTP = {"type": "http", "url": "https://data.example/exports/may.csv"}
CSV = {"type": "csv", "path": "/srv/data/may.csv"}
LAKE = {"type": "parquet", "path": "s3://lake/customers/day=*/*.parquet"}
SQL = {"type": "sql", "url": "postgresql://ann:${DB}@db/shop", "query": "SELECT 1"}
KAGGLE = {"type": "kaggle", "dataset": "a/b", "file": "c.csv"}


def http(url: str) -> dict[str, Any]:
    return {"type": "http", "url": url}


def csv(path: str) -> dict[str, Any]:
    return {"type": "csv", "path": path}


def refusal(source: Any, own: Any, permitted: list[str]) -> str:
    models = (SourceSpec.model_validate(item) for item in (source, own))
    return runtime_sources.refusal(*models, permitted)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path / "state"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "out").symlink_to("/etc")
    (tmp_path / "state" / "ledger").mkdir(parents=True)
    for name in (".env", "data/may.csv", "data/.secret", "state/ledger/churn.jsonl"):
        (tmp_path / name).write_text("a")
    monkeypatch.setenv("ML_ASSETS_SOURCE_ETC", "/etc")
    monkeypatch.setenv("ML_ASSETS_SOURCE_EVIL", "https://evil.example")
    return tmp_path


@pytest.mark.parametrize(
    "source, own, permitted",
    [
        ({"type": "synthetic", "rows": 50}, CSV, []),
        ({"type": "sklearn", "dataset": "breast_cancer"}, CSV, []),
        (csv("data/june.csv"), HTTP, []),
        (csv("data/m*.csv"), HTTP, []),
        (csv("june.csv"), csv("may.csv"), []),
        (csv("${ML_ASSETS_SOURCE_ETC}/june.csv"), csv("/etc/may.csv"), []),
        (csv("/srv/data/june/*.csv"), CSV, []),
        (csv("${ML_ASSETS_SOURCE_DIR}/june.csv"), CSV, ["${ML_ASSETS_SOURCE_DIR}"]),
        (http("https://data.example/exports/june.csv"), HTTP, []),
        (http("https://data.example:443/june.csv"), HTTP, []),
        (http("https://other.example/a/june.csv"), CSV, ["https://other.example/a"]),
        ({**LAKE, "path": "s3://lake/customers/day=3/*.parquet"}, LAKE, []),
        ({**LAKE, "path": "s3://lake/new/a.parquet"}, CSV, ["s3://lake/new/"]),
        (SQL, SQL, []),
        ({**SQL, "query": "SELECT 2"}, SQL, ["sql"]),
        (KAGGLE, CSV, ["kaggle"]),
    ],
)
def test_what_the_yaml_permits_is_read(
    source: Any, own: Any, permitted: list[str]
) -> None:
    assert refusal(source, own, permitted) == ""


@pytest.mark.parametrize(
    "source, own, permitted, why",
    [
        (
            http("http://elsewhere/?${ML_ASSETS_LEDGER_KEY}"),
            HTTP,
            [],
            "ML_ASSETS_LEDGER",
        ),
        (http("https://data.example/${AWS_SECRET_ACCESS_KEY}"), HTTP, [], "AWS_SECRET"),
        (csv("data/${HOME}.csv"), CSV, [], "HOME"),
        ({**CSV, "read": {"missing": ["${K8S_PROD_TOKEN}"]}}, CSV, [], "K8S_PROD"),
        (csv("${ML_ASSETS_SOURCE_A}\n${DB}"), CSV, [], "DB"),
        (http("http://169.254.169.254/latest"), HTTP, [], "runtime_sources"),
        (http("http://metadata.google.internal/"), HTTP, [], "runtime_sources"),
        (http("http://127.0.0.1:3000/graphql"), HTTP, [], "runtime_sources"),
        (http("http://[::1]/"), HTTP, [], "runtime_sources"),
        (http("http://data.example/exports/may.csv"), HTTP, [], "runtime_sources"),
        (http("https://data.example:8443/may.csv"), HTTP, [], "runtime_sources"),
        (http("https://data.example@evil/may.csv"), HTTP, [], "runtime_sources"),
        (http("https://data.example.evil/may.csv"), HTTP, [], "runtime_sources"),
        (http("https://evil\\\\@data.example/may.csv"), HTTP, [], "runtime_sources"),
        (
            http("https://o.example/a/../b.csv"),
            CSV,
            ["https://o.example/a/"],
            "runtime",
        ),
        (
            http("https://o.example/a/%2e%2e/b"),
            CSV,
            ["https://o.example/a/"],
            "runtime",
        ),
        (http("https://o.example/ab.csv"), CSV, ["https://o.example/a"], "runtime"),
        (csv("file:///etc/passwd"), CSV, [], "runtime_sources"),
        (csv("/etc/passwd"), CSV, [], "runtime_sources"),
        (csv("../outside.csv"), CSV, [], "runtime_sources"),
        (csv("data/out/passwd"), CSV, [], "runtime_sources"),
        (csv(".env"), CSV, [], "runtime_sources"),
        (csv("data/.hidden/a.csv"), CSV, [], "runtime_sources"),
        (csv("state/ledger/churn.jsonl"), CSV, [], "runtime_sources"),
        (csv("state/ledger/churn.jsonl"), csv("may.csv"), [], "runtime_sources"),
        (csv("data/../.env"), csv("may.csv"), [], "runtime_sources"),
        (csv("[.]env"), CSV, [], "runtime_sources"),
        (csv("data/[.]secret"), CSV, [], "runtime_sources"),
        (csv("data/out/*"), csv("data/may.csv"), [], "runtime_sources"),
        (csv("data/out/*"), CSV, ["data/"], "runtime_sources"),
        (csv("${ML_ASSETS_SOURCE_ETC}/passwd"), CSV, [], "runtime_sources"),
        (http("${ML_ASSETS_SOURCE_EVIL}/a.csv"), HTTP, [], "runtime_sources"),
        (csv("*/ledger/churn.jsonl"), CSV, [], "runtime_sources"),
        (csv("/srv/data/../secret.csv"), CSV, [], "runtime_sources"),
        (csv("memory://a.csv"), CSV, [], "runtime_sources"),
        (csv("simplecache::file:///etc/passwd"), CSV, [], "runtime_sources"),
        (csv("s3://lake/salaries/a.csv"), LAKE, [], "runtime_sources"),
        (csv("s3://other/customers/a.csv"), LAKE, [], "runtime_sources"),
        (csv("s3://any/a.csv"), {**LAKE, "path": "s3://*/a.parquet"}, [], "runtime"),
        (SQL, CSV, [], "DB"),
        ({**SQL, "url": "sqlite:////etc/passwd"}, CSV, [], "type sql"),
        ({**SQL, "url": "sqlite:////etc/passwd"}, SQL, ["sql"], "the url of its own"),
        (KAGGLE, CSV, [], "type kaggle"),
    ],
)
def test_all_else_is_refused_with_the_reason(
    source: Any, own: Any, permitted: list[str], why: str
) -> None:
    assert why in refusal(source, own, permitted)


@pytest.mark.parametrize(
    "storage, path, is_read",
    [
        ("s3://lake/customers/ml", "s3://lake/customers/2026/a.parquet", True),
        ("s3://lake/customers/ml", "s3://lake/customers/*.parquet", True),
        ("s3://lake/customers/ml", "s3://lake/customers/ml/tables/m/a.parquet", False),
        ("s3://lake/customers/ml", "s3://lake/customers/**", False),
        ("s3://lake/customers/ml", "s3://lake/customers", False),
        # The YAML's own data is in the storage.
        ("s3://lake", "s3://lake/customers/2026/a.parquet", True),
    ],
)
def test_what_the_storage_has_in_a_bucket_is_no_source(
    monkeypatch: pytest.MonkeyPatch, storage: str, path: str, is_read: bool
) -> None:
    monkeypatch.setenv("ML_ASSETS_STORAGE", storage)
    assert (refusal({**LAKE, "path": path}, LAKE, []) == "") == is_read
