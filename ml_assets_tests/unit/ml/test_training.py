"""Training: from a feature table to a fitted pipeline."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_info

from ml_assets.ml.estimators import EstimatorError, make_estimator
from ml_assets.ml.prepare import prepare
from ml_assets.ml.split import SplitError
from ml_assets.ml.training import train
from ml_assets.spec.model import EstimatorSpec, ModelSpec

LOGISTIC = "sklearn.linear_model.LogisticRegression"
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"


def model_spec(**parts):
    return ModelSpec.model_validate(
        {"name": "m", "source": {"type": "synthetic"}, "target": "left", **parts}
    )


@pytest.fixture(scope="module")
def table():
    generator = np.random.default_rng(0)
    n = 600
    frame = pd.DataFrame(
        {
            "months": generator.integers(0, 60, n),
            "fee": np.where(generator.random(n) < 0.1, np.nan, generator.random(n)),
            "plan": pd.Categorical(generator.choice(["basic", "plus"], n)),
            "week": generator.permutation(n),
        }
    )
    risk = 2 - frame["months"] / 10 + (frame["plan"] == "basic")
    leaves = generator.random(n) < 1 / (1 + np.exp(-risk))
    frame["left"] = pd.Categorical(np.where(leaves, "yes", "no"))
    return frame


@pytest.mark.parametrize(
    "estimator",
    [
        {"type": BOOSTING, "params": {"max_iter": 20}},
        {"type": LOGISTIC, "params": {"C": 0.5}},
        {
            "type": "sklearn.ensemble.RandomForestClassifier",
            "params": {"n_estimators": 20},
        },
        {"type": "sklearn.ensemble.GradientBoostingClassifier"},
        {"type": "sklearn.naive_bayes.GaussianNB"},
        {"type": "sklearn.tree.DecisionTreeClassifier", "params": {"max_depth": 4}},
    ],
)
def test_any_classifier_learns_and_repeats_itself(table, estimator):
    spec = model_spec(
        estimator=estimator, features={"derive": {"tenure": "months / 12"}}
    )

    first, second = train(table, spec), train(table, spec)

    answers = first.pipeline.predict_proba(first.x_test)[:, 1]
    np.testing.assert_array_equal(
        answers, second.pipeline.predict_proba(first.x_test)[:, 1]
    )
    assert roc_auc_score(first.y_test, answers) > 0.7
    assert first.inputs == ["months", "fee", "plan", "week"]
    # A row is on its side by its content, so that their number is about a fifth of 600.
    assert 80 <= first.test.sum() <= 160
    assert {*first.task.labels} == {"no", "yes"}
    assert first.seconds > 0


def test_a_prepared_table_trains_like_the_raw_one(table):
    spec = model_spec(
        features={"drop": ["week"], "derive": {"tenure": "months / 12"}},
        estimator={"type": LOGISTIC},
    )
    prepared = prepare(table, spec.features, "left").table
    raw = table.drop(columns="week")

    first, second = train(prepared, spec), train(raw.copy(), spec.model_copy())

    assert first.inputs == second.inputs == ["months", "fee", "plan"]
    np.testing.assert_array_equal(first.test, second.test)
    np.testing.assert_array_equal(
        first.pipeline.predict_proba(first.x), second.pipeline.predict_proba(second.x)
    )


def test_probabilities_are_those_of_the_pipeline(table):
    trained = train(table, model_spec(estimator={"type": LOGISTIC}))

    np.testing.assert_array_equal(
        trained.task.answers(trained.pipeline, trained.x_test),
        trained.pipeline.predict_proba(trained.x_test)[:, 1],
    )


def test_the_held_out_rows_are_not_learnt_from(table):
    spec = model_spec(estimator={"type": LOGISTIC})
    trained = train(table, spec)
    flipped = table.copy()
    values = flipped["left"].astype(str)
    other = values.map({"yes": "no", "no": "yes"})
    flipped["left"] = pd.Categorical(values.where(~trained.test, other))

    again = train(
        flipped,
        spec.model_copy(update={"positive": trained.task.labels[1]}),
        test=trained.test,
    )

    np.testing.assert_array_equal(
        trained.pipeline.predict_proba(table), again.pipeline.predict_proba(table)
    )


def test_a_constant_predictor_can_be_trained(table):
    spec = model_spec(estimator={"type": "sklearn.dummy.DummyClassifier"})

    trained = train(table, spec)

    assert len(np.unique(trained.pipeline.predict_proba(trained.x_test)[:, 1])) == 1


def test_parameters_that_were_set_are_reported(table):
    spec = model_spec(estimator={"type": LOGISTIC, "params": {"C": 0.25}})

    assert train(table, spec).params == {"C": 0.25, "random_state": 0}


def test_a_given_random_state_is_kept():
    spec = EstimatorSpec(type=BOOSTING, params={"random_state": 7})

    assert make_estimator(spec).random_state == 7


@pytest.mark.parametrize(
    "kind, params, message",
    [
        (LOGISTIC, {"c": 1}, "has no parameter 'c'; it has .*C"),
        ("sklearn.linear_model.Nothing", {}, "not the import path of a scikit-learn"),
        ("sklearn.nothing.Nothing", {}, "not the import path of a scikit-learn"),
        (
            "sklearn.linear_model.LinearRegression",
            {},
            "is not a scikit-learn classifier",
        ),
        ("sklearn.base.clone", {}, "not the import path of a scikit-learn"),
        ("sklearn.svm.LinearSVC", {}, "gives no probabilities"),
        ("sklearn.ensemble.VotingClassifier", {}, "missing 1 required"),
    ],
)
def test_an_unusable_estimator_is_refused_by_name(kind, params, message):
    with pytest.raises(ValueError, match=message):
        make_estimator(EstimatorSpec(type=kind, params=params))


def test_a_bad_value_is_reported_with_what_may_stand_there(table):
    spec = model_spec(estimator={"type": LOGISTIC, "params": {"C": -1}})

    with pytest.raises(
        EstimatorError, match="LogisticRegression cannot be fitted.*'C'"
    ):
        train(table, spec)


@pytest.mark.parametrize("kind", ["randomized", "halving"])
def test_a_search_picks_the_best_candidate(table, kind):
    spec = model_spec(
        estimator={"type": LOGISTIC},
        search={
            "type": kind,
            "params": {"C": [1e-6, 2.0], "estimator__fit_intercept": [True]},
            "iterations": 10,
        },
    )

    trained = train(table, spec)

    best, last = trained.candidates[0], trained.candidates[-1]
    assert best.params == {"C": trained.params["C"], "fit_intercept": True}
    assert best.rank == 1
    assert best.mean > last.mean
    assert trained.params["C"] == 2.0
    assert [name for name, _ in trained.pipeline.steps] == ["encode", "estimator"]


def test_a_search_without_a_score_is_no_choice(table):
    rare = table.assign(left=pd.Categorical(np.where(table.index < 4, "yes", "no")))
    spec = model_spec(
        estimator={"type": LOGISTIC},
        search={"params": {"C": [1e-6, 2.0]}, "folds": 10, "metric": "roc_auc"},
    )
    with pytest.raises(EstimatorError, match="no candidate with a roc_auc|n_splits"):
        train(rare, spec)


def test_a_search_may_vary_another_step(table):
    spec = model_spec(
        estimator={"type": LOGISTIC},
        search={"params": {"encode__numbers__simpleimputer__strategy": ["mean"]}},
    )

    trained = train(table, spec)

    imputer = trained.pipeline.named_steps["encode"].named_transformers_["numbers"][0]
    assert imputer.strategy == "mean"


def test_a_search_over_an_unknown_parameter_names_it(table):
    search = {"params": {"encode__depth": [1]}}
    spec = model_spec(estimator={"type": LOGISTIC}, search=search)

    with pytest.raises(EstimatorError, match="no parameter 'encode__depth' to vary"):
        train(table, spec)

    with pytest.raises(ValueError, match="has no parameter 'depth'.*it has penalty, C"):
        model_spec(estimator={"type": LOGISTIC}, search={"params": {"depth": [1]}})


def test_threads_are_limited_while_fitting_and_free_again_after(table, monkeypatch):
    from sklearn.pipeline import Pipeline

    counts = []
    original = Pipeline.fit

    def spy(self, *arguments):
        counts.extend(item["num_threads"] for item in threadpool_info())
        return original(self, *arguments)

    monkeypatch.setattr(Pipeline, "fit", spy)
    train(table, model_spec(estimator={"type": LOGISTIC}, resources={"threads": 1}))

    assert set(counts) == {1}


def test_a_split_by_time_tests_on_the_latest(table):
    trained = train(
        table,
        model_spec(
            estimator={"type": LOGISTIC}, split={"type": "time", "column": "week"}
        ),
    )

    week = table["week"]
    assert week[trained.test].min() > week[~trained.test].max()
    assert "week" not in trained.inputs


@pytest.mark.parametrize("kind", ["randomized", "halving"])
def test_no_fold_of_a_search_divides_a_group(table, kind, monkeypatch):
    seen = []
    homes = pd.Series(np.arange(len(table)) // 7)

    def spy(self, X, y=None, groups=None):
        for train_rows, test_rows in folds(self, X, y, groups):
            seen.append({*homes[X.index[train_rows]]} & {*homes[X.index[test_rows]]})
            yield train_rows, test_rows

    folds = StratifiedGroupKFold.split
    monkeypatch.setattr(StratifiedGroupKFold, "split", spy)
    params = {"C": [0.1, 1.0]}
    trained = train(
        table.assign(home=homes),
        model_spec(
            estimator={"type": LOGISTIC},
            split={"group": "home"},
            search={"type": kind, "params": params, "iterations": 2},
        ),
    )

    assert seen and not any(seen)
    assert "home" not in trained.inputs
    assert not {*homes[trained.test]} & {*homes[~trained.test]}


def test_held_out_rows_that_leave_one_class_are_refused(table):
    spec = model_spec(estimator={"type": LOGISTIC})

    with pytest.raises(SplitError, match="leaves no row of the class 'yes'"):
        train(table, spec, test=(table["left"] == "yes").to_numpy())
