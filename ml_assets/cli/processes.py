"""Processes that a command starts, watches, and leaves none of behind."""

import contextlib
import os
import signal
import subprocess  # nosec B404 # runs our own programs with fixed arguments only
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, TypeVar

from ml_assets.cli.output import Failed

T = TypeVar("T")

POLL_SECONDS = 0.1
STOP_SECONDS = 15.0
REPEAT_SECONDS = 0.01
SHOWN_LINES = 15
# Leaves room for the name of a socket in its path.
LONGEST_TMPDIR = 90


def script(name: str) -> str:
    """A program of Dagster in the environment that this interpreter belongs to.

    Raises
    ------
    Failed
        If its code servers could not answer, as ``TMPDIR`` is too long.
    """
    length = len(os.fsencode(tempfile.gettempdir()))
    if length > LONGEST_TMPDIR:
        raise Failed(
            f"TMPDIR has {length} bytes, and Dagster's code servers answer on Unix"
            f" sockets in it, whose paths have 107: set it to a directory of at most"
            f" {LONGEST_TMPDIR}, such as /tmp"
        )
    return str(Path(sys.executable).with_name(name))


def cli(*arguments: str) -> list[str]:
    """The command line ``ml-assets ...`` of this interpreter."""
    return [sys.executable, "-m", "ml_assets.cli", *arguments]


class Interrupted(KeyboardInterrupt):
    """A signal asked us to end.

    A plain KeyboardInterrupt that passes an `exec`, as in the import of many a module,
    has Python end by the signal after all, with whatever code we meant to exit.
    """


def heed_termination() -> None:
    """Let SIGTERM end us as Ctrl-C does: in order, with what we started."""
    from dagster import DagsterExecutionInterruptedError

    interruptions = (KeyboardInterrupt, DagsterExecutionInterruptedError)
    signal.signal(signal.SIGTERM, _interrupt)
    # In the background of a shell it is ignored, and stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGALRM, _terminate)
    sys.unraisablehook = partial(_repeat_interruption, interruptions)


@contextlib.contextmanager
def heeding_termination() -> Iterator[None]:
    """Do so while Dagster runs a job in this process, and afterwards."""
    heed_termination()
    try:
        yield
    finally:
        # Dagster leaves SIGTERM as SIGINT is: ignored in the background of a shell.
        heed_termination()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGTERM)


def _repeat_interruption(
    interruptions: tuple[type[BaseException], ...], dropped: "sys.UnraisableHookArgs"
) -> None:
    """Ask us to end once more, where Python dropped what a signal had raised.

    It does so in callbacks of weak references and in finalizers, which take half of the
    time of some imports.
    """
    if issubclass(dropped.exc_type, interruptions):
        # Here it would be dropped, too.
        signal.setitimer(signal.ITIMER_REAL, REPEAT_SECONDS)
    else:
        sys.__unraisablehook__(dropped)


class Child:
    """A process in a session of its own, with all that it starts.

    Parameters
    ----------
    name : str
        What messages call it.
    command : sequence of str
        Program and arguments.
    output : file or int
        Where its standard output and standard error go.
    log : Path, optional
        The file that `output` is, for messages.
    environment : mapping of str to str, optional
        Variables on top of ours.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        output: IO[bytes] | int,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        # Of its own session, so that Ctrl-C reaches us alone and we stop it in order.
        self.popen = subprocess.Popen(  # nosec B603 # fixed arguments
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )

    def require_alive(self) -> None:
        """Raise `Failed` with the end of the log if the process has ended."""
        code = self.popen.poll()
        if code is not None:
            raise Failed(f"the {self.name} ended with exit code {code}{self.tail()}")

    def tail(self) -> str:
        """The end of the log, as an appendix to a message."""
        if self.log is None or not self.log.exists():
            return ""
        lines = self.log.read_text("utf-8", "replace").splitlines()[-SHOWN_LINES:]
        return f"; the end of {self.log}:\n  " + "\n  ".join(lines)

    def terminate(self) -> None:
        """Ask the process to stop."""
        if self.popen.poll() is None:
            self.popen.terminate()

    def finish(self, deadline: float) -> None:
        """Wait until `deadline` (monotonic), then kill whatever is left of it."""
        try:
            self.popen.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        # What it started may have outlived it.
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()


class Children:
    """The processes of one command; at the end of the block none is left."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __enter__(self) -> "Children":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """Start a process whose output goes to the file `log`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            return self.add(Child(name, command, output, log, environment))

    def add(self, child: Child) -> Child:
        """Stop `child` with the others."""
        self._children.append(child)
        return child

    def require_alive(self) -> None:
        """Raise `Failed` if one has ended."""
        for child in self._children:
            child.require_alive()

    def stop(self) -> None:
        """Ask all to stop, then see to it."""
        for child in self._children:
            child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._children:
            child.finish(deadline)

    def wait_for(self, poll: Callable[[], T | None], what: str, seconds: float) -> T:
        """Call `poll` until it returns something.

        Raises
        ------
        Failed
            If a process ends meanwhile, or `seconds` pass; the message names `what`.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = poll()
            if found is not None:
                return found
            self.require_alive()
            if time.monotonic() > deadline:
                logs = ", ".join(str(child.log) for child in self._children)
                raise Failed(f"{what} did not come within {seconds:g} s; see {logs}")
            time.sleep(POLL_SECONDS)
