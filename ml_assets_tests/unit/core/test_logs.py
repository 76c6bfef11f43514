"""Log lines: their fields, and what they never hold."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml_assets.core.logs import EcsFormatter, configure, context, write
from ml_assets.core.redaction import Redactor
from ml_assets.observability.dagster_logs import SITE, json_environment

KAGGLE = '{"username":"ann","key":"0123456789abcdef"}'
# pragma: allowlist nextline secret
WEBHOOK = "https://hooks.slack.com/services/T000/B000/b0gus0b0gus0"


def line(record: dict[str, Any], **options: Any) -> dict[str, Any]:
    given = {"name": "x", "levelname": "INFO", "levelno": logging.INFO, **record}
    formatter = EcsFormatter("ml-assets.test", **options)
    found: dict[str, Any] = json.loads(formatter.format(logging.makeLogRecord(given)))
    return found


def test_a_line_begins_with_time_level_and_message_and_names_the_service() -> None:
    found = line({"msg": "%d of %s", "args": (3, "four"), "created": 0.5, "msecs": 500})
    assert list(found)[:3] == ["@timestamp", "log.level", "message"]
    assert found["@timestamp"] == "1970-01-01T00:00:00.500Z"
    assert found["message"] == "3 of four"
    assert found["log.level"] == "info"
    assert found["service.name"] == "ml-assets"
    assert found["event.dataset"] == "ml-assets.test"


def test_what_libraries_attach_to_a_record_is_not_written() -> None:
    found = line(
        {"msg": "sent", "body": {"age": "forty-one"}, "fields": {"labels.rows": 1}}
    )
    assert "forty-one" not in json.dumps(found)
    assert found["labels.rows"] == 1


def test_what_a_factory_of_records_adds_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Ray replaces it in each process that imports Ray.
    def factory(*given: Any, **named: Any) -> logging.LogRecord:
        record = logging.LogRecord(*given, **named)
        record._ray_timestamp_ns = 1
        return record

    monkeypatch.setattr(logging, "_logRecordFactory", factory)
    assert "_ray_timestamp_ns" not in line({"msg": "sent"})


def test_lines_of_a_request_bear_its_ids() -> None:
    token = context.set({"trace.id": "ab", "http.request.id": "r-1"})
    try:
        found = line({"msg": "slow"})
    finally:
        context.reset(token)
    assert (found["trace.id"], found["http.request.id"]) == ("ab", "r-1")
    assert "trace.id" not in line({"msg": "slow"})


@pytest.mark.parametrize("includes_errors", [False, True])
def test_the_message_of_an_exception_is_written_only_where_that_is_allowed(
    includes_errors: bool,
) -> None:
    try:
        raise ValueError("age is 41")
    except ValueError:
        info = sys.exc_info()
    found = line(
        {"msg": "it failed", "exc_info": info}, includes_errors=includes_errors
    )
    assert found["error.type"] == "ValueError"
    assert "test_logs" in found["error.stack_trace"]
    assert found.get("error.message") == ("age is 41" if includes_errors else None)


@pytest.mark.parametrize(
    "environ, text, redacted",
    [
        ({"SLACK_WEBHOOK": WEBHOOK}, f"POST {WEBHOOK}", "POST [redacted]"),
        (
            {"SLACK_WEBHOOK": WEBHOOK},
            "host=hooks.slack.com url: /services/T000/B000/b0gus0b0gus0 refused",
            "host=hooks.slack.com url: [redacted] refused",
        ),
        ({"KAGGLE_JSON": KAGGLE}, f"found {KAGGLE}", "found [redacted]"),
        ({"KAGGLE_JSON": KAGGLE}, "key 0123456789abcdef", "key [redacted]"),
        ({"KAGGLE_JSON": "not JSON"}, "found not JSON", "found [redacted]"),
        ({"ML_ASSETS_LEDGER_KEY": "s3cr3t-k3y"}, "by s3cr3t-k3y", "by [redacted]"),
        ({"K8S_PROD_TOKEN": "eyJhbGciOi"}, "eyJhbGciOi", "[redacted]"),
        (
            {"SALES": "postgresql://ann:p%40ss-w0rd@db/x"},
            "password p@ss-w0rd was refused",
            "password [redacted] was refused",
        ),
        ({}, "postgresql://ann:p@ss@db/x", "postgresql://ann:[redacted]@db/x"),
        ({}, "redis://:hunter22@db", "redis://:[redacted]@db"),
        ({}, "Authorization: Bearer abcdefgh12", "Authorization: Bearer [redacted]"),
        ({"SALES_PASSWORD": "no"}, "no rows, no columns", "no rows, no columns"),
        ({"PATH": "/usr/bin"}, "/usr/bin/python", "/usr/bin/python"),
        ({}, "http://localhost:3000/runs", "http://localhost:3000/runs"),
    ],
)
def test_secrets_are_redacted(
    environ: dict[str, str], text: str, redacted: str
) -> None:
    assert Redactor(environ)(text) == redacted


def test_no_field_of_a_line_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK", WEBHOOK)
    fields = {"labels.urls": [WEBHOOK], "event.reason": f"no answer of {WEBHOOK}"}
    try:
        raise OSError(WEBHOOK)
    except OSError:
        info = sys.exc_info()
    record = {"msg": f"POST {WEBHOOK}", "exc_info": info, "fields": fields}
    found = line(record, includes_errors=True)
    assert WEBHOOK.rpartition("/")[2] not in json.dumps(found).replace(
        found["error.stack_trace"], ""
    )
    assert WEBHOOK not in json.dumps(found)


def test_text_for_a_person_has_the_fields_behind_the_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ML_ASSETS_LOG", "text")
    logger = logging.getLogger("ml_assets_tests.text")
    configure("ml-assets.test", {logger.name: logging.INFO})
    write(logger, "server started", server__port=8080, model="churn")
    output = capsys.readouterr().out
    assert output.endswith("INFO server started server.port=8080 labels.model=churn\n")


WRITES = """
import logging, sys, threading, warnings
import coloredlogs
logger = logging.getLogger("library")
coloredlogs.install(logger=logger, level="INFO")
logger.info("by a library with a formatter of its own")
logging.getLogger("another").warning("by one without a handler")
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise RuntimeError("the end")
"""


def test_whatever_a_process_logs_is_json_where_the_environment_asks_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITES],
        env={**os.environ, **json_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    found = [json.loads(text) for text in (done.stdout + done.stderr).splitlines()]
    assert [item["message"].splitlines()[0] for item in found] == [
        "by a library with a formatter of its own",
        "by one without a handler",
        "<string>:8: UserWarning: old",
        "a thread ended by an exception",
        "the process ends by an exception",
    ]
    assert found[3]["error.type"] == "ZeroDivisionError"
    assert found[4]["error.message"] == "the end"


# Ways in which a record reaches the console by two handlers.
LOGGER = """
import logging, sys
logger = logging.getLogger("ml_assets.library")
logger.setLevel("INFO")
logger.addHandler(logging.StreamHandler(sys.stdout))
"""
RUN = """
import logging
import dagster as dg
from dagster._utils.log import configure_loggers
configure_loggers()

@dg.op
def step(context):
    {before}
    {call}

@dg.job(executor_def=dg.in_process_executor)
def steps():
    step()

with dg.DagsterInstance.ephemeral(
    settings={{"python_logs": {{"managed_python_loggers": ["ml_assets"]}}}}
) as instance:
    steps.execute_in_process(instance=instance)
"""
MODULE = 'logging.getLogger("ml_assets.deep").warning("said")'
PROGRAMS = {
    "the root logger got a handler by a call of logging.warning": LOGGER
    + 'logging.warning("by the way")\nlogger.info("said")',
    "a library configured the root logger": LOGGER
    + 'logging.basicConfig(force=True)\nlogger.info("said")',
    "a logger has two handlers": LOGGER
    + "logger.addHandler(logging.StreamHandler())\nlogger.info('said')",
    "a logger and the one above it have handlers": LOGGER
    + "logging.getLogger('ml_assets').addHandler(logging.StreamHandler())\n"
    "logger.info('said')",
    "a module logs in a run, and the root logger got a handler": RUN.format(
        before="logging.warning('by the way')", call=MODULE
    ),
    "a module logs in a run": RUN.format(before="pass", call=MODULE),
    "a step logs, and the root logger got a handler": RUN.format(
        before="logging.warning('so')", call="context.log.warning('said')"
    ),
    "Dagster's logger in a run, and the root logger got a handler": RUN.format(
        before="logging.warning('so')",
        call="dg.get_dagster_logger().warning('said')",
    ),
    "a module has a handler of its own, and logs in a run": RUN.format(
        before="logging.getLogger('ml_assets.deep').addHandler("
        "logging.StreamHandler())",
        call=MODULE,
    ),
}
# Each in a process of its own, which has imported already what a run of Dagster needs.
EACH = """
import json, logging, os, sys
import dagster
dagster.DagsterInstance.ephemeral().dispose()
for name, program in json.load(sys.stdin).items():
    if (child := os.fork()) == 0:
        output = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        exec(program, {"__name__": "__main__"})
        logging.shutdown()
        sys.stdout.flush()
        # At once: it costs more than all before to take down what was imported.
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name}: {open(name).read()}")
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all that each program wrote, in a file of its name."""
    directory = tmp_path_factory.mktemp("outputs")
    subprocess.run(
        [sys.executable, "-c", EACH],
        cwd=directory,
        env={**os.environ, **json_environment()},
        input=json.dumps(PROGRAMS),
        text=True,
        check=True,
    )
    return directory


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_record_is_one_line_however_many_handlers_it_meets(
    outputs: Path, name: str
) -> None:
    text = (outputs / name).read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [item["message"] for item in lines].count("said") == 1, text


def test_files_get_what_the_console_got_before(tmp_path: Path) -> None:
    program = (
        LOGGER
        + f"logger.addHandler(logging.FileHandler({str(tmp_path / 'kept.log')!r}))\n"
        "logger.info('said')"
    )
    environ = {**os.environ, **json_environment()}
    subprocess.run([sys.executable, "-c", program], env=environ, check=True)
    assert (tmp_path / "kept.log").read_text() == "said\n"


def test_without_it_the_same_process_writes_text() -> None:
    environ = {**os.environ, "PYTHONPATH": str(SITE)}
    done = subprocess.run(
        [sys.executable, "-c", WRITES],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" in done.stderr
    assert "{" not in done.stderr


def test_the_search_path_of_the_caller_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"/a{os.pathsep}{SITE}")
    expected = os.pathsep.join([str(SITE), "/a"])
    assert json_environment()["PYTHONPATH"] == expected
