"""What tests of the command line share: a deployed model, and records of versions."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import main
from ml_assets.ml.schema import Unknown
from ml_assets.records.plan import Arm, ServingPlan
from ml_assets.records.version import VersionRecord
from ml_assets.serving.models.bundle import Manifest, write_bundle
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions
from ml_assets_tests.kits.plans import commit

VERSION = "20261122T020000Z"


def invoke(*arguments: str, stdin: str | bytes | None = None) -> Result:
    """Run ``ml-assets`` in this process."""
    return CliRunner().invoke(main, list(arguments), input=stdin)


def record(model: str, version: str, **overrides: Any) -> VersionRecord:
    """The record of a version that was trained somewhere."""
    given: dict[str, Any] = {
        "model": model,
        "version": version,
        "files": {},
        "runtime": "compiled",
        "runtime_reason": "",
        "fingerprint": "f",
        "raw_version": "0123456789abcdef",
        "features_version": "t",
        "code_version": "c",
        "git_commit": "g",
        "environment": "e",
        "run_id": "run",
        "registry_uri": "u",
        "registry_run": "m",
        "registry_version": "7",
        "estimator": "sklearn.dummy.DummyClassifier",
        "params": {},
        "train_rows": 8,
        "test_rows": 2,
        "fit_seconds": 0.1,
    }
    return VersionRecord(**(given | overrides))


def evaluated(
    root: Path, model: str, version: str, accuracy: float, passed: bool
) -> None:
    """Keep a version and the gate's verdict on it."""
    store = Versions()
    store.save(record(model, version))
    sentence = f"accuracy {accuracy:.4f} is {'' if passed else 'not '}above 0.8"
    clause = {"name": "threshold", "passed": passed, "sentence": sentence}
    store.save_evaluation(
        model,
        version,
        {
            "figures": {"metrics": {"accuracy": accuracy}},
            "gate": {"passed": passed, "reason": sentence, "clauses": [clause]},
            "metrics": {"accuracy": accuracy, "roc_auc": 0.9},
            "champion": None,
        },
    )


def in_service(
    root: Path,
    model: str,
    version: str,
    files: dict[str, str] | None = None,
    runtime: Any = "compiled",
    shadow: str | None = None,
) -> None:
    """Activate a version, and another beside it as its shadow."""
    before = Plans().current(model)
    arm = Arm(
        version=version,
        bundle=f"versions/{model}/{version}/bundle",
        files=files or {},
        runtime=runtime,
    )
    commit(
        ServingPlan(
            model=model,
            generation=before.generation + 1 if before else 1,
            arms=(
                (arm, msgspec.structs.replace(arm, version=shadow, mode="shadow"))
                if shadow
                else (arm,)
            ),
            created_at="2026-11-22T02:00:00+00:00",
            reason="a test",
        )
    )


def deploy_small_model(
    root: Path, model: str = "income", unknown: Unknown = "reject"
) -> ServingPlan:
    """Put a tiny pipeline in service in the home `root`; it is trained once.

    `unknown` says what it does with a category that training did not see.
    """
    contents, manifest = _trained(unknown)
    bundle = root / "versions" / model / VERSION / "bundle"
    bundle.mkdir(parents=True)
    for name, content in contents.items():
        (bundle / name).write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_HOME", str(root))
        in_service(root, model, VERSION, dict(manifest.files), manifest.runtime)
        plan = Plans().current(model)
    assert plan is not None
    return plan


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a tiny model is in service, for the tests of a file."""
    root = tmp_path_factory.mktemp("storage")
    deploy_small_model(root)
    return root


@pytest.fixture
def storage(deployed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That home, which is the one of this test."""
    monkeypatch.setenv("ML_ASSETS_HOME", str(deployed))
    return deployed


@cache
def _trained(unknown: Unknown) -> tuple[dict[str, bytes], Manifest]:
    """The files of the bundle of a tiny pipeline, and what is known of them."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    from ml_assets.ml.schema import signature_columns
    from ml_assets.records.plan import Signature

    x = pd.DataFrame(
        {
            "age": [20.0, 30.0, 40.0, 50.0, None, 60.0],
            "sex": ["f", "m", "f", "m", "f", "NA"],
        }
    )
    y = ["no", "no", "yes", "yes", "yes", "no"]
    from sklearn.impute import SimpleImputer

    encode = ColumnTransformer(
        [
            ("numbers", SimpleImputer(), ["age"]),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["sex"]),
        ]
    )
    pipeline = Pipeline([("encode", encode), ("estimator", LogisticRegression())])
    pipeline.fit(x, y)
    signature = Signature(
        columns=signature_columns(x, x.columns, unknown),
        target="income",
        negative="no",
        positive="yes",
    )
    with TemporaryDirectory() as directory:
        written = Path(directory) / "bundle"
        manifest = write_bundle(written, pipeline, signature, x)
        return {path.name: path.read_bytes() for path in written.iterdir()}, manifest
