"""Which prediction a label is about: late, repeated, contradicting and unknown ones."""

from typing import Any

import pandas as pd
import pytest

from ml_assets.prediction_log.labels import Counts, resolve

DAY = 86_400.0
ANSWERS = pd.DataFrame(
    [
        ("p1", "anna", 100.0),
        ("p2", "otto", 200.0),
        ("p3", "anna", 300.0),
        ("p4", None, 400.0),
    ],
    columns=["id", "entity", "time"],
)
ASKED = ANSWERS.assign(caller=["web", "app", "app", None])
Given = tuple[str | None, str | None, float | None, str, float]


def labels(*given: Given) -> pd.DataFrame:
    return pd.DataFrame(given, columns=["id", "entity", "time", "label", "received"])


@pytest.mark.parametrize(
    "given, joined, counts",
    [
        pytest.param(
            [("p1", None, None, "yes", 500.0)],
            {"p1": "yes"},
            Counts(labels=1, joined=1),
            id="by id",
        ),
        pytest.param(
            [(None, "anna", 299.0, "yes", 500.0)],
            {"p1": "yes"},
            Counts(labels=1, joined=1),
            id="the entity's latest prediction before the time",
        ),
        pytest.param(
            [(None, "anna", 300.0, "yes", 500.0)],
            {"p3": "yes"},
            Counts(labels=1, joined=1),
            id="a prediction at the very time",
        ),
        pytest.param(
            [(None, "anna", 99.0, "yes", 500.0)],
            {},
            Counts(labels=1, pending=1),
            id="no prediction before the time",
        ),
        pytest.param(
            [(None, "otto", 200.0 + 30 * DAY, "yes", 0.0)],
            {"p2": "yes"},
            Counts(labels=1, joined=1),
            id="thirty days later",
        ),
        pytest.param(
            [(None, "otto", 201.0 + 30 * DAY, "yes", 0.0)],
            {},
            Counts(labels=1, pending=1),
            id="too late",
        ),
        pytest.param(
            [("nobody", None, None, "yes", 1.0), (None, "eve", 999.0, "no", 2.0)],
            {},
            Counts(labels=2, pending=2),
            id="unknown id and entity",
        ),
        pytest.param(
            [("p1", None, None, "yes", 1.0), ("p1", None, None, "yes", 2.0)],
            {"p1": "yes"},
            Counts(labels=2, joined=1, repeated=1),
            id="repeated",
        ),
        pytest.param(
            [("p1", None, None, "no", 2.0), ("p1", None, None, "yes", 1.0)],
            {"p1": "no"},
            Counts(labels=2, joined=1, contradicting=1),
            id="contradicting: the last received, not the last written",
        ),
        pytest.param(
            [("p1", None, None, "no", 2.0), (None, "anna", 150.0, "yes", 3.0)],
            {"p1": "yes"},
            Counts(labels=2, joined=1, contradicting=1),
            id="the same prediction by id and by entity",
        ),
        pytest.param(
            [("p1", "otto", 250.0, "no", 2.0)],
            {"p1": "no"},
            Counts(labels=1, joined=1),
            id="an id goes before an entity",
        ),
        pytest.param([], {}, Counts(), id="none"),
    ],
)
def test_a_label_finds_its_prediction(
    given: list[Given], joined: dict[str, str], counts: Counts
) -> None:
    rows, found = resolve(labels(*given), ANSWERS)
    assert dict(zip(rows["id"], rows["label"], strict=True)) == joined
    assert found == counts


def test_labels_stand_in_the_order_in_which_they_were_received() -> None:
    given: list[Any] = [("p4", None, None, "a", 3.0), ("p1", None, None, "b", 1.0)]
    rows, _ = resolve(labels(*given), ANSWERS)
    assert rows["id"].tolist() == ["p1", "p4"]


def test_a_pending_label_joins_when_its_prediction_arrives() -> None:
    given = labels(("p4", None, None, "a", 3.0))
    assert resolve(given, ANSWERS[:3])[1].pending == 1
    assert resolve(given, ANSWERS)[1].joined == 1


@pytest.mark.parametrize(
    "given, joined",
    [
        (("p1", None, None, "yes", 500.0, "web", True), {"p1": "yes"}),
        (("p1", None, None, "yes", 500.0, "app", True), {}),
        (("p1", None, None, "yes", 500.0, "app", False), {"p1": "yes"}),
        (("p1", None, None, "yes", 500.0, None, None), {"p1": "yes"}),
        # Nobody knows who asked.
        (("p4", None, None, "yes", 500.0, "web", True), {}),
        # The latest that it asked for, and not the latest of all.
        ((None, "anna", 350.0, "yes", 500.0, "web", True), {"p1": "yes"}),
        ((None, "anna", 350.0, "yes", 500.0, "web", False), {"p3": "yes"}),
        ((None, "otto", 350.0, "yes", 500.0, "web", True), {}),
    ],
)
def test_a_label_of_a_caller_of_its_own_is_about_what_it_asked_for(
    given: tuple[Any, ...], joined: dict[str, str]
) -> None:
    names = ["id", "entity", "time", "label", "received", "caller", "own"]
    # One beside it, so that a rule for some labels leaves others alone.
    other = (None, "otto", 210.0, "no", 501.0, "desk", False)
    rows, _ = resolve(pd.DataFrame([given, other], columns=names), ASKED)
    assert dict(zip(rows["id"], rows["label"], strict=True)) == {"p2": "no"} | joined
