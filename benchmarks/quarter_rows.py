"""The weeks of `benchmarks.quarter`: their rows, and the faults that may be put in."""

import datetime as dt

import numpy as np
import pandas as pd

START = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)
# Week, and what is put into that week's rows; who is to see it.
FAULTS = {
    ("fees", 5): "cents instead of euros in requests",
    ("fees", 9): "half of the export is missing",
    ("visits", 4): "the outcome is turned round in the table",
    ("visits", 8): "a column loses most of its values",
    ("basket", 7): "what customers do has changed",
}


def drawn(name: str, week: int, rows: int) -> pd.DataFrame:
    """New rows of a week, as the source has them then."""
    random = np.random.default_rng([week, rows, *name.encode()])
    age = random.integers(18, 80, rows)
    spend = random.gamma(2.0, 30.0, rows).round(2)
    days = START.date() + dt.timedelta(days=7 * (week - 1))
    frame = pd.DataFrame(
        {
            "customer": [f"{name[0].upper()}{week:02}{at:06}" for at in range(rows)],
            "day": [
                str(days + dt.timedelta(days=int(d)))
                for d in random.integers(0, 7, rows)
            ],
            "age": age,
            "spend": spend,
            "region": random.choice(
                ["north", "south", "west"], rows, p=[0.5, 0.3, 0.2]
            ),
        }
    )
    score = (age - 49) / 12 + (spend - 60) / 40 + random.normal(0, 0.6, rows)
    if name == "basket":
        # 47 % say yes in one week and 53 % in the next; a channel comes and goes.
        frame["channel"] = random.choice(["web", "shop"], rows)
        if week in (3, 7, 8, 12):
            frame.loc[random.integers(0, rows, 2), "channel"] = "fax"
        cut = np.quantile(score, 0.53 if week % 2 else 0.47)
    elif name == "visits":
        frame["country"] = "NL"
        if week >= 7:
            frame["country"] = random.choice(["NL", "BE"], rows, p=[0.7, 0.3])
        if week >= 5:
            frame["visits"] = random.poisson(3, rows)
        if week < 9:
            frame["legacy"] = random.choice(["a", "b"], rows)
        cut = np.quantile(score, 0.7)
    else:
        # Half euros in some weeks only; some weeks have no missing fee.
        halves = week in (1, 2, 11)
        whole = random.integers(1, 20, rows)
        frame["fee"] = whole + random.integers(0, 2, rows) / 2 if halves else whole
        if week % 3 == 1:
            frame.loc[random.random(rows) < 0.03, "fee"] = np.nan
        cut = np.quantile(score, 0.6)
    return frame.assign(bought=np.where(score > cut, "yes", "no"))
