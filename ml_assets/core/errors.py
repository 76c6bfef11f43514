"""What every command reports in a sentence, wherever it comes up."""


class UnavailableError(Exception):
    """The database or the storage cannot be used; the message says why."""
