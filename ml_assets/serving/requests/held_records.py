"""Records of the prediction log that are written together, one write a log."""

from typing import Protocol


class Log(Protocol):
    """What records are appended to."""

    def append(self, data: bytes, records: int) -> None:
        """Append whole records."""
        ...


class HeldRecords:
    """Records of answers that have not left, in the order in which they came.

    Examples
    --------
    >>> class Printed:
    ...     def append(self, data: bytes, records: int) -> None:
    ...         print(data, records)
    >>> held, log = HeldRecords(), Printed()
    >>> held.add(log, b"a", 1)
    >>> held.add(log, b"b", 1)
    >>> held.write()
    b'ab' 2
    """

    def __init__(self) -> None:
        self._of: dict[Log, tuple[list[bytes], list[int]]] = {}

    def add(self, log: Log, data: bytes, records: int) -> None:
        """Hold `records` whole records for `log`."""
        found = self._of.get(log)
        if found is None:
            found = self._of[log] = [], []
        parts, counts = found
        parts.append(data)
        counts.append(records)

    def write(self) -> None:
        """Append what is held to its logs."""
        held, self._of = self._of, {}
        for log, (parts, counts) in held.items():
            log.append(b"".join(parts), sum(counts))
