"""Arrow tables are taken for the rows that the same values are in JSON."""

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from ml_assets.records.plan import Column, Signature, ignored
from ml_assets.serving.requests.arrow_columns import read_table
from ml_assets.serving.requests.batch import Batch
from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.serving.requests.problems import Problem

COLUMNS = (
    Column(name="amount", kind="number", nullable=True),
    Column(name="count", kind="integer", nullable=True),
    Column(name="owner", kind="boolean", nullable=True),
    Column(name="plan", kind="string", categories=("a", "b"), nullable=True),
    Column(name="grade", kind="string", categories=("1", "2"), open=True),
    Column(name="day", kind="string", nullable=True),
    ignored("note", "string"),
)
SIGNATURE = Signature(columns=COLUMNS, target="y", negative=0, positive=1)
ROWS: dict[str, list[Any]] = {
    "amount": [1.5, None, -0.0],
    "count": [2**53 + 1, None, -7],
    "owner": [True, None, False],
    "plan": ["a", None, "b"],
    "grade": ["1", "2", "other"],
    "day": ["2026-11-27", None, "x"],
    "note": ["n", None, "m"],
}


def table(**changes: Any) -> pa.Table:
    return pa.table({name: pa.array(v) for name, v in ROWS.items()} | changes)


def read(given: pa.Table, columns: tuple[Column, ...] = COLUMNS) -> Batch:
    signature = msgspec.structs.replace(SIGNATURE, columns=columns)
    return read_table(signature, given, 100)


def values(batch: Batch) -> list[list[Any]]:
    return [list(column) for column in batch.columns]


def refused(given: pa.Table, columns: tuple[Column, ...] = COLUMNS) -> str:
    with pytest.raises(Problem) as caught:
        read(given, columns)
    assert caught.value.status == 422
    return caught.value.detail


def test_values_and_unseen_categories_are_those_of_json() -> None:
    body = msgspec.json.encode({"columns": ROWS})
    batch = RowDecoder(SIGNATURE, 100).decode(body)
    assert values(read(table())) == values(batch)
    assert read(table()).unseen == batch.unseen != []
    assert [*map(list, read(table()).rows)] == [*map(list, batch.rows)]


@pytest.mark.parametrize(
    "changes",
    [
        {"plan": pa.array(ROWS["plan"], pa.large_string())},
        {"plan": pa.array(ROWS["plan"], pa.string_view())},
        {"plan": pa.array(ROWS["plan"]).dictionary_encode()},
        {"grade": pa.array(ROWS["grade"]).dictionary_encode()},
        {"owner": pa.array(["TRUE", None, "false"])},
        {"amount": pa.array(ROWS["amount"]).dictionary_encode()},
        {"amount": pa.array([1.5, float("nan"), -0.0])},
        {"amount": pa.array([1.5, None, -0.0], pa.float32())},
        {"count": pa.chunked_array([ROWS["count"][:1], ROWS["count"][1:]])},
        {"note": pa.array([Decimal(1)] * 3), "day": table().column("day")},
    ],
)
def test_every_encoding_of_a_column_is_taken(changes: dict[str, pa.Array]) -> None:
    expected = {**ROWS, **({"note": [None] * 3} if "note" in changes else {})}
    assert values(read(table(**changes))) == [*expected.values()]


def test_numbers_and_truth_values_are_categories_as_in_json() -> None:
    column = (Column(name="grade", kind="string", categories=("1", "2")),)
    assert values(read(pa.table({"grade": [1.0, 2.0, 1.0]}), column)) == [
        ["1", "2", "1"]
    ]
    column = (Column(name="own", kind="string", categories=("False", "True")),)
    assert values(read(pa.table({"own": [True, False]}), column)) == [["True", "False"]]


def test_points_in_time_are_texts() -> None:
    column = (Column(name="day", kind="string", nullable=True),)
    day = dt.date(2026, 11, 27)
    assert values(read(pa.table({"day": [day, None]}), column)) == [
        ["2026-11-27", None]
    ]
    nanoseconds = pa.array([1_795_771_800_000_000_001], pa.timestamp("ns"))
    assert values(read(pa.table({"day": nanoseconds}), column)) == [
        ["2026-11-27T09:30:00"]
    ]
    seconds = pa.array([1_795_771_800], pa.timestamp("s", "Europe/Berlin"))
    assert values(read(pa.table({"day": seconds}), column)) == [
        ["2026-11-27T09:30:00+00:00"]
    ]
    beyond = pa.array([2**62], pa.timestamp("s"))
    assert "beyond the calendar" in refused(pa.table({"day": beyond}), column)


def test_a_column_that_is_all_missing_needs_no_type() -> None:
    found = values(read(table(amount=pa.nulls(3), plan=pa.nulls(3), owner=pa.nulls(3))))
    assert found[0] == found[2] == found[3] == [None] * 3


def test_whole_floats_are_integers_and_optional_columns_may_be_left_out() -> None:
    given = table(count=pa.array([1.0, None, 3.0])).drop_columns(["note"])
    found = values(read(given))
    assert found[1] == [1, None, 3] and type(found[1][0]) is int
    assert found[6] == [None] * 3


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"amount": [0.0, float("inf"), 1.0]}, "row 1, column 'amount': expected a nu"),
        ({"amount": ["1", "2", "3"]}, "found Arrow type string"),
        ({"amount": [True, False, True]}, "found Arrow type bool"),
        ({"amount": [Decimal("1.50")] * 3}, "found Arrow type decimal128(3, 2)"),
        ({"count": [1.0, 2.0, 2.5]}, "row 2, column 'count': expected an integer or"),
        ({"count": pa.array([1, 2**63, 1], pa.uint64())}, "an integer beyond 64 bits"),
        ({"count": [1.0, 2.0**63, 1.0]}, "row 1, column 'count'"),
        ({"owner": [1, 0, 1]}, "row 0, column 'owner': expected true or false or null"),
        ({"plan": ["a", "b", "c"]}, "row 2, column 'plan': expected one of 'a', 'b'"),
        ({"grade": ["1", None, "2"]}, "row 1, column 'grade': expected a string, f"),
        ({"day": [[1], [2], [3]]}, "found Arrow type list<"),
        ({"other": [1, 2, 3]}, "column 'other': expected no such column"),
    ],
)
def test_a_refusal_names_the_first_row_and_what_was_found(
    changes: dict[str, Any], message: str
) -> None:
    given = {
        n: v if isinstance(v, pa.Array) else pa.array(v) for n, v in changes.items()
    }
    assert message in refused(table(**given))


def test_a_value_of_the_dictionary_that_no_row_has_is_no_fault() -> None:
    plan = pa.DictionaryArray.from_arrays(pa.array([0, None, 0]), ["a", "unknown"])
    assert values(read(table(plan=plan)))[3] == ["a", None, "a"]


def test_a_missing_column_a_double_one_and_too_many_rows_are_refused() -> None:
    assert "column 'plan'" in refused(table().drop_columns(["plan"]))
    double = pa.Table.from_arrays([pa.array([1])] * 2, ["amount", "amount"])
    assert refused(double) == "the column 'amount' stands twice"
    with pytest.raises(Problem) as caught:
        read_table(SIGNATURE, table(), 2)
    assert caught.value.status == 413
    assert "at least one row" in refused(table().slice(0, 0))
