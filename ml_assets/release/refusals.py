"""Why a request on releases is not done."""


class DoneError(Exception):
    """There is nothing to do: what is asked for was done, or was tried, before."""


class RefusedError(Exception):
    """What is asked for may not be done."""
