"""A value is the same category however a file or a caller writes it."""

import json

import pytest

from ml_assets.core.canonical import match_category
from ml_assets.records.plan import Column, Signature
from ml_assets.serving.protocols import mlflow as mlflow_protocol
from ml_assets.serving.protocols import open_inference as v2
from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.serving.requests.problems import Problem
from ml_assets.serving.requests.values import clean

MOMENT = "2026-11-27T09:30:00"


@pytest.mark.parametrize(
    "categories, values, meant",
    [
        (("False", "True"), [True, "true", "TRUE", "True", " true "], "True"),
        (("False", "True"), [False, "false", "FALSE", "False"], "False"),
        (("False",), [False, "FALSE"], "False"),
        (("1", "3"), [3, 3.0, "3", "3.0", " 3"], "3"),
        (("1.0", "3.0"), [3, 3.0, "3", "3.0"], "3.0"),
        (("2.5", "3"), [2.5, "2.5", "2.50"], "2.5"),
        (("-1", "0"), [-1, -1.0, "-1.0"], "-1"),
        (("01234", "1234"), ["01234"], "01234"),
        (("01234", "1234"), [1234, 1234.0, "1234"], "1234"),
        (("3", "3.0"), ["3.0"], "3.0"),
        ((str(2**63 - 1), "7"), [2**63 - 1, str(2**63 - 1)], str(2**63 - 1)),
        ((MOMENT, "x"), ["2026-11-27 09:30:00", "2026-11-27 09:30", MOMENT], MOMENT),
        (("2026-11-27 09:30:00",), [MOMENT], "2026-11-27 09:30:00"),
        (("Male", "Female"), ["Male"], "Male"),
    ],
)
def test_every_notation_of_a_category_is_that_category(
    categories: tuple[str, ...], values: list[object], meant: str
) -> None:
    assert [match_category(categories, value) for value in values] == [meant] * len(
        values
    )


@pytest.mark.parametrize(
    "categories, value",
    [
        (("01234",), 1234),
        (("01234",), 1234.0),
        (("1234",), "01234"),
        (("False", "True"), 1),
        (("False", "True"), "yes"),
        (("False", "True", "unknown"), "TRUE"),
        (("0", "1"), True),
        (("3",), 3.5),
        (("Male",), "male"),
        (("a",), None),
        (("a",), ["a"]),
        (("3",), float("nan")),
    ],
)
def test_what_only_looks_alike_is_another_category(
    categories: tuple[str, ...], value: object
) -> None:
    assert match_category(categories, value) is None


@pytest.mark.parametrize("value", [True, "true", "TRUE", "True"])
def test_a_boolean_column_accepts_the_notations_that_training_accepts(
    value: object,
) -> None:
    assert clean(Column(name="member", kind="boolean"), value) is True


@pytest.mark.parametrize("value", [3, 3.0, "3", "3.0"])
@pytest.mark.parametrize("form", ["rows", "columns"])
def test_a_request_may_hold_any_notation(value: object, form: str) -> None:
    columns = (Column(name="code", kind="string", categories=("1", "3")),)
    signature = Signature(columns=columns, target="t", negative=0, positive=1)
    body = (
        {"rows": [{"code": value}]}
        if form == "rows"
        else {"columns": {"code": [value]}}
    )
    batch = RowDecoder(signature, 10).decode(json.dumps(body).encode())
    assert [*batch.rows[0]] == ["3"]


def test_a_zero_led_code_and_its_number_are_not_one_in_a_request() -> None:
    columns = (Column(name="code", kind="string", categories=("01234", "99999")),)
    decoder = RowDecoder(
        Signature(columns=columns, target="t", negative=0, positive=1), 10
    )
    assert [*decoder.decode(b'{"rows": [{"code": "01234"}]}').rows[0]] == ["01234"]
    with pytest.raises(Problem):
        decoder.decode(b'{"rows": [{"code": 1234}]}')


CODES = Signature(
    columns=(
        Column(name="code", kind="string", categories=("1", "3")),
        Column(name="flag", kind="string", categories=("False", "True"), nullable=True),
        Column(name="member", kind="boolean"),
    ),
    target="t",
    negative=0,
    positive=1,
)


@pytest.mark.parametrize(
    "datatypes, values",
    [
        (("INT64", "BOOL", "BOOL"), (3, True, True)),
        (("FP64", "BYTES", "BYTES"), (3.0, "TRUE", "true")),
        (("BYTES", "BYTES", "BOOL"), ("3", "True", True)),
    ],
)
def test_each_protocol_accepts_each_notation(
    datatypes: tuple[str, ...], values: tuple[object, ...]
) -> None:
    decoder = RowDecoder(CODES, 10)
    names = decoder.names
    tensors = [
        {"name": name, "datatype": datatype, "shape": [1], "data": [value]}
        for name, datatype, value in zip(names, datatypes, values, strict=True)
    ]
    row = dict(zip(names, values, strict=True))
    split = {"columns": list(names), "data": [list(values)]}
    read = [
        v2.read(decoder, tensors),
        mlflow_protocol.read(decoder, {"dataframe_records": [row]}),
        mlflow_protocol.read(decoder, {"dataframe_split": split}),
        mlflow_protocol.read(decoder, {"inputs": row}),
        decoder.decode(json.dumps({"rows": [row]}).encode()),
    ]
    assert [[*batch.rows[0]] for batch in read] == [["3", "True", True]] * len(read)
