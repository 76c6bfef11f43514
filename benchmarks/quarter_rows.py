"""The weeks of `benchmarks.quarter`: their rows, and the faults that may be put in."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

START = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)
OUTCOME = "outcome"
CENTS = "cents instead of euros in requests"
HALF = "half of the export is missing"
TURNED = "the outcome is turned round in the table"
LOST = "a column loses most of its values"
CHANGED = "what customers do has changed"
EACH = {4: TURNED, 6: LOST, 8: CENTS, 10: HALF, 12: CHANGED}
# Model, week, and what is put into that week's rows.
FAULTS = {
    "basket": {7: CHANGED},
    "visits": {4: TURNED, 8: LOST},
    "fees": {5: CENTS, 9: HALF},
    "tickets": EACH,
    "demand": EACH,
}
MODELS = tuple(FAULTS)
# The column in euros, and the other outcome of each class.
EUROS = {"fees": "fee", "tickets": "amount", "demand": "price"}
OTHER = {
    "yes": "no",
    "no": "yes",
    "billing": "delivery",
    "delivery": "return",
    "return": "warranty",
    "warranty": "billing",
}
LARGEST = 200.0


def turned(outcome: "pd.Series[Any]") -> "pd.Series[Any]":
    """Another class for each, or large values for small ones."""
    is_number = pd.api.types.is_numeric_dtype(outcome)
    return LARGEST - outcome if is_number else outcome.map(OTHER)


def drawn(name: str, week: int, rows: int) -> pd.DataFrame:
    """New rows of a week, as the source has them then."""
    random = np.random.default_rng([week, rows, *name.encode()])
    days = START.date() + dt.timedelta(days=7 * (week - 1))
    frame = pd.DataFrame(
        {
            "customer": [f"{name[0].upper()}{week:02}{at:06}" for at in range(rows)],
            "age": random.integers(18, 80, rows),
            "spend": random.gamma(2.0, 30.0, rows).round(2),
            "day": [
                str(days + dt.timedelta(days=int(d)))
                for d in random.integers(0, 7, rows)
            ],
            "region": random.choice(
                ["north", "south", "west"], rows, p=[0.5, 0.3, 0.2]
            ),
        }
    )
    score = (frame["age"] - 49) / 12 + (frame["spend"] - 60) / 40
    score = np.asarray(score + random.normal(0, 0.6, rows))
    outcome = _KINDS[name](frame, score, week, random)
    return frame.assign(**{OUTCOME: outcome})


def _basket(
    frame: pd.DataFrame, score: NDArray[Any], week: int, random: np.random.Generator
) -> NDArray[Any]:
    """47 % say yes in one week and 53 % in the next; a channel comes and goes."""
    frame["channel"] = random.choice(["web", "shop"], len(frame))
    if week in (3, 7, 8, 12):
        frame.loc[random.integers(0, len(frame), 2), "channel"] = "fax"
    return _yes(score, 0.53 if week % 2 else 0.47)


def _visits(
    frame: pd.DataFrame, score: NDArray[Any], week: int, random: np.random.Generator
) -> NDArray[Any]:
    """A constant begins to vary, one column is added, and one is dropped."""
    frame["country"] = "NL"
    if week >= 7:
        frame["country"] = random.choice(["NL", "BE"], len(frame), p=[0.7, 0.3])
    if week >= 5:
        frame["visits"] = random.poisson(3, len(frame))
    if week < 9:
        frame["legacy"] = random.choice(["a", "b"], len(frame))
    return _yes(score, 0.7)


def _fees(
    frame: pd.DataFrame, score: NDArray[Any], week: int, random: np.random.Generator
) -> NDArray[Any]:
    """Half euros in some weeks only; some weeks have no missing fee."""
    halves = week in (1, 2, 11)
    whole = random.integers(1, 20, len(frame))
    parts = random.integers(0, 2, len(frame)) / 2
    frame["fee"] = whole + parts if halves else whole
    if week % 3 == 1:
        frame.loc[random.random(len(frame)) < 0.03, "fee"] = np.nan
    return _yes(score, 0.6)


def _tickets(
    frame: pd.DataFrame, score: NDArray[Any], week: int, random: np.random.Generator
) -> NDArray[Any]:
    """Four classes, of which a rare one wanes; a rare product; and a new column.

    The amount says whether a ticket is about a return.
    """
    rows = len(frame)
    frame["amount"] = random.gamma(3.0, 20.0, rows).round(2)
    frame["product"] = random.choice(["lamp", "desk", "chair"], rows)
    if week in (2, 6, 11):
        frame.loc[random.integers(0, rows, 2), "product"] = "stool"
    if week >= 5:
        frame["opened_by"] = random.choice(["mail", "phone"], rows)
    found = np.where(score > np.quantile(score, 0.5), "billing", "delivery")
    found = np.where(frame["amount"] > 75, "return", found).astype(object)
    share = 0.05 - 0.003 * week
    found[np.argsort(score)[: round(share * rows)]] = "warranty"
    return found


def _demand(
    frame: pd.DataFrame, score: NDArray[Any], week: int, random: np.random.Generator
) -> NDArray[Any]:
    """What is sold at a price; a shop that comes and goes, and a new column."""
    rows = len(frame)
    frame["price"] = random.integers(2, 40, rows) / 2
    frame["shop"] = random.choice(["A1", "A2", "B1"], rows)
    if week in (3, 9):
        frame.loc[random.integers(0, rows, 2), "shop"] = "C9"
    if week >= 5:
        frame["promoted"] = random.random(rows) < 0.2
    sold = 100 + 15 * score - 3 * frame["price"] + random.normal(0, 6, rows)
    return np.asarray(sold.clip(0, LARGEST).round(1))


def _yes(score: NDArray[Any], quantile: float) -> NDArray[Any]:
    return np.where(score > np.quantile(score, quantile), "yes", "no")


_KINDS = {
    "basket": _basket,
    "visits": _visits,
    "fees": _fees,
    "tickets": _tickets,
    "demand": _demand,
}
