"""The data sets that scikit-learn carries."""

import re

import numpy as np
import pandas as pd


def read_sklearn_dataset(dataset: str) -> pd.DataFrame:
    """Read one of scikit-learn's data sets, with what to predict in ``target``.

    Examples
    --------
    >>> read_sklearn_dataset("breast_cancer").shape
    (569, 31)
    """
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{dataset}")()
    columns = {
        _snake_case(name): bunch.data[:, position]
        for position, name in enumerate(bunch.feature_names)
    }
    target = bunch.target
    # Classes are numbers that stand for names; other targets are what they are.
    if "target_names" in bunch:
        target = np.asarray(bunch.target_names, dtype=object)[target]
    return pd.DataFrame(columns).assign(target=target)


def _snake_case(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower()).strip("_")
