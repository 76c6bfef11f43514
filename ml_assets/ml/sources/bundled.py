"""The data sets that scikit-learn carries."""

import re

import numpy as np
import pandas as pd

from ml_assets.ml.sources.errors import SourceError
from ml_assets.model_source import DATASETS


def read_bundled(dataset: str | None) -> pd.DataFrame:
    """Read one of scikit-learn's data sets, with its labels in the column ``target``.

    Examples
    --------
    >>> read_bundled("breast_cancer").shape
    (569, 31)
    """
    if dataset not in DATASETS:
        raise SourceError(
            f"sklearn source: there is no data set '{dataset}';"
            f" there are {', '.join(DATASETS)}"
        )
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{dataset}")()
    columns = {
        _snake_case(name): bunch.data[:, position]
        for position, name in enumerate(bunch.feature_names)
    }
    labels = np.asarray(bunch.target_names, dtype=object)[bunch.target]
    return pd.DataFrame(columns).assign(target=labels)


def _snake_case(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower()).strip("_")
