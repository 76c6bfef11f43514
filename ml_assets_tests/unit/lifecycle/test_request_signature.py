"""What a version's requests hold is read off its data, its YAML, and what serves."""

import numpy as np
import pandas as pd
import pytest

from ml_assets.assets.replay import _body
from ml_assets.lifecycle import request_signature as module
from ml_assets.lifecycle.monitored_columns import with_constants
from ml_assets.lifecycle.request_signature import (
    request_signature,
    signature_notes,
    spared,
)
from ml_assets.ml.training import train
from ml_assets.records.plan import Column, Signature, ignored


def table(rows=200):
    random = np.random.default_rng(0)
    age = random.integers(20, 60, rows)
    return pd.DataFrame(
        {
            "age": age,
            "fee": random.normal(size=rows),
            "member": random.random(rows) < 0.5,
            "plan": pd.Categorical(random.choice(["a", "b"], rows)),
            "churned": np.where(age > 40, "yes", "no"),
        }
    )


@pytest.fixture(params=["HistGradientBoostingClassifier", "derived", "plain"])
def trained(request, make_spec):
    estimator = {"type": "sklearn.linear_model.LogisticRegression"}
    features = {"derive": {"both": "fee * (plan == 'a')"}}
    if request.param == "HistGradientBoostingClassifier":
        estimator = {"params": {"max_iter": 5}}
    spec = make_spec(
        estimator=estimator, features={} if request.param == "plain" else features
    )
    frame = table()
    if request.param != "plain":
        derived = frame["fee"] * (frame["plan"] == "a")
        frame.insert(4, "both", derived)
    return spec, train(frame, spec)


def test_every_input_may_be_missing_in_what_the_platform_builds(trained):
    spec, found = trained
    signature = request_signature(spec, found, {})
    assert spared(found, signature) == ["age", "fee", "member", "plan"]


@pytest.mark.parametrize(
    "unknown, is_open", [("accept", True), ("auto", True), ("reject", False)]
)
def test_a_list_that_was_open_stays_open_unless_the_yaml_closes_it(
    make_spec, monkeypatch, unknown, is_open
):
    spec = make_spec(
        estimator={"params": {"max_iter": 5}}, serving={"unknown_category": unknown}
    )
    before = Signature(
        columns=(Column(name="plan", kind="string", categories=("a",), open=True),),
        target="churned",
        negative="no",
        positive="yes",
    )
    monkeypatch.setattr(module, "served_signature", lambda model: before)
    found = request_signature(spec, train(table(), spec), {"country": "string"})
    columns = {column.name: column for column in found.columns}
    assert columns["plan"].open is is_open
    assert columns["country"] == ignored("country", "string")
    assert columns["age"].optional, "requests until now lack it"
    notes = signature_notes(found)
    assert "taken in requests and not read: country" in notes
    assert any(note.endswith("age, fee, member") for note in notes)


@pytest.mark.parametrize(
    "serving, is_open",
    [
        ({}, True),
        ({"unknown_category": "auto"}, False),
        ({"unknown_category": "reject"}, False),
    ],
)
def test_unseen_categories_are_accepted_unless_the_yaml_rejects_them(
    make_spec, monkeypatch, serving, is_open
):
    monkeypatch.setattr(module, "served_signature", lambda model: None)
    spec = make_spec(estimator={"params": {"max_iter": 5}}, serving=serving)
    found = request_signature(spec, train(table(), spec), {})
    plan = next(column for column in found.columns if column.name == "plan")
    assert (plan.categories, plan.open) == (("a", "b"), is_open)
    said = any("taken as unknown" in note for note in signature_notes(found))
    assert said is is_open


def test_what_was_constant_is_watched_where_callers_send_it():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "country": ["NL", None, "BE"]})
    found = with_constants(frame, {"country": "NL", "year": 2026, "paid": True})
    assert found["country"].tolist() == ["NL", "NL", "BE"]
    assert found["year"].tolist() == [2026] * 3
    assert found["paid"].tolist() == [True] * 3
    assert frame["country"].isna().sum() == 1


def test_a_logged_row_is_replayed_without_what_it_may_have_left_out():
    columns = (
        Column(name="age", kind="number", nullable=True),
        Column(name="fee", kind="number", nullable=True, optional=True),
        ignored("country", "string"),
    )
    signature = Signature(columns=columns, target="y", negative=0, positive=1)
    assert _body(signature, "[null,null,null]") == b'{"rows":[{"age":null}]}'
    assert b'"country":"NL"' in _body(signature, '[1.0,2.0,"NL"]')
