"""The fields of a run's log records."""

import io
import json
import logging
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.instigation_logger import (
    CapturedLogHandler,
    InstigationLogger,
)

from ml_assets.observability.dagster_logs import DagsterFormatter
from ml_assets.observability.dagster_records import span_id_of, trace_id_of


class RecordingHandler(logging.Handler):
    """Keeps the formatted records."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(DagsterFormatter())
        self.formatted: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.formatted.append(json.loads(self.format(record)))


@dg.asset(key=["churn", "model"])
def model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info("fitting")
    return dg.MaterializeResult(metadata={"version": "20261125T000000Z", "rows": 7})


@dg.asset(key=["churn", "broken"], deps=[model])
def broken() -> None:
    raise KeyError("no such column")


def test_what_a_sensor_logs_is_formatted_also_with_an_exception() -> None:
    """Dagster gives these records other attributes than those of runs."""
    handler, text = RecordingHandler(), io.StringIO()
    with dg.DagsterInstance.ephemeral() as instance:
        with InstigationLogger(
            None, instance, "__repository__", "drift", console_logger=None
        ) as logger:
            logger.addHandler(CapturedLogHandler(text))
            logger.addHandler(handler)
            logger.warning("%s was not sent", "churn")
            try:
                raise KeyError("gone")
            except KeyError:
                logger.exception("it failed")
    assert "churn was not sent" in str(handler.formatted[0]["message"])
    assert handler.formatted[0]["event.dataset"] == "ml-assets.dagster"
    assert "gone" in str(handler.formatted[1]["error.stack_trace"])


@pytest.fixture(scope="module")
def logged_run() -> Iterator[tuple[str, list[dict[str, object]]]]:
    handler = RecordingHandler()

    @dg.logger
    def console(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("dagster")
        logger.addHandler(handler)
        return logger

    job = dg.define_asset_job("churn_train", tags={"model": "churn"})
    definitions = dg.Definitions(
        assets=[model, broken], jobs=[job], loggers={"console": console}
    )
    with dg.DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def("churn_train").execute_in_process(
            instance=instance,
            run_config={"loggers": {"console": {}}},
            raise_on_error=False,
        )
    yield done.run_id, handler.formatted


def test_every_line_names_the_run_its_job_model_and_trace(
    logged_run: tuple[str, list[dict[str, object]]],
) -> None:
    run, lines = logged_run
    assert len(lines) > 10
    for line in lines:
        assert line["labels.run_id"] == run
        assert line["labels.job"] == "churn_train"
        assert line["labels.model"] == "churn"
        assert line["trace.id"] == trace_id_of(run)
        assert line["event.dataset"] == "ml-assets.run"


def test_what_an_asset_logs_names_its_step(
    logged_run: tuple[str, list[dict[str, object]]],
) -> None:
    run, lines = logged_run
    (line,) = [line for line in lines if line["message"] == "fitting"]
    assert line["labels.step"] == "churn__model"
    assert line["span.id"] == span_id_of(run, "churn__model", 1)
    assert "event.action" not in line


def test_a_materialization_names_asset_and_version_and_no_other_metadata(
    logged_run: tuple[str, list[dict[str, object]]],
) -> None:
    _, lines = logged_run
    (line,) = [i for i in lines if i.get("event.action") == "asset_materialization"]
    assert line["labels.asset"] == "churn/model"
    assert line["labels.version"] == "20261125T000000Z"
    assert not [name for name in line if "rows" in name]


def test_the_end_of_a_step_has_its_duration_in_nanoseconds(
    logged_run: tuple[str, list[dict[str, object]]],
) -> None:
    _, lines = logged_run
    (line,) = [item for item in lines if item.get("event.action") == "step_success"]
    assert 0 < line["event.duration"] < 60e9  # type: ignore[operator]


def test_a_failure_names_the_exception_that_began_it(
    logged_run: tuple[str, list[dict[str, object]]],
) -> None:
    _, lines = logged_run
    (line,) = [item for item in lines if item.get("event.action") == "step_failure"]
    assert line["log.level"] == "error"
    assert line["error.type"] == "KeyError"
    assert "no such column" in str(line["error.message"])
    assert "test_dagster_logs" in str(line["error.stack_trace"])
