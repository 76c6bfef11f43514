"""How far long work is: the code that does it reports, and a command may listen.

Nobody listens in a run that Dagster launches; ``ml-assets train`` on a terminal does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# What is done or counted, how much of it, and of how much where that is known.
Listener = Callable[[str, int | None, int | None], None]

_listener: Listener | None = None


def report(what: str, done: int | None = None, total: int | None = None) -> None:
    """Hand the state of the present work to the listener, if there is one.

    Parameters
    ----------
    what : str
        What is counted, such as ``bytes``; without a count, what is being done.
    done, total : int, optional
        How many there are, and how many there will be.

    Examples
    --------
    >>> seen = []
    >>> with listening(lambda *state: seen.append(state)):
    ...     report("files", 1, 3)
    >>> report("files", 2, 3)
    >>> seen
    [('files', 1, 3)]
    """
    if _listener is not None:
        _listener(what, done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener` with each report of this process while the block runs."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before
