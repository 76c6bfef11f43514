"""Ingestion and features file by file: the same table, whoever made the parts."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from ml_assets.serving.models.bundle import load_pipeline
from ml_assets.state.bundles import fetch_bundle
from ml_assets.state.engine import writing
from ml_assets.state.tables import Tables
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.parts import many_processes, part_spec, write_parts
from ml_assets_tests.kits.processes import await_true

RunJob = Callable[..., dg.ExecuteInProcessResult]
PARTS = 3


@pytest.fixture
def data(home: Path) -> Path:
    write_parts(home / "data", PARTS)
    return home / "data"


@pytest.fixture
def files(home: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that other processes can open."""
    directory = home / "dagster"
    directory.mkdir()
    quiet = {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(directory), overrides=quiet) as instance:
        yield instance


def version(stage: str) -> str:
    """The data version that the last run made of a stage."""
    return Tables().version("churn", stage, "none")


def table(stage: str) -> pd.DataFrame:
    """And its rows."""
    return Tables().read("churn", stage, version(stage))


def steps(result: Any) -> Counter[str]:
    """How often each step succeeded, without the key of a mapped one."""
    events = [event for event in result.all_events if event.is_step_success]
    return Counter(str(event.step_key).partition("[")[0] for event in events)


@pytest.mark.slow
def test_tables_made_of_parts_are_those_made_at_once(
    data: Path, run_job: RunJob
) -> None:
    result = run_job(part_spec(data), "train")
    raw, features = version("raw"), version("features")

    assert result.success
    done = steps(result)
    assert done["churn__raw.churn__raw_read"] == PARTS
    assert done["churn__features.churn__features_prepare"] == PARTS
    assert table("features")["visits"].cat.categories[0] == "0"
    assert "same" not in table("features").columns

    at_once = part_spec(data, parallel=False)
    assert run_job(at_once, "train", {"churn__model": {"config": FORCE}}).success
    # A data version is the hash of the content.
    assert (version("raw"), version("features")) == (raw, features)


FORCE = {"force": True}


def test_a_part_with_another_schema_is_refused_by_name(
    data: Path, run_job: RunJob
) -> None:
    path = data / "part-1.csv"
    path.write_text(path.read_text().replace("visits", "trips", 1))

    result = run_job(part_spec(data), "train")

    assert not result.success
    output = failure_of(result)
    assert "(part-1.csv): its columns are not those of" in output
    assert "(trips, visits)" in output


def test_one_run_can_read_other_files(data: Path, home: Path, run_job: RunJob) -> None:
    write_parts(home / "june", 2)
    source = {"type": "csv", "path": str(home / "june" / "*.csv")}
    spec = part_spec(data).model_copy(update={"runtime_sources": [str(home)]})
    config = {"churn__raw": {"config": {"source": source}}}
    result = run_job(spec, "train", config)

    assert result.success
    assert len(table("raw")) == 400
    assert steps(result)["churn__raw.churn__raw_read"] == 2


def test_a_run_cannot_read_what_has_no_files(data: Path, run_job: RunJob) -> None:
    source = {"type": "synthetic", "rows": 100}
    result = run_job(
        part_spec(data), "train", {"churn__raw": {"config": {"source": source}}}
    )

    assert "give this run a csv or parquet source" in failure_of(result)


@pytest.mark.slow
def test_many_processes_of_which_one_is_killed_make_what_one_makes(
    data: Path, run_job: RunJob, files: dg.DagsterInstance
) -> None:
    found: list[Any] = []

    def run() -> None:
        with train(part_spec(data), files) as result:
            found.append((result.success, result.all_events))

    worker = threading.Thread(target=run)
    worker.start()
    await_true(lambda: has_found(files), "the parts are known")
    with writing("churn"):
        # Every part waits to be written; one of them dies.
        victim, pid = await_true(lambda: reading(files), "a part is read")
        os.kill(pid, signal.SIGKILL)
        await_true(lambda: retried(files) == {victim}, "it is tried again")
    worker.join(300)
    success, events = found[0]

    assert success
    starts = Counter(event.step_key for event in events if event.is_step_start)
    restarts = [event.step_key for event in events if event.is_step_restarted]
    assert restarts == [victim]
    reads = [key for key in starts if "raw_read" in key]
    assert len(reads) == PARTS and {starts[key] for key in reads} == {1}
    assert len(table("raw")) == PARTS * 200
    raw, features = version("raw"), version("features")
    assert run_job(
        part_spec(data), "train", {"churn__model": {"config": FORCE}}
    ).success
    assert (version("raw"), version("features")) == (raw, features)
    there, here = Versions().records("churn")
    assert (there.raw_version, there.features_version) == (raw, features)
    made_of = ["churned", "__held_out__", "busy"]
    rows = table("features").drop(columns=made_of).astype(object)
    answers = [
        load_pipeline(fetch_bundle(record), record.files).predict_proba(rows)
        for record in (here, there)
    ]
    np.testing.assert_array_equal(*answers)


def train(spec: Any, instance: dg.DagsterInstance) -> Any:
    """Train in a process for each step, two at a time."""
    return dg.execute_job(
        many_processes(spec),
        instance=instance,
        run_config={
            "ops": {"churn__model": {"config": FORCE}},
            "execution": {"config": {"max_concurrent": 2}},
        },
    )


def has_found(instance: dg.DagsterInstance) -> bool:
    """Whether the files are listed, so that steps begin that read them."""
    return any(
        event.is_step_success and "raw_find" in str(event.step_key)
        for event in _events(instance)
    )


def reading(instance: dg.DagsterInstance) -> tuple[str, int] | None:
    """A step that reads a part, and its process."""
    for event in _events(instance):
        if event.is_step_start and "raw_read" in str(event.step_key):
            for other in _events(instance):
                if other.event_type_value == "STEP_WORKER_STARTED" and (
                    other.step_key == event.step_key
                ):
                    pid = other.event_specific_data.metadata["pid"].value
                    return str(event.step_key), int(pid)
    return None


def retried(instance: dg.DagsterInstance) -> set[str]:
    """Steps that will be tried again."""
    return {
        str(event.step_key) for event in _events(instance) if event.is_step_up_for_retry
    }


def _events(instance: dg.DagsterInstance) -> list[dg.DagsterEvent]:
    (run,) = instance.get_runs()[:1] or [None]
    logs = instance.all_logs(run.run_id) if run is not None else []
    return [entry.dagster_event for entry in logs if entry.dagster_event is not None]
