"""The answers of one turn of the event loop leave together, after their records."""

import asyncio
from time import perf_counter

import msgspec

from ml_assets.serving.access.callers import Caller
from ml_assets.serving.metrics.collector import Series
from ml_assets.serving.requests.held_records import HeldRecords
from ml_assets.serving.requests.messages import Response

# An answer waits no longer for others that are computed behind it.
_SECONDS = 0.0005


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An answer that is to be sent, and what is counted of it then.

    ``started`` is the `time.perf_counter` of the request's headers.
    """

    response: Response
    request_id: str
    series: Series
    caller: Caller | None
    started: float


class HeldAnswers:
    """The answers of one turn of the event loop, held until their records are on disk.

    One write a turn and log costs less than one a request, and answers that are sent in
    a row disturb the processor's caches once. ``records`` takes the records.
    """

    def __init__(self) -> None:
        self.records = HeldRecords()
        self._held: list[tuple[asyncio.Transport, bytes, bool, Answer]] = []
        self._began = 0.0

    def hold(
        self,
        transport: asyncio.Transport,
        data: bytes,
        closes: bool,
        answer: Answer,
        is_alone: bool,
    ) -> None:
        """Send the `data` of `answer` behind what is held, when the turn ends.

        Parameters
        ----------
        transport
            Of the connection, which is closed after the answer if it `closes`.
        data
            The answer as it is sent.
        closes
            Whether it is the last on its connection.
        answer
            What is counted.
        is_alone
            Whether there are no other connections, so that waiting for their requests
            would only take time.
        """
        if not self._held:
            self._began = answer.started
            if not is_alone:
                asyncio.get_running_loop().call_soon(self.send)
        self._held.append((transport, data, closes, answer))
        if is_alone or perf_counter() - self._began > _SECONDS:
            self.send()

    def send(self) -> None:
        """Write the records that are held, then send the answers in their order.

        Whatever else writes to a connection, or closes it, calls this before.
        """
        held, self._held = self._held, []
        try:
            self.records.write()
        finally:
            now = perf_counter()
            for transport, data, closes, answer in held:
                seconds = now - answer.started
                count(answer.response, answer.series, seconds, answer.caller)
                # The client may have left since.
                if not transport.is_closing():
                    transport.write(data)
                    if closes:
                        transport.close()


def count(
    response: Response, series: Series, seconds: float, caller: Caller | None
) -> None:
    """Count an answer that took so many seconds."""
    if caller is not None:
        caller.statuses[response.status] += 1
    series.observe(response.status, seconds, response.rows)
    for other, rows in response.others:
        other.observe(response.status, seconds, rows)
