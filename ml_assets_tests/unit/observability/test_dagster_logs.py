"""What the lines of a run say."""

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

from ml_assets.observability.dagster_logs import DagsterLines
from ml_assets.observability.trace_ids import span_of, trace_of


class Lines(logging.Handler):
    """Keeps what a run hands to its loggers, formatted."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(DagsterLines())
        self.found: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(json.loads(self.format(record)))


@dg.asset(key=["churn", "model"])
def model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info("fitting")
    return dg.MaterializeResult(metadata={"version": "20261125T000000Z", "rows": 7})


@dg.asset(key=["churn", "broken"], deps=[model])
def broken() -> None:
    raise KeyError("no such column")


def test_what_a_sensor_logs_is_a_line_also_with_an_exception() -> None:
    """Dagster gives these records other attributes than those of runs."""
    lines, text = Lines(), io.StringIO()
    with dg.DagsterInstance.ephemeral() as instance:
        with InstigationLogger(
            None, instance, "__repository__", "drift", console_logger=None
        ) as logger:
            logger.addHandler(CapturedLogHandler(text))
            logger.addHandler(lines)
            logger.warning("%s was not told", "churn")
            try:
                raise KeyError("gone")
            except KeyError:
                logger.exception("it failed")
    assert "churn was not told" in str(lines.found[0]["message"])
    assert lines.found[0]["event.dataset"] == "ml-assets.dagster"
    assert "gone" in str(lines.found[1]["error.stack_trace"])


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[str, list[dict[str, object]]]]:
    lines = Lines()

    @dg.logger
    def console(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("dagster")
        logger.addHandler(lines)
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
    yield done.run_id, lines.found


def test_every_line_names_the_run_its_job_model_and_trace(
    told: tuple[str, list[dict[str, object]]],
) -> None:
    run, lines = told
    assert len(lines) > 10
    for line in lines:
        assert line["labels.run_id"] == run
        assert line["labels.job"] == "churn_train"
        assert line["labels.model"] == "churn"
        assert line["trace.id"] == trace_of(run)
        assert line["event.dataset"] == "ml-assets.run"


def test_what_an_asset_logs_names_its_step(
    told: tuple[str, list[dict[str, object]]],
) -> None:
    run, lines = told
    (line,) = [line for line in lines if line["message"] == "fitting"]
    assert line["labels.step"] == "churn__model"
    assert line["span.id"] == span_of(run, "churn__model", 1)
    assert "event.action" not in line


def test_a_materialization_names_asset_and_version_and_no_other_metadata(
    told: tuple[str, list[dict[str, object]]],
) -> None:
    _, lines = told
    (line,) = [i for i in lines if i.get("event.action") == "asset_materialization"]
    assert line["labels.asset"] == "churn/model"
    assert line["labels.version"] == "20261125T000000Z"
    assert not [name for name in line if "rows" in name]


def test_the_end_of_a_step_says_how_long_it_took_in_nanoseconds(
    told: tuple[str, list[dict[str, object]]],
) -> None:
    _, lines = told
    (line,) = [item for item in lines if item.get("event.action") == "step_success"]
    assert 0 < line["event.duration"] < 60e9  # type: ignore[operator]


def test_a_failure_names_the_exception_that_began_it(
    told: tuple[str, list[dict[str, object]]],
) -> None:
    _, lines = told
    (line,) = [item for item in lines if item.get("event.action") == "step_failure"]
    assert line["log.level"] == "error"
    assert line["error.type"] == "KeyError"
    assert "no such column" in str(line["error.message"])
    assert "test_dagster_logs" in str(line["error.stack_trace"])
