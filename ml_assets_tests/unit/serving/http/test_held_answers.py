"""Answers of one turn of the event loop leave together, after their records."""

import asyncio
import errno
import os
import time
from pathlib import Path

import pytest

from ml_assets.serving.http import held_answers
from ml_assets.serving.log.prediction_log import PredictionLog
from ml_assets.serving.models.recorder import Recorder
from ml_assets.serving.models.shadow import Job
from ml_assets_tests.kits.connections import (
    BODY,
    Connection,
    Site,
    parsed,
    request,
    run,
)
from ml_assets_tests.kits.prediction_log import logged

PATH = "/models/a/predict"


def keep(site: Site, directory: Path) -> Path:
    """Log the predictions of both models; the first segment of model a.

    An idle connection stands beside those that the test opens.
    """
    site.connect()
    for name, model in site.app.state.models.items():
        log = PredictionLog(name, directory / name, site.app.settings, site.app.metrics)
        model._recorder = Recorder(log)
    return directory / "a/00000001.open"


def requests_in(segment: Path) -> list[str]:
    return [line["request"] for line in logged([segment])] if segment.exists() else []


def answered(connection: Connection) -> list[str]:
    found = parsed(connection.transport.written)
    return [headers["x-request-id"] for _, headers, _ in found]


def send(connection: Connection, who: str, path: str = PATH) -> None:
    """Send a request, and let the turn of the event loop go on."""
    connection.protocol.data_received(request(path, who, BODY))


async def end_of_turn() -> None:
    await asyncio.sleep(0)


@pytest.fixture
def writes(monkeypatch):
    """The data of each write to a segment."""
    seen: list[bytes] = []
    write = os.write

    def counted(descriptor, data):
        seen.append(bytes(data))
        return write(descriptor, data)

    monkeypatch.setattr("ml_assets.serving.log.segments.os.write", counted)
    return seen


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """However slow this machine is, no turn ends early."""
    monkeypatch.setattr(held_answers, "_SECONDS", 600.0)


def test_records_are_on_disk_before_the_first_answer_leaves(tmp_path, writes):
    async def scenario(site: Site) -> None:
        segment = keep(site, tmp_path)
        names = ["r0", "r1", "r2", "r3"]
        clients = [site.connect() for _ in names]
        on_disk: list[list[str]] = []
        for name, client in zip(names, clients, strict=True):

            def write(data: bytes, client: Connection = client) -> None:
                on_disk.append(requests_in(segment))
                client.transport.written += data

            client.transport.write = write  # type: ignore[method-assign]
            send(client, name)
        assert not any(answered(client) for client in clients) and not writes
        await end_of_turn()
        assert [answered(client) for client in clients] == [[name] for name in names]
        assert on_disk == [names] * 4 and len(writes) == 1

    run(scenario)


def test_each_model_has_one_write_a_turn(tmp_path, writes):
    async def scenario(site: Site) -> None:
        keep(site, tmp_path)
        clients = [site.connect() for _ in range(6)]
        for number, client in enumerate(clients):
            send(client, f"r{number}", f"/models/{'ab'[number % 2]}/predict")
        await end_of_turn()
        assert [data.count(b"\n") for data in writes] == [3, 3]

    run(scenario)


@pytest.mark.parametrize("joined", [False, True])
def test_answers_on_one_connection_keep_the_order_of_their_requests(tmp_path, joined):
    async def scenario(site: Site) -> None:
        segment = keep(site, tmp_path)
        client = site.connect()
        names = ["r0", "r1", "r2"]
        packets = [request(PATH, name, BODY) for name in names]
        packets.append(request("/v2/health/live", "live"))
        for packet in [b"".join(packets)] if joined else packets:
            client.protocol.data_received(packet)
        await client.answers(4)
        assert answered(client) == [*names, "live"]
        assert requests_in(segment) == names

    run(scenario)


def test_a_refusal_does_not_overtake_the_answer_before_it(tmp_path):
    async def scenario(site: Site) -> None:
        keep(site, tmp_path)
        client = site.connect()
        send(client, "good")
        client.protocol.data_received(b"nonsense\r\n\r\n")
        await end_of_turn()
        statuses = [status for status, _, _ in parsed(client.transport.written)]
        assert statuses == [200, 400] and client.transport.ended

    run(scenario)


def test_if_the_write_fails_all_its_records_are_lost_and_the_answers_leave(
    tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def scenario(site: Site) -> None:
        keep(site, tmp_path)
        clients = [site.connect() for _ in range(3)]
        with monkeypatch.context() as patch:
            patch.setattr("ml_assets.serving.log.segments.os.write", full)
            for client in clients:
                send(client, "x")
            await end_of_turn()
        assert [answered(client) for client in clients] == [["x"]] * 3
        assert site.app.metrics.lost == {"a": 3}

    run(scenario)


def close_all(site: Site, client: Connection) -> None:
    client.protocol.shutdown()


def expire(site: Site, client: Connection) -> None:
    client.protocol.expire(client.protocol.since + 600)


def make_room(site: Site, client: Connection) -> None:
    client.protocol.since = 0.0
    site.connect()


@pytest.mark.parametrize("event", [close_all, expire, make_room])
def test_a_connection_that_is_closed_gets_the_answer_that_is_held(tmp_path, event):
    async def scenario(site: Site) -> None:
        segment = keep(site, tmp_path)
        client = site.connect()
        send(client, "last")
        event(site, client)
        assert client.transport.ended
        assert answered(client) == ["last"] == requests_in(segment)
        await end_of_turn()

    run(scenario, max_connections=2, keep_alive_seconds=60)


def test_a_client_that_leaves_meanwhile_takes_no_other_answer_with_it(tmp_path):
    async def scenario(site: Site) -> None:
        segment = keep(site, tmp_path)
        gone, stays = site.connect(), site.connect()
        send(gone, "gone")
        send(stays, "stays")
        gone.protocol.connection_lost(None)
        await end_of_turn()
        assert (answered(gone), answered(stays)) == ([], ["stays"])
        assert requests_in(segment) == ["gone", "stays"]

    run(scenario)


def test_the_answer_on_the_only_connection_waits_for_nothing(tmp_path):
    async def scenario(site: Site) -> None:
        segment = keep(site, tmp_path)
        for connection in [*site.connections]:
            connection.connection_lost(None)
        client = site.connect()
        send(client, "alone")
        assert answered(client) == ["alone"] == requests_in(segment)

    run(scenario)


def test_shadows_get_what_is_on_disk_already(tmp_path):
    """So that their records come behind that of the answer."""

    class Shadows:
        def put(self, job: Job) -> None:
            seen.append(requests_in(segment))

    seen: list[list[str]] = []
    segment = tmp_path

    async def scenario(site: Site) -> None:
        nonlocal segment
        segment = keep(site, tmp_path)
        model = site.app.state.models["a"]
        model._shadows, model._shadow_arms = Shadows(), [model.live]  # type: ignore
        client = site.connect()
        send(client, "first")
        send(client, "second")
        assert seen == [["first"], ["first", "second"]]
        await end_of_turn()
        assert answered(client) == ["first", "second"]

    run(scenario)


def test_answers_do_not_wait_for_slow_ones_behind_them(tmp_path, monkeypatch):
    monkeypatch.setattr(held_answers, "_SECONDS", 0.0)

    async def scenario(site: Site) -> None:
        segment = keep(site, tmp_path)
        client = site.connect()
        send(client, "slow")
        assert answered(client) == ["slow"] == requests_in(segment)

    run(scenario)


def test_the_time_that_the_disk_takes_counts_as_the_requests(tmp_path, monkeypatch):
    write = os.write

    def slow(descriptor, data):
        time.sleep(0.03)
        return write(descriptor, data)

    async def scenario(site: Site) -> None:
        keep(site, tmp_path)
        monkeypatch.setattr("ml_assets.serving.log.segments.os.write", slow)
        client = site.connect()
        send(client, "x")
        await end_of_turn()
        series = site.app.state.fast_routes[PATH.encode()].series
        assert series.statuses == {200: 1} and series.seconds >= 0.03

    run(scenario)
