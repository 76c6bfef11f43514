"""Estimators made of others: what is compiled, what is not and why, and bad tables."""

import msgspec
import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from ml_assets.ml.features import build_pipeline
from ml_assets.ml.schema import signature_columns
from ml_assets.records.plan import Signature
from ml_assets.serving.compiler import NotCompiled, compile_pipeline
from ml_assets.serving.models.bundle import load_runtime, write_bundle
from ml_assets.serving.runtime.compiled import load_tables
from ml_assets.serving.runtime.program import TablesError
from ml_assets.serving.runtime.sklearn_runtime import columns_of
from ml_assets.spec.model import FeaturesSpec
from ml_assets_tests.kits.compiled_models import (
    assert_loads_without,
    bits,
    codes,
    compiled,
    data,
    fitted,
)
from ml_assets_tests.kits.estimators import (
    bag,
    calibrated,
    cat,
    forest,
    hist,
    lgbm,
    stack,
    voting,
    xgb,
)


def test_a_positive_class_that_is_the_first_of_the_estimator_is_answered():
    frame, target = data(300)
    labels = np.array(["high", "low"])[codes(-target, 2)]
    estimator = stack(
        voting(forest(), hist(), weights=[1, 2]),
        calibrated(hist()),
        final_estimator=calibrated(hist()),
        passthrough=True,
    )
    pipeline = build_pipeline(frame, FeaturesSpec(), estimator).fit(frame, labels)
    columns = signature_columns(frame, frame.columns)
    signature = Signature(
        columns=columns, target="made", negative="low", positive="high"
    )
    _, _, runtime = compiled(pipeline, signature, frame)
    found = runtime.predict_many(columns_of(signature, frame))
    np.testing.assert_array_equal(
        bits(found), bits(pipeline.predict_proba(frame)[:, 0])
    )


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (voting(forest(), GaussianNB()), "the part GaussianNB: .* we compile"),
        (stack(voting(forest(), GaussianNB())), "VotingClassifier: the part Gaussian"),
        (bag(LinearSVC()), "the part LinearSVC gives no probabilities"),
        (stack(forest(), stack_method="predict"), "Forest.* gives classes alone"),
        (calibrated(bag(hist())), "BaggingClassifier's decisions are not compiled"),
        (calibrated(forest(), method="temperature"), "the method 'temperature'"),
        (calibrated(xgb("Classifier"), method="isotonic"), "steps of float32"),
    ],
)
def test_the_part_that_is_not_compiled_is_named(estimator, reason):
    pipeline, signature, frame = fitted(estimator, 2, count=300)
    with pytest.raises(NotCompiled, match=reason):
        compiled(pipeline, signature, frame)


def test_a_server_needs_no_library_of_compiled_parts(tmp_path):
    estimator = stack(
        calibrated(lgbm("Classifier", n_estimators=3)),
        voting(xgb("Classifier", n_estimators=3), cat("Classifier", n_estimators=3)),
        final_estimator=lgbm("Classifier", n_estimators=3),
    )
    pipeline, signature, frame = fitted(estimator, 3, count=300)
    manifest = write_bundle(tmp_path, pipeline, signature, frame.head(30))
    assert (manifest.runtime, manifest.reason) == ("compiled", "")
    runtime = load_runtime(tmp_path, manifest.files)
    found = runtime.predict_many(columns_of(signature, frame))
    np.testing.assert_array_equal(bits(found), bits(pipeline.predict_proba(frame)))
    assert_loads_without(
        tmp_path,
        manifest.files,
        {"lightgbm", "xgboost", "catboost", "sklearn", "pandas"},
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"parts": []}, "weights is not|there is no part"),
        ({"final": None, "kernel": "stack"}, "a stack has no final model"),
        ({"kernel": "sigmoid"}, "there are 2 parts, expected 1"),
        ({"link": "logit"}, "the link is logit, expected identity"),
        ({"outputs": 3}, "the program has 3 outputs"),
        ({"order": [1]}, "order is no permutation"),
    ],
)
def test_a_program_that_does_not_fit_its_parts_is_refused(change, problem):
    pipeline, signature, frame = fitted(voting(forest(), hist()), 2, count=200)
    probe = columns_of(signature, frame.head(20))
    program, tables = compile_pipeline(pipeline, signature, probe)
    with pytest.raises(TablesError, match=problem):
        load_tables(signature, msgspec.structs.replace(program, **change), tables)
