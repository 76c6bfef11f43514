"""An estimator that no compiler takes, and whose answers a test can disturb.

It looks into the directory of its name below that of the environment variable
``DISTURBED``: with a file ``wait`` there an answer waits until it is gone, with ``die``
the process is killed, with ``raise`` it raises. Before that, where there is a file
``on``, it writes the number of the process to ``entered``.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from ml_assets.records.plan import Arm, Column, Signature
from ml_assets.serving.models.bundle import write_bundle

SIGNATURE = Signature(
    columns=(Column(name="age", kind="number"),),
    target="y",
    negative=0,
    positive=1,
)
# The row that disturbs it, as the first of a request.
DISTURBED_AGE = 41
# What a server of it needs in its environment.
TRUSTED = {"ML_ASSETS_TRUSTED": "ml_assets_tests"}


class Disturbed(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Answers age / 100, unless it is disturbed."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def fit(self, X: Any, y: Any) -> "Disturbed":
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        found = np.asarray(X, np.float64)[:, 0] / 100
        # Not by its probe rows, which every process is asked first.
        if found[0] == DISTURBED_AGE / 100:
            _disturb(Path(os.environ.get("DISTURBED", "")) / self.name)
        return np.column_stack([1 - found, found])


def _disturb(folder: Path) -> None:
    if not (folder / "on").exists():
        return
    (folder / "entered").write_text(str(os.getpid()))
    while (folder / "wait").exists():
        time.sleep(0.01)
    if (folder / "die").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if (folder / "raise").exists():
        raise ZeroDivisionError("this test wants it")


def write_disturbed(root: Path, version: str) -> Arm:
    """Write its bundle; the environment must have `TRUSTED`."""
    frame = pd.DataFrame({"age": np.arange(1.0, 41.0)})
    steps = [("encode", FunctionTransformer()), ("estimator", Disturbed(version))]
    pipeline = Pipeline(steps).fit(frame, frame["age"] > 20)
    pipeline.named_steps["estimator"].classes_ = np.array([0, 1])
    bundle = f"bundles/{version}"
    manifest = write_bundle(root / bundle, pipeline, SIGNATURE, frame)
    assert manifest.runtime == "sklearn"
    return Arm(
        version=version, bundle=bundle, files=dict(manifest.files), runtime="sklearn"
    )
