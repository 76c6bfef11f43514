"""Features from pieces of a table are those from all of it."""

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.cleaning import FeatureError, integral_columns
from ml_assets.ml.prepare import join_prepared, prepare, prepare_part
from ml_assets.ml.tables import content_hash, tidy
from ml_assets.spec.model import FeaturesSpec

CUTS = [(0, 1), (1, 4), (4, 4), (4, 9), (9, 40)]


@pytest.fixture
def raw():
    rng = np.random.default_rng(0)
    n = 40
    frame = pd.DataFrame(
        {
            "id": range(n),
            "code": np.where(np.arange(n) < 9, np.nan, rng.integers(1, 4, n)),
            "gain": rng.integers(0, 10, n),
            "text": [f"{v}" if v % 3 else "none" for v in range(n)],
            "plan": ["basic"] * 9 + ["plus"] * (n - 9),
            "same": [1] * n,
            "paid": rng.random(n) < 0.5,
            "week": range(n),
            "left": np.where(rng.random(n) < 0.3, "yes", "no"),
        }
    )
    return tidy(frame)


def in_pieces(raw, spec, keep=()):
    whole = integral_columns(raw, spec)
    pieces = [raw[start:stop].reset_index(drop=True) for start, stop in CUTS]
    made = [prepare_part(piece, spec, "left", whole, keep) for piece in pieces]
    return join_prepared(made, spec, "left", None, keep)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"drop": ["id"], "numeric": ["text"]},
        {"drop": ["id"], "categorical": ["code", "gain"]},
        {"derive": {"ratio": "log1p(gain) / code", "isplus": "plan == 'plus'"}},
    ],
)
def test_pieces_give_the_same_table_and_notes(raw, spec):
    features = FeaturesSpec.model_validate(spec)
    expected = prepare(raw, features, "left")

    found = in_pieces(raw, features)

    pd.testing.assert_frame_equal(found.table, expected.table)
    assert (found.inputs, found.notes) == (expected.inputs, expected.notes)
    np.testing.assert_array_equal(found.target.y, expected.target.y)
    assert found.target.task == expected.target.task


def test_a_column_that_is_kept_beside_the_inputs_stays(raw):
    features = FeaturesSpec(drop=["week"])
    expected = prepare(raw, features, "left", keep=["week"])

    found = in_pieces(raw, features, ["week"])

    pd.testing.assert_frame_equal(found.table, expected.table)
    assert found.inputs == expected.inputs


def test_a_derived_column_over_one_that_teaches_nothing_is_refused_alike(raw):
    features = FeaturesSpec(derive={"twice": "2 * none"})
    raw = raw.assign(none=float("nan"))
    for make in (in_pieces, lambda raw, spec: prepare(raw, spec, "left")):
        with pytest.raises(FeatureError, match="reads 'none', which is not an input"):
            make(raw, features)


@pytest.mark.parametrize(
    "target, labels",
    [
        ([1.0, None, 0.0, 1.0, None], [1, 0, 1]),
        (["True", None, "False", "True", None], [True, False, True]),
        (["yes", None, "no", "yes", None], ["yes", "no", "yes"]),
    ],
    ids=["numbers", "Booleans", "texts"],
)
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_rows_without_a_target_are_left_out_and_reported_alike(target, labels, cut):
    raw = tidy(pd.DataFrame({"a": range(5), "empty": None, "y": target}))
    spec = FeaturesSpec(drop=["empty"])
    whole = prepare(raw, spec, "y")
    pieces = [
        prepare_part(piece.reset_index(drop=True), spec, "y", ())
        for piece in (raw[:cut], raw[cut:])
    ]
    joined = join_prepared(pieces, spec, "y")
    assert whole.table["y"].tolist() == joined.table["y"].tolist() == labels
    assert whole.notes == joined.notes == ["2 rows without 'y' left out"]
    assert content_hash(whole.table) == content_hash(joined.table)
    assert {*whole.target.task.labels} == {*labels}
