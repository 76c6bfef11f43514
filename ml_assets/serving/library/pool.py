"""The library processes of a server: who gets which, and what replaces them.

A thread that wants an answer waits for its turn, borrows a process, and gives it back.
A process that ends or hangs costs its own request, which is asked once more if it
ended; the model that asked is confined to what replaces it until it was answered, so
that a model which ends its processes has one of them at most.
"""

import threading
from collections.abc import Callable
from logging import WARNING
from time import monotonic
from typing import TypeVar

from ml_assets.serving.library.child_process import (
    ChildEnded,
    ChildHangs,
    ChildProcess,
)
from ml_assets.serving.library.fair_queue import FairQueue, Flow, Ticket
from ml_assets.serving.library.messages import Failed, Predict, Reply, Serve
from ml_assets.serving.logs import log
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.requests.problems import RETRY, Problem, VersionFault, overloaded

_FIRST_DELAY = 0.1
_LONGEST = 30.0
# A process that lived this long did not end because of how it was started.
_HEALTHY_SECONDS = 60.0
_ATTEMPTS = 2

Found = TypeVar("Found")


class LibraryPool:
    """Up to `size` processes; none is started before a bundle is loaded.

    Parameters
    ----------
    size
        Number of processes.
    seconds
        How long a request may wait for its turn, and how long an answer may take.
    most_bytes
        Bound of the memory of a process.
    metrics
        Count the processes, and what replaced them.
    """

    def __init__(
        self, size: int, seconds: float, most_bytes: int, metrics: Metrics
    ) -> None:
        self._size = size
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._metrics = metrics
        self._queue = FairQueue()
        self._changed = threading.Condition()
        self._children: dict[int, ChildProcess] = {}
        self._idle: list[ChildProcess] = []
        # Slots whose process is being replaced, and after how many seconds.
        self._replaced: set[int] = set()
        self._replaced_after: dict[int, float] = {}
        # Models that ended a process, and its slot.
        self._confined: dict[str, int] = {}
        self._wanted: dict[str, dict[str, str]] = {}
        self._shadows = 0
        self._closed = threading.Event()
        metrics.library_processes = lambda: len(self._children)

    def load(self, directory: str, files: dict[str, str], flow: Flow) -> float | Failed:
        """Load a bundle in every process, one after the other.

        Returns
        -------
        float or Failed
            Seconds that it takes for a row, or why it must not serve.
        """

        def ask(child: ChildProcess) -> float | Failed:
            failed = child.load(directory, files)
            if failed is not None:
                return failed
            with self._changed:
                self._wanted[directory] = files
            return child.loaded[directory]

        found = self._borrowed(flow, ask)
        if isinstance(found, Failed):
            return found
        for slot in [*self._children]:
            try:
                self._borrowed(flow, ask, slot)
            except Problem as problem:
                # It has the bundle when it is replaced, or asked.
                log("a version is not in every process", WARNING, reason=problem.detail)
        return found

    def predict(
        self, message: Predict | Serve, files: dict[str, str], flow: Flow
    ) -> Reply:
        """What a process answers that has the bundle.

        Raises
        ------
        VersionFault
            503 if processes ended over it, 504 if it was not answered in time.
        Problem
            503 if no process was free in time.
        """

        def ask(child: ChildProcess) -> Reply:
            child.unload_others({*self._wanted, message.directory}, self._seconds)
            failed = child.load(message.directory, files)
            return failed or child.ask(message, self._seconds)

        return self._borrowed(flow, ask)

    def retain(self, directories: set[str]) -> None:
        """Forget all other bundles; end the processes if that was all."""
        with self._changed:
            self._wanted = {
                directory: files
                for directory, files in self._wanted.items()
                if directory in directories
            }
        self._end_unwanted()

    def close(self) -> None:
        """End the processes; whoever waits is refused."""
        self._closed.set()
        with self._changed:
            children = [*self._children.values()]
            self._children.clear()
            self._idle.clear()
            self._changed.notify_all()
        for child in children:
            child.kill()

    def _borrowed(
        self, flow: Flow, ask: Callable[[ChildProcess], Found], slot: int | None = None
    ) -> Found:
        """What `ask` gives of a process, which is asked again if that one ended."""
        for _ in range(_ATTEMPTS):
            ticket, child = self._borrow(flow, slot)
            started = monotonic()
            try:
                found = ask(child)
            except ChildHangs:
                self._replace(child, ticket, "hung")
                detail = f"the version gave no answer in {self._seconds:g} s"
                raise VersionFault(504, "late-answer", detail) from None
            except ChildEnded:
                self._replace(child, ticket, "ended")
            except BaseException:
                # Nobody knows what it was asked, and what it may yet answer.
                self._replace(child, ticket, "failed")
                raise
            else:
                self._give_back(child, ticket, monotonic() - started)
                return found
        detail = f"the version ended {_ATTEMPTS} processes instead of an answer"
        raise VersionFault(503, "version-failed", detail, headers=RETRY)

    def _borrow(self, flow: Flow, slot: int | None) -> tuple[Ticket, ChildProcess]:
        """Wait for a process, in turn."""
        deadline = monotonic() + self._seconds
        with self._changed:
            if slot is None:
                slot = self._confined.get(flow.model)
            ticket = self._queue.join(flow, slot)
            try:
                self._start_missing()
                while (child := self._free_for(ticket)) is None:
                    left = deadline - monotonic()
                    if self._closed.is_set() or left <= 0:
                        raise overloaded("no process was free in time")
                    self._changed.wait(left)
            except BaseException:
                # Nobody else would get a process while it waits for one.
                self._queue.leave(ticket)
                self._changed.notify_all()
                raise
            self._queue.begin(ticket)
            self._idle.remove(child)
            self._shadows += flow.is_shadow
            # Another one may be next, and free.
            self._changed.notify_all()
            return ticket, child

    def _free_for(self, ticket: Ticket) -> ChildProcess | None:
        """The process that is this one's, if it is the next for which one is free."""
        for other in self._queue.waiting:
            if other.flow.is_shadow and self._shadows >= max(1, self._size - 1):
                continue
            for child in self._idle:
                if other.slot in (None, child.slot):
                    return child if other is ticket else None
        return None

    def _start_missing(self) -> None:
        if self._closed.is_set():
            return
        for slot in range(self._size):
            if slot not in self._children and slot not in self._replaced:
                self._children[slot] = ChildProcess(slot, self._most_bytes)
                self._idle.append(self._children[slot])

    def _give_back(self, child: ChildProcess, ticket: Ticket, seconds: float) -> None:
        with self._changed:
            self._account(ticket, seconds)
            self._confined.pop(ticket.flow.model, None)
            if self._children.get(child.slot) is child:
                self._idle.append(child)
        self._end_unwanted()

    def _account(self, ticket: Ticket, seconds: float) -> None:
        self._queue.charge(ticket, seconds)
        self._shadows -= ticket.flow.is_shadow
        self._changed.notify_all()

    def _end_unwanted(self) -> None:
        """End the processes that wait while there is no bundle to answer for."""
        with self._changed:
            if self._wanted or self._queue.waiting:
                return
            idle, self._idle = self._idle, []
            for child in idle:
                del self._children[child.slot]
        for child in idle:
            child.kill()

    def _replace(self, child: ChildProcess, ticket: Ticket, reason: str) -> None:
        """Start another process in place of one that ended, or hangs."""
        code = child.kill()
        lived = monotonic() - child.started
        slot, model = child.slot, ticket.flow.model
        with self._changed:
            self._account(ticket, 0.0)
            if self._closed.is_set():
                return
            del self._children[slot]
            delay = _FIRST_DELAY
            if lived < _HEALTHY_SECONDS:
                delay = min(2 * self._replaced_after.get(slot, delay / 2), _LONGEST)
            self._replaced_after[slot] = delay
            self._confined[model] = slot
            self._replaced.add(slot)
            counts = self._metrics.library_replaced
            counts[reason] = counts.get(reason, 0) + 1
        log(
            f"a library process {reason}",
            WARNING,
            model=model,
            exit_code=code,
            delay=delay,
        )
        name = f"library-{slot}"
        threading.Thread(
            target=self._bring_up, args=(slot, delay), name=name, daemon=True
        ).start()

    def _bring_up(self, slot: int, delay: float) -> None:
        """Start a process, and have it load what is wanted before it is borrowed."""
        while not self._closed.wait(delay):
            try:
                child = ChildProcess(slot, self._most_bytes)
            except OSError as error:
                log("a library process did not start", WARNING, reason=str(error))
                delay = min(2 * delay, _LONGEST)
                continue
            try:
                for directory, files in self._wanted.copy().items():
                    failed = child.load(directory, files)
                    if failed is not None:
                        # Who asks for it is answered with the same.
                        log("a version was not loaded", WARNING, reason=failed.reason)
            except (ChildEnded, ChildHangs):
                child.kill()
                delay = min(2 * delay, _LONGEST)
                continue
            with self._changed:
                self._replaced.discard(slot)
                if not self._closed.is_set():
                    self._children[slot] = child
                    self._idle.append(child)
                    self._changed.notify_all()
                    return
            child.kill()
