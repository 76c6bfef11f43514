"""Columns that are not of one distribution by their nature: seasons and counters."""

import numpy as np

from ml_assets.ml.drift_measures import Counts

# A window that holds this share of its rows in values that had between a sixtieth (a
# week of the year) and a third (a quarter of a day) of the reference may be a season's.
SEASON_ROWS, LEAST_SEASON, MOST_SEASON = 0.95, 1 / 60, 1 / 3
# A window that has more than this share of its rows in values unknown to the reference.
GROWS = 0.5


def moves_by_itself(reference: Counts, window: Counts) -> str:
    """What kind of column moves by itself like this; empty where none does.

    A month or a weekday holds, in a window, few of the values that training had, each
    of them known; a date or a counter holds what is beyond all that training had.
    """
    n, m = reference.sum(), window.sum()
    if not n or not m:
        return ""
    if window[reference == 0].sum() > GROWS * m:
        return "it grows with time or is a name"
    order = np.argsort(-window, kind="stable")
    few = order[: int(np.searchsorted(np.cumsum(window[order]), SEASON_ROWS * m)) + 1]
    share = float(reference[few].sum() / n)
    is_one = LEAST_SEASON <= share <= MOST_SEASON
    return "it looks like a season" if is_one else ""
