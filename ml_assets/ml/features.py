"""The features inside the pipeline: derived columns, then encoding.

Registered models hold `DeriveColumns` by the path of this module: neither may move.
"""

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.dates import DateFeatures, date_columns, date_features
from ml_assets.ml.frames import derive, plain_texts, with_columns
from ml_assets.ml.text import TextFeatures, text_parts
from ml_assets.ml.user_transform import columns_given, user_transform
from ml_assets.spec.model import FeaturesSpec

# Each is a column of a dense matrix: 8 bytes a row.
MAX_INDICATORS = 100
MANY, MEANS = "many_categories", "target_means"
# Ensembles of trees, and trees: they split on codes as well as on indicator columns.
TREE_MODULES = (
    *("sklearn.ensemble.", "sklearn.tree."),
    *("lightgbm.", "xgboost.", "catboost."),
)


# Name, transformer and columns of a part of the encoding.
Part = tuple[str, Any, list[str]]


class DeriveColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Append columns computed by expressions; learns nothing from the data.

    Parameters
    ----------
    expressions : dict of str to str
        New column: its `~ml_assets.core.expressions.expression.Expression`.

    Examples
    --------
    >>> frame = pd.DataFrame({"gain": [5.0, 0.0], "loss": [1.0, 0.0]})
    >>> DeriveColumns({"net": "gain - loss"}).fit_transform(frame)
       gain  loss  net
    0   5.0   1.0  4.0
    1   0.0   0.0  0.0
    """

    def __init__(self, expressions: dict[str, str]) -> None:
        self.expressions = expressions

    def fit(self, X: pd.DataFrame, y: Any = None) -> "DeriveColumns":
        """Note the names of the columns; refuse an expression that cannot be read."""
        clash = [name for name in self.expressions if name in X.columns]
        if clash:
            raise FeatureError(f"derived column '{clash[0]}' is already in the data")
        derive(X.head(1), self.expressions)
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = len(X.columns)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """`X` with the derived columns behind its own."""
        return with_columns(X, derive(X, self.expressions))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Names of the columns that `transform` returns."""
        check_is_fitted(self, "feature_names_in_")
        return np.append(self.feature_names_in_, list(self.expressions)).astype(object)


def build_pipeline(
    frame: pd.DataFrame,
    spec: FeaturesSpec,
    estimator: Any,
    task: Literal["binary", "multiclass", "regression"] = "binary",
    y: Any = None,
) -> Pipeline:
    """The unfitted pipeline from raw input columns to answers.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_inputs)
        Input columns of the training rows: their names and types matter, and which
        values are the most frequent ones of a column that has many.
    spec : FeaturesSpec
        Derived columns and the encoding. ``auto`` gives trees the codes of categories
        (`OrdinalEncoder`), and everything else indicator columns and scaled numbers.
        ``target`` does so, too, but gives the mean of the target for each value of a
        column that has more than `MAX_INDICATORS`, fitted on other rows than it is
        used for in training (`TargetEncoder`, after Micci-Barreca, 2001).
    estimator : classifier or regressor
        An unfitted scikit-learn estimator.
    task : {'binary', 'multiclass', 'regression'}
        What the means of a target encoding are of.
    y : ndarray of shape (n_rows,), optional
        The target of the rows, which ``spec.transform`` may learn from.

    Returns
    -------
    Pipeline
        Steps ``derive``, ``transform`` and ``dates`` (where there is something for
        them), ``encode``, ``estimator``.
        Both encodings put categories (with booleans) before numbers, each in the order
        of `frame`. Codes of an unknown category are missing, indicators all zero, and
        so are those of a rare one, where a column has more than `MAX_INDICATORS`.
        Between them are the features of texts (`TextFeatures`).

    Raises
    ------
    FeatureError
        If texts would become more numbers than a dense table should hold.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> frame = pd.DataFrame({"age": [39, 50], "sex": pd.Categorical(["f", "m"])})
    >>> build_pipeline(frame, FeaturesSpec(), DecisionTreeClassifier()).fit(
    ...     frame, [0, 1]
    ... ).predict(frame)
    array([0, 1])
    """
    first: list[tuple[str, Any]] = []
    derived = [*spec.derive]
    if spec.derive or spec.transform:
        first.append(("derive", DeriveColumns(dict(spec.derive))))
    if spec.transform:
        first.append(("transform", user_transform(spec.transform)))
        # What is encoded is what it gives, derived columns or not.
        frame, derived = columns_given([step for _, step in first], frame, y), []
    dates = date_columns(frame, spec)
    categories = [
        name
        for name in frame.columns
        if name not in (*dates, *spec.text) and not _is_number(frame[name])
    ]
    numbers = [name for name in frame.columns if _is_number(frame[name])]
    numbers += [*derived, *date_features(dates)]
    wants_codes, by_target = _wants_codes(estimator, spec), spec.encoding == "target"
    many = many_categories(frame, categories) if by_target or not wants_codes else {}
    means = list(many) if by_target else []
    few = [name for name in categories if name not in means]
    takes_sparse = _takes_sparse(estimator) and not wants_codes
    others = [_means(means, task), *text_parts(frame, spec, takes_sparse)]
    if wants_codes:
        keep_nan = get_tags(estimator).input_tags.allow_nan
        encode = _codes(few, numbers, others, keep_nan)
    else:
        rest = {name: kept for name, kept in many.items() if name not in means}
        encode = _indicators(few, numbers, others, rest, takes_sparse)
    steps: list[tuple[str, Any]] = [("encode", encode), ("estimator", estimator)]
    if dates:
        steps.insert(0, ("dates", DateFeatures(dates)))
    return Pipeline([*first, *steps])


def _is_number(column: "pd.Series[Any]") -> bool:
    # Booleans beside numbers would make one slow array of objects; they are encoded as
    # the two categories False and True.
    is_flag = pd.api.types.is_bool_dtype(column.dtype)
    return pd.api.types.is_numeric_dtype(column.dtype) and not is_flag


def _wants_codes(estimator: Any, spec: FeaturesSpec) -> bool:
    if spec.encoding in ("ordinal", "onehot"):
        return spec.encoding == "ordinal"
    is_tree = type(estimator).__module__.startswith(TREE_MODULES)
    return is_tree and bool(get_tags(estimator).input_tags.allow_nan)


def _codes(
    categories: list[str], numbers: list[str], others: list[Part], keep_nan: bool
) -> Any:
    missing = np.nan if keep_nan else -1
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=missing,
        encoded_missing_value=missing,
    )
    plain = "passthrough" if keep_nan else SimpleImputer(strategy="median")
    return _columns(
        ("categories", codes, categories), *others, ("numbers", plain, numbers)
    )


def _means(names: list[str], task: str) -> Part:
    if task == "regression":
        kind, folds = "continuous", KFold(5, shuffle=True, random_state=0)
    else:
        kind, folds = task, StratifiedKFold(5, shuffle=True, random_state=0)
    # What scikit-learn would guess takes whole numbers for classes.
    return MEANS, TargetEncoder(target_type=kind, cv=folds), names


def many_categories(frame: pd.DataFrame, names: Iterable[str]) -> dict[str, list[Any]]:
    """The columns that have more categories than indicators, with the frequent ones.

    Examples
    --------
    >>> values = [*"ab" * 9, *map(str, range(200))]
    >>> found = many_categories(pd.DataFrame({"city": values}), ["city"])
    >>> len(found["city"]), found["city"][-2:]
    (100, ['a', 'b'])
    """
    found = {}
    for name in names:
        counts = frame[name].value_counts()
        counts = counts[counts > 0]
        if len(counts) > MAX_INDICATORS:
            # Of equally frequent ones the same in whatever order the rows come.
            ordered = sorted(
                zip(-counts.to_numpy(), counts.index.tolist(), strict=True)
            )
            found[name] = sorted(value for _, value in ordered[:MAX_INDICATORS])
    return found


def encoding_notes(frame: pd.DataFrame, pipeline: Pipeline) -> list[str]:
    """Which values are encoded as unknown, a sentence with counts a column."""
    notes = []
    if "transform" in pipeline.named_steps:
        frame = plain_texts(frame)
        for name in ("derive", "transform"):
            frame = pipeline.named_steps[name].transform(frame)
    for name, encoder, columns in pipeline.named_steps["encode"].transformers:
        if name == MEANS:
            notes += [
                f"column '{column}' has {frame[column].nunique():,} values: each is"
                " encoded as the mean of the target"
                for column in columns
            ]
        if isinstance(encoder, TextFeatures):
            notes.append(encoder.note(columns[0]))
        if name != MANY:
            continue
        for column, kept in zip(columns, encoder.categories, strict=True):
            known = frame[column].notna()
            rare = (known & ~frame[column].isin(kept)).sum() / known.sum()
            notes.append(
                f"column '{column}' has {frame[column].nunique():,} values: the"
                f" {len(kept)} most frequent are told apart, the others, in {rare:.1%}"
                " of the rows, count as unknown"
            )
    return notes


def _indicators(
    categories: list[str],
    numbers: list[str],
    others: list[Part],
    many: dict[str, list[Any]],
    takes_sparse: bool,
) -> Any:
    # A hundred indicators of which one is set are not worth a hundred numbers a row.
    has_words = any(isinstance(part, TextFeatures) for _, part, _ in others)
    sparse = (bool(many) or has_words) and takes_sparse
    common: dict[str, Any] = {"handle_unknown": "ignore", "sparse_output": sparse}
    few = [name for name in categories if name not in many]
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return _columns(
        ("categories", OneHotEncoder(**common), few),
        (
            MANY,
            OneHotEncoder(categories=list(many.values()), **common),
            list(many),
        ),
        *others,
        ("numbers", scaled, numbers),
        sparse_threshold=1.0 if sparse else 0.0,
    )


def _takes_sparse(estimator: Any) -> bool:
    return bool(get_tags(estimator).input_tags.sparse)


def _columns(
    *parts: tuple[str, Any, list[str]], sparse_threshold: float = 0.0
) -> ColumnTransformer:
    return ColumnTransformer(
        [part for part in parts if part[2]],
        sparse_threshold=sparse_threshold,
        verbose_feature_names_out=False,
    )
