"""Cron expressions of a schedule: whether Dagster can read one, and it ever comes."""

import time

FORM = (
    "five fields (minute 0-59, hour 0-23, day 1-31, month 1-12, day of the week 0-7),"
    " such as 0 2 * * 0 for Sundays at 02:00"
)


def cron_fault(text: str) -> str | None:
    """Why Dagster could not follow `text`; None where it can.

    Examples
    --------
    >>> cron_fault("0 2 * * 0") is None
    True
    >>> cron_fault("0 2 31 4 *")
    "'0 2 31 4 *' names a day that never comes"
    """
    # Dagster takes a second to import: only for a schedule that is not the usual one.
    from dagster._utils.schedules import cron_string_iterator, is_valid_cron_string

    never = f"'{text}' names a day that never comes"
    fields = text.split()
    if len(fields) != 5 or not is_valid_cron_string(text):
        if fields[2:4] in (["30", "2"], ["31", "2"]):
            return never
        return f"'{text}' is not a cron expression of {FORM}"
    try:
        next(cron_string_iterator(time.time(), text, "UTC"))
    except ValueError:  # croniter searches fifty years
        return never
    return None
