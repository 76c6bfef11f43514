"""Bundles of one machine on another: which are loaded, and which bits differ.

    python -m benchmarks.machines write DIRECTORY       on the machine of training
    python -m benchmarks.machines compare DIRECTORY     on that of serving

The estimators are those of the tests that fuzz compiled models, and so are the rows:
neighbours of thresholds, -0.0, subnormal and infinite numbers, missing and unseen
values. `compare` answers them with the compiled tables and with the library of its own
machine, and counts the rows that differ from what the library answered on the first.
"""

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)

from ml_assets.core.decoding import from_msgpack
from ml_assets.core.digests import BundleError
from ml_assets.serving.models.bundle import (
    load_pipeline,
    load_runtime,
    load_signature,
    write_bundle,
)
from ml_assets.serving.models.probe import this_machine
from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime
from ml_assets_tests.kits.compiled_models import (
    answered,
    bits,
    edges,
    fitted,
    fuzzed,
)
from ml_assets_tests.unit.serving.compiler import (
    test_compiled_fuzz,
    test_composed_fuzz,
    test_libraries,
    test_tasks,
)

ROWS = 1_500
PROBE_ROWS = 100
# Numbers for models without thresholds.
PLAIN = np.linspace(-3.0, 60.0, 500)


class Written(msgspec.Struct):
    """A bundle beside it, rows, and what its library answered on its machine."""

    name: str
    machine: str
    files: dict[str, str]
    columns: list[list[float | int | bool | str | None]]
    answers: list[float | list[float]]


def cases() -> Iterator[tuple[str, Any, int, str]]:
    """Name, estimator, number of classes (0 for a regression) and encoding."""
    boosters = {**test_compiled_fuzz.CASES, **test_libraries.CASES}
    for name, (estimator, classes, _) in boosters.items():
        yield name, estimator, classes, "ordinal"
    for name, estimator in test_tasks.CLASSIFIERS.items():
        for classes in (2, 3, 12):
            title = f"scikit-learn {name}, {classes} classes"
            yield title, estimator, classes, "ordinal"
    for name, estimator in test_tasks.REGRESSORS.items():
        yield f"scikit-learn {name} of values", estimator, 0, "ordinal"
    for name, (estimator, classes, _) in test_composed_fuzz.TREES.items():
        yield f"composed {name}", estimator, classes, "ordinal"
    for name, (estimator, classes, _) in test_composed_fuzz.LINEAR.items():
        yield f"linear {name}", estimator, classes, "onehot"
    for classes in (2, 3, 12):
        estimator = LogisticRegression(C=0.01)
        yield f"linear logistic, {classes} classes", estimator, classes, "onehot"
    for estimator in (LinearRegression(), Ridge(), PoissonRegressor()):
        yield f"linear {type(estimator).__name__}", estimator, 0, "onehot"


def write(directory: Path) -> None:
    """Fit and package each case, and keep what its library answers."""
    for number, (name, estimator, classes, encoding) in enumerate(cases()):
        home = directory / f"{number:03d}"
        pipeline, signature, frame = fitted(estimator, classes, encoding)
        probe = frame.head(PROBE_ROWS)
        manifest = write_bundle(home / "bundle", pipeline, signature, probe)
        runtime = load_runtime(home / "bundle", manifest.files)
        numbers = PLAIN
        if encoding == "ordinal":
            numbers = edges((home / "bundle" / "runtime.npz").read_bytes())
        columns = answered(runtime, fuzzed(signature, frame, numbers, ROWS))
        answers = SklearnRuntime(pipeline, signature).predict_many(columns)
        found = Written(name, this_machine(), manifest.files, columns, answers.tolist())
        (home / "written.msgpack").write_bytes(msgspec.msgpack.encode(found))
        print(f"{name}: {manifest.runtime}, {len(columns[0])} rows", flush=True)


def compare(directory: Path) -> None:
    """A line for each bundle: what loads it here, and what it answers otherwise."""
    paths = sorted(directory.glob("*/written.msgpack"))
    written = [from_msgpack(path.read_bytes(), Written) for path in paths]
    print(f"Written on {written[0].machine}, compared on {this_machine()}.\n")
    print("| bundle | served by | compiled: rows, ulps | library: rows, ulps |")
    print("|---|---|---|---|")
    for path, found in zip(paths, written, strict=True):
        bundle = path.parent / "bundle"
        try:
            runtime = load_runtime(bundle, found.files)
        except BundleError as error:
            print(f"| {found.name} | refused: {error} | | |", flush=True)
            continue
        compiled = ""
        if runtime.kind == "compiled":
            compiled = _differing(runtime, found)
        library = _library(bundle, found.files)
        print(
            f"| {found.name} | {runtime.kind} | {compiled} |"
            f" {_differing(library, found)} |",
            flush=True,
        )


def _library(bundle: Path, files: dict[str, str]) -> SklearnRuntime:
    """The fitted pipeline with the library of this machine."""
    pipeline = load_pipeline(bundle, files)
    return SklearnRuntime(pipeline, load_signature(bundle, files))


def _differing(runtime: Any, found: Written) -> str:
    """How many rows are answered otherwise, and by how many ulps at most."""
    steps = ulps(runtime.predict_many(found.columns), np.array(found.answers))
    rows = steps.reshape(len(steps), -1).max(axis=1)
    count = int(np.count_nonzero(rows))
    return f"{count} of {len(rows)}, {rows.max()}" if count else "0"


def ulps(
    found: NDArray[np.float64], expected: NDArray[np.float64]
) -> NDArray[np.int64]:
    """How many float64 numbers lie between two, and one more.

    Examples
    --------
    >>> ulps(np.array([1.0, -5e-324]), np.array([np.nextafter(1.0, 2.0), 0.0])).tolist()
    [1, 1]
    """
    ordered = []
    for values in (found, expected):
        numbers = bits(values).view(np.int64)
        # Of negative numbers the larger is the one with the smaller bits.
        ordered.append(np.where(numbers < 0, np.iinfo(np.int64).min - numbers, numbers))
    return np.abs(ordered[0] - ordered[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=["write", "compare"])
    parser.add_argument("directory", type=Path)
    given = parser.parse_args()
    with warnings.catch_warnings():
        # Some linear parts do not converge in time, which is nothing to this.
        warnings.simplefilter("ignore")
        {"write": write, "compare": compare}[given.action](given.directory)


if __name__ == "__main__":
    main()
