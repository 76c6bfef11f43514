"""Several classes, and numbers: the compiled answers are scikit-learn's, to the bit."""

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from ml_assets.ml.features import build_pipeline
from ml_assets.serving.compiler.pipeline import compile_pipeline
from ml_assets.serving.models.bundle import load_runtime, write_bundle
from ml_assets.serving.runtime import Refused
from ml_assets.serving.runtime.compiled import load_tables
from ml_assets.serving.runtime.program import TablesError
from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime, columns_of
from ml_assets.spec.model import FeaturesSpec
from ml_assets_tests.kits.compiled_models import (
    assert_same_bits,
    bits,
    codes,
    packed,
    rows,
    signature_of,
)

CLASSES = ("blue", "green", "red")


CLASSIFIERS = {
    "boosting": HistGradientBoostingClassifier(max_iter=10),
    "boosting of 63 leaves": HistGradientBoostingClassifier(
        max_iter=5, max_leaf_nodes=63, min_samples_leaf=2
    ),
    "boosting of large trees": HistGradientBoostingClassifier(
        max_iter=4, max_leaf_nodes=None, min_samples_leaf=1
    ),
    "boosting with native categories": HistGradientBoostingClassifier(
        max_iter=5, categorical_features=[0]
    ),
    "forest": RandomForestClassifier(7, random_state=0),
    "forest of small trees": RandomForestClassifier(7, max_depth=4, random_state=0),
    "extra trees": ExtraTreesClassifier(7, random_state=0),
    "tree": DecisionTreeClassifier(random_state=0),
    "extra tree": ExtraTreeClassifier(max_depth=5, random_state=0),
}
REGRESSORS = {
    "boosting": HistGradientBoostingRegressor(max_iter=10),
    "boosting of large trees": HistGradientBoostingRegressor(
        max_iter=4, max_leaf_nodes=None, min_samples_leaf=1
    ),
    "boosting of absolute errors": HistGradientBoostingRegressor(
        max_iter=5, loss="absolute_error"
    ),
    "boosting of a quantile": HistGradientBoostingRegressor(
        max_iter=5, loss="quantile", quantile=0.8
    ),
    "boosting of counts": HistGradientBoostingRegressor(max_iter=8, loss="poisson"),
    "boosting of amounts": HistGradientBoostingRegressor(max_iter=8, loss="gamma"),
    "boosting with native categories": HistGradientBoostingRegressor(
        max_iter=5, categorical_features=[0]
    ),
    "forest": RandomForestRegressor(7, random_state=0),
    "forest of small trees": RandomForestRegressor(7, max_depth=4, random_state=0),
    "extra trees": ExtraTreesRegressor(7, random_state=0),
    "tree": DecisionTreeRegressor(random_state=0),
    "extra tree": ExtraTreeRegressor(max_depth=5, random_state=0),
}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ordinal", "onehot"])
@pytest.mark.parametrize("classes", [CLASSES, tuple("abcdefghijkl")], ids=len)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_trees_of_several_classes_answer_bit_for_bit(name, classes, encoding, tmp_path):
    missing = encoding == "ordinal"
    pipeline, manifest, runtime = packed(
        tmp_path, CLASSIFIERS[name], missing, classes, encoding
    )
    assert (manifest.runtime, manifest.reason) == ("compiled", "")
    assert_same_bits(pipeline, runtime, rows(1, missing, 200)[0], classes)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ordinal", "onehot"])
@pytest.mark.parametrize("name", REGRESSORS)
def test_trees_of_numbers_answer_bit_for_bit(name, encoding, tmp_path):
    missing = encoding == "ordinal"
    pipeline, manifest, runtime = packed(
        tmp_path, REGRESSORS[name], missing, encoding=encoding
    )
    assert (manifest.runtime, manifest.reason) == ("compiled", "")
    assert_same_bits(pipeline, runtime, rows(1, missing, 200)[0], ())


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), SGDClassifier(loss="log_loss", random_state=0)]
)
def test_linear_models_of_classes_answer_within_rounding(estimator, tmp_path):
    pipeline, manifest, runtime = packed(tmp_path, estimator, True, CLASSES)
    assert (manifest.runtime, manifest.reason) == ("compiled", "")
    frame = rows(1, True)[0]
    columns = columns_of(runtime.signature, frame)
    expected = pipeline.predict_proba(frame)
    np.testing.assert_allclose(runtime.predict_many(columns), expected, rtol=1e-11)
    alone = [runtime.predict_one(row) for row in zip(*columns)]
    np.testing.assert_allclose(alone, expected, rtol=1e-11)


@pytest.mark.parametrize(
    "estimator",
    [
        *(LinearRegression(), Ridge(), RidgeCV(), Lasso(0.01), ElasticNet(0.01)),
        *(HuberRegressor(), SGDRegressor(random_state=0), PoissonRegressor()),
        Ridge(fit_intercept=False),
    ],
    ids=repr,
)
def test_linear_models_of_numbers_answer_within_rounding(estimator, tmp_path):
    pipeline, manifest, runtime = packed(tmp_path, estimator, True)
    assert (manifest.runtime, manifest.reason) == ("compiled", "")
    frame = rows(1, True)[0]
    columns = columns_of(runtime.signature, frame)
    expected = pipeline.predict(frame)
    np.testing.assert_allclose(runtime.predict_many(columns), expected, rtol=1e-11)
    alone = [runtime.predict_one(row) for row in zip(*columns)]
    np.testing.assert_allclose(alone, expected, rtol=1e-11)


@pytest.mark.parametrize(
    ("estimator", "classes"),
    [
        (AdaBoostClassifier(n_estimators=3), CLASSES),
        (AdaBoostRegressor(n_estimators=3), ()),
    ],
)
def test_other_estimators_are_served_by_the_library(estimator, classes, tmp_path):
    pipeline, manifest, runtime = packed(tmp_path, estimator, False, classes)
    assert manifest.runtime == runtime.kind == "sklearn"
    assert type(estimator).__name__ in manifest.reason
    assert_same_bits(pipeline, runtime, rows(1, False, 20)[0], classes)


CASES = {
    "classes, boosting": (CLASSIFIERS["boosting"], CLASSES),
    "classes, forest": (CLASSIFIERS["forest of small trees"], CLASSES),
    "numbers, boosting": (REGRESSORS["boosting"], ()),
    "numbers, forest": (REGRESSORS["forest"], ()),
}


@pytest.fixture(scope="module", params=CASES)
def loaded(request, tmp_path_factory):
    estimator, classes = CASES[request.param]
    directory = tmp_path_factory.mktemp("bundle")
    pipeline, manifest, runtime = packed(directory, estimator, True, classes)
    assert manifest.runtime == "compiled"
    cuts = [0.0]
    trees = getattr(pipeline[-1], "estimators_", [])
    for tree in trees:
        cuts += tree.tree_.threshold[tree.tree_.feature >= 0].tolist()
    for iteration in getattr(pipeline[-1], "_predictors", []):
        cuts += [float(x) for item in iteration for x in item.nodes["num_threshold"]]
    return SklearnRuntime(pipeline, runtime.signature), runtime, cuts


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_any_row_gets_the_librarys_answer(loaded, data):
    reference, runtime, cuts = loaded
    cut = st.sampled_from(cuts)
    number = st.one_of(
        cut,
        cut.map(lambda value: float(np.nextafter(value, np.inf))),
        cut.map(lambda value: float(np.nextafter(value, -np.inf))),
        st.sampled_from([-0.0, 0.0, 1e300, -1e300, 3.5e38, None]),
        st.floats(-1e30, 1e30),
        st.integers(-(2**60), 2**60),
    )
    letter = st.sampled_from(["x", "y", "z", None, "unseen", ""])
    row = st.tuples(
        number, number.filter(lambda v: v is not None), letter, st.booleans()
    )
    values = data.draw(st.lists(row, min_size=1, max_size=12))
    columns = list(zip(*values))
    try:
        expected = reference.predict_many(columns)
    except Refused:
        with pytest.raises(Refused):
            runtime.predict_many(columns)
        return
    np.testing.assert_array_equal(bits(runtime.predict_many(columns)), bits(expected))
    for item in values:
        found, alone = runtime.predict_one(item), reference.predict_one(item)
        np.testing.assert_array_equal(bits([found]), bits([alone]))


def test_infinite_numbers_go_where_scikit_learn_sends_them(loaded):
    reference, runtime, _ = loaded
    for value in (np.inf, -np.inf):
        row = [value, 3, "x", True]
        try:
            expected = reference.predict_one(row)
        except Refused:
            with pytest.raises(Refused):
                runtime.predict_one(row)
        else:
            np.testing.assert_array_equal(runtime.predict_one(row), expected)


def test_classes_in_another_order_than_the_estimators_are_answered_in_it(tmp_path):
    frame, target = rows(0, False)
    labels = np.array(CLASSES)[codes(target, 3)]
    estimator = HistGradientBoostingClassifier(max_iter=5)
    pipeline = build_pipeline(frame, FeaturesSpec(), estimator).fit(frame, labels)
    order = ("red", "blue", "green")
    signature = signature_of(frame, order)
    manifest = write_bundle(tmp_path, pipeline, signature, frame.head(50))
    runtime = load_runtime(tmp_path, manifest.files)
    expected = pipeline.predict_proba(frame)[:, [2, 0, 1]]
    assert manifest.runtime == "compiled"
    columns = columns_of(signature, frame)
    assert runtime.predict_many(columns).tolist() == expected.tolist()
    assert runtime.predict_one([item[0] for item in columns]).tolist() == (
        expected[0].tolist()
    )


def test_a_class_that_training_did_not_see_has_no_probability(tmp_path):
    frame, target = rows(0, False)
    known = np.array(["a", "c", "d"])[codes(target, 3)]
    estimator = HistGradientBoostingClassifier(max_iter=5)
    pipeline = build_pipeline(frame, FeaturesSpec(), estimator).fit(frame, known)
    signature = signature_of(frame, ("a", "b", "c", "d"))
    manifest = write_bundle(tmp_path, pipeline, signature, frame.head(50))
    runtime = load_runtime(tmp_path, manifest.files)
    assert manifest.runtime == "sklearn" and "class 'b'" in manifest.reason
    found = runtime.predict_many(columns_of(signature, frame))
    assert (found[:, 1] == 0).all()
    assert found[:, [0, 2, 3]].tolist() == pipeline.predict_proba(frame).tolist()


def test_classes_that_are_not_the_models_are_refused(tmp_path):
    frame, target = rows(0, False)
    pipeline = build_pipeline(frame, FeaturesSpec(), DecisionTreeClassifier())
    pipeline.fit(frame, np.array(["a", "b", "other"])[codes(target, 3)])
    with pytest.raises(ValueError, match=r"'other'\], expected 'a' and 'b' and 'c'"):
        SklearnRuntime(pipeline, signature_of(frame, ("a", "b", "c")))


@pytest.mark.parametrize(
    ("estimator", "factor"), [(LinearRegression(), 1e9), (PoissonRegressor(), 1.0)]
)
def test_a_row_whose_value_is_not_finite_is_refused(estimator, factor, tmp_path):
    pipeline, _, runtime = packed(tmp_path, estimator)
    huge = [1.7e308, 1, "x", True]
    pipeline[-1].coef_ = factor * np.abs(pipeline[-1].coef_)
    for item in (SklearnRuntime(pipeline, runtime.signature), _recompiled(pipeline)):
        with pytest.raises(Refused):
            item.predict_one(huge)
        with pytest.raises(Refused):
            item.predict_many([[value, value] for value in huge])


def _recompiled(pipeline):
    frame, _ = rows(0, False)
    signature = signature_of(frame)
    columns = columns_of(signature, frame.head(5))
    return load_tables(signature, *compile_pipeline(pipeline, signature, columns))


def test_tables_of_another_task_are_refused():
    frame, target = rows(0, False)
    signature = signature_of(frame)
    pipeline = build_pipeline(frame, FeaturesSpec(), REGRESSORS["boosting"])
    pipeline.fit(frame, target)
    columns = columns_of(signature, frame.head(5))
    program, data = compile_pipeline(pipeline, signature, columns)
    other = signature_of(frame, CLASSES)
    with pytest.raises(TablesError, match="1 outputs, expected 3"):
        load_tables(other, program, data)
    wrong = msgspec.structs.replace(program, link="softmax")
    with pytest.raises(TablesError, match="link is softmax, expected identity"):
        load_tables(signature, wrong, data)


def test_no_row_has_no_answer(tmp_path):
    _, _, runtime = packed(tmp_path, CLASSIFIERS["boosting"], False, CLASSES)
    assert runtime.predict_many([[], [], [], []]).shape == (0, 3)
