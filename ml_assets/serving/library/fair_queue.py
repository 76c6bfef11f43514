"""Start-time fair queueing (Goyal, Vin and Cheng 1996), by seconds that were measured.

Each flow is served in proportion to its weight, whatever its requests take. A request
starts at the virtual time of the one in service, or at the finish of its flow's last if
that is later; the least start is next. Whoever was idle has saved up nothing.
"""

from typing import NamedTuple


class Flow(NamedTuple):
    """Whose requests are served in order: of one model, those of answers or shadows."""

    model: str
    is_shadow: bool = False

    @property
    def weight(self) -> float:
        """Its share, relative to the others that wait."""
        return 0.1 if self.is_shadow else 1.0


class Ticket:
    """One request that waits, with the virtual time of its start.

    `slot` is the number of the only process that may serve it, if not any.
    """

    __slots__ = ("flow", "start", "slot")

    def __init__(self, flow: Flow, start: float, slot: int | None) -> None:
        self.flow = flow
        self.start = start
        self.slot = slot


class FairQueue:
    """The requests that wait, by the virtual time of their start.

    Examples
    --------
    >>> queue, slow, fast = FairQueue(), Flow("slow"), Flow("fast")
    >>> first = queue.join(slow)
    >>> queue.begin(first)
    >>> queue.charge(first, 5.0)
    >>> tickets = [queue.join(slow), queue.join(fast)]
    >>> [ticket.flow.model for ticket in queue.waiting]
    ['fast', 'slow']
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._finished: dict[Flow, float] = {}
        self._waiting: list[Ticket] = []

    @property
    def waiting(self) -> list[Ticket]:
        """Who waits, the next one first."""
        return sorted(self._waiting, key=lambda ticket: ticket.start)

    def join(self, flow: Flow, slot: int | None = None) -> Ticket:
        """Wait from now on."""
        start = max(self._now, self._finished.get(flow, 0.0))
        ticket = Ticket(flow, start, slot)
        self._waiting.append(ticket)
        return ticket

    def begin(self, ticket: Ticket) -> None:
        """Be served."""
        self._waiting.remove(ticket)
        self._now = max(self._now, ticket.start)
        # What finished before now has no part in any start.
        self._finished = {
            flow: at for flow, at in self._finished.items() if at > self._now
        }

    def leave(self, ticket: Ticket) -> None:
        """Wait no more."""
        self._waiting.remove(ticket)

    def charge(self, ticket: Ticket, seconds: float) -> None:
        """Count what the request took, from its start on."""
        finish = ticket.start + seconds / ticket.flow.weight
        before = self._finished.get(ticket.flow, 0.0)
        self._finished[ticket.flow] = max(before, finish)
