"""What each column of the estimator's input is, as a function of one request column."""

import warnings
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from ml_assets.records.plan import Column, Signature
from ml_assets.serving.compiler.encoding import (
    CategoryFeature,
    Encoding,
    Feature,
    Floats,
    NotCompiled,
    NumericFeature,
)
from ml_assets.serving.runtime.program import CategorySource, NumericSource
from ml_assets.serving.runtime.sklearn_runtime import frame_of


def read_encoding(pipeline: Any, signature: Signature, row: list[Any]) -> Encoding:
    """Read the fitted steps before the estimator.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted.
    signature : Signature
        The request schema.
    row : list
        Request values that the pipeline takes; they fill the columns that are
        not varied.

    Raises
    ------
    NotCompiled
        If a step is of a kind that the compiled runtime does not know.
    """
    derived, encode = _steps(pipeline)
    reader = _Reader(signature, derived)
    slots: list[list[Feature]] = []
    starts: list[int] = []
    for name, transformer, columns in encode.transformers_:
        where = encode.output_indices_[name]
        if isinstance(transformer, str) and transformer == "drop":
            continue
        if len(columns) == 0:
            continue
        features = reader.read(transformer, [str(column) for column in columns])
        if len(features) != where.stop - where.start:
            raise NotCompiled(
                f"the encoder '{name}' gives {where.stop - where.start} columns,"
                f" expected {len(features)}"
            )
        slots.append(features)
        starts.append(where.start)
    order = np.argsort(starts, kind="stable")
    matrix = reader.walk_codes(pipeline, row)
    encoding = Encoding(
        expressions=list(reader.expressions),
        numeric=reader.numeric,
        category=reader.category,
        features=[feature for index in order for feature in slots[index]],
        matrix=matrix,
        is_sparse=bool(encode.sparse_output_),
    )
    return encoding.with_features(list(range(matrix.shape[1])), matrix)


def _steps(pipeline: Any) -> tuple[dict[str, str], Any]:
    steps = [step for _, step in pipeline.steps]
    derived: dict[str, str] = {}
    if len(steps) == 3 and _derives(steps[0]):
        derived = steps.pop(0).expressions
    if len(steps) != 2 or not isinstance(steps[0], ColumnTransformer):
        found = ", ".join(type(step).__name__ for _, step in pipeline.steps)
        raise NotCompiled(
            "the pipeline must be DeriveColumns (or not), ColumnTransformer and an"
            f" estimator, found {found}"
        )
    return derived, steps[0]


def _derives(step: Any) -> bool:
    """Whether a step is `DeriveColumns`, which servers must not import to know it."""
    kind = type(step)
    return (kind.__module__, kind.__name__) == (
        "ml_assets.ml.features",
        "DeriveColumns",
    )


class _Reader:
    """Collects the sources on the way through the transformers."""

    def __init__(self, signature: Signature, derived: dict[str, str]) -> None:
        self.signature = signature
        self.derived = derived
        self.columns = {item.name: i for i, item in enumerate(signature.columns)}
        self.expressions: list[str] = []
        self.numeric: list[NumericSource] = []
        self.category: list[CategorySource] = []

    def read(self, transformer: Any, columns: list[str]) -> list[Feature]:
        """The features that one fitted transformer makes of its columns."""
        steps = [transformer]
        if isinstance(transformer, Pipeline):
            steps = [step for _, step in transformer.steps]
        steps = [step for step in steps if not _is_passthrough(step)]
        last = steps[-1] if steps else None
        if isinstance(last, (OrdinalEncoder, OneHotEncoder)):
            if not all(isinstance(step, SimpleImputer) for step in steps[:-1]):
                raise NotCompiled(f"{_names(steps)} before an encoder")
            return self._categories(last, columns)
        return self._numbers(steps, columns)

    def _numbers(self, steps: list[Any], columns: list[str]) -> list[Feature]:
        kinds = [type(step) for step in steps]
        if kinds not in (
            [],
            [SimpleImputer],
            [StandardScaler],
            [SimpleImputer, StandardScaler],
        ):
            raise NotCompiled(f"the steps {_names(steps)} on numbers are not known")
        count = len(columns)
        fill, mean, scale = np.full(count, np.nan), np.zeros(count), np.ones(count)
        for step in steps:
            if isinstance(step, SimpleImputer):
                fill = _statistics(step, count)
            else:
                mean = step.mean_ if step.with_mean else mean
                scale = step.scale_ if step.with_std else scale
        return [
            NumericFeature(
                self._numeric_source(name),
                float(fill[i]),
                float(mean[i]),
                float(scale[i]),
                finite=bool(steps),
            )
            for i, name in enumerate(columns)
        ]

    def _numeric_source(self, name: str) -> int:
        if name in self.derived:
            text = self.derived[name]
            if text not in self.expressions:
                self.expressions.append(text)
            source = NumericSource(derived=self.expressions.index(text))
        else:
            column = self._column(name)
            if column.kind == "string":
                raise NotCompiled(f"the text column '{name}' is used as a number")
            source = NumericSource(column=self.columns[name])
        if source not in self.numeric:
            self.numeric.append(source)
        return self.numeric.index(source)

    def _categories(self, encoder: Any, columns: list[str]) -> list[Feature]:
        counts = getattr(encoder, "_n_features_outs", [1] * len(columns))
        features: list[Feature] = []
        for name, categories, count in zip(columns, encoder.categories_, counts):
            self._column(name)
            known = [_plain(item) for item in categories if item is not None]
            source = CategorySource(
                column=self.columns[name],
                categories=[item for item in known if item == item],
            )
            if source not in self.category:
                self.category.append(source)
            index = self.category.index(source)
            table = np.empty(len(source.categories) + 2)
            features += [CategoryFeature(index, table)] * count
        return features

    def _column(self, name: str) -> Column:
        if name in self.derived:
            raise NotCompiled(f"the derived column '{name}' is used as a category")
        if name not in self.columns:
            raise NotCompiled(f"the column '{name}' is not in the signature")
        return self.signature.columns[self.columns[name]]

    def walk_codes(self, pipeline: Any, row: list[Any]) -> Floats:
        """Run the real encoder over all codes of all category columns at once."""
        codes: dict[int, list[Any]] = {}
        for source in self.category:
            column = self.signature.columns[source.column]
            codes[source.column] = [*source.categories, *_others(column, source)]
        height = max((len(values) for values in codes.values()), default=1)
        columns = [
            codes.get(i, []) + [row[i]] * (height - len(codes.get(i, [])))
            for i in range(len(row))
        ]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = pipeline[:-1].transform(frame_of(self.signature, columns))
        except (ValueError, TypeError) as error:
            raise NotCompiled(
                f"an encoder refuses a missing category: {error}"
            ) from error
        if hasattr(found, "toarray"):
            found = found.toarray()
        return np.asarray(found, dtype=np.float64)


def _others(column: Column, source: CategorySource) -> list[Any]:
    """A missing value and one that training never saw."""
    if column.kind == "string":
        return [None, "never seen " + "".join(map(str, source.categories))[:1_000]]
    if column.kind == "boolean":
        # A request cannot hold a third boolean.
        missing = None if column.nullable else source.categories[0]
        return [missing, missing]
    return [None, max(map(float, source.categories), default=0.0) + 1.0]


def _is_passthrough(step: Any) -> bool:
    if isinstance(step, str):
        return step == "passthrough"
    return isinstance(step, FunctionTransformer) and step.func is None


def _statistics(imputer: SimpleImputer, count: int) -> Floats:
    if imputer.add_indicator or imputer.statistics_.dtype.kind != "f":
        raise NotCompiled("SimpleImputer with indicators, or of something but numbers")
    if not _is_nan(imputer.missing_values):
        raise NotCompiled(f"SimpleImputer of {imputer.missing_values!r}, expected NaN")
    statistics = np.asarray(imputer.statistics_, dtype=np.float64)
    if np.isnan(statistics).any():
        raise NotCompiled("SimpleImputer of a column that training saw empty")
    return statistics


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


def _plain(item: Any) -> Any:
    return item.item() if hasattr(item, "item") else item


def _names(steps: list[Any]) -> str:
    return " + ".join(type(step).__name__ for step in steps)
