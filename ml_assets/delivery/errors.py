"""Why a request on releases is not done."""

from ml_assets.records.ledger_entry import Entry


class ReleaseError(Exception):
    """A release cannot go on; the message says why, for people."""


class AlreadyDoneError(Exception):
    """There is nothing to do: what is asked for was done, or was tried, before.

    `entry` is the ledger's entry on it, where there is one.
    """

    def __init__(self, message: str, entry: Entry | None = None) -> None:
        super().__init__(message)
        self.entry = entry


class RefusedError(ReleaseError):
    """What is asked for may not be done."""
