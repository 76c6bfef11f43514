"""The name of a version: the UTC time at which its training began."""

import datetime as dt

STAMP = "%Y%m%dT%H%M%SZ"


def trained_at(version: str) -> float | None:
    """Unix seconds that a version's name tells; None where it is no time.

    Examples
    --------
    >>> trained_at("19700101T000100Z")
    60.0
    """
    try:
        moment = dt.datetime.strptime(version, STAMP)
    except ValueError:
        return None
    return moment.replace(tzinfo=dt.UTC).timestamp()
