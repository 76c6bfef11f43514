"""What the first training fixes holds for all later ones, and for one at a time."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest

from ml_assets.ml.tasks import Binary
from ml_assets.spec.model import ModelSpec
from ml_assets.state.pinned import (
    pin_identity,
    pin_task,
    pinned_identity,
    pinned_task,
)

pytestmark = pytest.mark.usefixtures("database")


def spec(**given: Any) -> ModelSpec:
    source = {"type": "csv", "path": "x.csv"}
    wanted = {"name": "churn", "source": source, "target": "churned", **given}
    return ModelSpec.model_validate(wanted)


def raw(*columns: str) -> pd.DataFrame:
    return pd.DataFrame(
        {name: range(30) for name in columns} | {"churned": [0, 1] * 15}
    )


def test_the_first_classes_count() -> None:
    assert pinned_task(spec()) is None
    assert pin_task(spec(), Binary("no", "yes")) == Binary("no", "yes")
    assert pin_task(spec(), Binary("yes", "no")) == Binary("no", "yes")
    assert pinned_task(spec(target="left")) is None
    assert pin_task(spec(target="left"), Binary(0, 1)) == Binary(0, 1)
    assert pinned_task(spec(target="left")) == Binary(0, 1)


def test_two_first_trainings_use_the_same_classes() -> None:
    given = [Binary("no", "yes"), Binary("yes", "no")] * 4
    with ThreadPoolExecutor(4) as pool:
        found = {*pool.map(lambda one: pin_task(spec(), one), given)}
    assert found == {pinned_task(spec())}


def test_a_column_that_is_added_identifies_no_row() -> None:
    identity, notes = pin_identity(spec(), raw("age", "fare"))
    assert {*identity.columns} == {"age", "fare"} and notes == []
    assert pinned_identity(spec(), raw("age", "fare", "new")) == identity


def test_a_column_that_is_gone_is_named() -> None:
    pin_identity(spec(), raw("age", "fare", "tariff"))
    identity, notes = pin_identity(spec(), raw("age", "fare"))
    assert {*identity.columns} == {"age", "fare"}
    assert len(notes) == 1 and "'tariff' is gone" in notes[0]


def test_another_table_has_an_identity_of_its_own() -> None:
    pin_identity(spec(), raw("age", "fare", "tariff"))
    identity, notes = pin_identity(spec(), raw("height", "weight"))
    assert {*identity.columns} == {"height", "weight"} and notes == []
    assert pinned_identity(spec(), raw("height", "weight")) == identity
