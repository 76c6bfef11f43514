"""A category that training did not see is accepted, counted, and named in warnings."""

import json

import numpy as np
import pytest

from ml_assets.records.plan import Column, Signature
from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.serving.requests.problems import Problem
from ml_assets_tests.kits.app import FakeRuntime, ask, served, server

PLAN = Column(
    name="plan", kind="string", categories=("1", "A"), nullable=True, open=True
)
NOTE = Column(name="note", kind="string", open=True)


def signature(*columns):
    return Signature(columns=columns, target="y", negative=0, positive=1)


class Half(FakeRuntime):
    """Answers one half."""

    def __init__(self):
        super().__init__("compiled", signature(PLAN, NOTE))

    def predict_one(self, values):
        return 0.5

    def predict_many(self, columns):
        return np.full(len(columns[0]), 0.5)


def rows_of(*plans):
    return [{"plan": plan, "note": f"note {n}"} for n, plan in enumerate(plans)]


def native(rows):
    return "/models/census/predict", {"rows": rows}


def native_columns(rows):
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return "/models/census/predict", {"columns": columns}


def mlflow(rows):
    return "/invocations", {"dataframe_records": rows}


def tensors(rows):
    inputs = [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": "BYTES",
            "data": [row[name] for row in rows],
        }
        for name in rows[0]
    ]
    return "/v2/models/census/infer", {"inputs": inputs}


def warnings_in(answer):
    parameter = answer.get("parameters", {}).get("warnings")
    return answer.get("warnings", parameter and json.loads(parameter))


@pytest.mark.parametrize("form", [native, native_columns, mlflow, tensors])
@pytest.mark.parametrize(
    "plans, rows", [(["Z"], [0]), (["A", "Z", None, 1, "Y"], [1, 4])]
)
def test_each_protocol_names_the_rows_with_unseen_categories(form, plans, rows):
    path, body = form(rows_of(*plans))

    answer = ask(server(served(runtime=Half())), path, body)

    expected = [{"type": "unseen-category", "column": "plan", "rows": rows}]
    assert answer.status == 200, answer.body
    assert warnings_in(answer.json) == expected


@pytest.mark.parametrize("form", [native, native_columns, mlflow, tensors])
@pytest.mark.parametrize("plans", [["A"], ["A", None, 1, "1"]])
def test_no_warning_where_training_saw_every_category(form, plans):
    path, body = form(rows_of(*plans))

    answer = ask(server(served(runtime=Half())), path, body)

    assert answer.status == 200, answer.body
    assert "warnings" not in answer.body.decode()


def test_rows_with_unseen_categories_are_counted_by_model_and_column():
    app = server(served(runtime=Half()))

    def counted():
        families = {family.name: family for family in app.metrics.collect()}
        return {
            (item.labels["model"], item.labels["column"]): item.value
            for item in families["ml_assets_unseen_categories"].samples
        }

    assert counted() == {("census", "plan"): 0}
    for form in (native, mlflow, tensors):
        ask(app, *form(rows_of("Z", "A", "Y")))
    assert counted() == {("census", "plan"): 6}


def test_a_closed_list_refuses_what_training_did_not_see():
    closed = Column(name="plan", kind="string", categories=("1", "A"))
    decoder = RowDecoder(signature(closed), max_rows=10)

    with pytest.raises(Problem) as refused:
        decoder.decode(b'{"rows": [{"plan": "Z"}]}')

    assert (refused.value.status, refused.value.detail) == (
        422,
        "row 0, column 'plan': expected one of '1', 'A', found another string",
    )


def test_the_document_has_the_warnings_and_the_known_categories():
    document = ask(server(served(runtime=Half())), "/openapi.json").json
    schemas = document["components"]["schemas"]
    operation = document["paths"]["/models/census/predict"]["post"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]

    assert schemas["census_row"]["properties"]["plan"]["examples"] == ["1", "A"]
    assert "warnings" in answer["properties"]
    assert "warnings" not in answer["required"]
