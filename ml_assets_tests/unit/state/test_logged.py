"""Reading logged predictions: which days, which columns, and rows as they were sent."""

from pathlib import Path

import numpy as np
import pytest

from ml_assets.lifecycle.compaction import compact
from ml_assets.prediction_log.reader import inputs
from ml_assets.prediction_log.segments import day_of, timestamp_of
from ml_assets.records.plan import Column, Signature
from ml_assets.state.logged import labelled, newest_time, predictions
from ml_assets_tests.kits.prediction_log import NOON, line, ship, truth

DAY = 86_400.0


@pytest.fixture
def logged(home: Path) -> Path:
    lines = [
        line(NOON + day * DAY, day, version=f"v{day % 2}", label="no")
        for day in range(4)
    ]
    ship(home, lines)
    received = [
        truth(item["id"], "no", NOON + 3.1 * DAY - at) for at, item in enumerate(lines)
    ]
    ship(home, received, "a.labels")
    compact("churn", "predictions")
    compact("churn", "labels")
    return home


def test_days_are_read_one_at_a_time_from_the_time_that_is_asked(
    logged: Path,
) -> None:
    read = list(predictions("churn", ["p"], since=NOON + 1.5 * DAY))
    assert [day["time"].tolist() for day in read] == [
        [NOON + 2 * DAY],
        [NOON + 3 * DAY],
    ]
    assert list(read[0].columns) == ["id", "time", "p"]
    assert newest_time("churn") == NOON + 3 * DAY


def test_other_versions_are_left_out(logged: Path) -> None:
    read = predictions("churn", ["version"], versions=["v1"])
    assert [day["version"].tolist() for day in read] == [["v1"], ["v1"]]


def test_without_a_log_there_is_nothing(home: Path) -> None:
    assert newest_time("churn") == 0.0
    assert not list(predictions("churn", ["p"]))
    found = labelled("churn", 0.0, ["v1"])
    assert found.rows.empty and found.counts.labels == 0


def test_labelled_predictions_stand_in_the_order_of_their_labels(logged: Path) -> None:
    found = labelled("churn", 0.0, ["v0"])
    assert found.rows["time"].tolist() == [NOON + 2 * DAY, NOON]
    assert found.rows["truth"].tolist() == ["no", "no"]
    assert (found.counts.labels, found.counts.joined) == (4, 4)


def test_rows_are_typed_by_the_signature() -> None:
    signature = Signature(
        columns=(
            Column(name="age", kind="number", nullable=True),
            Column(name="hours", kind="integer"),
            Column(name="sex", kind="string"),
            Column(name="married", kind="boolean"),
        ),
        target="income",
        negative="no",
        positive="yes",
    )
    frame = inputs(['[null,3,"f",true]', "[1.5,4,null,false]"], signature)
    assert np.isnan(frame["age"][0]) and frame["hours"].tolist() == [3.0, 4.0]
    assert frame["sex"][0] == "f" and frame["sex"].isna()[1]
    assert frame["married"].map(str).tolist() == ["True", "False"]


@pytest.mark.parametrize("text", ["", "17", "019aae2f-a000-4000-8000-000000000000"])
def test_what_is_no_prediction_id_has_no_day(text: str) -> None:
    with pytest.raises(ValueError, match="expected a UUIDv7"):
        day_of(text)


def test_an_id_holds_its_time() -> None:
    assert timestamp_of(line(NOON, 1)["id"]) == NOON


def test_answers_that_an_older_release_dated_ahead_rule_no_window(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As it was written before times were bounded by the compaction's own clock.
    monkeypatch.setattr(
        "ml_assets.prediction_log.compaction.min", lambda time, _: time, raising=False
    )
    moments = (NOON, NOON + 2 * DAY, NOON + 400 * DAY, NOON + 4000 * DAY)
    ship(home, [line(moment, at) for at, moment in enumerate(moments)])
    compact("churn", "predictions")
    assert newest_time("churn", NOON - 1) == 0.0
    assert newest_time("churn", NOON + DAY) == NOON
    assert newest_time("churn", NOON + 3 * DAY) == NOON + 2 * DAY
    assert newest_time("churn", NOON + 401 * DAY) == NOON + 400 * DAY
