"""What validation leaves alone: start-up time, the network and the disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml_assets.spec import expectation_library as library

LOADED = """
import json, sys
from ml_assets.quality import expectation_names
expectation_names([{"expect_column_to_exist": {"column": "age"}}])
heavy = ["great_expectations", "pandas", "numpy", "sklearn"]
print(json.dumps([name for name in heavy if name in sys.modules]))
import ml_assets.quality.suite, ml_assets.quality.report, ml_assets.spec.expectations
print(json.dumps("great_expectations" in sys.modules))
"""

QUIET = """
import gc, json, logging, os, socket
gc.disable()
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("tzlocal").setLevel(logging.ERROR)
asked = []

def refuse(*args, **kwargs):
    asked.append(repr(args))
    raise OSError("no network here")

socket.socket.connect = socket.getaddrinfo = refuse
import pandas as pd
from ml_assets.quality import run_expectations
rules = [
    {"expect_column_values_to_be_between": {"column": "age", "max_value": 1}},
    {"expect_column_mean_to_be_between": {"column": "age", "max_value": 9}},
]
outcomes = run_expectations(pd.DataFrame({"age": [1, 2, 3]}), rules)
passed = [outcome.passed for outcome in outcomes]
print(json.dumps([passed, asked, os.environ["GX_ANALYTICS_ENABLED"]]))
"""


def run(script: str, directory: Path):
    """Run `script` in `directory`, which is also its home."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("GX_", "ML_ASSETS_", "COV"))
    }
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=directory,
        env={**kept, "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def test_a_code_location_gets_names_without_any_heavy_library(tmp_path):
    heavy, whole_package = run(LOADED, tmp_path).stdout.splitlines()
    assert json.loads(heavy) == []
    assert json.loads(whole_package) is False


def test_a_run_asks_no_network_writes_no_file_and_logs_nothing(tmp_path):
    done = run(QUIET, tmp_path)
    passed, asked, analytics = json.loads(done.stdout)
    assert passed == [False, True]
    assert asked == []
    assert analytics == "false"
    assert list(tmp_path.rglob("*")) == []
    assert done.stderr == ""


@pytest.mark.parametrize("given, kept", [(None, "false"), ("true", "true")])
def test_usage_statistics_are_off_unless_the_environment_says_on(
    monkeypatch, given, kept
):
    monkeypatch.delenv("GX_ANALYTICS_ENABLED", raising=False)
    if given is not None:
        monkeypatch.setenv("GX_ANALYTICS_ENABLED", given)
    library.great_expectations.cache_clear()
    library.great_expectations()
    assert os.environ["GX_ANALYTICS_ENABLED"] == kept
