"""The compiled runtime gives scikit-learn's float64 answers, bit for bit."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from ml_assets.ml.features import build_pipeline
from ml_assets.ml.schema import signature_columns
from ml_assets.records.plan import Signature
from ml_assets.serving.models.bundle import load_runtime, write_bundle
from ml_assets.serving.runtime import Refused
from ml_assets.serving.runtime.sklearn_runtime import columns_of, frame_of
from ml_assets.spec.model import FeaturesSpec

DERIVE = {"difference": "amount - count", "is_x": "letter == 'x'"}


def rows(seed: int, missing: bool, count: int = 400) -> tuple[pd.DataFrame, Any]:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": random.normal(size=count),
            "count": random.integers(0, 50, count),
            "letter": random.choice(["x", "y", "z"], count),
            "flag": random.random(count) > 0.5,
            "price": (random.normal(size=count) * 100).round(1),
        }
    )
    frame["letter"] = frame.letter.astype("category")
    score = frame.amount + frame["count"] / 25 + (frame.letter == "x")
    target = (score + random.normal(size=count) > 1.3).astype(int)
    if missing:
        frame.loc[random.random(count) < 0.1, "amount"] = np.nan
        frame.loc[random.random(count) < 0.1, "letter"] = None
    return frame, target


def signature_of(frame: pd.DataFrame) -> Signature:
    columns = signature_columns(frame, frame.columns)
    return Signature(columns=columns, target="won", negative="no", positive="yes")


def packed(directory: Path, estimator: Any, missing: bool, **features: Any) -> Any:
    frame, target = rows(0, missing)
    spec = FeaturesSpec(derive=DERIVE, **features)
    pipeline = build_pipeline(frame, spec, estimator).fit(frame, target)
    manifest = write_bundle(directory, pipeline, signature_of(frame), frame.head(50))
    return pipeline, manifest, load_runtime(directory, manifest.files)


TREES = {
    "boosting": HistGradientBoostingClassifier(max_iter=20),
    "boosting of 63 leaves": HistGradientBoostingClassifier(
        max_iter=10, max_leaf_nodes=63, min_samples_leaf=2
    ),
    "boosting of large trees": HistGradientBoostingClassifier(
        max_iter=5, max_leaf_nodes=None, min_samples_leaf=1
    ),
    "boosting with native categories": HistGradientBoostingClassifier(
        max_iter=20, categorical_features=[0]
    ),
    "boosting of large trees with native categories": HistGradientBoostingClassifier(
        max_iter=5, max_leaf_nodes=None, min_samples_leaf=1, categorical_features=[0]
    ),
    "boosting that stops early": HistGradientBoostingClassifier(
        max_iter=50, early_stopping=True, learning_rate=0.5, random_state=0
    ),
    "forest": RandomForestClassifier(10, random_state=0),
    "forest of small trees": RandomForestClassifier(10, max_depth=4, random_state=0),
    "extra trees": ExtraTreesClassifier(10, random_state=0),
    "tree": DecisionTreeClassifier(random_state=0),
    "extra tree": ExtraTreeClassifier(max_depth=5, random_state=0),
}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ordinal", "onehot"])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("name", TREES)
def test_trees_answer_as_scikit_learn_bit_for_bit(name, missing, encoding, tmp_path):
    pipeline, manifest, runtime = packed(
        tmp_path, TREES[name], missing, encoding=encoding
    )
    assert (manifest.runtime, manifest.reason) == ("compiled", "")
    frame, _ = rows(1, missing, 300)
    expected = pipeline.predict_proba(frame)[:, 1]
    columns = columns_of(runtime.signature, frame)
    assert runtime.predict_many(columns).tolist() == expected.tolist()
    alone = [runtime.predict_one(row) for row in list(zip(*columns))[:40]]
    assert alone == expected[:40].tolist()


@pytest.mark.parametrize("encoding", ["auto", "ordinal", "onehot", "target"])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(max_iter=5),
        RandomForestClassifier(5, random_state=0),
        LogisticRegression(),
    ],
)
def test_unseen_categories_are_answered_as_by_scikit_learn(
    estimator, missing, encoding, tmp_path
):
    frame, target = rows(0, missing)
    # So many values that indicators are of the frequent ones, and means are encoded.
    frame["city"] = pd.Categorical([f"city {n % 150}" for n in range(len(frame))])
    pipeline = build_pipeline(frame, FeaturesSpec(encoding=encoding), estimator)
    pipeline.fit(frame, target)
    signature = signature_of(frame)
    manifest = write_bundle(tmp_path, pipeline, signature, frame.head(50))
    runtime = load_runtime(tmp_path, manifest.files)
    known = [column[:4] for column in columns_of(signature, frame)]
    columns = [*known]
    columns[2], columns[5] = ["new", "x", "new", ""], ["new", "new", "city 1", "new"]

    found = runtime.predict_many(columns)

    expected = pipeline.predict_proba(frame_of(signature, columns))[:, 1]
    alone = [runtime.predict_one(row) for row in zip(*columns)]
    # A sum of weights is added up in another order.
    rtol = 1e-12 if isinstance(estimator, LogisticRegression) else 0
    np.testing.assert_allclose(found, expected, rtol=rtol)
    np.testing.assert_allclose(alone, expected, rtol=rtol)
    is_compiled = encoding != "target"
    assert manifest.runtime == ("compiled" if is_compiled else "sklearn")


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), SGDClassifier(loss="log_loss", random_state=0)]
)
def test_linear_models_answer_within_rounding(estimator, tmp_path):
    pipeline, manifest, runtime = packed(tmp_path, estimator, True)
    assert manifest.runtime == "compiled"
    frame, _ = rows(1, True, 300)
    expected = pipeline.predict_proba(frame)[:, 1]
    columns = columns_of(runtime.signature, frame)
    np.testing.assert_allclose(runtime.predict_many(columns), expected, rtol=1e-12)
    alone = [runtime.predict_one(row) for row in zip(*columns)]
    np.testing.assert_allclose(alone, expected, rtol=1e-12)


def test_other_estimators_fall_back_with_a_reason(tmp_path):
    estimator = AdaBoostClassifier(n_estimators=3)
    pipeline, manifest, runtime = packed(tmp_path, estimator, False)
    assert manifest.runtime == runtime.kind == "sklearn"
    assert "AdaBoostClassifier" in manifest.reason
    frame, _ = rows(1, False, 20)
    columns = columns_of(runtime.signature, frame)
    assert runtime.predict_many(columns).tolist() == (
        pipeline.predict_proba(frame)[:, 1].tolist()
    )


@pytest.fixture(scope="module", params=["boosting", "forest", "forest of small trees"])
def loaded(request, tmp_path_factory):
    return packed(tmp_path_factory.mktemp("bundle"), TREES[request.param], True)


number = st.one_of(
    st.none(), st.floats(-1e30, 1e30), st.integers(-(2**60), 2**60), st.floats(-3, 3)
)
row = st.tuples(
    number,
    st.integers(-5, 60),
    st.sampled_from(["x", "y", "z", None, "unseen", ""]),
    st.booleans(),
    st.floats(-300, 300),
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(row, min_size=1, max_size=20))
def test_any_row_gets_the_same_answer(loaded, values):
    pipeline, _, runtime = loaded
    columns = list(zip(*values))
    expected = pipeline.predict_proba(frame_of(runtime.signature, columns))[:, 1]
    assert runtime.predict_many(columns).tolist() == expected.tolist()
    assert [runtime.predict_one(item) for item in values] == expected.tolist()


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(
    st.sampled_from([2, 5, 31, 40, None]),
    st.floats(0.01, 1.0),
    st.sampled_from(["ordinal", "onehot"]),
    st.booleans(),
    st.integers(0, 100),
)
def test_any_boosting_compiles_exactly(leaves, rate, encoding, missing, seed):
    import tempfile

    frame, target = rows(seed, missing, 200)
    estimator = HistGradientBoostingClassifier(
        max_iter=8, max_leaf_nodes=leaves, learning_rate=rate, min_samples_leaf=3
    )
    pipeline = build_pipeline(frame, FeaturesSpec(encoding=encoding), estimator)
    pipeline.fit(frame, target)
    with tempfile.TemporaryDirectory() as directory:
        manifest = write_bundle(Path(directory), pipeline, signature_of(frame), frame)
    assert manifest.runtime == "compiled", manifest.reason


def test_a_number_that_the_forest_cannot_take_is_refused(tmp_path):
    _, _, runtime = packed(tmp_path, TREES["forest"], False)
    values = [1e300, 1, "x", True, 0.0]
    with pytest.raises(Refused, match="row 0"):
        runtime.predict_one(values)
    with pytest.raises(Refused, match="too large"):
        runtime.predict_one([10**400, *values[1:]])


def test_a_compiled_bundle_loads_without_the_training_libraries(tmp_path):
    _, manifest, _ = packed(tmp_path, TREES["boosting"], True)
    code = (
        "import sys; from pathlib import Path\n"
        "from ml_assets.serving.models.bundle import load_runtime\n"
        f"runtime = load_runtime(Path({str(tmp_path)!r}), {manifest.files!r})\n"
        "assert runtime.kind == 'compiled'\n"
        "heavy = {'sklearn', 'pandas', 'scipy', 'skops', 'mlflow', 'dagster'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
