"""A bundle serves only whole, unaltered, and with the answers of training."""

import hashlib
import json
import shutil

import pytest

from ml_assets.core.digests import BundleError, verify_bundle
from ml_assets.serving.models.bundle import load_runtime
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
    directory, files = bundle
    probe = json.loads((directory / "probe.json").read_text())
    probe["answers"][3] += 1e-9
    data = json.dumps(probe).encode()
    (directory / "probe.json").write_bytes(data)
    files["probe.json"] = hashlib.sha256(data).hexdigest()
    with pytest.raises(BundleError, match="probe row 3 is answered"):
        load_runtime(directory, files)


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
