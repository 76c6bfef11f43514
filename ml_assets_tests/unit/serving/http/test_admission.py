"""Who is answered what, where a file of API keys says so."""

import json

import pytest

from ml_assets.serving.access.callers import Caller, Statuses
from ml_assets.serving.access.keys import Grant
from ml_assets.serving.http.admission import OPEN
from ml_assets_tests.kits.access import bearer, guard, key, write_keys
from ml_assets_tests.kits.app import ROW, ask, served, server
from ml_assets_tests.kits.connections import (
    BODY,
    INFER,
    RECORDS,
    Connection,
    Site,
    request,
    run,
)

ONE = {"rows": [ROW]}
LABELS = {"model": "a", "labels": []}
ROUTES = {
    "predict": [
        ("/models/a/predict", ONE),
        ("/v2/models/a/infer", json.loads(INFER)),
        ("/v2/models/a/versions/v1/infer", json.loads(INFER)),
        ("/invocations", {"dataframe_records": [ROW]}),
    ],
    "feedback": [("/feedback", LABELS)],
    "lookup": [("/predictions/019aae2f-a001-7000-9c11-56789abcdef0", None)],
    "metadata": [
        *(("/models", None), ("/models/a", None), ("/openapi.json", None)),
        *(("/docs", None), ("/v2", None), ("/v2/models/a", None)),
        *(("/v2/models/a/ready", None), ("/v2/models/a/versions/v1", None)),
        *(("/v2/models/a/versions/v1/ready", None), ("/version", None)),
    ],
}
ALL = [(right, path, body) for right, routes in ROUTES.items() for path, body in routes]


@pytest.fixture
def app(tmp_path):
    found = server(served("a"), served("b"))
    keys = [key(right, routes=[right]) for right in ROUTES]
    keys += [key("all"), key("only-b", models=["b"]), key("slow", rate=1)]
    keys += [key("old", expires="2020-01-01")]
    guard(found, write_keys(tmp_path / "keys.json", *keys))
    return found


def asked(app, path, body=None, **more):
    query = "model=a" if path == "/invocations" else ""
    return ask(app, path, body, query=query, **more)


def test_every_address_of_the_document_has_a_kind_here(app):
    known = {path for _, path, _ in ALL}
    document = ask(app, "/openapi.json", headers=bearer("all.secret")).json
    assert {*document["components"]["securitySchemes"]} == {"bearer", "key"}
    assert document["security"] == [{"bearer": []}, {"key": []}]
    paths = document["paths"]
    named = {
        path.replace("{id}", "019aae2f-a001-7000-9c11-56789abcdef0")
        for path in paths
        if not path.startswith(("/models/b", "/v2/models/b", *OPEN))
    }
    assert named | {"/openapi.json"} == known


@pytest.mark.parametrize("right, path, body", ALL)
def test_a_route_takes_a_key_that_names_its_kind(app, right, path, body):
    for name in ROUTES:
        answer = asked(app, path, body, headers=bearer(f"{name}.secret"))
        # Of the predictions that it asked for itself.
        may_of_own = name == "predict" and right in ("feedback", "lookup")
        assert (answer.status != 403) is (name == right or may_of_own)
        assert answer.status != 401
    assert asked(app, path, body, headers={"x-api-key": "all.secret"}).status not in (
        401,
        403,
    )


@pytest.mark.parametrize("right, path, body", [*ALL, ("metadata", "/nowhere", None)])
def test_every_wrong_key_gets_one_answer(app, right, path, body):
    wrong = [
        *({}, bearer("all.wrong"), bearer("nobody.secret"), bearer("old.secret")),
        *(bearer(""), {"authorization": "Basic YTpi"}, {"x-api-key": "all"}),
        {**bearer("all.secret"), "x-api-key": "only-b.secret"},
    ]
    answers = [
        asked(app, path, body, headers=given | {"x-request-id": "r"}) for given in wrong
    ]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].headers["www-authenticate"].startswith("Bearer")
    assert answers[0].json["type"] == "urn:ml-assets:problem:unknown-caller"
    assert app.metrics.callers["unknown"] == {401: len(wrong)}


@pytest.mark.parametrize("path", sorted(OPEN))
def test_health_is_open(app, path):
    assert ask(app, path).status == 200


@pytest.mark.parametrize("model", ["a", "no_such_model"])
@pytest.mark.parametrize(
    "path, body",
    [
        *(("/models/{}/predict", ONE), ("/v2/models/{}/infer", {})),
        *(("/models/{}", None), ("/v2/models/{}", None), ("/models/{}/x", None)),
        *(("/invocations", {"inputs": [ROW]}), ("/feedback", LABELS)),
    ],
)
def test_a_model_that_a_key_does_not_name_is_refused_whether_it_exists_or_not(
    app, model, path, body
):
    if path == "/feedback":
        body = {**LABELS, "model": model}
    answer = ask(
        app,
        path.format(model),
        body,
        query=f"model={model}",
        headers=bearer("only-b.secret") | {"x-request-id": "r"},
    )
    assert answer.status == 403
    assert answer.json["detail"] == (
        "the key of this caller does not allow this route or this model"
    )


def test_a_caller_finds_the_models_of_its_key_and_no_others(app):
    headers = bearer("only-b.secret")
    found = ask(app, "/models", headers=headers).json["models"]
    assert [item["name"] for item in found] == ["b"]
    paths = ask(app, "/openapi.json", headers=headers).json["paths"]
    assert "/models/b" in paths and "/models/a" not in paths
    # Of two models it sees one, which it need not name.
    answer = ask(app, "/invocations", {"inputs": [ROW]}, headers=headers)
    assert answer.status == 200
    assert len(ask(app, "/models", headers=bearer("all.secret")).json["models"]) == 2


def test_a_route_of_one_grant_is_none_for_the_models_of_another(tmp_path):
    found = server(served("a"), served("b"))
    followed = guard(found, write_keys(tmp_path / "keys.json"))
    counts = Statuses(int)
    grants = [
        Grant(models=("a",), routes=("metadata",)),
        Grant(models=("b",), routes=("predict",)),
    ]
    caller = Caller("idp:ann", grants, float("inf"), counts)
    followed.callers._verified[b"a.b.c"] = caller
    for query, status in (("model=a", 403), ("model=b", 200), ("model=c", 403)):
        given = {"query": query, "headers": bearer("a.b.c")}
        assert ask(found, "/invocations", {"inputs": [ROW]}, **given).status == status
    assert ask(found, "/feedback", LABELS, headers=bearer("a.b.c")).status == 403


def test_who_asks_too_often_is_asked_to_wait(app):
    headers = bearer("slow.secret")
    assert ask(app, "/models", headers=headers).status == 200
    answer = ask(app, "/models", headers=headers)
    assert answer.status == 429 and answer.headers["retry-after"] == "1"
    assert ask(app, "/models", headers=bearer("all.secret")).status == 200


def test_answers_are_counted_by_caller(app):
    ask(app, "/models/a/predict", ONE, headers=bearer("predict.secret"))
    ask(app, "/models", headers=bearer("predict.secret"))
    ask(app, "/models", headers=bearer("someone.secret"))
    found = {
        (sample.labels["caller"], sample.labels["status"]): sample.value
        for metric in app.metrics.collect()
        if metric.name == "ml_assets_caller_requests"
        for sample in metric.samples
    }
    assert found == {
        ("predict", "200"): 1,
        ("predict", "403"): 1,
        ("unknown", "401"): 1,
    }


def guarded(site: Site, tmp_path):
    return guard(site.app, write_keys(tmp_path / "keys.json", key("web"), key("b")))


async def statuses(connection: Connection, *packets: bytes, count: int) -> list[int]:
    await connection.send(*packets)
    return [status for status, _, _ in await connection.answers(count)]


POSTS = {
    "/models/a/predict": BODY,
    "/v2/models/a/infer": INFER,
    "/v2/models/a/versions/v1/infer": INFER,
    "/invocations?model=a": RECORDS,
    "/feedback": b'{"model": "a", "labels": []}',
}


@pytest.mark.parametrize(
    "path",
    [*POSTS, "/models", "/nowhere", "/predictions/none", "/v2/models/a/versions/v1"],
)
def test_of_two_requests_split_at_any_byte_each_is_judged_by_its_own_key(
    path, tmp_path
):
    body = POSTS.get(path)
    right = request(path, "x", body, extra="Authorization: Bearer web.secret\r\n")
    wrong = request(path, "x", body, extra="Authorization: Bearer web.wrong1\r\n")
    none = request(path, "x", body)

    async def scenario(site: Site) -> None:
        guarded(site, tmp_path)
        (expected,) = await statuses(site.connect(), right, count=1)
        assert expected != 401
        for other in (wrong, none):
            for first, second, wanted in (
                (right, other, [expected, 401]),
                (other, right, [401, expected]),
            ):
                both = first + second
                for at in range(len(both) + 1):
                    connection = site.connect()
                    packets = (both[:at], both[at:])
                    found = await statuses(connection, *packets, count=2)
                    assert found == wanted, (at, both)
                    connection.protocol.connection_lost(None)

    run(scenario)


def test_a_head_that_was_answered_is_refused_once_its_key_is_revoked(tmp_path):
    ask_ = request("/models/a/predict", "x", BODY, extra="X-API-Key: web.secret\r\n")

    async def scenario(site: Site) -> None:
        followed = guarded(site, tmp_path)
        connection = site.connect()
        assert await statuses(connection, ask_, ask_, count=2) == [200, 200]
        write_keys(tmp_path / "keys.json", key("b"))
        followed.follow()
        connection.transport.written = b""
        assert await statuses(connection, ask_, count=1) == [401]

    run(scenario)


def test_requests_that_are_refused_displace_no_remembered_head(tmp_path):
    async def scenario(site: Site) -> None:
        guarded(site, tmp_path)
        for number in range(20):
            extra = f"X-API-Key: web.{number}\r\n"
            found = request("/models/a/predict", "x", BODY, extra=extra)
            assert await statuses(site.connect(), found, count=1) == [401]
            connection = site.connect()
            assert connection.protocol.header_cache.get(found[: -len(BODY)]) is None

    run(scenario)
