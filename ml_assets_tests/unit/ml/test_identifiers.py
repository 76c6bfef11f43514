"""Columns of identifiers or dates are no inputs; no message shows their values."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from ml_assets.core.trusted import dump_skops, load_skops
from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.features import MAX_INDICATORS, build_pipeline, encoding_notes
from ml_assets.ml.frames import plain_texts
from ml_assets.ml.identifiers import identifier_reason
from ml_assets.ml.prepare import prepare
from ml_assets.ml.schema import signature_columns
from ml_assets.ml.tables import DataError, check_target
from ml_assets.ml.tasks import Binary
from ml_assets.records.plan import Signature
from ml_assets.serving.compiler import compile_pipeline
from ml_assets.serving.runtime.sklearn_runtime import columns_of
from ml_assets.spec.model import FeaturesSpec

ROWS = 300
DAYS = pd.date_range("2026-01-01", periods=ROWS, freq="37h")


def dates(form):
    return DAYS.strftime(form).tolist()


NAMES = {
    "ids": [f"C-{number:05}" for number in range(ROWS)],
    "ids, each twice but for most": [f"C-{n % 200:05}" for n in range(ROWS)],
    "ids with missing cells": [None, *[f"C-{n}" for n in range(ROWS - 1)]],
    "names of few rows": [f"name {number}" for number in range(20)],
    "hashes": [f"{hash((n, 1)):x}" for n in range(ROWS)],
    "codes with a zero in front": [f"{number:06}" for number in range(ROWS)],
    "free text": [f"it is the {n} time" for n in range(ROWS)],
    "ISO dates": dates("%Y-%m-%d"),
    "days of three weeks": dates("%Y-%m-%d")[:20] * 15,
    "one of two days": ["2026-01-01", "2026-01-02"] * 150,
    "time stamps": dates("%Y-%m-%dT%H:%M:%S"),
    "time stamps with a blank and a zone": dates("%Y-%m-%d %H:%M:%S+00:00"),
    "time stamps in Zulu": dates("%Y-%m-%dT%H:%M:%S.%fZ"),
    "dates with slashes": dates("%d/%m/%Y"),
    "dates with slashes and two digits": dates("%m/%d/%y"),
    "dates with dots": dates("%d.%m.%Y"),
    "dates in words": dates("%d %b %Y"),
    "dates in American words": dates("%B %d, %Y"),
    "dates of mails": dates("%a, %d %b %Y %H:%M:%S GMT"),
    "months": dates("%Y-%m"),
    "weeks": dates("%G-W%V"),
    "dates with missing cells": [None, *dates("%Y-%m-%d")[1:]],
}
GROUPS = {
    "two values": ["a", "b"] * 150,
    "cities": [f"city {number % 140}" for number in range(ROWS)],
    "few rows": [f"name {number}" for number in range(19)],
    "states of a hundred rows": [f"state {n % 50}" for n in range(100)],
    "hours of the day": [f"{n % 24:02}:00" for n in range(ROWS)],
    "versions": [f"1.{n % 5}.{n % 3}" for n in range(ROWS)],
    "ranges of age": ["18-25", "26-40", "41-65"] * 100,
    "ranges of years": ["1990-2000", "2000-2010"] * 150,
    "numbers": list(range(ROWS)),
    "truth values with a missing cell": [None, *["True", "False"] * 100],
    "nothing": [None] * 50,
}


@pytest.mark.parametrize("kind", ["str", "category", "object"])
@pytest.mark.parametrize("values", NAMES.values(), ids=NAMES)
def test_a_column_that_names_rows_is_found_without_showing_a_value(values, kind):
    reason = identifier_reason(pd.Series(values, dtype=kind))
    assert reason is not None
    assert not any(str(value) in reason for value in values if value is not None)


@pytest.mark.parametrize("values", GROUPS.values(), ids=GROUPS)
def test_a_column_that_groups_rows_is_not(values):
    assert identifier_reason(pd.Series(values).astype("category")) is None


def rows(**columns):
    frame = pd.DataFrame({"a": range(ROWS), **columns, "y": [0, 1, 1] * (ROWS // 3)})
    return frame.assign(**{name: frame[name].astype("category") for name in columns})


def test_it_is_left_out_with_a_note_unless_the_yaml_asks_for_it():
    frame = rows(id=NAMES["ids"], day=NAMES["dates with dots"])

    found = prepare(frame, FeaturesSpec(), "y")
    assert found.inputs == ["a"]
    assert [note.partition(":")[0] for note in found.notes] == [
        "column 'id' left out",
        "column 'day' left out",
    ]
    asked = prepare(frame, FeaturesSpec(categorical=["id"]), "y")
    assert asked.inputs == ["a", "id"]
    read = prepare(frame, FeaturesSpec(derive={"first": "day == '01.01.2026'"}), "y")
    assert read.inputs == ["a", "day"]
    # Whoever asks for it gets no list of whom the rows are about.
    (column,) = signature_columns(asked.x, ["id"], "reject")
    assert column.open and column.categories is None


def test_what_a_derived_column_reads_stays_in_a_week_in_which_it_is_constant():
    frame = rows().assign(b=1)
    spec = FeaturesSpec(derive={"sum": "a + b"})
    assert prepare(frame, spec, "y").inputs == ["a", "b"]


@pytest.mark.parametrize("pinned", [None, Binary("no", "yes")])
def test_an_id_that_is_taken_for_the_target_is_not_listed_value_by_value(pinned):
    frame = pd.DataFrame({"a": range(ROWS), "y": NAMES["ids"]})
    with pytest.raises(DataError, match="has 300 values; a classification") as first:
        check_target(frame, "y")
    with pytest.raises(
        FeatureError, match="300 values, too many|found 300: too many"
    ) as second:
        prepare(frame, FeaturesSpec(), "y", pinned=pinned)
    assert "C-00" not in f"{first.value}{second.value}"


@pytest.fixture(scope="module")
def crowded():
    random = np.random.default_rng(0)
    size = 3_000
    city = [f"city {number}" for number in random.zipf(1.2, size) % 700]
    frame = pd.DataFrame({"city": pd.Categorical(city), "a": random.normal(size=size)})
    return frame, (frame["a"] + random.normal(size=size) > 0).astype(int).to_numpy()


def test_indicators_are_bounded_sparse_and_said(crowded):
    frame, y = crowded
    pipeline = build_pipeline(frame, FeaturesSpec(), LogisticRegression())
    pipeline.fit(plain_texts(frame), y)

    encoded = pipeline[:-1].transform(plain_texts(frame))

    assert encoded.shape[1] == MAX_INDICATORS + 1
    assert encoded.nnz <= 2 * len(frame)
    (note,) = encoding_notes(frame, pipeline)
    assert note.startswith(f"column 'city' has {frame['city'].nunique()} values: the")
    assert "city 1" not in note
    # Only the frequent ones are distinct: a rare one is what an unknown one is.
    rare = frame["city"].value_counts().index[-1]
    pair = pd.DataFrame({"city": [rare, "never seen"], "a": [0.5, 0.5]}, dtype=object)
    first, second = pipeline.predict_proba(pair)[:, 1]
    assert first == second


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(), HistGradientBoostingClassifier(max_iter=3)],
    ids=["sparse", "dense"],
)
def test_what_is_bounded_compiles_and_answers_as_scikit_learn_does(crowded, estimator):
    frame, y = crowded
    pipeline = build_pipeline(frame, FeaturesSpec(encoding="onehot"), estimator)
    pipeline.fit(plain_texts(frame), y)
    columns = signature_columns(frame, list(frame))
    signature = Signature(columns=columns, target="y", negative=0, positive=1)
    # Raises where one of the known, rare or unknown values is answered otherwise.
    program, _ = compile_pipeline(pipeline, signature, columns_of(signature, frame[:9]))
    assert len(program.category[0].categories) == MAX_INDICATORS


def test_few_categories_are_encoded_as_ever(crowded):
    frame, _ = crowded
    few = frame.assign(city=frame["city"].isin(["city 1"]).map(str).astype("category"))
    pipeline = build_pipeline(few, FeaturesSpec(), LogisticRegression())
    assert [name for name, *_ in pipeline["encode"].transformers] == [
        "categories",
        "numbers",
    ]


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(), HistGradientBoostingClassifier(max_iter=3)],
    ids=["linear", "trees"],
)
def test_many_values_may_be_encoded_by_the_target(crowded, estimator):
    frame, y = crowded
    frame = frame.assign(kind=pd.Categorical(["x", "y", None] * 1_000))
    pipeline = build_pipeline(frame, FeaturesSpec(encoding="target"), estimator)
    pipeline.fit(plain_texts(frame), y)

    encoded = pipeline[:-1].transform(plain_texts(frame))
    loaded = load_skops(dump_skops(pipeline))

    # One column for all cities, however many there are.
    assert encoded.shape[1] <= 5
    (note,) = encoding_notes(frame, pipeline)
    assert note.endswith("values: each is encoded as the mean of the target")
    rows = pd.DataFrame(
        {"city": ["city 1", "never seen", None], "a": 0.5, "kind": "x"}, dtype=object
    )
    np.testing.assert_array_equal(
        loaded.predict_proba(rows), pipeline.predict_proba(rows)
    )
    # Fitted on other rows, it does not learn a city of one row by heart.
    alone = pipeline.named_steps["encode"].fit_transform(plain_texts(frame), y)
    assert not np.allclose(np.asarray(alone), np.asarray(encoded))
