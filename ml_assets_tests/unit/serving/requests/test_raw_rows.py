"""The raw row of the source is a request, by each way in, and so are its inputs."""

import csv
import io
import json

import numpy as np
import pytest

from ml_assets.cli import rows as sources
from ml_assets.records.plan import LISTED, Column, Signature, ignored
from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.serving.requests.problems import Problem
from ml_assets_tests.kits.app import FakeRuntime, ask, served, server

CITIES = tuple(f"Jane of {number:03}" for number in range(LISTED + 6))
SIGNATURE = Signature(
    columns=(
        Column(name="age", kind="number", nullable=True),
        ignored("country", "string"),
        Column(name="fee", kind="number", nullable=True, optional=True),
        Column(name="plan", kind="string", categories=("1", "2", "A"), open=True),
        Column(name="city", kind="string", categories=CITIES),
        ignored("ticket", "integer"),
    ),
    target="y",
    negative=0,
    positive=1,
)
INPUTS = {"age": 41.0, "plan": "A", "city": CITIES[0]}
VALUES = (41.0, None, None, "A", CITIES[0], None)
CASES = {
    "the inputs alone": ({}, {}),
    "an optional input": ({"fee": 2.5}, {2: 2.5}),
    "the whole raw row": (
        {"country": "NL", "fee": 1.0, "ticket": 7.0},
        {1: "NL", 2: 1.0, 5: 7.0},
    ),
    "nothing in what may be left out": ({"country": None, "fee": None}, {}),
    "another kind in what is ignored": ({"ticket": "T-7"}, {}),
    "a value that training never saw": ({"plan": "Z"}, {3: "Z"}),
    "a category that is spelt as a number": ({"plan": 2.0}, {3: "2"}),
}


def vary(changes):
    return tuple(changes.get(index, value) for index, value in enumerate(VALUES))


@pytest.fixture(scope="module")
def decoder():
    return RowDecoder(SIGNATURE, max_rows=10)


def rows_form(rows):
    return "/models/census/predict", {"rows": rows}


def columns_form(rows):
    lists = {name: [row.get(name) for row in rows] for name in rows[0]}
    return "/models/census/predict", {"columns": lists}


def tensors_form(rows):
    kinds = {str: "BYTES", float: "FP64", int: "INT64", type(None): "FP64"}
    inputs = [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": "BYTES" if name in ("plan", "city") else kinds[type(value)],
            "data": [row[name] for row in rows],
        }
        for name, value in rows[0].items()
    ]
    return "/v2/models/census/infer", {"inputs": inputs}


def split_form(rows):
    data = [list(row.values()) for row in rows]
    return "/invocations", {"dataframe_split": {"columns": [*rows[0]], "data": data}}


def records_form(rows):
    return "/invocations", {"dataframe_records": rows}


FORMS = [rows_form, columns_form, tensors_form, split_form, records_form]


class Seen(FakeRuntime):
    """Keeps what it was asked."""

    def __init__(self):
        super().__init__("compiled", SIGNATURE)
        self.rows = []

    def predict_one(self, values):
        self.rows.append(tuple(values))
        return 0.5

    def predict_many(self, columns):
        self.rows += zip(*columns, strict=True)
        return np.full(len(columns[0]), 0.5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("more, changes", CASES.values(), ids=CASES)
@pytest.mark.parametrize("count", [1, 3])
def test_each_way_in_takes_the_raw_row_and_the_inputs_alone(form, more, changes, count):
    runtime = Seen()
    path, body = form([{**INPUTS, **more}] * count)
    answer = ask(server(served(runtime=runtime)), path, body)
    assert answer.status == 200, answer.body
    assert runtime.rows == [vary(changes)] * count


@pytest.mark.parametrize("more, changes", CASES.values(), ids=CASES)
def test_a_row_of_a_file_is_the_same_request(decoder, more, changes):
    row = {**INPUTS, **more}
    text = io.StringIO()
    csv.writer(text).writerows([row, ["" if v is None else v for v in row.values()]])
    stream = io.BytesIO(text.getvalue().encode())
    (read,) = sources.read(stream, "csv", SIGNATURE.columns)
    body = json.dumps({"rows": [read]}).encode()
    assert tuple(decoder.decode(body).row) == vary(changes)


@pytest.mark.parametrize(
    "row, message",
    [
        ({"age": 41}, "column 'plan': expected a string, found nothing"),
        ({**INPUTS, "citty": "x"}, "column 'citty': expected no such column"),
        ({**INPUTS, "city": "x"}, "expected one of 70 known values, found another str"),
        ({**INPUTS, "plan": ["A"]}, "column 'plan': expected a string, found an array"),
        ({**INPUTS, "fee": "x"}, "column 'fee': expected a number or null, found a st"),
    ],
)
def test_what_is_needed_and_what_is_known_stays_strict(decoder, row, message):
    with pytest.raises(Problem) as caught:
        decoder.decode(json.dumps({"rows": [row]}).encode())
    assert message in caught.value.detail


@pytest.mark.parametrize("more", [{}, {"fee": 1.5}, {"ticket": 3, "country": "NL"}])
@pytest.mark.parametrize("name", ["age", "fee", "ticket"])
def test_a_key_that_stands_twice_is_refused_whatever_else_is_left_out(
    decoder, more, name
):
    text = json.dumps({"rows": [{**INPUTS, **more, name: 1}]})
    twice = text.replace("}]}", f', "{name}": 2}}]}}').encode()
    with pytest.raises(Problem, match="stands twice"):
        decoder.decode(twice)


def test_what_is_left_out_costs_no_slow_decoding(decoder, monkeypatch):
    monkeypatch.setattr(decoder, "_validated", None)
    for more in ({}, {"fee": 1.5}, {"ticket": 3, "country": "NL", "fee": None}):
        body = json.dumps({"rows": [{**INPUTS, **more}] * 2}).encode()
        batch = decoder.decode(body)
        assert batch.size == 2
        # A log line may hold the text only where each row has each column.
        assert (batch.text is not None) is (len(more) == 3)


def test_columns_without_any_are_no_rows(decoder):
    signature = Signature(
        columns=(ignored("a", "number"),), target="y", negative=0, positive=1
    )
    with pytest.raises(Problem, match="expected at least one column, found none"):
        RowDecoder(signature, 10).check_columns({})


@pytest.mark.parametrize("path", ["/models/census", "/openapi.json", "/docs"])
def test_values_that_are_too_many_to_choose_from_are_listed_nowhere(path):
    app = server(served(runtime=FakeRuntime(signature=SIGNATURE)))
    text = ask(app, path).body.decode()
    # One of them stands in the example, which has to be a request that is taken.
    assert not any(city in text for city in CITIES[1:])
    assert "ticket" in text


def test_the_examples_of_the_documentation_are_accepted():
    app = server(served(runtime=FakeRuntime(signature=SIGNATURE)))
    columns = ask(app, "/models/census").json["columns"]
    row = {c["name"]: c["example"] for c in columns if not c["ignored"]}
    assert ask(app, "/models/census/predict", {"rows": [row]}).status == 200
    document = ask(app, "/openapi.json").json
    for path in ("/models/census/predict", "/v2/models/census/infer", "/invocations"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        answer = ask(app, path, content["application/json"]["example"])
        assert answer.status == 200, (path, answer.body)
