"""Threads for the requests that cannot be answered at once on the event loop."""

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from ml_assets.serving.http.body import Reservation
from ml_assets.serving.requests.messages import Handler, Request, Response
from ml_assets.serving.requests.problems import late, overloaded


class _Job:
    """A request for a thread, which is dropped if nobody waits for its answer."""

    def __init__(self, handler: Handler, request: Request) -> None:
        self._handler = handler
        self._requests = [request]

    def __call__(self) -> Response:
        """Answer, in the thread."""
        return self._handler(self._requests.pop())

    def drop(self) -> None:
        """Keep no body, even if no thread has come to the request yet."""
        self._requests.clear()


class Executor:
    """Some threads, and at most `length` requests that wait for them or are in them.

    Parameters
    ----------
    name
        Of the threads.
    length
        Requests that wait, or are in a thread; beyond, they are refused.
    threads
        Number of threads.
    seconds
        How long a request may wait and be answered; None for no bound.
    """

    def __init__(
        self, name: str, length: int, threads: int = 1, seconds: float | None = None
    ) -> None:
        self._threads = ThreadPoolExecutor(threads, name)
        self._length = length
        self._seconds = seconds
        self._queued = 0
        self._lock = threading.Lock()

    def waiting(self) -> int:
        """How many requests wait, or are in a thread."""
        return self._queued

    def require_room(self) -> None:
        """Refuse, by a `Problem` of 503, what would have to wait behind too many."""
        if self._queued >= self._length:
            raise overloaded("too many slow requests are waiting")

    async def run(
        self, handler: Handler, request: Request, reservation: Reservation
    ) -> Response:
        """Answer in a thread.

        An answer that comes too late keeps the `reservation` of its request's body for
        as long as its thread has the body; it is empty for the caller then.

        Raises
        ------
        Problem
            503 if too many wait; 504 if the answer takes too long.
        """
        self.require_room()
        with self._lock:
            self._queued += 1
        job = _Job(handler, request)
        answer = self._threads.submit(job)
        # An answer that nobody waits for any more still has its thread.
        answer.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(answer), self._seconds)
        except TimeoutError:
            kept = reservation.moved()

            def end(_: "Future[Response]") -> None:
                # The threads' queue keeps what was cancelled until its turn comes.
                job.drop()
                kept.release()

            answer.add_done_callback(end)
            raise late(f"there was no answer in {self._seconds:g} s") from None

    def _leave(self, _: "Future[Response]") -> None:
        with self._lock:
            self._queued -= 1

    def close(self) -> None:
        """Finish what is in a thread, and stop."""
        self._threads.shutdown(cancel_futures=True)


class ModelExecutors:
    """One executor a model, so that no model's requests wait behind another's.

    Parameters
    ----------
    length, threads, seconds
        Of each; see `Executor`.
    """

    def __init__(self, length: int, threads: int, seconds: float) -> None:
        self._length = length
        self._threads_of_each = threads
        self._seconds = seconds
        self._executors: dict[str, Executor] = {}

    def of(self, model: str) -> Executor:
        """The executor of a model."""
        found = self._executors.get(model)
        if found is None:
            found = Executor(
                f"answers-{model}", self._length, self._threads_of_each, self._seconds
            )
            self._executors[model] = found
        return found

    def waiting(self) -> int:
        """How many requests wait, or are in a thread, of all models."""
        return sum(self.waiting_of().values())

    def waiting_of(self) -> dict[str, int]:
        """The same by model."""
        executors = self._executors.copy()
        return {model: item.waiting() for model, item in executors.items()}

    def close(self) -> None:
        """Finish what is in a thread, and stop."""
        for executor in self._executors.values():
            executor.close()
