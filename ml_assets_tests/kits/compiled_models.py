"""Small fitted pipelines of each task, compiled, and rows that are hard to answer."""

import io
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from ml_assets.ml.features import build_pipeline
from ml_assets.ml.schema import signature_columns
from ml_assets.records.plan import Signature
from ml_assets.serving.compiler import compile_pipeline
from ml_assets.serving.models.bundle import load_runtime, write_bundle
from ml_assets.serving.runtime import Refused
from ml_assets.serving.runtime.compiled import load_tables
from ml_assets.serving.runtime.sklearn_runtime import columns_of
from ml_assets.spec.model import FeaturesSpec


def rows(seed: int, missing: bool, count: int = 300) -> tuple[pd.DataFrame, Any]:
    """Rows, and a number that depends on them."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": random.normal(size=count),
            "count": random.integers(0, 50, count),
            "letter": random.choice(["x", "y", "z"], count),
            "flag": random.random(count) > 0.5,
        }
    )
    frame["letter"] = frame.letter.astype("category")
    score = frame.amount + frame["count"] / 25 + (frame.letter == "x")
    target = 3.0 + np.abs(score + random.normal(size=count))
    if missing:
        frame.loc[random.random(count) < 0.1, "amount"] = np.nan
        frame.loc[random.random(count) < 0.1, "letter"] = None
    return frame, target.to_numpy()


def codes(target: Any, classes: int) -> Any:
    """The number as a class: 0 to `classes` - 1, each of about as many rows."""
    edges = np.quantile(target, np.arange(1, classes) / classes)
    return np.searchsorted(edges, target)


def signature_of(frame: pd.DataFrame, classes: tuple[Any, ...] = ()) -> Signature:
    columns = signature_columns(frame, frame.columns)
    task: Any = "multiclass" if classes else "regression"
    return Signature(columns=columns, target="made", task=task, classes=classes)


def packed(directory, estimator, missing=False, classes=(), encoding="ordinal"):
    frame, target = rows(0, missing)
    if classes:
        target = codes(target, len(classes))
    pipeline = build_pipeline(frame, FeaturesSpec(encoding=encoding), estimator)
    pipeline.fit(frame, target)
    signature = signature_of(frame, tuple(classes))
    manifest = write_bundle(directory, pipeline, signature, frame.head(50))
    return pipeline, manifest, load_runtime(directory, manifest.files)


def expected_of(pipeline, frame, classes):
    return pipeline.predict_proba(frame) if classes else pipeline.predict(frame)


def bits(values):
    return np.ascontiguousarray(np.asarray(values, dtype=np.float64)).view("u8")


def assert_same_bits(pipeline, runtime, frame, classes):
    """A batch as in a batch, and rows alone as rows alone."""
    columns = columns_of(runtime.signature, frame)
    expected = expected_of(pipeline, frame, classes)
    np.testing.assert_array_equal(bits(runtime.predict_many(columns)), bits(expected))
    for number, row in enumerate(list(zip(*columns))[:25]):
        alone = expected_of(pipeline, frame.iloc[[number]], classes)[0]
        found = runtime.predict_one(row)
        np.testing.assert_array_equal(bits([found]), bits([alone]))


def data(count=1500):
    """Rows, with a number of many sizes and signs beside the others, and targets."""
    frame, target = rows(0, True, count)
    random = np.random.default_rng(1)
    size = random.lognormal(0, 8, count)
    frame["wide"] = size * random.choice([-1.0, 1.0], count)
    return frame, target + (frame.wide > 1).to_numpy()


def fitted(estimator, classes, encoding="ordinal", count=1500):
    frame, target = data(count)
    given = codes(target, classes) if classes else np.floor(target) + 1
    pipeline = build_pipeline(frame, FeaturesSpec(encoding=encoding), clone(estimator))
    pipeline.fit(frame, given)
    columns = signature_columns(frame, frame.columns)
    options: dict[str, Any] = {"task": "regression"}
    if classes == 2:
        options = {"task": "binary", "negative": 0, "positive": 1}
    elif classes:
        options = {"task": "multiclass", "classes": tuple("abcdefghijkl"[:classes])}
    signature = Signature(columns=columns, target="made", **options)
    return pipeline, signature, frame


def compiled(pipeline, signature, frame):
    probe = columns_of(signature, frame.head(40))
    program, tables = compile_pipeline(pipeline, signature, probe)
    return program, tables, load_tables(signature, program, tables)


SPECIAL = (
    # Where LightGBM's numbers begin to count as zero.
    *(1.0000000180025095e-35, -1.0000000180025095e-35, 1.0000000180025097e-35),
    *(-1.0000000180025097e-35, 1e-35, 1e-34),
    *(0.0, -0.0, 5e-324, -5e-324, 1e-310, 1e-45, -1e-45, 1e-40, -1e-40),
    *(np.inf, -np.inf, 3.4028234e38, 3.4028236e38, -3.5e38, 1e300, -1e300, None),
)


def edges(tables):
    """Numbers at which trees decide, of float64 and float32, and their neighbours."""
    with np.load(io.BytesIO(tables)) as archive:
        names = [name for name in archive if name.endswith(("cuts", "threshold"))]
        found = np.concatenate([archive[name].astype(np.float64) for name in names])
    found = np.unique(found[np.isfinite(found)])
    # A number between two of float32 is rounded to one of them.
    single = found.astype(np.float32)
    with np.errstate(over="ignore"):
        after = np.nextafter(single, np.float32(np.inf)).astype(np.float64)
    found = np.concatenate([found, single, after, (single.astype(float) + after) / 2])
    near = [found, np.nextafter(found, -np.inf), np.nextafter(found, np.inf)]
    return np.concatenate([*near, SPECIAL[:-1]])


def fuzzed(signature, frame, numbers, count):
    """Rows of `frame` with values that are hard to get right."""
    random = np.random.default_rng(2)
    columns = columns_of(signature, frame.sample(count, replace=True, random_state=0))
    kinds = [column.kind for column in signature.columns]
    for column, kind in zip(columns, kinds, strict=True):
        for row in np.flatnonzero(random.random(count) < 0.6):
            if kind == "string":
                column[row] = random.choice(["x", "y", "z", "unseen", "", None])
            elif kind != "boolean" and random.random() < 0.4:
                column[row] = SPECIAL[random.integers(len(SPECIAL))]
            elif kind != "boolean":
                column[row] = float(random.choice(numbers))
    return columns


def answered(runtime, columns):
    """The rows of `columns` that a runtime does not refuse."""
    kept = []
    for row in zip(*columns):
        try:
            runtime.predict_one(list(row))
        except Refused:
            continue
        kept.append(row)
    return [list(column) for column in zip(*kept)]


def assert_loads_without(
    directory: Path, files: dict[str, str], libraries: Collection[str]
) -> None:
    """In a process of its own, a bundle is compiled and imports none of these."""
    code = (
        "import sys; from pathlib import Path\n"
        "from ml_assets.serving.models.bundle import load_runtime\n"
        f"runtime = load_runtime(Path({str(directory)!r}), {files!r})\n"
        f"print(runtime.kind, sorted({set(libraries)!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("compiled []\n", "")
