"""A transformer of the project's own inside the pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.features import build_pipeline, encoding_notes
from ml_assets.spec.model import FeaturesSpec

HEAD = """
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin


class Ratios(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        {}
"""
FRAME = pd.DataFrame(
    {"fee": [1.0, 2.0, 3.0, 4.0], "hours": [1.0, 2.0, 1.0, 2.0], "plan": [*"abab"]}
)
Y = np.array([0, 1, 0, 1])


def spec(package: Path, body: str | None = None, **more: Any) -> FeaturesSpec:
    if body is not None:
        (package / "features.py").write_text(HEAD.format(body))
    return FeaturesSpec(transform="my_project.features.Ratios", **more)


def test_it_takes_inputs_and_derived_columns_and_what_it_gives_is_encoded(
    user_package: Path,
) -> None:
    body = "return X.assign(kind=X['plan'] + 'x').drop(columns=['plan', 'fee'])"
    features = spec(user_package, body, derive={"twice": "2 * fee"})
    pipeline = build_pipeline(FRAME, features, LogisticRegression(), y=Y).fit(FRAME, Y)
    assert [name for name, _ in pipeline.steps] == [
        *("derive", "transform", "encode", "estimator")
    ]
    names = pipeline.named_steps["encode"].get_feature_names_out()
    assert names.tolist() == ["kind_ax", "kind_bx", "hours", "twice"]
    assert pipeline.feature_names_in_.tolist() == [*FRAME.columns]


def test_it_may_learn_from_the_target(user_package: Path) -> None:
    (user_package / "features.py").write_text(
        HEAD.format("return X.assign(mean=self.mean_)").replace(
            "        return self\n",
            "        self.mean_ = y.mean()\n        return self\n",
        )
    )
    pipeline = build_pipeline(FRAME, spec(user_package), LogisticRegression(), y=Y)
    assert pipeline.fit(FRAME, Y).named_steps["transform"].mean_ == 0.5


def test_an_array_becomes_columns_where_their_names_are_known(
    user_package: Path,
) -> None:
    body = (
        "return X[['fee']].to_numpy()\n\n"
        "    def get_feature_names_out(self, names=None):\n"
        "        return np.array(['fee'], dtype=object)"
    )
    pipeline = build_pipeline(FRAME, spec(user_package, body), LogisticRegression())
    assert pipeline.fit(FRAME, Y).predict_proba(FRAME).shape == (4, 2)


@pytest.mark.parametrize(
    "body, message",
    [
        ("return X.head(2)", "returns 2 rows of 4, expected one for each"),
        ("return X.to_numpy()", "returns a ndarray, expected a DataFrame"),
        ("return X['absent']", r"fails on the training rows: KeyError\('absent'\)"),
        ("return X.set_axis([1, 2, 3], axis=1)", r"columns \[1, 2, 3\], expected"),
        ("return X.set_axis([*'aab'], axis=1)", r"'a', 'b'\], expected different"),
        ("return X[[]]", r"returns the columns \[\]"),
        (
            "return X.assign(at=pd.Timestamp('2026-11-28'))",
            "the column 'at' of datetime64.*expected numbers, truth values or texts",
        ),
    ],
)
def test_what_it_may_not_give_is_named(
    user_package: Path, body: str, message: str
) -> None:
    with pytest.raises(FeatureError, match=f"my_project.features.Ratios.*{message}"):
        build_pipeline(FRAME, spec(user_package, body), LogisticRegression(), y=Y)


def test_notes_are_of_the_columns_that_are_encoded(user_package: Path) -> None:
    body = "return X.assign(city=[str(n) for n in range(len(X))])"
    frame = pd.concat([FRAME] * 50, ignore_index=True)
    y = np.tile(Y, 50)
    features = spec(user_package, body)
    pipeline = build_pipeline(frame, features, LogisticRegression(), y=y).fit(frame, y)
    (note,) = encoding_notes(frame, pipeline)
    assert note.startswith("column 'city' has 200 values")
