"""What a request may hold, and the problem that refuses it otherwise."""

import json

import pytest

from ml_assets.records.plan import Column, Signature
from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.serving.requests.problems import Problem
from ml_assets_tests.kits.app import ROW, SIGNATURE

VALUES = (41.0, 40, True, "Male", "x")


@pytest.fixture
def decoder() -> RowDecoder:
    return RowDecoder(SIGNATURE, max_rows=3)


def row(**changes):
    return {"rows": [{**ROW, **{k.replace("_", "-"): v for k, v in changes.items()}}]}


def columns(**changes):
    lists = {name: [value] for name, value in ROW.items()}
    return {"columns": {**lists, **changes}}


@pytest.mark.parametrize(
    "body, values",
    [
        (row(), VALUES),
        (columns(), VALUES),
        (row(age=None), (None, *VALUES[1:])),
        (row(age=-0.5), (-0.5, *VALUES[1:])),
        (row(hours_per_week=40.0), VALUES),
        (row(note=None), (*VALUES[:4], None)),
        (row(note="a: b: c"), (*VALUES[:4], "a: b: c")),
        (row(note='":{'), (*VALUES[:4], '":{')),
        (row(note="日本"), (*VALUES[:4], "日本")),
        (row(hours_per_week=2**63 - 1), (41.0, 2**63 - 1, *VALUES[2:])),
    ],
)
def test_a_row_that_fits_is_decoded_in_the_order_of_the_signature(
    decoder, body, values
):
    batch = decoder.decode(json.dumps(body).encode())
    assert batch.size == 1
    assert tuple(batch.row) == values
    assert list(map(type, batch.row)) == list(map(type, values))


def test_rows_and_columns_give_the_same_batch(decoder):
    other = {**ROW, "age": None, "sex": "Female"}
    rows = {"rows": [ROW, other]}
    lists = {"columns": {name: [ROW[name], other[name]] for name in ROW}}
    batches = [decoder.decode(json.dumps(body).encode()) for body in (rows, lists)]
    first, second = ([list(column) for column in item.columns] for item in batches)
    assert first == second
    assert batches[0].row is None and batches[0].size == 2


REFUSALS = [
    (row(age="41"), "row 0, column 'age': expected a number or null, found a string"),
    (row(age=True), "row 0, column 'age': expected a number or null, found a boolean"),
    (row(age=[1]), "row 0, column 'age': expected a number or null, found an array"),
    (row(age={}), "row 0, column 'age': expected a number or null, found an object"),
    (
        row(age=float("nan")),
        "expected a number or null, found a number that is not fin",
    ),
    (row(age=float("-inf")), "expected a number or null, found a number that is not f"),
    (row(age=10**400), "column 'age': expected a number or null, found an integer bey"),
    (row(hours_per_week=1.5), "expected an integer, found a number with a fraction"),
    (
        row(hours_per_week=None),
        "column 'hours-per-week': expected an integer, found nu",
    ),
    (row(hours_per_week=2**63), "expected an integer, found an integer beyond 64 bits"),
    (row(hours_per_week=True), "expected an integer, found a boolean"),
    (row(married=1), "column 'married': expected true or false, found a number"),
    (row(married="yes"), "column 'married': expected true or false, found a string"),
    (
        row(sex="male"),
        "column 'sex': expected one of 'Female', 'Male', found another s",
    ),
    (row(sex=None), "column 'sex': expected one of 'Female', 'Male', found null"),
    (row(note=3), "column 'note': expected a string or null, found a number"),
    (row(note="\ud800"), "column 'note': expected a string or null, found another str"),
    (
        row(surplus=1),
        "row 0, column 'surplus': expected no such column, found an unkno",
    ),
    ({"rows": []}, "expected at least one row, found none"),
    ({"rows": {}}, "expected an array of rows, found an object"),
    ({"rows": [1]}, "row 0: expected an object, found a number"),
    ({"rows": [ROW, {}]}, "row 1, column 'age': expected a number or null, found noth"),
    ({}, "found an object with no key"),
    ({"row": [ROW]}, "found an object with 'row'"),
    ({"rows": [ROW], "columns": {}}, "found an object with 'rows', 'columns'"),
    ([ROW], "found an array"),
    ({"columns": []}, "expected an object of one array per column, found an array"),
    (columns(age=1), "column 'age': expected an array, found a number"),
    (columns(age=[]), "column 'hours-per-week': expected 0 values, as in column 'age'"),
    (columns(sex=["Male", "Male"]), "column 'sex': expected 1 values, as in column 'a"),
    (columns(sex=["x"]), "row 0, column 'sex': expected one of 'Female', 'Male'"),
    (columns(more=[1]), "column 'more': expected no such column"),
]


@pytest.mark.parametrize("body, message", REFUSALS)
def test_a_request_that_does_not_fit_is_refused_with_position_and_expectation(
    decoder, body, message
):
    with pytest.raises(Problem, match=".*") as caught:
        decoder.decode(json.dumps(body).encode())
    assert caught.value.status == 422
    assert message in caught.value.detail


TEXT = json.dumps(row()).encode()


@pytest.mark.parametrize(
    "body, message",
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (TEXT[:-5], "Unterminated string starting at (line 1"),
        (b"{" + TEXT, "Expecting property name"),
        (TEXT + b"x", "Extra data"),
        (b"\xff\xfe", "the body is not UTF-8 at byte 0"),
        (b'{"rows":' + b"[" * 100_000, "the body is nested too deeply"),
        (b'{"rows":[' + b"9" * 5000 + b"]}", "a number has too many digits"),
        (TEXT.replace(b'"age"', b'"sex": "Male", "age"'), "the key 'sex' stands twice"),
        (TEXT.replace(b'"age": 41', b'"age": 41, "age": 42'), "the key 'age' stands t"),
        (b'{"rows": [], ' + TEXT[1:], "the key 'rows' stands twice"),
    ],
)
def test_a_body_that_is_not_proper_json_is_refused(decoder, body, message):
    with pytest.raises(Problem) as caught:
        decoder.decode(body)
    assert caught.value.status == 400
    assert message in caught.value.detail


@pytest.mark.parametrize(
    "body",
    [
        {"rows": [ROW] * 4},
        {"columns": {name: [value] * 4 for name, value in ROW.items()}},
    ],
)
def test_too_many_rows_are_refused(decoder, body):
    with pytest.raises(Problem, match="expected at most 3 rows, found 4") as caught:
        decoder.decode(json.dumps(body).encode())
    assert caught.value.status == 413


def test_all_errors_are_reported_at_once_up_to_a_bound():
    decoder = RowDecoder(SIGNATURE, max_rows=1000)
    with pytest.raises(Problem) as caught:
        decoder.decode(json.dumps({"rows": [{**ROW, "age": "a", "sex": 1}]}).encode())
    assert [error.column for error in caught.value.errors] == ["age", "sex"]
    with pytest.raises(Problem) as caught:
        decoder.decode(json.dumps({"rows": [{**ROW, "age": "a"}] * 500}).encode())
    assert len(caught.value.errors) == 20


def test_a_refusal_never_repeats_a_value(decoder):
    body = row(age="SECRET", sex="SECRET", note=["SECRET"], married="SECRET")
    with pytest.raises(Problem) as caught:
        decoder.decode(json.dumps(body).encode())
    assert b"SECRET" not in caught.value.body("id")


def test_a_long_or_strange_unknown_key_is_cut_and_escaped(decoder):
    body = {"rows": [{**ROW, "\u202e" + "k" * 10_000: 1}]}
    with pytest.raises(Problem) as caught:
        decoder.decode(json.dumps(body).encode())
    assert len(caught.value.detail) < 200
    assert caught.value.detail.isascii()


@pytest.mark.parametrize("name", ["a:b", 'quo"te', "class", "with space", "ä"])
def test_any_column_name_works(name):
    signature = Signature(
        columns=(Column(name=name, kind="number"),),
        target="t",
        negative=0,
        positive=1,
    )
    decoder = RowDecoder(signature, max_rows=3)
    text = json.dumps({"rows": [{name: 1.0}]})
    assert tuple(decoder.decode(text.encode()).row) == (1.0,)
    twice = text.replace("1.0", "1.0, " + json.dumps({name: 2.0})[1:-1]).encode()
    with pytest.raises(Problem, match="stands twice"):
        decoder.decode(twice)
