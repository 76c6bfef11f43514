"""A package of a project's own: a transformer, an estimator, a source and a metric."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "my_project"
MODULES = {
    "__init__": "",
    "features": """
from os import system

from sklearn.base import BaseEstimator, TransformerMixin

from my_project.units import HOUR


class Ratios(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.mean_ = float(X["fee"].mean())
        return self

    def transform(self, X):
        return X.assign(per_hour=X["fee"] / X["hours"] * HOUR).drop(columns="hours")


class Needy(Ratios):
    def __init__(self, size):
        self.size = size
""",
    "units": "HOUR = 1.0\n",
    "models": """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Stump(ClassifierMixin, BaseEstimator):
    def __init__(self, sharpness=4.0):
        self.sharpness = sharpness

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        distance = X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)
        self.weights_ = self.sharpness * distance
        self.offset_ = float((X @ self.weights_).mean())
        return self

    def predict_proba(self, X):
        positive = 1 / (1 + np.exp(self.offset_ - X @ self.weights_))
        return np.column_stack([1 - positive, positive])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
""",
    "sources": """
import numpy as np
import pandas as pd


def customers():
    random = np.random.default_rng(1)
    hours = random.uniform(1, 9, 600)
    fee = random.uniform(10, 90, 600)
    plan = random.choice(["a", "b"], 600)
    left = fee / hours + 2 * (plan == "a") + random.normal(0, 1, 600) > 10
    return pd.DataFrame({"fee": fee, "hours": hours, "plan": plan, "left": left})


def listing():
    return [1, 2]
""",
    "metrics": """
def profit(y_true, answers):
    chosen = answers > 0.5
    return 10.0 * (chosen & (y_true == 1)).sum() - 2.0 * chosen.sum()


def broken(y_true, answers):
    raise KeyError("amount")
""",
}
MODEL = {
    "name": "customers",
    "source": {"type": "python", "function": "my_project.sources.customers"},
    "target": "left",
    "features": {"transform": "my_project.features.Ratios"},
    "estimator": {"type": "my_project.models.Stump", "params": {"sharpness": 3.0}},
    "metrics": ["my_project.metrics.profit"],
    "gate": {"threshold": 0.7},
}


def write_package(directory: Path) -> Path:
    """Write the package below a directory; its own directory."""
    package = directory / PACKAGE
    package.mkdir(parents=True)
    for name, text in MODULES.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    return package


def forget_package() -> None:
    """Have the package imported anew, as in another process."""
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture
def user_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package, installed and trusted."""
    package = write_package(tmp_path / "project")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("ML_ASSETS_TRUSTED", PACKAGE)
    # Of the processes that a test starts.
    paths = [str(package.parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    yield package
    forget_package()
