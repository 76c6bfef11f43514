"""Composed estimators: named by the YAML, checked before fitting, served as trained."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import all_estimators

from ml_assets.ml.estimators import EstimatorError, make_estimator
from ml_assets.ml.schema import signature_columns
from ml_assets.ml.training import train
from ml_assets.records.plan import Signature
from ml_assets.serving.models.bundle import load_runtime, write_bundle
from ml_assets.serving.runtime.sklearn_runtime import columns_of
from ml_assets.spec.model import EstimatorSpec, ModelSpec

pytestmark = pytest.mark.slow

LOGISTIC = {"type": "sklearn.linear_model.LogisticRegression"}
SVC = {"path": "sklearn.svm.LinearSVC", "params": {"C": 0.5}}
TREE = {"type": "sklearn.tree.DecisionTreeClassifier", "params": {"max_depth": 3}}
BAYES = {"type": "sklearn.naive_bayes.GaussianNB"}
SCALER = {"type": "sklearn.preprocessing.MinMaxScaler"}
CALIBRATED = "sklearn.calibration.CalibratedClassifierCV"
VOTING = "sklearn.ensemble.VotingClassifier"
STACKING = "sklearn.ensemble.StackingClassifier"
BAGGING = "sklearn.ensemble.BaggingClassifier"
BOOSTING = "sklearn.ensemble.AdaBoostClassifier"
PIPELINE = "sklearn.pipeline.Pipeline"
LIGHTGBM = {"type": "lightgbm.LGBMClassifier", "params": {"n_estimators": 5}}
XGBOOST = {"type": "xgboost.XGBClassifier", "params": {"n_estimators": 5}}
CATBOOST = {"type": "catboost.CatBoostClassifier", "params": {"n_estimators": 5}}


def table(count=300):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": random.normal(size=count) * 1e4,
            "count": random.integers(0, 50, count),
            "letter": pd.Categorical(random.choice(["x", "y", "z"], count)),
            "flag": random.random(count) > 0.5,
        }
    )
    score = frame["amount"] / 1e4 + frame["count"] / 25 + (frame["letter"] == "x")
    won = score + random.normal(size=count) > 1.3
    frame["won"] = pd.Categorical(np.where(won, "yes", "no"))
    return frame


def spec_of(kind, params, **parts):
    return ModelSpec.model_validate(
        {
            "name": "m",
            "source": {"type": "synthetic"},
            "target": "won",
            "positive": "yes",
            "estimator": {"type": kind, "params": params},
            **parts,
        }
    )


def served(tmp_path, spec):
    """Train, package and load; the runtime, its manifest, and what was trained."""
    trained = train(table(), spec)
    signature = Signature(
        columns=signature_columns(trained.x, trained.inputs),
        target="won",
        negative="no",
        positive="yes",
    )
    manifest = write_bundle(
        tmp_path, trained.pipeline, signature, trained.x_test.head(32)
    )
    return load_runtime(tmp_path, manifest.files), manifest, trained


def check_served(tmp_path, spec):
    runtime, manifest, trained = served(tmp_path, spec)
    columns = columns_of(runtime.signature, trained.x_test)
    many = runtime.predict_many(columns)
    expected = trained.pipeline.predict_proba(trained.x_test)[:, 1]
    np.testing.assert_allclose(many, expected, rtol=1e-9)
    alone = [runtime.predict_one(list(row)) for row in zip(*columns)][:20]
    np.testing.assert_allclose(alone, expected[:20], rtol=1e-9)
    assert manifest.runtime == runtime.kind
    return manifest


COMPOSED = {
    "calibrated by default": (CALIBRATED, {}),
    "calibrated svc": (CALIBRATED, {"estimator": SVC}),
    "calibrated by isotonic steps": (
        CALIBRATED,
        {"estimator": SVC, "method": "isotonic"},
    ),
    "calibrated by a temperature": (
        CALIBRATED,
        {"estimator": LOGISTIC, "method": "temperature"},
    ),
    "calibrated ridge": (
        CALIBRATED,
        {"estimator": {"type": "sklearn.linear_model.RidgeClassifier"}},
    ),
    "calibrated perceptron": (
        CALIBRATED,
        {"estimator": {"type": "sklearn.linear_model.Perceptron"}},
    ),
    "calibrated boosting": (
        CALIBRATED,
        {
            "estimator": {
                "type": "sklearn.ensemble.HistGradientBoostingClassifier",
                "params": {"max_iter": 10},
            },
            "cv": 3,
        },
    ),
    "soft voting": (
        VOTING,
        {"estimators": [["a", LOGISTIC], ["b", BAYES]], "voting": "soft"},
    ),
    "soft voting by a mapping, with weights": (
        VOTING,
        {
            "estimators": {"a": LOGISTIC, "b": TREE, "c": "drop"},
            "voting": "soft",
            "weights": [2, 1, 1],
        },
    ),
    "stacking by default": (STACKING, {"estimators": {"a": LOGISTIC, "b": SVC}}),
    "stacking with a forest": (
        STACKING,
        {
            "estimators": {"a": {"type": CALIBRATED}, "b": TREE},
            "final_estimator": {
                "type": "sklearn.ensemble.RandomForestClassifier",
                "params": {"n_estimators": 5},
            },
            "passthrough": True,
        },
    ),
    "bagging of linear models": (BAGGING, {"estimator": LOGISTIC, "n_estimators": 3}),
    "bagging of what only decides": (BAGGING, {"estimator": SVC, "n_estimators": 3}),
    "boosting of linear models": (BOOSTING, {"estimator": LOGISTIC, "n_estimators": 4}),
    "boosting of trees": (BOOSTING, {"estimator": TREE, "n_estimators": 5}),
    "a pipeline": (PIPELINE, {"steps": [["scale", SCALER], ["fit", LOGISTIC]]}),
    "a calibrated pipeline": (
        CALIBRATED,
        {
            "estimator": {
                "type": PIPELINE,
                "params": {"steps": {"scale": SCALER, "fit": SVC}},
            }
        },
    ),
}


# Of boosters, whose models are files beside the pipeline.
BOOSTED = {
    "soft voting": (
        VOTING,
        {
            "estimators": {"a": LIGHTGBM, "b": XGBOOST, "c": CATBOOST},
            "voting": "soft",
        },
    ),
    "stacking": (STACKING, {"estimators": {"a": LIGHTGBM, "b": XGBOOST}}),
    "calibrated LightGBM": (CALIBRATED, {"estimator": LIGHTGBM}),
    "calibrated CatBoost": (CALIBRATED, {"estimator": CATBOOST, "ensemble": False}),
    "bagging": (BAGGING, {"estimator": XGBOOST, "n_estimators": 3}),
}


@pytest.mark.parametrize("name", BOOSTED)
def test_a_composed_estimator_of_boosters_is_compiled(name, tmp_path):
    for library in ("lightgbm", "xgboost", "catboost"):
        pytest.importorskip(library)
    manifest = check_served(tmp_path, spec_of(*BOOSTED[name]))
    assert (manifest.runtime, manifest.reason) == ("compiled", "")


@pytest.mark.parametrize("name", COMPOSED)
def test_a_composed_estimator_is_served_as_it_was_trained(name, tmp_path):
    check_served(tmp_path, spec_of(*COMPOSED[name]))


# What stands for the estimators that a class cannot do without, or for a default with
# which it gives no probabilities.
NEEDED = {
    "VotingClassifier": {"estimators": {"a": LOGISTIC, "b": TREE}, "voting": "soft"},
    "StackingClassifier": {"estimators": {"a": LOGISTIC, "b": SVC}},
    "OneVsRestClassifier": {"estimator": LOGISTIC},
    "SelfTrainingClassifier": {"estimator": LOGISTIC},
    "SGDClassifier": {"loss": "log_loss"},
    "RadiusNeighborsClassifier": {"radius": 50.0},
    "QuadraticDiscriminantAnalysis": {"reg_param": 0.5},
    # What is asked does not depend on how many there are.
    "AdaBoostClassifier": {"n_estimators": 4},
    "ExtraTreesClassifier": {"n_estimators": 4},
    "GradientBoostingClassifier": {"n_estimators": 4},
    "HistGradientBoostingClassifier": {"max_iter": 4},
    "RandomForestClassifier": {"n_estimators": 4},
}
# Encodings that give what these take: no negative numbers.
COUNTS = ("CategoricalNB", "ComplementNB", "MultinomialNB")


@pytest.mark.parametrize("name, kind", all_estimators("classifier"))
def test_every_classifier_is_served_or_refused_before_it_is_fitted(
    name, kind, tmp_path, monkeypatch
):
    path = f"{kind.__module__.partition('._')[0]}.{name}"
    parts = {}
    if name in COUNTS:
        parts["features"] = {"encoding": "ordinal", "drop": ["amount"]}
    spec = spec_of(path, NEEDED.get(name, {}), **parts)
    try:
        make_estimator(spec.estimator)
    except EstimatorError as error:
        assert path in str(error)
        assert "that model servers load" in str(error) or "predict_proba" in str(error)
        return
    frame = table().drop(columns=parts.get("features", {}).get("drop", []))
    monkeypatch.setattr(f"{__name__}.table", lambda: frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_served(tmp_path, spec)


@pytest.mark.parametrize(
    "kind, params, message",
    [
        (
            CALIBRATED,
            {"estimator": {"type": "os.system"}},
            "params.estimator.type.*'os.system' is not the import path",
        ),
        (
            CALIBRATED,
            {"estimator": {"type": "sklearn.svm.Nothing"}},
            "params.estimator.type.*'sklearn.svm.Nothing' is not",
        ),
        (
            CALIBRATED,
            {"estimator": {"type": "sklearn.svm.LinearSVC", "params": {"c": 1}}},
            "params.estimator.params.c.*LinearSVC has no parameter 'c'",
        ),
        (
            CALIBRATED,
            {"estimator": {"type": "sklearn.svm.LinearSVC", "C": 1}},
            "estimator.params.estimator: an estimator is a mapping of type and params",
        ),
        (
            VOTING,
            {
                "estimators": [["a", LOGISTIC], ["b", {**SVC, "params": {"C": -1}}]],
                "voting": "soft",
            },
            "estimator.params.estimators.b: sklearn.svm.LinearSVC cannot .*'C'",
        ),
        (VOTING, {"estimators": {"a": LOGISTIC}}, "voting is 'hard', set it to soft"),
        (
            VOTING,
            {"estimators": {"a": LOGISTIC, "b": SVC}, "voting": "soft"},
            "'b', a LinearSVC, gives none",
        ),
        (VOTING, {"estimators": [LOGISTIC]}, "estimators: expected pairs such as"),
        (VOTING, {"estimators": "all"}, "estimators: expected pairs such as"),
        (VOTING, {"estimators": {"a__b": LOGISTIC}}, "'a__b' must be there once"),
        (
            VOTING,
            {"estimators": [["a", "sklearn.svm.SVC"]]},
            "estimators.a: expected an estimator such as",
        ),
        (
            STACKING,
            {"estimators": {"a": LOGISTIC}, "final_estimator": SVC},
            "gives no probabilities",
        ),
        (
            BAGGING,
            {
                "estimator": {
                    "type": STACKING,
                    "params": {
                        "estimators": {
                            "a": {"type": "sklearn.svm.SVC", "params": {"kernle": 1}}
                        }
                    },
                }
            },
            "params.estimators.a.params.kernle.* no parameter 'kernle'",
        ),
        (
            "sklearn.model_selection.GridSearchCV",
            {},
            "GridSearchCV' is not the import path of a scikit-learn classifier",
        ),
        (
            "sklearn.linear_model.LinearRegression",
            {},
            "is not a scikit-learn classifier",
        ),
        ("sklearn.preprocessing.StandardScaler", {}, "of a scikit-learn classifier"),
    ],
)
def test_a_part_is_refused_with_its_place(kind, params, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        make_estimator(EstimatorSpec(type=kind, params=params))


def test_what_no_server_would_load_is_not_fitted_on_all_rows(monkeypatch):
    """Types that follow from a parameter are found by fitting a few rows."""
    from sklearn.neighbors import KNeighborsClassifier

    fitted = []
    original = KNeighborsClassifier.fit

    def spy(self, x, y):
        fitted.append(len(x))
        return original(self, x, y)

    monkeypatch.setattr(KNeighborsClassifier, "fit", spy)
    params = {"metric": "canberra", "algorithm": "ball_tree"}
    with pytest.raises(EstimatorError, match="fitted in vain.*CanberraDistance"):
        train(table(2000), spec_of("sklearn.neighbors.KNeighborsClassifier", params))
    assert fitted == [200]


def test_what_a_search_would_try_is_checked_before_it_searches():
    spec = spec_of(
        "sklearn.neighbors.KNeighborsClassifier",
        {"algorithm": "ball_tree"},
        search={"params": {"metric": ["euclidean", "canberra"]}},
    )
    with pytest.raises(EstimatorError, match="with .*canberra.* in vain"):
        train(table(), spec)


def test_a_search_varies_a_part_and_what_is_in_it():
    spec = spec_of(
        STACKING,
        {"estimators": {"a": SVC, "b": TREE}},
        search={
            "params": {"a__C": [0.1, 1.0], "final_estimator": [LOGISTIC, BAYES]},
            "iterations": 2,
        },
    )

    trained = train(table(), spec)

    assert {"a__C", "final_estimator"} == set(trained.candidates[0].params)


def test_rows_at_a_step_of_the_model_are_no_proof_against_it(tmp_path):
    """Boosting hands its first model float32, which adds up otherwise in a batch."""
    spec = spec_of(
        "sklearn.ensemble.GradientBoostingClassifier",
        {"init": LOGISTIC, "n_estimators": 3},
        features={"encoding": "onehot"},
    )

    runtime, _, trained = served(tmp_path, spec)

    probe = json.loads((tmp_path / "probe.json").read_text())
    assert 0 < len(probe["answers"]) <= 32
    assert {len(column) for column in probe["columns"]} == {len(probe["answers"])}


def test_a_model_that_answers_every_row_alone_otherwise_is_not_fitted_on_all_rows(
    monkeypatch,
):
    from sklearn.naive_bayes import GaussianNB

    original = GaussianNB.predict_proba

    def moody(self, x):
        return original(self, x) * (1 - 1e-6 * (len(x) == 1))

    monkeypatch.setattr(GaussianNB, "predict_proba", moody)
    with pytest.raises(EstimatorError, match="alone otherwise than in a batch"):
        train(table(), spec_of(BAYES["type"], {}))


def test_a_compiled_runtime_that_disagrees_leaves_the_answers_to_scikit_learn(
    tmp_path, monkeypatch
):
    from ml_assets.serving.runtime.compiled import CompiledRuntime

    original = CompiledRuntime.predict_many
    runtime, manifest, trained = served(tmp_path / "a", spec_of(LOGISTIC["type"], {}))
    assert runtime.kind == manifest.runtime == "compiled"

    monkeypatch.setattr(CompiledRuntime, "predict_many", lambda *a: original(*a) + 1e-5)

    # A server on another processor, and then packaging.
    assert load_runtime(tmp_path / "a", manifest.files).kind == "sklearn"
    runtime, manifest, _ = served(tmp_path / "b", spec_of(LOGISTIC["type"], {}))
    assert runtime.kind == manifest.runtime == "sklearn"
    assert "the compiled answer" in manifest.reason
    assert not (tmp_path / "b" / "runtime.npz").exists()


def test_a_compiler_that_fails_costs_no_version(tmp_path, monkeypatch):
    from ml_assets.serving import compiler

    def fail(*_):
        raise KeyError("leaf")

    monkeypatch.setattr(compiler, "compile_pipeline", fail)

    runtime, manifest, _ = served(tmp_path, spec_of(LOGISTIC["type"], {}))

    assert runtime.kind == manifest.runtime == "sklearn"
    assert manifest.reason == "the compiler failed: KeyError('leaf')"


def test_an_ulp_between_two_processors_is_no_other_answer(tmp_path):
    """Trees as well: `exp` differs by an ulp between two processors."""
    import hashlib

    spec = spec_of("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 5})
    _, manifest, _ = served(tmp_path, spec)
    probe = json.loads((tmp_path / "probe.json").read_text())
    probe["answers"] = np.nextafter(probe["answers"], 1).tolist()
    data = json.dumps(probe).encode()
    (tmp_path / "probe.json").write_bytes(data)
    files = {**manifest.files, "probe.json": hashlib.sha256(data).hexdigest()}

    assert load_runtime(tmp_path, files).kind == "compiled"
