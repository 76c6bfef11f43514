"""Those who wait for a listening socket are accepted several in a turn."""

import asyncio
import socket

import pytest
import uvloop

from ml_assets.serving.process.accepting import close_behind_all, server_of


class Echo(asyncio.Protocol):
    """Sends back what comes, and notes its connection."""

    made: list[asyncio.Transport]

    def connection_made(self, transport):
        self.transport = transport
        self.made.append(transport)

    def data_received(self, data):
        self.transport.write(data)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=128) as found:
        yield found


@pytest.fixture
def protocol():
    return type("Protocol", (Echo,), {"made": []})


def waiting(listener, count):
    """Clients that are connected and not accepted yet."""
    address = listener.getsockname()
    return [socket.create_connection(address, timeout=60) for _ in range(count)]


async def closed(*items):
    for item in items:
        item.close()
    await asyncio.sleep(0)


def test_several_of_those_who_wait_are_accepted_in_a_turn(listener, protocol):
    async def run():
        clients, turns = waiting(listener, 64), 0
        server = await server_of(listener, protocol)
        while len(protocol.made) < len(clients):
            turns += 1
            await asyncio.sleep(0)
        await closed(server, *protocol.made, *clients)
        return turns

    # One a turn would take 64.
    assert uvloop.run(run()) < 32


@pytest.mark.parametrize("count", [1, 40])
def test_each_is_answered_on_its_own_connection(listener, protocol, count):
    async def run():
        clients = waiting(listener, count)
        server = await server_of(listener, protocol)
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
        answers = [await asyncio.to_thread(client.recv, 9) for client in clients]
        delays = {
            item.get_extra_info("socket").getsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY
            )
            for item in protocol.made
        }
        await closed(server, *protocol.made, *clients)
        return answers, delays

    answers, delays = uvloop.run(run())
    assert answers == [b"%d" % number for number in range(count)]
    # Small answers leave at once on all of them.
    assert delays == {1}


def test_clients_that_left_while_they_waited_are_no_fault(listener, protocol):
    faults = []

    async def run():
        asyncio.get_running_loop().set_exception_handler(
            lambda _, it: faults.append(it)
        )
        gone = waiting(listener, 20)
        for client in gone:
            # A reset, and not an end of the stream.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await closed(*gone)
        (client,) = waiting(listener, 1)
        server = await server_of(listener, protocol)
        client.sendall(b"here")
        answer = await asyncio.to_thread(client.recv, 9)
        await closed(server, *protocol.made, client)
        return answer

    assert uvloop.run(run()) == b"here"
    assert not faults


def test_nobody_is_accepted_after_the_close(listener, protocol):
    async def run():
        address = listener.getsockname()
        (await server_of(listener, protocol)).close()
        await asyncio.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(socket.create_connection, address, 60)

    uvloop.run(run())


def test_who_waits_when_a_server_closes_is_answered_and_the_next_refused(
    listener, protocol
):
    async def run():
        address = listener.getsockname()
        server = await server_of(listener, protocol)
        # Connected in the turn of the close: without it they would be reset.
        clients = waiting(listener, 40)
        for client in clients:
            client.sendall(b"here")
        await close_behind_all(server, listener, protocol)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(socket.create_connection, address, 60)
        answers = [await asyncio.to_thread(client.recv, 9) for client in clients]
        await closed(*protocol.made, *clients)
        return answers

    assert uvloop.run(run()) == [b"here"] * 40
