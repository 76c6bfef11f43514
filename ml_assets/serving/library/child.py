"""A process that answers for versions that are not compiled, and long requests.

``python -m ml_assets.serving.library.child CHANNEL LIFE BYTES`` has two descriptors: of
a socket, by which it is asked one thing at a time, and of a pipe that is open as long
as its server lives. BYTES bounds its memory.
"""

import faulthandler
import fcntl
import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path

from ml_assets.core.digests import BundleError
from ml_assets.serving import logs
from ml_assets.serving.library.answering import WholeRequests
from ml_assets.serving.library.messages import (
    Answered,
    Asked,
    Channel,
    Failed,
    Kind,
    Load,
    Loaded,
    Predict,
    Reply,
    Serve,
    Unloaded,
    unpacked,
)
from ml_assets.serving.models.bundle import load_probe, load_runtime
from ml_assets.serving.models.probe import speed_of
from ml_assets.serving.models.router import ArmError
from ml_assets.serving.runtime.protocol import Refused, Runtime

# The event loop of the server comes first where processors are short. Linux runs it as
# soon as it wakes while it uses less than its share, else after milliseconds: beside
# two of these processes that is 60 % of a processor at 5, and 93 % at 15. At 19, or
# idle, an answer would take too long beside a loop that never rests, and so would
# imports at 15.
_LOADING = 5
_ANSWERING = 15


def main() -> int:
    """Answer until the server closes the channel; the exit code."""
    faulthandler.enable()
    descriptor, life, most_bytes = map(int, sys.argv[1:])
    _end_with(life)
    # Signals to all processes of a terminal or a unit are for the server, which drains.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))
    niceness = os.nice(0)
    os.nice(_LOADING)
    logs.configure()
    channel = Channel(socket.socket(fileno=descriptor))
    runtimes: dict[str, Runtime] = {}
    requests = WholeRequests()
    while True:
        try:
            asked = channel.receive(Asked)
        except (EOFError, ConnectionError):
            return 0
        if isinstance(asked, Predict | Serve):
            # From the first answer on: only root could raise it again.
            os.setpriority(os.PRIO_PROCESS, 0, niceness + _ANSWERING)
        channel.send(_reply(asked, runtimes, requests))


def _end_with(life: int) -> None:
    """Have the system end this process with the last holder of the pipe's other end.

    The end of the channel is noticed between two answers only; this signal, whose
    default is to end, arrives within an answer that never ends too.
    """
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(life, fcntl.F_GETFL)
    fcntl.fcntl(life, fcntl.F_SETFL, flags | os.O_ASYNC)


def _reply(
    asked: Asked, runtimes: dict[str, Runtime], requests: WholeRequests
) -> Reply:
    """Do what is asked; what fails is answered as well."""
    try:
        if isinstance(asked, Load):
            directory = Path(asked.directory)
            runtime = load_runtime(directory, asked.files)
            speed = speed_of(runtime, load_probe(directory, asked.files))
            runtimes[asked.directory] = runtime
            return Loaded(speed.row_seconds)
        if isinstance(asked, Predict):
            found = runtimes[asked.directory].predict_many(unpacked(asked.columns))
            return Answered([*found.shape], found.tobytes())
        if isinstance(asked, Serve):
            return requests.reply(asked, runtimes[asked.directory])
        runtimes.pop(asked.directory, None)
        requests.forget(asked.directory)
        return Unloaded()
    except Refused as error:
        return _failed("rows", error)
    except BundleError as error:
        return _failed("bundle", error)
    except ArmError as error:
        return _failed("error", error.__cause__ or error)
    except Exception as error:
        # Whatever a library raises, the server logs it and answers others.
        return _failed("error", error)


def _failed(kind: Kind, error: BaseException) -> Failed:
    # Without the message, which may repeat values: it is for the log.
    trace = "".join(traceback.format_tb(error.__traceback__))
    return Failed(kind, type(error).__name__, str(error), trace)


if __name__ == "__main__":
    sys.exit(main())
