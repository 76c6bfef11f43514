"""Smoke requests are answered like others, and leave no trace but a count apart."""

import pytest

from ml_assets_tests.kits.access import bearer, guard, key, write_keys
from ml_assets_tests.kits.app import ROW
from ml_assets_tests.kits.connections import BODY, Site, request, run
from ml_assets_tests.unit.serving.models.test_arms import Kit, Other

SMOKE = {"x-smoke-request": "1"}
INFER = {
    "inputs": [
        {"name": "age", "shape": [1], "datatype": "FP64", "data": [41]},
        {"name": "hours-per-week", "shape": [1], "datatype": "INT64", "data": [40]},
        {"name": "married", "shape": [1], "datatype": "BOOL", "data": [True]},
        {"name": "sex", "shape": [1], "datatype": "BYTES", "data": ["Male"]},
        {"name": "note", "shape": [1], "datatype": "BYTES", "data": ["x"]},
    ]
}
PATHS = {
    "/models/census/predict": {"rows": [ROW]},
    "/v2/models/census/infer": INFER,
    "/v2/models/census/versions/a/infer": INFER,
    "/invocations": {"dataframe_records": [ROW]},
}


def counts(kit, name):
    found = [
        sample for metric in kit.app.metrics.collect() for sample in metric.samples
    ]
    return {
        (item.labels["route"], item.labels["version"]): item.value
        for item in found
        if item.name == name and item.value
    }


@pytest.mark.parametrize("path", PATHS)
def test_a_smoke_request_is_in_no_log_and_counts_apart(tmp_path, path):
    shadow = Other()
    kit = Kit(tmp_path, "shadow", shadow)
    answer = kit.ask(PATHS[path], path, headers=SMOKE)
    assert answer.status == 200 and answer.headers["x-smoke-request"] == "1"
    assert kit.records() == [] and kit.shadows.waiting() == 0
    assert shadow.seen == []
    assert counts(kit, "ml_assets_requests_total") == {("smoke", "a"): 1}
    assert counts(kit, "ml_assets_rows_total") == {("smoke", "a"): 1}


def test_an_arm_that_fails_a_smoke_request_counts_apart_too(tmp_path):
    kit = Kit(tmp_path, "split", Other(ValueError("no")), share=1.0)
    assert kit.ask({"rows": [ROW]}, headers=SMOKE).status == 500
    assert kit.records() == []
    assert counts(kit, "ml_assets_requests_total") == {("smoke", "b"): 1}


@pytest.mark.parametrize(
    "routes, is_marked",
    [(["predict"], False), (["predict", "smoke"], True), (["admin"], True)],
)
def test_a_mark_counts_for_whose_key_has_the_route(tmp_path, routes, is_marked):
    kit = Kit(tmp_path, "shadow", Other())
    guard(kit.app, write_keys(tmp_path / "keys.json", key("web", routes=routes)))
    headers = SMOKE | bearer("web.secret")
    answer = kit.ask({"rows": [ROW]}, headers=headers)
    assert answer.status == 200
    assert ("x-smoke-request" in answer.headers) is is_marked
    # The live arm's and the shadow's.
    assert len(kit.records()) == (0 if is_marked else 2)


def test_a_mark_is_of_its_request_alone_on_a_connection():
    async def scenario(site: Site) -> None:
        connection = site.connect()
        marks = [False, True, False, True, False]
        for number, is_marked in enumerate(marks):
            extra = "X-Smoke-Request: 1\r\n" if is_marked else ""
            path = "/models/a/predict"
            await connection.send(request(path, f"r{number}", BODY, extra=extra))
        answers = await connection.answers(len(marks))
        assert [status for status, _, _ in answers] == [200] * len(marks)
        found = ["x-smoke-request" in headers for _, headers, _ in answers]
        assert found == marks

    run(scenario)
