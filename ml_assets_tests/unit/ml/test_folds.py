"""Folds of a search are fitted on no row of the group or time that they score."""

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.folds import folds_of, rolling_origins
from ml_assets.ml.split import SplitError
from ml_assets.ml.training import train
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.split import SplitSpec


@pytest.mark.parametrize("count", [2, 3, 5])
def test_each_origin_is_fitted_on_the_past_and_scored_on_what_came_next(
    count: int,
) -> None:
    moments = np.random.default_rng(0).integers(0, 40, 500).astype(float)
    moments[::50] = np.nan

    found = rolling_origins(moments, count)

    assert len(found) == count
    scored: list[int] = []
    for fitted, held in found:
        assert np.nanmax(moments[fitted]) < moments[held].min()
        assert np.isnan(moments[fitted]).sum() == 10
        assert not {*scored} & {*held}
        scored.extend(held)
    assert np.nanmax(moments) == moments[found[-1][1]].max()


@pytest.mark.parametrize("moments", [[1.0] * 9, [1.0, 2.0], [np.nan] * 9, []])
def test_too_few_moments_are_refused(moments: list[float]) -> None:
    with pytest.raises(SplitError, match="search.folds: 3 rolling origins need more"):
        rolling_origins(np.array(moments), 3)


def test_dates_order_the_rows() -> None:
    table = pd.DataFrame({"day": pd.date_range("2026-01-01", periods=8).astype(str)})
    split = SplitSpec(type="time", column="day")

    found = folds_of(table[::-1], split, 3, grouped=False)

    assert [held.tolist() for _, held in found] == [[4, 5], [2, 3], [0, 1]]


@pytest.mark.parametrize("kind", ["randomized", "halving"])
@pytest.mark.parametrize("split", [{"type": "order"}, {"type": "time", "column": "t"}])
def test_a_search_over_time_is_trained(kind: str, split: dict[str, str]) -> None:
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"t": np.arange(400), "x": generator.normal(size=400)})
    table["late"] = (table["x"] + generator.normal(size=400) > 0).astype(int)
    search = {"type": kind, "params": {"C": [0.1, 1.0]}, "iterations": 2}
    spec = ModelSpec.model_validate(
        {
            **{"name": "m", "target": "late", "source": {"type": "synthetic"}},
            "estimator": {"type": "sklearn.linear_model.LogisticRegression"},
            "split": split,
            "search": search,
        }
    )

    assert len(train(table, spec).candidates) >= 2
