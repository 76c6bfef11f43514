"""Heads that differ in what a proxy gives each request are parsed once."""

import json

import pytest

from ml_assets_tests.kits.connections import BODY, Connection, Site, request, run

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def head(*lines: str) -> bytes:
    text = "\r\n".join(
        [
            "POST /models/a/predict HTTP/1.1",
            "Host: a",
            *lines,
            f"Content-Length: {len(BODY)}",
            "Content-Type: application/json",
        ]
    )
    return text.encode("latin-1") + b"\r\n\r\n" + BODY


async def answered(connection: Connection, data: bytes) -> str:
    connection.transport.written = b""
    await connection.send(data)
    ((status, headers, body),) = await connection.answers(1)
    assert status == 200
    assert json.loads(body)["request_id"] == headers["x-request-id"]
    return headers["x-request-id"]


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Request-Id: {}"],
        ["traceparent: " + TRACE[:-4] + "{:02}", "tracestate: a={}"],
        ["x-forwarded-for: 10.0.0.{}, 10.0.0.1", "X-Amzn-Trace-Id:Root={}"],
        ["X-REQUEST-ID:{}", f"Traceparent: {TRACE}"],
    ],
)
def test_the_second_is_known_and_each_keeps_its_own_id(lines: list[str]) -> None:
    async def scenario(site: Site) -> None:
        connection, found = site.connect(), []
        cache = connection.protocol.header_cache
        for number in range(10, 14):
            data = head(*(line.format(number) for line in lines))
            known = cache.get(cache.head_of(data))
            assert (known is None) is (number == 10)
            found.append(await answered(connection, data))
        if "request-id" in lines[0].lower():
            assert found == ["10", "11", "12", "13"]
        assert len(set(found)) == 4

    run(scenario)


@pytest.mark.parametrize(
    "lines, wanted",
    [
        (["X-Request-Id: not sane"], None),
        (["X-Request-Id:"], None),
        (["X-Request-Id: one", "X-Request-Id: two"], "two"),
        (["X-Request-Id: one", "X-Request-Id: not sane"], "one"),
        (["X-Request-Id: one", "X-Request-Id: \xe9"], "one"),
        (["X-Request-Id: " + "x" * 129], None),
    ],
)
def test_a_known_head_has_the_id_that_a_parsed_one_has(
    lines: list[str], wanted: str | None
) -> None:
    async def scenario(site: Site) -> None:
        connection = site.connect()
        await answered(connection, head("X-Request-Id: before"))
        for _ in range(2):
            found = await answered(connection, head(*lines))
            assert found != "before" and (wanted is None or found == wanted)

    run(scenario)


def test_a_folded_line_behind_one_that_varies_is_no_known_head() -> None:
    async def scenario(site: Site) -> None:
        connection = site.connect()
        await answered(connection, head("X-Request-Id: before"))
        data = head("X-Request-Id: after\r\n X-Entity: someone")
        cache = connection.protocol.header_cache
        for _ in range(2):
            await site.connect().send(data)
            assert cache.get(cache.head_of(data)) is None

    run(scenario)


def test_other_headers_are_part_of_what_is_known() -> None:
    async def scenario(site: Site) -> None:
        connection = site.connect()
        for entity in ("one", "two", "one"):
            extra = "traceparent: 00\r\n"
            data = request("/models/a/predict", entity, BODY, extra=extra)
            await answered(connection, data)
        assert [entity for _, _, entity in site.seen] == [b"one", b"two", b"one"]

    run(scenario)
