"""A bundle serves only whole, unaltered, and with the answers of training."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from ml_assets.core.digests import BundleError, verify_bundle
from ml_assets.serving.models.bundle import load_runtime
from ml_assets.serving.models.probe import this_machine
from ml_assets_tests.kits.compiled_models import packed as packed_of_task
from ml_assets_tests.kits.estimators import xgb
from ml_assets_tests.unit.serving.compiler.test_compile import TREES, packed


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("trained") / "bundle"
    _, manifest, _ = packed(directory, TREES["boosting"], False)
    return directory, manifest


@pytest.fixture
def bundle(trained, tmp_path):
    directory, manifest = trained
    return shutil.copytree(directory, tmp_path / "bundle"), dict(manifest.files)


def probe_changed(directory, files, change):
    """Have `change` alter the probe of a bundle, and its digest with it."""
    probe = json.loads((directory / "probe.json").read_text())
    change(probe)
    data = json.dumps(probe).encode()
    (directory / "probe.json").write_bytes(data)
    files["probe.json"] = hashlib.sha256(data).hexdigest()


def test_a_whole_bundle_passes(bundle):
    verify_bundle(*bundle)


def test_an_altered_file_is_named(bundle):
    directory, files = bundle
    data = bytearray((directory / "model.skops").read_bytes())
    data[100] ^= 1
    (directory / "model.skops").write_bytes(data)
    with pytest.raises(BundleError, match="model.skops was altered"):
        load_runtime(directory, files)


def test_a_truncated_file_is_named(bundle):
    directory, files = bundle
    data = (directory / "runtime.npz").read_bytes()
    (directory / "runtime.npz").write_bytes(data[:-7])
    with pytest.raises(BundleError, match="runtime.npz was altered"):
        load_runtime(directory, files)


def test_a_missing_and_a_surplus_file_are_named(bundle):
    directory, files = bundle
    (directory / "extra.txt").write_text("hello")
    with pytest.raises(BundleError, match="extra.txt is not in the manifest"):
        verify_bundle(directory, files)
    (directory / "probe.json").unlink()
    with pytest.raises(BundleError, match="probe.json is missing"):
        verify_bundle(directory, files)


def test_a_link_is_not_followed(bundle, tmp_path):
    directory, files = bundle
    elsewhere = tmp_path / "probe.json"
    (directory / "probe.json").rename(elsewhere)
    (directory / "probe.json").symlink_to(elsewhere)
    with pytest.raises(BundleError, match="link"):
        load_runtime(directory, files)


def test_a_manifest_cannot_name_a_file_outside(bundle):
    directory, files = bundle
    with pytest.raises(BundleError, match="leaves the bundle"):
        verify_bundle(directory, {**files, "../secret": "0" * 64})


def test_the_first_probe_row_answered_otherwise_is_named(bundle):
    def change(probe):
        probe["answers"][3] += 1e-5

    probe_changed(*bundle, change)
    with pytest.raises(BundleError, match="probe row 3 is answered .* as at training$"):
        load_runtime(*bundle)


def test_another_machine_whose_answers_differ_is_named(bundle):
    def change(probe):
        probe["answers"][3] += 1e-5
        assert probe["machine"] == this_machine()
        probe["machine"] = "Linux riscv64"

    probe_changed(*bundle, change)
    expected = f"at training on Linux riscv64; this is {this_machine()}"
    with pytest.raises(BundleError, match=expected):
        load_runtime(*bundle)


def test_a_bundle_of_an_older_release_names_no_machine(bundle):
    def change(probe):
        probe["answers"][3] += 1e-5
        del probe["machine"]

    probe_changed(*bundle, change)
    with pytest.raises(BundleError, match="as at training$"):
        load_runtime(*bundle)


def test_the_last_bit_of_another_machine_refuses_no_bundle(bundle):
    def change(probe):
        probe["machine"] = "Linux riscv64"
        probe["answers"] = np.nextafter(probe["answers"], 1.0).tolist()

    probe_changed(*bundle, change)
    assert load_runtime(*bundle).kind == "compiled"


@pytest.mark.parametrize("classes", [(), ("blue", "green", "red")], ids=len)
def test_the_last_bit_of_float32_refuses_no_bundle_of_xgboost(classes, tmp_path):
    estimator = xgb("Classifier" if classes else "Regressor", n_estimators=5)
    _, manifest, _ = packed_of_task(tmp_path, estimator, classes=classes)
    assert (manifest.runtime, manifest.reason) == ("compiled", "")

    def change(probe):
        answers = np.array(probe["answers"], dtype=np.float32)
        probe["answers"] = np.nextafter(answers, np.float32(99)).astype(float).tolist()

    files = {**manifest.files}
    probe_changed(tmp_path, files, change)
    assert load_runtime(tmp_path, files).kind == "compiled"


def test_a_sum_in_float32_inside_of_a_model_refuses_no_bundle(tmp_path):
    estimator = GradientBoostingClassifier(init=LogisticRegression(), n_estimators=5)
    classes = ("blue", "green", "red")
    _, manifest, _ = packed_of_task(tmp_path, estimator, classes=classes)
    assert manifest.runtime == "sklearn"

    def change(probe):
        # As another BLAS adds up what the initial estimator has in float32.
        answers = np.array(probe["answers"])
        probe["answers"] = (answers * [1 + 3e-7, 1 - 3e-7, 1]).tolist()

    files = {**manifest.files}
    probe_changed(tmp_path, files, change)
    assert load_runtime(tmp_path, files).kind == "sklearn"


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("table", lambda a: a[:-1], "table has"),
        ("table", lambda a: -a, "sign bit"),
        ("table", lambda a: a.astype("f8"), "expected i4 i8"),
        ("values", lambda a: a[:-1], "one row a tree"),
        ("values", lambda a: a * float("nan"), "not finite"),
        ("cut_counts", lambda a: a + 1, "add up"),
        ("cuts", lambda a: a * float("nan"), "NaN"),
    ],
)
def test_crafted_tables_are_refused(bundle, name, change, message):
    import io

    import numpy as np

    directory, files = bundle
    with np.load(directory / "runtime.npz") as archive:
        tables = {key: archive[key] for key in archive.files}
    tables[name] = change(tables[name])
    buffer = io.BytesIO()
    np.savez(buffer, **tables)
    (directory / "runtime.npz").write_bytes(buffer.getvalue())
    files["runtime.npz"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    with pytest.raises(BundleError, match=message):
        load_runtime(directory, files)
