"""Pages of which origins may read the answers."""

import pytest

from ml_assets.serving.settings import ServerSettings
from ml_assets_tests.kits.access import guard, key, write_keys
from ml_assets_tests.kits.app import ROW, ask, served, server
from ml_assets_tests.kits.connections import BODY, Site, request, run

PREDICT = "/models/census/predict"
ONE = {"rows": [ROW]}
PAGE = {"origin": "https://a.example"}
ASKS = {**PAGE, "access-control-request-method": "POST"}


def site(origins):
    return server(served(), cors_origins=origins)


@pytest.mark.parametrize(
    "origins, allowed",
    [
        ("", None),
        ("https://b.example", None),
        ("https://b.example,https://a.example", "https://a.example"),
        ("*", "*"),
    ],
)
def test_an_answer_names_the_origin_that_may_read_it(origins, allowed):
    for body in (ONE, {}):
        answer = ask(site(origins), PREDICT, body, headers=PAGE)
        assert answer.headers.get("access-control-allow-origin") == allowed
        exposed = "access-control-expose-headers" in answer.headers
        assert exposed is bool(allowed)
        assert (answer.headers.get("vary") == "origin") is (origins not in ("", "*"))


def test_a_preflight_is_answered_without_a_key(tmp_path):
    app = site("https://a.example")
    guard(app, write_keys(tmp_path / "keys.json", key("web")))
    answer = ask(app, PREDICT, method="OPTIONS", headers=ASKS)
    assert answer.status == 200 and answer.body == b""
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "x-api-key" in answer.headers["access-control-allow-headers"]
    assert answer.headers["x-request-id"]
    assert ask(app, PREDICT, ONE, headers=PAGE).status == 401
    assert app.metrics.series("preflight").statuses == {200: 1}


def test_without_origins_a_preflight_is_another_method():
    assert ask(site(""), PREDICT, method="OPTIONS", headers=ASKS).status == 405


def test_answers_of_the_fast_path_name_the_origin_too():
    async def scenario(given: Site) -> None:
        connection = given.connect()
        extra = "Origin: https://a.example\r\n"
        await connection.send(request("/models/a/predict", "x", BODY, extra=extra))
        ((status, headers, _),) = await connection.answers(1)
        assert (status, headers["access-control-allow-origin"]) == (200, "*")

    run(scenario, cors_origins="*")


@pytest.mark.parametrize(
    "origins", ["a.example", "https://a.example/", "https://A.example", "null"]
)
def test_a_setting_that_is_no_origin_is_refused(origins):
    with pytest.raises(ValueError, match="cors_origins has .* expected"):
        ServerSettings.load({"cors_origins": origins}, {})
