"""The number of a row: its own, whatever becomes of the table around it."""

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.row_identity import (
    Identity,
    IdentityError,
    identity_of,
    is_near_unique,
    row_hashes,
)
from ml_assets.ml.tables import tidy
from ml_assets.spec.split import SplitSpec

N = 300


def table() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": generator.integers(18, 90, N),
            "fee": generator.normal(size=N),
            "wed": generator.random(N) < 0.5,
            "city": generator.choice(["Bern", "Basel", "01234", "7"], N),
            "since": generator.choice(["2026-01-01 09:30", "2026-02-01 09:30"], N),
            "same": 1,
            "id": np.arange(N),
            "late": generator.integers(0, 2, N),
        }
    )


def after(frame: pd.DataFrame, change: object) -> pd.DataFrame:
    """The first rows of the table after a change, with more rows below them."""
    grown = pd.concat([frame, frame.assign(id=frame["id"] + N)], ignore_index=True)
    return change(grown)  # type: ignore[operator, no-any-return]


CHANGES = {
    "rows are added": lambda t: t,
    "a column is added": lambda t: t.assign(more=np.arange(len(t)) % 3),
    "a constant begins to vary": lambda t: t.assign(same=[1] * N + [2] * N),
    "integers become floats": lambda t: t.assign(age=t["age"].astype(float)),
    "integers become texts": lambda t: t.assign(age=t["age"].map(str)),
    "floats become texts": lambda t: t.assign(fee=t["fee"].map(repr)),
    "an integer is missing elsewhere": lambda t: t.assign(
        age=t["age"].where(t.index < N)
    ),
    "a Boolean is missing elsewhere": lambda t: t.assign(
        wed=t["wed"].astype(object).where(t.index < N)
    ),
    "Booleans are spelt in capitals": lambda t: t.assign(
        wed=t["wed"].map({True: "TRUE", False: "FALSE"})
    ),
    "Booleans are 0 and 1": lambda t: t.assign(wed=t["wed"].astype(int)),
    "one text makes a column of texts": lambda t: t.assign(
        age=t["age"].map(str).where(t.index < N, "unknown")
    ),
    "moments have a T": lambda t: t.assign(since=t["since"].str.replace(" ", "T")),
    "ids begin to repeat": lambda t: t.assign(id=[*range(N), *[0] * N]),
    "columns come in another order": lambda t: t[t.columns[::-1]],
    "the target is spelt otherwise": lambda t: t.assign(late=t["late"] == 1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_row_keeps_its_number_when(change: object) -> None:
    before = tidy(table())
    identity = identity_of(before, "late", drop=["id"])

    changed = tidy(after(table(), change))

    np.testing.assert_array_equal(
        row_hashes(changed, identity)[:N], row_hashes(before, identity)
    )


@pytest.mark.parametrize(
    "one, other",
    [
        ({"a": [1]}, {"a": [2]}),
        ({"a": [1], "b": [2]}, {"a": [2], "b": [1]}),
        ({"a": ["01234"]}, {"a": ["1234"]}),
        ({"a": [None]}, {"a": [0.0]}),
        ({"a": [None], "b": [1]}, {"a": [1], "b": [None]}),
        ({"a": ["x"]}, {"a": ["X"]}),
        ({"a": [0.1 + 0.2]}, {"a": [0.3]}),
    ],
)
def test_other_cells_are_another_row(one: dict, other: dict) -> None:
    identity = Identity(("a", "b"))

    first, second = (row_hashes(pd.DataFrame(d), identity) for d in (one, other))

    assert first[0] != second[0]


def test_a_value_may_be_the_same_in_two_columns_without_cancelling_out() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [1, 2, 3]})

    assert len(set(row_hashes(frame, Identity(("a", "b"))))) == 3


@pytest.mark.parametrize(
    "values, expected",
    [
        (range(100), True),
        (np.arange(100) + 0.0, True),
        ([f"2026-01-01T00:{n:02}" for n in range(60)], True),
        ([*range(98), 0, 0], True),
        ([*range(50), *range(50)], False),
        (np.linspace(0, 1, 100), False),
        (range(5), False),
        ([None] * 100, False),
    ],
)
def test_only_texts_and_whole_numbers_can_be_ids(
    values: object, expected: bool
) -> None:
    assert is_near_unique(pd.Series(values)) is expected


def test_ids_hide_no_twins_and_measures_are_kept() -> None:
    frame = table()

    assert identity_of(frame, "late", drop=["city"]).columns == (
        *("age", "fee", "wed", "since", "same"),
    )
    assert identity_of(frame[["id", "late"]], "late").columns == ("id",)


def test_a_key_that_the_data_does_not_have_is_named() -> None:
    with pytest.raises(IdentityError, match="split.key names 'customer'"):
        identity_of(table(), "late", split=SplitSpec(key=["customer"]))
    with pytest.raises(IdentityError, match="split.group names 'home'.* are age, fee"):
        identity_of(table(), "late", split=SplitSpec(group="home"))
