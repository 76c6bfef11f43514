"""On which rows a version and the champion are compared, and how each reads them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.lifecycle.feature_table import feature_table
from ml_assets.lifecycle.rows import Rows, is_among, labelled
from ml_assets.lifecycle.scoring import IncomparableError, as_read
from ml_assets.ml.split import SplitError
from ml_assets.records.plan import Column
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import HELD_OUT

TODAY, MORE = 2_000, 1_000


def raw(rows: int) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": generator.integers(18, 90, TODAY + MORE),
            "fee": generator.normal(size=TODAY + MORE),
            "wed": generator.random(TODAY + MORE) < 0.5,
            "same": 1,
            "since": generator.permutation(TODAY + MORE),
            "late": generator.integers(0, 2, TODAY + MORE),
        }
    )
    return frame[:rows].copy()


def spec(**more: Any) -> ModelSpec:
    given = {"name": "m", "source": {"type": "synthetic"}, "target": "late"}
    return ModelSpec.model_validate({**given, **more})


def rows_of(model: ModelSpec, cells: pd.DataFrame) -> Rows:
    """What a training of `cells` would leave; nothing here asks for the record."""
    table, _ = feature_table(model, cells)
    mask = table[HELD_OUT].to_numpy()
    return Rows(None, table, labelled(cells, "late"), mask)  # type: ignore[arg-type]


def learnt(model: ModelSpec, rows: Rows, trained: Rows) -> Any:
    return is_among(model, rows.cells, trained, ~trained.test)


LATER = {
    "nothing changes": lambda t: t,
    "a column is added": lambda t: t.assign(more=range(len(t))),
    "a constant begins to vary": lambda t: t.assign(same=1 + (t.index >= TODAY)),
    "a column becomes constant": lambda t: t.assign(
        fee=t["fee"].where(t.index < TODAY, 0.0)
    ),
    "a Boolean is missing": lambda t: t.assign(
        wed=t["wed"].map(str).where(t.index != TODAY).astype("category")
    ),
    "integers become floats": lambda t: t.assign(
        age=t["age"].where(t.index != TODAY, np.nan)
    ),
    "the rows are shuffled": lambda t: t.sample(frac=1, random_state=1),
    "a target is missing": lambda t: t.assign(late=t["late"].where(t.index != TODAY)),
}


@pytest.mark.parametrize("change", LATER.values(), ids=LATER.keys())
def test_no_test_row_is_one_that_the_champion_was_trained_on_when(
    change: Any, home: Any
) -> None:
    model = spec()
    champion = rows_of(model, raw(TODAY))

    today = rows_of(model, change(raw(TODAY + MORE)))

    assert not (learnt(model, today, champion) & today.test).any()
    assert today.test.sum() > 500


GONE = {
    "a column is gone": lambda t: t.drop(columns="age"),
    "a column has another name": lambda t: t.rename(columns={"age": "years"}),
}


@pytest.mark.parametrize("change", GONE.values(), ids=GONE.keys())
def test_rows_that_moved_to_the_test_are_known_again_when(
    change: Any, home: Any
) -> None:
    model = spec()
    champion = rows_of(model, raw(TODAY))

    today = rows_of(model, change(raw(TODAY + MORE)))

    seen = learnt(model, today, champion)
    # Each row of then is found again by its other cells.
    np.testing.assert_array_equal(seen[:TODAY], ~champion.test)
    assert not seen[TODAY:].any()
    assert (today.test & ~seen).sum() > 200


@pytest.mark.parametrize(
    "split", [{"type": "order"}, {"type": "time", "column": "day"}]
)
def test_rows_that_grow_in_time_are_new_although_they_look_alike(
    split: dict[str, Any], home: Any
) -> None:
    model = spec(split=split)
    cells = raw(TODAY + MORE)[["wed", "late"]].assign(day=range(TODAY + MORE))

    champion, today = rows_of(model, cells[:TODAY]), rows_of(model, cells)

    assert not (learnt(model, today, champion) & today.test).any()


def test_a_key_shows_rows_apart_although_the_yaml_drops_it(home: Any) -> None:
    model = spec(split={"key": ["since"]}, features={"drop": ["since"]})
    champion = rows_of(model, raw(TODAY))

    # Every other cell has changed.
    today = rows_of(model, raw(TODAY + MORE).assign(fee=0.5, age=range(TODAY + MORE)))

    np.testing.assert_array_equal(today.test[:TODAY], champion.test)
    assert not (learnt(model, today, champion) & today.test).any()


def test_rows_of_a_group_are_learnt_whichever_of_them_the_champion_saw(
    home: Any,
) -> None:
    model = spec(split={"group": "house"})
    cells = raw(TODAY + MORE).assign(house=[n // 3 for n in range(TODAY + MORE)])
    champion = rows_of(model, cells[:TODAY])

    # Every other cell has changed, and a column is gone.
    changed = cells.assign(fee=0.5, age=range(TODAY + MORE)).drop(columns="since")
    today = rows_of(model, changed)

    np.testing.assert_array_equal(today.test[:TODAY], champion.test)
    houses = cells["house"].to_numpy()
    assert not {*houses[today.test]} & {*houses[~today.test]}
    assert not (learnt(model, today, champion) & today.test).any()
    assert "house" in today.table.columns


def test_too_few_test_rows_make_no_feature_table(home: Any) -> None:
    model = spec(split={"minimum": {"rows": TODAY}})

    with pytest.raises(SplitError, match=f"expected at least {TODAY:,} .split.minimum"):
        rows_of(model, raw(TODAY))


READ = {
    "numbers as texts": ("number", ["1.5", "2"], [1.5, 2.0]),
    "an integer category": ("string", [3, 4], ["3", "4"]),
    "an integer category as floats": ("string", [3.0, 4.0], ["3", "4"]),
    "Booleans as texts": ("boolean", ["TRUE", "False"], [True, False]),
    "Booleans as numbers": ("boolean", [1, 0], [True, False]),
    "a constant": ("number", [7, 7], [7, 7]),
}


@pytest.mark.parametrize("kind, given, expected", READ.values(), ids=READ.keys())
@pytest.mark.parametrize("source", ["feature table", "raw cells"])
def test_a_version_reads_in_its_own_kinds(
    kind: Any, given: Any, expected: Any, source: str
) -> None:
    column = Column(
        name="x", kind=kind, categories=("3", "4") if kind == "string" else None
    )
    has, lacks = pd.DataFrame({"x": given}), pd.DataFrame({"y": [0, 0]})
    table, cells = (has, lacks) if source == "feature table" else (lacks, has)

    assert as_read([column], table, cells)["x"].tolist() == expected


def test_a_column_that_is_gone_is_named() -> None:
    lacks = pd.DataFrame({"y": [0, 0]})

    with pytest.raises(IncomparableError, match="reads the column 'x', which the data"):
        as_read([Column(name="x", kind="number")], lacks, lacks)


def test_what_a_request_may_leave_out_is_missing_where_the_data_lacks_it() -> None:
    lacks = pd.DataFrame({"y": [0, 0]})
    columns = [
        Column(name="x", kind="number", nullable=True, optional=True),
        Column(name="y", kind="number"),
    ]

    found = as_read(columns, lacks, lacks)

    assert found["x"].isna().all() and found["y"].tolist() == [0, 0]
