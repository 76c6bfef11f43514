"""A seeded generator of rows like those of a subscription business that loses some."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Share of each category, in the order of its texts.
_CONTRACTS = {"month-to-month": 0.55, "one year": 0.25, "two year": 0.20}
_PAYMENTS = {"card": 0.30, "check": 0.30, "mail": 0.15, "transfer": 0.25}
_INTERNET = {"cable": 0.40, "fibre": 0.45, "mobile": 0.15}
_REGIONS = {name: 0.2 for name in ("centre", "east", "north", "south", "west")}


def synthetic(rows: int = 10_000, seed: int = 0, drift: float = 0.0) -> pd.DataFrame:
    """Make up customers, and whether each of them ``churned``.

    Parameters
    ----------
    rows : int, default=10_000
        Number of customers.
    seed : int, default=0
        The same rows, seed and drift give the same table in every process.
    drift : float, default=0.0
        Standard deviations by which the inputs are shifted; the rule from inputs to
        outcome stays.

    Returns
    -------
    DataFrame of shape (rows, 15)
        Numbers, categories, Booleans, missing cells, and the target ``churned`` with
        the values "no" and "yes". A good classifier is right on about 85 % of rows,
        where the majority class makes up about 70 %.

    Examples
    --------
    >>> table = synthetic(rows=100, seed=1)
    >>> table.shape, sorted(table["churned"].unique())
    ((100, 15), ['no', 'yes'])
    """
    draw = np.random.default_rng(seed)

    def latent() -> Floats:
        """One input on its standard normal scale: drift moves every input alike."""
        return draw.standard_normal(rows) + drift

    tenure, usage, charge, mood = latent(), latent(), latent(), latent()
    calls, age, contract, internet = latent(), latent(), latent(), latent()
    months = np.clip(np.exp(2.9 + 0.9 * tenure), 1, 120).astype(np.int64)
    monthly = np.round(np.clip(65.0 + 22.0 * charge, 15.0, None), 2)
    hours: Floats = np.exp(3.0 + 0.6 * usage)
    on_contract = _cut(contract, _CONTRACTS)
    line = _cut(internet, _INTERNET)
    autopay = latent() > 0.1
    risk = (
        -1.9
        - 1.6 * tenure
        + 1.1 * np.maximum(calls, 0.0) ** 2
        - 1.3 * mood
        + 0.9 * charge
        - 1.0 * usage * (line == 1)
        + np.array([1.4, -0.8, -2.2])[on_contract]
        - 0.7 * autopay
    )
    churned = draw.random(rows) < 1.0 / (1.0 + np.exp(-1.25 * risk))
    return pd.DataFrame(
        {
            "age": np.clip(45.0 + 14.0 * age, 18, 95).astype(np.int64),
            "tenure_months": months,
            "monthly_charge": monthly,
            "total_charge": _with_gaps(np.round(monthly * months, 2), 0.01, draw),
            "usage_hours": _with_gaps(np.round(hours, 1), 0.03, draw),
            "support_calls": np.floor(np.exp(0.8 * calls)).astype(np.int64),
            "satisfaction": _with_gaps(np.round(6.0 + 1.8 * mood, 1), 0.05, draw),
            "contract": _category(on_contract, _CONTRACTS),
            "internet": _category(line, _INTERNET),
            "payment": _category(_cut(latent(), _PAYMENTS), _PAYMENTS),
            "region": _category(_with_unknown(latent(), draw), _REGIONS),
            "paperless": latent() > -0.3,
            "senior": age > 1.4,
            "autopay": autopay,
            "churned": _category(churned.astype(np.int64), {"no": 0.0, "yes": 0.0}),
        }
    )


def _cut(latent: Floats, shares: dict[str, float]) -> NDArray[np.int64]:
    """Codes of categories with the given shares, by thresholds on a latent normal."""
    from scipy.special import ndtri

    bounds = ndtri(np.cumsum(list(shares.values()))[:-1])
    return np.searchsorted(bounds, latent).astype(np.int64)


def _with_unknown(latent: Floats, draw: np.random.Generator) -> NDArray[np.int64]:
    return np.where(draw.random(len(latent)) < 0.02, -1, _cut(latent, _REGIONS))


def _with_gaps(values: Floats, share: float, draw: np.random.Generator) -> Floats:
    return np.where(draw.random(len(values)) < share, np.nan, values)


def _category(codes: NDArray[np.int64], names: dict[str, float]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, pd.Index(list(names), dtype="str"))
