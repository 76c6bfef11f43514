"""Processor time of a prediction beside the least that a server in Python can do.

``python -m benchmarks.floor`` serves LightGBM on Adult with our server, and the bytes
of one of its answers with a bare uvloop protocol that reads nothing; and it runs the
empty handler on uvicorn. All are on one core and are asked for one row at a time over
16 connections, in turn. There is no bound: the ratio to the bare protocol is printed.
"""

import argparse
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from lightgbm import LGBMClassifier

from benchmarks.serving import servers, write_bodies
from benchmarks.serving_model import build
from benchmarks.serving_process import free_port, running
from benchmarks.serving_rounds import PATH, Turn, rounds, spread


def answer_of(port: int, body: bytes) -> bytes:
    """All bytes of our server's answer to a request."""
    head = f"POST {PATH} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
    head += f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return answer.replace(b"connection: close\r\n", b"")


def turns(stack: ExitStack, directory: Path, bodies: list[Path]) -> Iterator[Turn]:
    """Our server, the empty handler and the bare protocol, started."""
    body = bodies[0].read_bytes().splitlines()[0]
    ours, _, _, empty = servers(directory, bodies, bodies)
    for _, command, port, path, _ in (ours, empty):
        process, _ = stack.enter_context(running(command, port, path, body))
        yield Turn(process.pid, port)
    file, port = directory / "answer", free_port()
    file.write_bytes(answer_of(ours[2], body))
    command = [sys.executable, "-m", "benchmarks.serving_bare", str(port), str(file)]
    process, _ = stack.enter_context(running(command, port, PATH, body))
    yield Turn(process.pid, port)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=2, help="length of each load")
    parser.add_argument("--rounds", type=int, default=7, help="loads of each server")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        estimator = LGBMClassifier(n_estimators=100, n_jobs=1, verbosity=-1)
        _, rows, data = build(directory, False, estimator=estimator)
        bodies = write_bodies(directory, "rows", rows)
        started = [*turns(stack, directory, bodies)]
        found = rounds(started, bodies[0], arguments.rounds, arguments.seconds)
    print(f"LightGBM on {data}; medians and quartiles of {arguments.rounds} rounds\n")
    print("| server | requests/s | processor us a request | times the bare protocol |")
    print("|---|---|---|---|")
    bare = found[-1]
    for name, figures in zip(("ml-assets", "empty handler", "bare protocol"), found):
        ratios = [one.cpu / other.cpu for one, other in zip(figures, bare)]
        print(
            f"| {name} | {spread([item.rps for item in figures]).median:,.0f} |"
            f" {spread([item.cpu for item in figures])} | {spread(ratios)} |"
        )


if __name__ == "__main__":
    main()
