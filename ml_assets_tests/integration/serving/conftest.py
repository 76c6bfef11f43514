"""Versions that are trained once for all tests of the server."""

import shutil
from pathlib import Path

import pytest

from ml_assets_tests.kits.plans import published
from ml_assets_tests.kits.serving import answers, plan, rows, write_version


@pytest.fixture(scope="session")
def versions(tmp_path_factory):
    """Two versions in a storage of their own, and their answers to some rows."""
    root = tmp_path_factory.mktemp("versions")
    arms = {name: write_version(root, name, seed) for seed, name in enumerate("ab")}
    given = rows(40)
    expected = {name: answers(root, arm, given) for name, arm in arms.items()}
    assert expected["a"] != expected["b"]
    return root, arms, given, expected


@pytest.fixture
def storage(versions, tmp_path) -> Path:
    """A storage in which version a is active."""
    root, arms, _, _ = versions
    shutil.copytree(root / "bundles", tmp_path / "bundles")
    published(tmp_path).publish(plan(arms["a"], 1))
    return tmp_path
