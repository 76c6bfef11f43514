"""What one connection sends is that connection's, however it arrives in packets."""

import asyncio
import gzip
import json
import re
import threading
import zlib

import pytest
from msgspec.structs import replace

from ml_assets_tests.kits.connections import (
    BODY,
    INFER,
    RECORDS,
    Connection,
    Site,
    parsed,
    request,
    run,
)

GETS = (
    *("/v2/health/live", "/v2/health/ready", "/models", "/models/a", "/openapi.json"),
    *("/v2", "/v2/models/a", "/docs", "/nowhere", "/predictions/none"),
    *("/v2/models/a/versions/v1", "/v2/models/a/versions/v1/ready"),
    *("/v2/models/a/versions/none", "/ping", "/health", "/version"),
)
POSTS = {
    "/models/a/predict": BODY,
    "/models/b/predict": BODY,
    "/v2/models/a/infer": INFER,
    "/v2/models/a/versions/v1/infer": INFER,
    "/invocations?model=a": RECORDS,
    "/models/a/feedback": b'{"labels": []}',
}
# A body that is longer than `Site` takes.
LONG = 1_200_000


FIRSTS = [(path, None, False, "") for path in GETS] + [
    (path, body, chunked, extra)
    for path, body in POSTS.items()
    for chunked in (False, True)
    for extra in ("", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n")
]


@pytest.mark.parametrize(
    "path, body, chunked, extra",
    FIRSTS,
    ids=[f"{p}{'-chunked' * c}{'-upgrade' * bool(e)}" for p, _, c, e in FIRSTS],
)
def test_two_requests_split_at_any_byte_get_their_own_answers(
    path: str, body: bytes | None, chunked: bool, extra: str
) -> None:
    first = request(path, "first", body, chunked, extra)
    second = request("/models/b/predict", "second", BODY)
    both = first + second

    async def scenario(site: Site) -> None:
        for at in range(len(both) + 1):
            site.seen.clear()
            here, there = site.connect(), site.connect()
            await here.send(both[:at], both[at:])
            # Another client, whose head is byte for byte that of the second.
            await there.send(second)
            found = [*await here.answers(2), *await there.answers(1)]
            ids = [headers["x-request-id"] for _, headers, _ in found]
            assert ids == ["first", "second", "second"], at
            assert [status for status, _, _ in found[1:]] == [200, 200], at
            assert [json.loads(found[n][2])["model"] for n in (1, 2)] == ["b", "b"]
            twice = ("second", "/models/b/predict", b"second")
            assert site.seen[-2:] == [twice, twice]
            for who, _, entity in site.seen[:-2]:
                assert (who, entity) == ("first", b"first")
            for connection in (here, there):
                connection.protocol.connection_lost(None)

    run(scenario)


@pytest.mark.parametrize("begun", ["GET", "POST"])
def test_the_head_of_another_client_is_not_remembered_for_a_forged_one(
    begun: str,
) -> None:
    """The end of a request and a head that takes the next packet for a header."""
    before = request("/v2/health/live", "x") if begun == "GET" else ""
    before = before or request("/models/a/predict", "x", BODY)
    forged = b"POST /models/a/predict HTTP/1.1\r\nHost: a\r\n"
    forged += b"X-Entity: someone\r\nX-Junk: "
    victim = request("/models/b/predict", "victim", BODY)

    async def scenario(site: Site) -> None:
        attacker, other, third = site.connect(), site.connect(), site.connect()
        await attacker.send(before + forged, victim)
        for connection in (other, third, other):
            site.seen.clear()
            connection.transport.written = b""
            await connection.send(victim)
            ((status, headers, body),) = await connection.answers(1)
            assert (status, headers["x-request-id"]) == (200, "victim")
            assert json.loads(body)["model"] == "b"
            assert site.seen == [("victim", "/models/b/predict", b"victim")]

    run(scenario)


def test_a_head_behind_another_request_has_its_own_deadline() -> None:
    async def scenario(site: Site) -> None:
        connection = site.connect()
        await connection.send(request("/v2/health/live", "x") + b"GET /models HTTP/1.1")
        await connection.answers(1)
        connection.protocol.expire(connection.protocol.since + 10.5)
        statuses = [status for status, _, _ in parsed(connection.transport.written)]
        assert statuses == [200, 408] and connection.transport.ended

    run(scenario)


def test_a_connection_without_a_byte_is_closed_without_an_answer() -> None:
    async def scenario(site: Site) -> None:
        connection = site.connect()
        connection.protocol.expire(connection.protocol.since + 600)
        assert not connection.transport.ended
        connection.protocol.expire(connection.protocol.since + 630)
        assert connection.transport.ended and connection.transport.written == b""

    run(scenario)


HEAD = "POST /models/a/predict HTTP/1.1\r\nContent-Type: application/json\r\n"
SIZED = f"Content-Length: {len(BODY)}\r\n"
BIG = "X-Big: " + "b" * 40_000 + "\r\n"


@pytest.mark.parametrize(
    "head, body, status",
    [
        (HEAD + "Host: a\r\n" + SIZED, BODY, 200),
        (HEAD + SIZED, BODY, 400),
        (HEAD + "Host: a\r\nHost: a\r\n" + SIZED, BODY, 400),
        (HEAD.replace("1.1", "1.0") + SIZED, BODY, 200),
        (HEAD + "Host: a\r\n" + BIG + SIZED, BODY, 431),
        (HEAD + "Host: a\r\n" + BIG[:20_000] + "\r\n" + SIZED, BODY, 200),
        (HEAD + "Host: a\r\n" + "a: b\r\n" * 8_000 + SIZED, BODY, 431),
        (HEAD + "Host: a\r\n" + SIZED + SIZED, BODY, 400),
        (HEAD + "Host: a\r\nContent-Length: 5\r\n" + SIZED, BODY, 400),
        (HEAD + "Host: a\r\nTransfer-Encoding: chunked\r\n" + SIZED, BODY, 400),
        (HEAD + "Host: a\r\nExpect: 100-continue\r\n" + SIZED, BODY, 200),
        (
            HEAD + "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + SIZED,
            BODY,
            200,
        ),
        (HEAD + "Host: a\r\nContent-Encoding: identity\r\n" + SIZED, BODY, 200),
        (HEAD + "Host: a\r\nContent-Encoding: br\r\n" + SIZED, BODY, 415),
        (HEAD + "Host: a\r\nContent-Encoding: gzip, gzip\r\n" + SIZED, BODY, 415),
        (HEAD + "Host: a\r\nContent-Encoding: gzip\r\n" + SIZED, BODY, 400),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n", b"", 405),
        (
            "GET /models HTTP/1.1\r\nHost: a\r\n"
            "Upgrade: h2c\r\nConnection: Upgrade\r\n",
            b"",
            200,
        ),
        ("\r\nGET /models HTTP/1.1\r\nHost: a\r\n", b"", 200),
        ("GET /models HTTP/1.1\r\nHost : a\r\n", b"", 400),
    ],
)
def test_a_head_means_the_same_in_one_packet_and_in_pieces(
    head: str, body: bytes, status: int
) -> None:
    data = head.encode() + b"\r\n" + body
    size = max(len(data) // 50, 1)

    async def scenario(site: Site) -> None:
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        for packets in ([data], pieces):
            connection = site.connect()
            await connection.send(*packets)
            found = await connection.answers(1)
            assert [item[0] for item in found] == [status], packets[0][:80]

    run(scenario)


@pytest.mark.parametrize(
    "data, status, wanted",
    [
        (HEAD + "X-Request-Id: mine\r\n\r\n", 400, "mine"),
        (HEAD + "Host: a\r\nX-Request-Id: mine\r\n" + BIG + "\r\n", 431, "mine"),
        (HEAD + "Host: a\r\nX-Request-Id: not sane\r\nHost: b\r\n\r\n", 400, None),
        ("nonsense\r\n\r\n", 400, None),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\nX-Request-Id: m\r\n\r\n", 405, "m"),
    ],
)
def test_a_refused_head_has_a_request_id_and_is_counted(
    data: str, status: int, wanted: str | None
) -> None:
    async def scenario(site: Site) -> None:
        connection = site.connect()
        await connection.send(data.encode())
        ((found, headers, body),) = await connection.answers(1)
        assert found == status and connection.transport.ended
        assert headers["x-request-id"] == json.loads(body)["request_id"]
        assert wanted is None or headers["x-request-id"] == wanted
        assert site.app.metrics.series("unknown").statuses == {status: 1}

    run(scenario)


def test_a_slow_body_is_refused_as_its_protocol_expects() -> None:
    async def scenario(site: Site) -> None:
        connection = site.connect()
        await connection.send(request("/v2/models/a/infer", "mine", INFER)[:-1])
        connection.protocol.expire(connection.protocol.since + 50)
        ((status, headers, body),) = await connection.answers(1)
        assert (status, headers["x-request-id"]) == (408, "mine")
        assert "whole body" in json.loads(body)["error"]

    run(scenario)


def zipped(text: bytes) -> bytes:
    return gzip.compress(text, mtime=0)


@pytest.mark.parametrize(
    "encoding, body, status",
    [
        ("gzip", zipped(BODY), 200),
        ("GZIP", zipped(BODY), 200),
        ("x-gzip", zipped(BODY[:9]) + zipped(BODY[9:]), 200),
        ("deflate", zlib.compress(BODY), 200),
        ("gzip", zipped(b"") * 20_000 + zipped(BODY), 200),
        ("gzip", zipped(BODY)[:-9], 400),
        ("gzip", zipped(BODY) + b"surplus", 400),
        ("gzip", zipped(b" " * 50_000_000), 413),
        ("gzip", zipped(b" " * 1_000_001), 413),
        ("gzip", zipped(b" " * 1_000_000), 400),
    ],
    ids=[
        *(
            "gzip",
            "upper case",
            "two members",
            "deflate",
            "many members",
            "torn",
            "surplus",
        ),
        *("a bomb", "one byte too long", "just long enough and no JSON"),
    ],
)
def test_a_compressed_body_is_what_its_client_compressed(
    encoding: str, body: bytes, status: int
) -> None:
    async def scenario(site: Site) -> None:
        for chunked in (False, True):
            connection = site.connect()
            extra = f"Content-Encoding: {encoding}\r\n"
            await connection.send(
                request("/models/a/predict", "x", body, chunked, extra)
            )
            ((found, _, answer),) = await connection.answers(1)
            assert found == status, answer
            if status == 200:
                plain = site.connect()
                await plain.send(request("/models/a/predict", "x", BODY))
                ((_, _, wanted),) = await plain.answers(1)
                key = "predictions"
                given, expected = (json.loads(item)[key] for item in (answer, wanted))
                assert given[0]["probability"] == expected[0]["probability"]

    run(scenario)


def test_a_refused_request_is_not_the_answer_to_the_one_before() -> None:
    """An answer that is not there yet goes first, and the connection is closed."""

    async def scenario(site: Site) -> None:
        connection = site.connect()
        chunked = request("/models/a/predict", "first", BODY, chunked=True)
        connection.protocol.data_received(chunked + b"nonsense\r\n\r\n")
        found = await connection.answers(1)
        await connection.send(b"")
        assert [item[0] for item in found] == [200] and connection.transport.ended

    run(scenario)


def test_bodies_are_reserved_until_their_answers_are_sent() -> None:
    """Large ones are refused when too many are in memory, small ones are not."""
    large = b" " * 900_000

    async def scenario(site: Site) -> None:
        waiting = [site.connect() for _ in range(12)]
        for connection in waiting:
            whole = request("/models/a/predict", "x", large)
            await connection.send(whole[:-1])
        early = [list(parsed(c.transport.written)) for c in waiting]
        refused = [found[0][0] for found in early if found]
        assert refused == [503] * 4
        assert all(found[0][1]["retry-after"] == "1" for found in early if found)
        small = site.connect()
        await small.send(request("/models/a/predict", "small", BODY))
        assert (await small.answers(1))[0][0] == 200
        for connection in waiting:
            connection.protocol.connection_lost(None)
        await asyncio.sleep(0.01)
        again = site.connect()
        await again.send(request("/models/a/predict", "x", large))
        assert (await again.answers(1))[0][0] == 400

    run(scenario)


def test_a_bound_below_that_of_short_bodies_holds() -> None:
    short = request("/models/a/predict", "who", BODY)
    long = request("/models/a/predict", "who", BODY + b" ")

    async def scenario(site: Site) -> None:
        for body, status in ((short, 200), (long, 413), (long, 413)):
            client = site.connect()
            await client.send(body)
            assert [found for found, _, _ in await client.answers(1)] == [status]

    run(scenario, max_body_bytes=len(BODY))


async def until_read(connection: Connection) -> None:
    """Wait until the connection is read again."""
    transport = connection.transport
    while not transport.is_read:
        transport.changed.clear()
        await asyncio.wait_for(transport.changed.wait(), 60)


def test_a_body_that_is_dropped_is_read_a_part_at_a_time() -> None:
    first = request("/models/a/predict", "first", b" " * LONG)
    second = request("/models/a/predict", "second", BODY)

    async def scenario(site: Site) -> None:
        client = site.connect()
        await client.send(first[:400])
        assert [status for status, _, _ in await client.answers(1)] == [413]
        assert client.transport.is_read
        for start in range(400, LONG * 3 // 4, LONG // 4):
            await client.send(first[start : start + LONG // 4])
            # Others have their turns before the next part.
            assert not client.transport.is_read
            await until_read(client)
        await client.send(first[start + LONG // 4 :] + second)
        assert client.transport.is_read
        refused, answered = await client.answers(2)
        assert (refused[0], answered[0]) == (413, 200)
        assert answered[1]["x-request-id"] == "second"

    run(scenario)


@pytest.mark.parametrize("length, status", [(300_000, 503), (1_000_001, 413)])
def test_what_must_wait_behind_too_many_is_refused_before_its_body_is_sent(
    length: int, status: int
) -> None:
    body = BODY + b" " * 300_000
    head = request("/models/a/predict", "who", body, extra="Expect: 100-continue\r\n")
    head = head.removesuffix(body)

    async def scenario(site: Site) -> None:
        route = site.app.state.routes["/models/a/predict"]
        go = threading.Event()
        slow = replace(
            route, handler=lambda asked: go.wait(60) and route.handler(asked)
        )
        site.app.state.routes["/models/a/predict"] = slow
        first, second = site.connect(), site.connect()
        await first.send(head)
        assert first.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
        await first.send(body)
        while not site.app.metrics.queues["slow"]():
            await asyncio.sleep(0.01)
        # What no waiting makes shorter is not asked to come back.
        declared = b"content-length: %d" % length
        await second.send(re.sub(rb"(?i)content-length: \d+", declared, head))
        assert second.transport.written.startswith(b"HTTP/1.1 %d " % status)
        go.set()
        assert [status for status, _, _ in await first.answers(1)] == [200]

    run(scenario, max_queue=1)


def test_a_long_body_in_many_packets_is_what_its_client_sent() -> None:
    row = json.loads(BODY)["rows"][0]
    body = json.dumps({"rows": [{**row, "age": age} for age in range(90)]}).encode()
    spaces = b" " * 600_000
    packets = request("/models/a/predict", "who", body.replace(b"[", b"[" + spaces))

    async def scenario(site: Site) -> None:
        whole, long = site.connect(), site.connect()
        await whole.send(request("/models/a/predict", "who", body))
        for start in range(0, len(packets), 70_000):
            await long.send(packets[start : start + 70_000])
        answers = [*await whole.answers(1), *await long.answers(1)]
        short, found = [
            [item["probability"] for item in json.loads(answer)["predictions"]]
            for _, _, answer in answers
        ]
        assert len(found) == 90
        assert found == short

    run(scenario)


def test_a_client_that_leaves_while_its_body_is_dropped_is_not_read_again() -> None:
    body = request("/models/a/predict", "who", b" " * LONG)

    async def scenario(site: Site) -> None:
        client, other = site.connect(), site.connect()
        for connection in (client, other):
            await connection.send(body[:400], body[400:800])
        client.transport.close()
        await until_read(other)
        assert not client.transport.is_read

    run(scenario)


def test_a_long_answer_keeps_its_turn_among_others_however_it_arrives() -> None:
    long = request("/models/a/predict", "long", BODY)
    both = long + request("/models/b/predict", "short", BODY)

    async def scenario(site: Site) -> None:
        site.app.state.models["a"].inline_rows = 0
        for at in (0, 1, len(long) - 1, len(long), len(long) + 1, len(both)):
            here = site.connect()
            await here.send(both[:at], both[at:])
            found = await here.answers(2)
            ids = [headers["x-request-id"] for _, headers, _ in found]
            assert ids == ["long", "short"], at
            assert [status for status, _, _ in found] == [200, 200], at
            assert [json.loads(body)["model"] for _, _, body in found] == ["a", "b"]
            here.protocol.connection_lost(None)
        # Alone, its head is known by now.
        here = site.connect()
        await here.send(long)
        (answer,) = await here.answers(1)
        assert answer[0] == 200

    run(scenario)
