"""From the raw table to the matrix that an estimator sees."""

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression

from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.features import DeriveColumns, build_pipeline
from ml_assets.ml.frames import plain_texts
from ml_assets.ml.prepare import input_columns, prepare
from ml_assets.ml.tasks import encode_target
from ml_assets.spec.model import FeaturesSpec

NAN = np.nan


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "age": [39, 50, 38, 53, 28, 37],
            "wage": [1.5, NAN, 2.0, 7.5, 1.0, 3.0],
            "sex": pd.Categorical(["m", "f", None, "m", "f", "f"]),
            "member": [True, False, True, True, False, False],
            "paid": pd.Categorical(["no", "no", "yes", "yes", "no", "no"]),
        }
    )


def matrix(frame, spec, estimator):
    """What reaches the estimator, as a table with names."""
    pipeline = build_pipeline(frame, spec, estimator).fit(frame, [0, 1, 0, 1, 0, 1])
    encoded = pipeline[:-1].transform(frame)
    names = pipeline[:-1].get_feature_names_out()
    assert encoded.dtype == np.float64
    return pd.DataFrame(encoded, columns=names)


def test_the_table_has_inputs_then_derived_columns_then_the_target(frame):
    spec = FeaturesSpec(drop=["wage"], derive={"old": "age > 40"})

    prepared = prepare(frame, spec, "paid")

    assert list(prepared.table) == ["age", "sex", "member", "old", "paid"]
    assert prepared.inputs == ["age", "sex", "member"]
    assert prepared.table["old"].tolist() == [0, 1, 0, 1, 0, 0]
    assert prepared.table["paid"].tolist() == frame["paid"].tolist()
    assert input_columns(prepared.table, spec, "paid") == prepared.inputs
    assert list(prepared.x) == prepared.inputs


def test_the_raw_table_is_not_changed(frame):
    before = frame.copy(deep=True)

    prepare(frame, FeaturesSpec(categorical=["age"], derive={"d": "wage"}), "paid")

    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    "values, key, expected",
    [
        (["1", "x", " 2.5", None], "numeric", [1.0, NAN, 2.5, NAN]),
        ([True, False, True, True], "numeric", [1.0, 0.0, 1.0, 1.0]),
        ([1, 2, 1, 3], "categorical", ["1", "2", "1", "3"]),
        ([1.0, 2.0, NAN, 3.0], "categorical", ["1", "2", NAN, "3"]),
        ([1.5, 2.0, NAN, 3.0], "categorical", ["1.5", "2.0", NAN, "3.0"]),
        ([True, False, True, True], "categorical", ["True", "False", "True", "True"]),
    ],
)
def test_a_column_is_read_as_the_yaml_says(values, key, expected):
    frame = pd.DataFrame({"a": values, "y": [0, 1, 1, 1]})

    column = prepare(frame, FeaturesSpec(**{key: ["a"]}), "y").table["a"]

    assert (column.dtype == "category") == (key == "categorical")
    pd.testing.assert_series_equal(
        column.astype(object), pd.Series(expected, dtype=object), check_names=False
    )


def test_texts_that_are_no_numbers_are_counted():
    frame = pd.DataFrame({"a": ["1", "x", "2"], "y": [0, 1, 1]})

    notes = prepare(frame, FeaturesSpec(numeric=["a"]), "y").notes

    assert notes == ["1 values of 'a' are no numbers: taken as missing"]


def test_useless_columns_and_unlabelled_rows_are_left_out_with_a_note():
    frame = pd.DataFrame(
        {
            "a": [1, 2, 3, 4],
            "same": ["x"] * 4,
            "empty": [NAN] * 4,
            "some": [NAN, 1, NAN, 1],
            "y": ["no", "yes", None, "no"],
        }
    )

    prepared = prepare(frame, FeaturesSpec(), "y")

    assert prepared.inputs == ["a", "some"]
    assert prepared.notes == [
        "1 rows without 'y' left out",
        "column 'same' left out: every value is 'x'",
        "column 'empty' left out: every value is missing",
    ]
    assert prepared.target.y.tolist() == [0, 1, 0]


def test_a_dropped_column_can_be_kept_beside_the_inputs(frame):
    prepared = prepare(frame, FeaturesSpec(drop=["wage"]), "paid", keep=["wage"])

    assert "wage" in prepared.table
    assert "wage" not in prepared.inputs


@pytest.mark.parametrize(
    "spec, message",
    [
        ({"drop": ["x"]}, "features.drop names 'x', which the data does not have"),
        ({"numeric": ["x"]}, "features.numeric names 'x'"),
        ({"categorical": ["x"]}, "its columns are age, wage, sex, member, paid"),
        ({"derive": {"age": "wage"}}, "makes 'age', a column that the data already"),
        ({"derive": {"a": "wages + 1"}}, "reads 'wages', which is not an input"),
        ({"derive": {"a": "wage"}, "drop": ["wage"]}, "reads 'wage', which is not an"),
        ({"derive": {"a": "sex + 1"}}, "must hold numbers, found str"),
        (
            {"numeric": ["age"], "categorical": ["age"]},
            "'age' stands under numeric, too",
        ),
        ({"drop": ["age", "wage", "sex", "member"]}, "no input column is left"),
    ],
)
def test_a_wrong_feature_is_refused_by_name(frame, spec, message):
    with pytest.raises(ValueError, match=message):
        prepare(frame, FeaturesSpec(**spec), "paid")


def test_a_missing_target_column_is_named(frame):
    with pytest.raises(FeatureError, match="has no target 'churn'"):
        prepare(frame, FeaturesSpec(), "churn")


def test_dates_are_refused_rather_than_guessed():
    frame = pd.DataFrame(
        {"day": pd.date_range("2026-01-01", periods=3), "y": [0, 1, 0]}
    )

    with pytest.raises(FeatureError, match="column 'day' has type datetime64"):
        prepare(frame, FeaturesSpec(), "y")


@pytest.mark.parametrize(
    "values, positive, expected, labels",
    [
        (["no", "yes", "no"], None, [0, 1, 0], ("no", "yes")),
        (["yes", "yes", "no"], None, [0, 0, 1], ("yes", "no")),
        (["yes", "no"], None, [1, 0], ("no", "yes")),
        (["yes", "yes", "no"], "yes", [1, 1, 0], ("no", "yes")),
        ([0, 1, 1], 1, [0, 1, 1], (0, 1)),
        ([0, 1, 1], True, [0, 1, 1], (0, 1)),
        ([False, True], True, [0, 1], (False, True)),
        (["0", "1", "1"], 1, [0, 1, 1], ("0", "1")),
        ([2.0, 1.0, 1.0], None, [1, 0, 0], (1.0, 2.0)),
    ],
)
@pytest.mark.parametrize("dtype", ["plain", "category"])
def test_the_target_becomes_zero_and_one(values, positive, expected, labels, dtype):
    column = pd.Series(values)

    found = encode_target(
        column if dtype == "plain" else column.astype(dtype), positive
    )

    assert found.y.tolist() == expected
    assert found.task.labels == labels


@pytest.mark.parametrize(
    "values, positive, message",
    [
        (["a", "a"], None, "must have two values, found 1: 'a'"),
        (["a", "b", "c"], "a", "must have two values, found 3: 'a', 'b', 'c'"),
        (["a", "b"], "c", "has no value 'c'; it has 'a' and 'b'"),
    ],
)
def test_a_target_that_is_not_binary_is_refused(values, positive, message):
    with pytest.raises(FeatureError, match=message):
        encode_target(pd.Series(values, name="y"), positive)


@pytest.mark.parametrize(
    "estimator", [HistGradientBoostingClassifier(), RandomForestClassifier(3)]
)
def test_trees_see_codes_and_missing_values(frame, estimator):
    inputs = frame.drop(columns="paid")

    seen = matrix(inputs, FeaturesSpec(derive={"net": "wage - age"}), estimator)

    assert list(seen) == ["sex", "member", "age", "wage", "net"]
    np.testing.assert_array_equal(seen["sex"], [1, 0, NAN, 1, 0, 0])
    np.testing.assert_array_equal(seen["member"], [1, 0, 1, 1, 0, 0])
    np.testing.assert_array_equal(seen["net"], frame["wage"] - frame["age"])


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), GradientBoostingClassifier(n_estimators=2)]
)
def test_others_see_indicators_and_scaled_numbers_without_gaps(frame, estimator):
    inputs = frame.drop(columns="paid")

    seen = matrix(inputs, FeaturesSpec(), estimator)

    assert list(seen) == [
        *("sex_f", "sex_m", "sex_nan", "member_False", "member_True", "age", "wage")
    ]
    np.testing.assert_array_equal(seen["sex_nan"], [0, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(seen[["age", "wage"]].mean(), 0, atol=1e-12)
    np.testing.assert_allclose(seen[["age", "wage"]].std(ddof=0), 1)
    assert seen.notna().all().all()


@pytest.mark.parametrize(
    "encoding, estimator, names",
    [
        ("onehot", HistGradientBoostingClassifier(), ["sex_f", "sex_m", "sex_nan"]),
        ("ordinal", HistGradientBoostingClassifier(), ["sex"]),
        ("ordinal", LogisticRegression(), ["sex"]),
        ("auto", DummyClassifier(), ["sex_f", "sex_m", "sex_nan"]),
    ],
)
def test_the_yaml_can_force_an_encoding(frame, encoding, estimator, names):
    inputs = frame[["sex", "wage"]]

    seen = matrix(inputs, FeaturesSpec(encoding=encoding), estimator)

    assert list(seen) == [*names, "wage"]


def test_codes_for_an_estimator_that_refuses_gaps_have_none(frame):
    inputs = frame[["sex", "wage"]]

    seen = matrix(inputs, FeaturesSpec(encoding="ordinal"), LogisticRegression())

    assert seen["sex"].tolist() == [1, 0, -1, 1, 0, 0]
    assert seen["wage"].notna().all()


@pytest.mark.parametrize("estimator", [RandomForestClassifier(3), LogisticRegression()])
def test_an_unknown_category_and_a_gap_are_answered(frame, estimator):
    inputs = frame.drop(columns="paid")
    pipeline = build_pipeline(inputs, FeaturesSpec(), estimator)
    pipeline.fit(inputs, [0, 1, 0, 1, 0, 1])
    row = {"age": [NAN], "wage": [NAN], "sex": ["never seen"], "member": [True]}

    probability = pipeline.predict_proba(pd.DataFrame(row))

    assert np.isfinite(probability).all()


def test_a_table_of_one_kind_of_columns_needs_no_other(frame):
    for inputs in (frame[["age"]], frame[["sex"]]):
        pipeline = build_pipeline(inputs, FeaturesSpec(), LogisticRegression())
        assert (
            len(pipeline.fit(inputs, [0, 1] * 3).named_steps["encode"].transformers)
            == 1
        )


def test_object_str_and_category_texts_are_encoded_alike(frame):
    inputs = frame[["sex", "age"]]
    spec = FeaturesSpec(derive={"man": "sex == 'm'"})
    pipeline = build_pipeline(inputs, spec, RandomForestClassifier(5, random_state=0))
    expected = pipeline.fit(inputs, [0, 1] * 3).predict_proba(inputs)

    for dtype in (object, "str"):
        retyped = inputs.assign(sex=inputs["sex"].astype(dtype))
        np.testing.assert_array_equal(pipeline.predict_proba(retyped), expected)


@pytest.mark.parametrize("estimator", [RandomForestClassifier(3), LogisticRegression()])
def test_an_encoder_learns_the_same_from_texts_as_from_categories(frame, estimator):
    inputs = frame.drop(columns="paid")
    first, second = (
        build_pipeline(inputs, FeaturesSpec(), estimator).fit(table, [0, 1] * 3)
        for table in (inputs, plain_texts(inputs))
    )

    np.testing.assert_array_equal(
        first[:-1].transform(inputs), second[:-1].transform(plain_texts(inputs))
    )
    learnt = [
        pipeline.named_steps["encode"].named_transformers_["categories"].categories_
        for pipeline in (first, second)
    ]
    assert [[*map(str, c)] for c in learnt[0]] == [[*map(str, c)] for c in learnt[1]]
    assert [c.dtype for c in learnt[0]] == [c.dtype for c in learnt[1]]


def test_derived_columns_are_appended_and_named(frame):
    step = DeriveColumns({"net": "wage - age", "man": "sex == 'm'"})

    result = step.fit_transform(frame)

    assert list(result) == [*frame, "net", "man"]
    assert step.get_feature_names_out().tolist() == list(result)
    np.testing.assert_array_equal(result["man"], [1, 0, NAN, 1, 0, 0])
    assert clone(step).expressions == step.expressions


@pytest.mark.parametrize(
    "expressions, message",
    [
        ({"age": "wage"}, "derived column 'age' is already in the data"),
        ({"a": "wages"}, "there is no column 'wages'"),
        ({"a": "wage +"}, "is not a valid expression"),
    ],
)
def test_a_wrong_derived_column_fails_at_fit(frame, expressions, message):
    with pytest.raises(ValueError, match=message):
        DeriveColumns(expressions).fit(frame)


def test_the_whole_pipeline_survives_skops_without_foreign_types(frame):
    inputs = frame.drop(columns="paid")
    spec = FeaturesSpec(derive={"net": "wage - age"})
    pipeline = build_pipeline(inputs, spec, HistGradientBoostingClassifier())
    pipeline.fit(inputs, [0, 1] * 3)
    data = skops.io.dumps(pipeline)

    needed = skops.io.get_untrusted_types(data=data)
    again = skops.io.loads(data, trusted=needed)

    assert {name for name in needed if not name.startswith("sklearn.")} <= {
        "ml_assets.ml.features.DeriveColumns",
        "numpy.dtype",
    }
    np.testing.assert_array_equal(
        again.predict_proba(inputs), pipeline.predict_proba(inputs)
    )
