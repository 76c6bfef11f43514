"""Arrow columns get the answers of the same rows in lists, bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from ml_assets.core.column_arrays import CodedColumn, NumberColumn
from ml_assets.ml.features import build_pipeline
from ml_assets.ml.schema import signature_columns
from ml_assets.records.plan import Signature
from ml_assets.serving.models.bundle import load_runtime, write_bundle
from ml_assets.serving.requests.arrow_columns import read_table
from ml_assets.serving.runtime import Refused
from ml_assets.serving.runtime.program import CategorySource
from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime, columns_of
from ml_assets.serving.runtime.sources import CodeTable
from ml_assets.spec.model import FeaturesSpec
from ml_assets_tests.unit.serving.compiler.test_compile import rows

ESTIMATORS = {
    "masks": HistGradientBoostingClassifier(max_iter=10),
    "walk": RandomForestClassifier(5, random_state=0),
    "linear": LogisticRegression(max_iter=300),
}
DERIVE = {"less": "amount - count", "is_x": "letter == 'x'", "on": "where(flag, 1, 2)"}


def prepared(
    directory: Path, estimator: Any, missing: bool, **features: Any
) -> tuple[Any, Any, Any]:
    frame, target = rows(0, missing)
    signature = Signature(
        columns=signature_columns(frame, frame.columns),
        target="won",
        negative=0,
        positive=1,
    )
    spec = FeaturesSpec(derive=DERIVE, **features)
    pipeline = build_pipeline(frame, spec, estimator).fit(frame, target)
    manifest = write_bundle(directory, pipeline, signature, frame.head(50))
    assert manifest.runtime == "compiled", manifest.reason
    return pipeline, signature, load_runtime(directory, manifest.files)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("categorical", [[], ["count", "flag"]])
def test_arrays_and_lists_get_the_same_bits(
    name: str, missing: bool, categorical: list[str], tmp_path: Path
) -> None:
    pipeline, signature, runtime = prepared(
        tmp_path, ESTIMATORS[name], missing, categorical=categorical
    )
    frame, _ = rows(1, missing, 300)
    lists = columns_of(signature, frame)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    batch = read_table(signature, table, len(frame))
    assert [*map(list, batch.columns)] == lists
    expected = runtime.predict_many(lists)
    assert runtime.predict_many(batch.columns).tobytes() == expected.tobytes()
    library = SklearnRuntime(pipeline, signature)
    found = library.predict_many(batch.columns)
    assert found.tobytes() == library.predict_many(lists).tobytes()
    if name != "linear":
        assert found.tobytes() == expected.tobytes()


def test_what_the_estimator_cannot_take_is_refused_as_in_lists(tmp_path: Path) -> None:
    _, signature, runtime = prepared(tmp_path, ESTIMATORS["walk"], missing=False)
    frame, _ = rows(1, False, 10)
    frame.loc[3, "amount"] = 1e300
    table = pa.Table.from_pandas(frame, preserve_index=False)
    batch = read_table(signature, table, len(frame))
    with pytest.raises(Refused, match="row 3 holds a value"):
        runtime.predict_many(batch.columns)
    with pytest.raises(Refused, match="row 3 holds a value"):
        runtime.predict_many(columns_of(signature, frame))


@pytest.mark.parametrize("size", [2, 400])
def test_numbers_are_found_among_categories_without_rounding(size: int) -> None:
    big = 2**53
    known = [big, big + 1, *range(size)]
    table = CodeTable(CategorySource(column=0, categories=[*known]))
    values = [big + 1, None, big, big + 3, 1]
    whole = np.array([value or 0 for value in values])
    floats = np.array([np.nan if value is None else value for value in values])
    assert table.codes(NumberColumn(floats, whole)).tolist() == [
        table[value] for value in values
    ]
    coded = CodedColumn([None, "?", 1], np.array([2, 0, 1, 2]))
    assert table.codes(coded).tolist() == [table[v] for v in (1, None, "?", 1)]
