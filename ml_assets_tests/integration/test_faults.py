"""Each fault of the outside, through the real training job, and what its run says."""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from ml_assets.core.files import TEMPORARY
from ml_assets.state import contracts
from ml_assets.state.plans import Plans
from ml_assets.state.tables import Tables
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import definitions_of, failure_of

Run = Callable[..., dg.ExecuteInProcessResult]
KEY = "0123456789abcdef-kaggle-key"

GOOD = pd.DataFrame(
    {
        "months": [index % 60 for index in range(400)],
        "plan": ["basic" if index % 3 else "gold" for index in range(400)],
        "spend": [index / 7 for index in range(400)],
        "churned": ["yes" if index % 60 < 20 else "no" for index in range(400)],
    }
)
HEADER = "months,plan,spend,churned\n"
ROWS = "".join(f"{index},basic,{index}.5,yes\n" for index in range(50))


# Where the raw table alone matters, this rule stops the run before training.
STOP = [{"expect_table_row_count_to_be_between": {"min_value": 1_000_000}}]


def csv(text: str) -> bytes:
    return text.encode()


# What stands in the file, and what the failed run says of it.
FILES = {
    "empty file": (b"", "bad.csv is empty (0 bytes)"),
    "blank lines": (b"\n\n", "there is nothing but blank lines"),
    "header only": (csv(HEADER), "there are columns but no rows"),
    "wrong encoding": (
        csv(HEADER) + "1,café,1.5,yes\n".encode("latin-1"),
        "line 2 is not utf-8 (byte 0xe9); set read.encoding",
    ),
    "duplicate column": (
        csv("months,plan,plan,churned\n1,a,b,yes\n2,a,b,no\n"),
        "column 'plan' appears 2 times",
    ),
    "missing target": (
        csv("months,plan\n1,a\n2,b\n"),
        "target column 'churned' is missing; the columns are 'months', 'plan'",
    ),
    "one-class target": (
        csv(HEADER + ROWS),
        "column 'churned' has 1 value ('yes'); a classification target needs at",
    ),
    "unlabelled rows": (
        csv(HEADER + "1,a,1.5,yes\n2,b,2.5,no\n3,b,2.5,\n"),
        "target column 'churned' has no value in 1 of 3 rows",
    ),
    "broken row": (csv(HEADER + "1,a,1.5,yes\n2,b\n"), "line 3 has 2 cells where 4"),
}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.csv"
    GOOD.to_csv(path, index=False)
    return path


def of_file(path: Path) -> dict[str, Any]:
    return {"type": "csv", "path": str(path)}


def made_by(result: dg.ExecuteInProcessResult) -> set[str]:
    events = result.get_asset_materialization_events()
    return {event.asset_key.path[-1] for event in events if event.asset_key}


def everything_kept(home: Path) -> dict[str, bytes]:
    """The tables, plans and versions, without what no reader looks at."""
    kept = ("tables", "plans", "versions")
    return {
        str(path.relative_to(home)): path.read_bytes()
        for name in kept
        for path in sorted((home / name).rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize("content, message", FILES.values(), ids=FILES)
def test_a_faulty_file_is_named_with_what_is_wrong_and_leaves_nothing(
    content: bytes,
    message: str,
    make_spec: Any,
    run_job: Run,
    home: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    result = run_job(make_spec(source=of_file(path)), "train")
    assert not result.success
    assert message in failure_of(result)
    assert made_by(result) == set()
    assert everything_kept(home) == {}


def test_an_absent_file_is_named(make_spec: Any, run_job: Run, tmp_path: Path) -> None:
    result = run_job(make_spec(source=of_file(tmp_path / "no.csv")), "train")
    assert not result.success
    assert f"csv source {tmp_path}/no.csv does not exist" in failure_of(result)


# HTTP, from a real server


class Stand(ThreadingHTTPServer):
    """Answers every request with `status` and `body`; status 0 is no answer at all."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body = 200, GOOD.to_csv(index=False).encode()
        self.headers: dict[str, str] = {}
        self.authorizations: list[str | None] = []
        self.closing = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        stand: Any = self.server
        stand.authorizations.append(self.headers["Authorization"])
        if not stand.status:
            stand.closing.wait()
            return
        self.send_response(stand.status)
        for name, value in stand.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(stand.body if stand.status == 200 else b"")

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def stand() -> Iterator[Stand]:
    with Stand() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()


ANSWERS = {
    "401": (401, {}, "401 Unauthorized; the address needs credentials"),
    "404": (404, {}, "404 Not Found; there is no such file: check the address"),
    "429": (429, {"Retry-After": "3600"}, "asks to wait 3,600 s; run again after that"),
    "time-out": (0, {}, "the time-out of 0.3 s is used up; raise timeout_seconds"),
}


@pytest.mark.parametrize("status, headers, message", ANSWERS.values(), ids=ANSWERS)
def test_a_server_that_does_not_give_the_file_is_reported(
    status: int,
    headers: dict[str, str],
    message: str,
    make_spec: Any,
    run_job: Run,
    home: Path,
    stand: Stand,
) -> None:
    stand.status, stand.headers = status, headers
    url = f"{stand.address}/churn.csv"
    source = {"type": "http", "url": url, "timeout_seconds": 0.3 if not status else 60}
    result = run_job(make_spec(source=source), "train")
    assert not result.success
    assert f"http source {url}: " in failure_of(result)
    assert message in failure_of(result)
    assert everything_kept(home) == {}


def kaggle(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", stand.address)
    return {"type": "kaggle", "dataset": "ann/churn", "file": "churn.csv"}


@pytest.mark.parametrize("status", [401, 403])
def test_kaggle_without_credentials_says_how_to_get_them(
    status: int,
    make_spec: Any,
    run_job: Run,
    stand: Stand,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand.status = status
    result = run_job(make_spec(source=kaggle(stand, monkeypatch)), "train")
    assert not result.success
    assert stand.authorizations == [None]
    message = failure_of(result)
    assert "create a token at https://www.kaggle.com/settings" in message
    assert "set KAGGLE_JSON to the text of kaggle.json or to its path" in message


# Secrets


def anywhere(directory: Path, secret: str) -> list[str]:
    """Files below `directory` in which `secret` stands."""
    return [
        str(path)
        for path in directory.rglob("*")
        if path.is_file() and secret.encode() in path.read_bytes()
    ]


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance whose event log and captured output are files."""
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        yield instance


def train(
    spec: Any, instance: dg.DagsterInstance, config: dict[str, Any] | None = None
) -> dg.ExecuteInProcessResult:
    job = definitions_of(spec).resolve_job_def(f"{spec.name}_train")
    return job.execute_in_process(
        instance=instance, run_config={"ops": config or {}}, raise_on_error=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, 401])
def test_the_kaggle_key_is_sent_and_recorded_nowhere(
    status: int,
    make_spec: Any,
    registry: Path,
    recorded: dg.DagsterInstance,
    stand: Stand,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAGGLE_JSON", json.dumps({"username": "ann", "key": KEY}))
    stand.status = status
    spec = make_spec(
        source=kaggle(stand, monkeypatch),
        expect=STOP,
    )
    result = train(spec, recorded)
    assert made_by(result) == ({"raw"} if status == 200 else set()), failure_of(result)
    assert stand.authorizations == [
        "Basic YW5uOjAxMjM0NTY3ODlhYmNkZWYta2FnZ2xlLWtleQ=="
    ]
    assert anywhere(tmp_path / "dagster", "churn.csv")
    for secret in (KEY, stand.authorizations[0].removeprefix("Basic ")):
        assert anywhere(tmp_path, secret) == []
        assert anywhere(home, secret) == []


@pytest.mark.slow
def test_a_password_in_an_address_is_recorded_nowhere(
    make_spec: Any,
    registry: Path,
    recorded: dg.DagsterInstance,
    stand: Stand,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHURN_TOKEN", "t0ken-of-the-environment")
    host = stand.address.removeprefix("http://")
    url = f"http://ann:pa55word@{host}/churn.csv?token=${{CHURN_TOKEN}}"
    spec = make_spec(
        source={"type": "http", "url": url},
        expect=STOP,
    )
    assert made_by(train(spec, recorded)) == {"raw"}
    assert anywhere(tmp_path / "dagster", "ann:***@")
    for secret in ("pa55word", "t0ken-of-the-environment"):
        assert anywhere(tmp_path, secret) == []
        assert anywhere(home, secret) == []


def test_a_source_that_is_not_valid_is_reported_without_its_values(
    make_spec: Any, run_job: Run
) -> None:
    wrong = {"type": "http", "url": "http://ann:pa55word@host/a.csv", "rows": 30}
    config = {"churn__raw": {"config": {"source": wrong}}}
    result = run_job(make_spec(), "train", config)
    assert not result.success
    message = failure_of(result)
    assert "source type 'http' does not take rows; it takes read, sha256" in message
    assert "pa55word" not in message


# The storage and the registry


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)]
    try:
        done = subprocess.run(["mount", *options], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def test_a_full_disk_is_reported_and_the_run_after_it_is_whole(
    make_spec: Any,
    run_job: Run,
    tiny_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ML_ASSETS_STORAGE", str(tiny_disk))
    spec = make_spec(source={"type": "synthetic", "rows": 20_000}, expect=STOP)
    result = run_job(spec, "train")
    assert not result.success
    assert (
        f"table churn/raw cannot be written to {tiny_disk}: the storage"
    ) in failure_of(result)
    assert not [path for path in tiny_disk.rglob("*") if path.is_file()]
    # The storage that has room again takes the same table.
    subprocess.run(["mount", "-o", "remount,size=64m", str(tiny_disk)], check=True)
    result = run_job(spec, "train")
    assert made_by(result) == {"raw"}, failure_of(result)
    (table,) = tiny_disk.glob("tables/churn/raw/*.parquet")
    assert len(pd.read_parquet(table)) == 20_000
    assert not list(tiny_disk.rglob(f"{TEMPORARY}*"))


@pytest.mark.slow
def test_a_registry_that_is_not_there_is_reported(
    make_spec: Any, run_job: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        host = f"127.0.0.1:{closed.server_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:pa55word@{host}")
    result = run_job(make_spec(), "train")
    assert not result.success
    assert made_by(result) == {"raw", "features"}
    message = failure_of(result)
    assert f"the model registry at http://ann:***@{host} cannot be reached" in message
    assert "pa55word" not in message
    assert "check MLFLOW_TRACKING_URI, or run `ml-assets doctor`" in message
    assert Versions().names("churn") == []
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    result = run_job(make_spec(), "train")
    assert result.success, failure_of(result)
    assert len(Versions().names("churn")) == 1


# After it all


SCHEMAS = {
    "missing column": (GOOD.drop(columns="spend"), "column spend: missing"),
    "type change": (
        GOOD.assign(spend=[f"{value:.0f} EUR" for value in GOOD["spend"]]),
        "column spend: ",
    ),
}


@pytest.mark.slow
def test_what_serves_and_what_was_kept_survive_every_fault(
    make_spec: Any, run_job: Run, home: Path, good: Path, tmp_path: Path
) -> None:
    spec = make_spec(source=of_file(good))
    assert run_job(spec, "train").success
    assert run_job(spec, "deploy").success
    (version,) = Versions().names("churn")
    before, contract_before = everything_kept(home), contracts.accepted("churn")

    bad = tmp_path / "bad.csv"
    override = {"churn__raw": {"config": {"source": of_file(bad)}}}
    for name, (content, message) in FILES.items():
        bad.write_bytes(content)
        result = run_job(spec, "train", override)
        assert not result.success, name
        assert message in failure_of(result), name
        assert everything_kept(home) == before, name
    for name, (frame, message) in SCHEMAS.items():
        frame.to_csv(bad, index=False)
        result = run_job(spec, "train", override)
        assert not result.success, name
        assert made_by(result) == {"raw"}, name
        checks = result.get_asset_check_evaluations()
        (contract,) = [item for item in checks if item.check_name == "schema_contract"]
        assert not contract.passed
        assert message in str(contract.description), name
        kept = everything_kept(home)
        for path, content in before.items():
            assert kept[path] == content, (name, path)
        assert contracts.accepted("churn") == contract_before, name

    plan = Plans().current("churn")
    assert plan is not None and (plan.generation, plan.live.version) == (1, version)
    # The next good run reads the good table again, not the newest one.
    other = make_spec(source=of_file(good), estimator={"params": {"max_iter": 21}})
    result = run_job(other, "train", {"churn__model": {"config": {"force": True}}})
    assert result.success, failure_of(result)
    first, second = Versions().records("churn")
    assert first.raw_version == second.raw_version
    table = Tables().read("churn", "raw", second.raw_version)
    assert len(table) == len(GOOD)
    assert run_job(other, "deploy").success
    plan = Plans().current("churn")
    assert plan is not None and plan.live.version == second.version
    assert not [path for path in home.rglob(f"{TEMPORARY}*") if os.path.exists(path)]
