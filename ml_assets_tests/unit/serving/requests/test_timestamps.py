"""The times that clients send: one rule, whatever they are written as."""

import datetime as dt

import pytest

from ml_assets.serving.requests.timestamps import NotATime, unix_seconds

NOW = 1_795_773_600.0
NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "sent",
    [
        NOON.timestamp(),
        int(NOON.timestamp()),
        str(int(NOON.timestamp())),
        "1.7954352e9",
        "2026-11-23T12:00:00Z",
        "2026-11-23 12:00",
        " 2026-11-23T14:00:00+02:00 ",
        NOON,
        NOON.replace(tzinfo=None),
    ],
)
def test_each_notation_of_a_time_is_the_same_time(sent: object) -> None:
    assert unix_seconds(sent, NOW) == NOON.timestamp()


@pytest.mark.parametrize("sent", ["2026-11-23", dt.date(2026, 11, 23)])
def test_a_date_is_its_first_second_in_utc(sent: object) -> None:
    assert unix_seconds(sent, NOW) == NOON.timestamp() - 12 * 3600


@pytest.mark.parametrize("write", [lambda value: value, str])
@pytest.mark.parametrize(
    "sent, found",
    [
        (1_795_435_200_000, "looks like milliseconds"),
        (1_795_435_200_000.5, "looks like milliseconds"),
        (1_795_435_200_000_000, "looks like microseconds"),
        (1_795_435_200_000_000_000, "looks like nanoseconds"),
        (20261127, "looks like a date"),
        (20261127.0, "looks like a date"),
        (2026112709, "looks like a date"),
        (202611270930, "looks like a date"),
        (20261127093000, "looks like a date"),
        (46353, "before the year 2000"),
        (0, "before the year 2000"),
        (-1.5, "before the year 2000"),
        (float("nan"), "not finite"),
        (float("inf"), "not finite"),
        (-float("inf"), "not finite"),
        (NOW + 2 * 86_400, "in the future"),
    ],
)
def test_a_number_that_is_no_time_in_seconds_is_refused_with_what_it_looks_like(
    sent: object, found: str, write: object
) -> None:
    with pytest.raises(NotATime, match=found):
        unix_seconds(write(sent), NOW)  # type: ignore[operator]


@pytest.mark.parametrize(
    "sent", ["noon", "", "1_795_435_200", "2026-13-01", True, None, [1], {}]
)
def test_what_is_no_time_at_all_is_refused(sent: object) -> None:
    with pytest.raises(NotATime, match="expected a time in ISO 8601 or unix seconds"):
        unix_seconds(sent, NOW)


def test_a_clock_may_be_a_little_ahead() -> None:
    assert unix_seconds(NOW + 3600, NOW) == NOW + 3600


def test_a_text_is_not_repeated_in_a_refusal() -> None:
    with pytest.raises(NotATime) as caught:
        unix_seconds("SECRET", NOW)
    assert "SECRET" not in str(caught.value)
