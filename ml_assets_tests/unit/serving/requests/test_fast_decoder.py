"""The fast decoder accepts what the full validation accepts, with the same rows."""

import itertools
import json

import pytest

from ml_assets.records.plan import Column, Signature
from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.serving.requests.problems import Problem

SIGNATURE = Signature(
    columns=(
        Column(name="age", kind="number", nullable=True),
        Column(name="kind", kind="string", categories=("a", "b:c")),
        Column(name="note", kind="string", nullable=True, optional=True),
    ),
    target="t",
    negative="n",
    positive="y",
)
ROW = {"age": 41.0, "kind": "a", "note": "x"}
ROWS = [
    ROW,
    {**ROW, "kind": "b:c"},
    {**ROW, "note": "see: https://a.example"},
    {**ROW, "note": 'he said: "no"'},
    {**ROW, "note": "{:[]},"},
    {"age": None, "kind": "a"},
]


@pytest.fixture
def decoder():
    return RowDecoder(SIGNATURE, max_rows=100)


@pytest.fixture
def fast(decoder, monkeypatch):
    """A decoder that may not fall back on the full validation."""
    monkeypatch.setattr(decoder, "_validated", lambda _: pytest.fail("it was slow"))
    return decoder


def columns(rows):
    """The rows by column, in each of which a row that lacks the note has null."""
    return {name: [row.get(name) for row in rows] for name in ROW}


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("form", ["rows", "columns"])
@pytest.mark.parametrize("entities", [None, "plain", "person:17"])
def test_a_colon_columns_and_entities_are_decoded_fast(fast, size, form, entities):
    for rows in itertools.product(ROWS, repeat=size):
        body = {form: list(rows) if form == "rows" else columns(rows)}
        if entities:
            body["entities"] = [entities] * size
        batch = fast.decode(json.dumps(body).encode())
        slow = RowDecoder(SIGNATURE, max_rows=100)._validated(json.dumps(body).encode())
        assert [*map(tuple, batch.rows)] == [*map(tuple, slow.rows)]
        assert batch.entities == slow.entities
        assert [*map(tuple, batch.columns)] == [*map(tuple, slow.columns)] or size == 1


def test_a_column_may_be_left_out_where_a_row_may(fast):
    batch = fast.decode(b'{"columns": {"kind": ["a", "b:c"], "age": [1, null]}}')
    assert [*batch.rows] == [(1.0, "a", None), (None, "b:c", None)]


TWICE = [
    '{"rows": [{"age": 1, "age": 2, "kind": "a", "note": "NOTE"}]}',
    '{"columns": {"age": [1], "kind": ["a"], "kind": ["a"], "note": ["NOTE"]}}',
    '{"columns": {"age": [1], "kind": ["a"], "note": ["x"], "note": ["NOTE"]}}',
    '{"rows": [{"age": 1, "kind": "a", "note": "NOTE"}], "entities": ["a"],'
    ' "entities": ["NOTE"]}',
]


@pytest.mark.parametrize("body", TWICE)
@pytest.mark.parametrize(
    "note", ["x", "a:b", "\\u003a", "a:\\u003A", "\\u003a:::", ":"]
)
def test_a_key_that_stands_twice_is_found_whatever_the_strings_are(decoder, body, note):
    with pytest.raises(Problem, match="stands twice"):
        decoder.decode(body.replace("NOTE", note).encode())


def test_a_name_with_a_colon_may_be_spelt_in_any_way():
    column = Column(name="a:b", kind="number")
    signature = Signature(columns=(column,), target="t", negative="n", positive="y")
    decoder = RowDecoder(signature, max_rows=100)
    assert decoder.decode(b'{"rows": [{"a:b": 1}]}').row == (1.0,)
    assert decoder.decode(b'{"rows": [{"a\\u003ab": 1}]}').row == (1.0,)
    with pytest.raises(Problem, match="stands twice"):
        decoder.decode(b'{"rows": [{"a\\u003ab": 1, "a\\u003ab": 2}]}')


@pytest.mark.parametrize(
    "body",
    [
        '{"columns": {"age": [], "kind": []}}',
        '{"columns": {"age": [1, 2], "kind": ["a"]}}',
        '{"columns": {"age": [1], "kind": ["z"]}}',
        '{"columns": {"age": [1], "kind": ["a"]}, "entities": ["a", "b"]}',
        '{"columns": {"age": [1], "kind": ["a"]}, "rows": [{"age": 1, "kind": "a"}]}',
        '{"columns": {"age": %s, "kind": %s}}' % ([1] * 101, json.dumps(["a"] * 101)),
    ],
)
def test_columns_that_do_not_fit_are_refused(decoder, body):
    with pytest.raises(Problem):
        decoder.decode(body.encode())


OPEN = Signature(
    columns=(
        Column(name="plan", kind="string", categories=("1", "b"), open=True),
        Column(name="city", kind="string", categories=("a:b",), open=True),
        Column(name="age", kind="number"),
    ),
    target="t",
    negative="n",
    positive="y",
)
SEEN = {"plan": "b", "city": "a:b", "age": 1.0}
NEW = {"plan": "new", "city": "at: sea", "age": 1.0}


def of(form, rows):
    if form == "columns":
        rows = {name: [row[name] for row in rows] for name in rows[0]}
    return json.dumps({form: rows}).encode()


@pytest.mark.parametrize("form", ["rows", "columns"])
@pytest.mark.parametrize("rows", [[NEW], [SEEN, NEW], [NEW, SEEN, NEW]])
def test_categories_that_training_did_not_see_are_decoded_fast(form, rows, monkeypatch):
    slow = RowDecoder(OPEN, max_rows=10)._validated(of(form, rows))
    fast = RowDecoder(OPEN, max_rows=10)
    monkeypatch.setattr(fast, "_validated", lambda _: pytest.fail("it was slow"))
    found = fast.decode(of(form, rows))
    assert [*map(tuple, found.rows)] == [*map(tuple, slow.rows)]
    assert found.unseen == slow.unseen != []


@pytest.mark.parametrize("plan", ["1.0", " 1", 1, True, "x" * 100, "1" + " " * 100])
def test_a_category_in_another_notation_is_the_known_one(plan):
    decoder = RowDecoder(OPEN, max_rows=10)
    for rows in ([SEEN | {"plan": plan}], [NEW, SEEN | {"plan": plan}]):
        body = of("rows", rows)
        found, slow = decoder.decode(body), decoder._validated(body)
        assert [*map(tuple, found.rows)] == [*map(tuple, slow.rows)]
        assert found.unseen == slow.unseen


def test_what_came_before_changes_nothing():
    rows = [SEEN, NEW, SEEN | {"plan": "1.0"}, NEW | {"city": "a:b"}]
    bodies = [
        of(form, [*some])
        for form in ("rows", "columns")
        for size in (1, 2)
        for some in itertools.product(rows, repeat=size)
    ]
    bodies += [body.replace(b'"age": 1.0', b'"age": 1, "age": 2') for body in bodies]
    alone = [decoded(RowDecoder(OPEN, max_rows=10), body) for body in bodies]
    used = RowDecoder(OPEN, max_rows=10)
    for pair in itertools.product(zip(bodies, alone), repeat=2):
        for body, expected in pair:
            assert decoded(used, body) == expected


def decoded(decoder, body):
    """The rows, and which are unseen, as they are in the log and the answer."""
    try:
        found = decoder.decode(body)
    except Problem as problem:
        return problem.detail
    return [*map(tuple, found.rows)], [*found.unseen], found.text


def test_a_key_that_stands_twice_beside_an_unseen_category_is_refused():
    decoder = RowDecoder(OPEN, max_rows=10)
    body = b'{"rows": [{"plan": "z", "city": "a:b", "age": 1, "age": 2}]}'
    with pytest.raises(Problem):
        decoder.decode(body)
