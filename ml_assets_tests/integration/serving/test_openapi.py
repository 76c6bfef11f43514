"""The server against its own OpenAPI document, with generated requests."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from ml_assets_tests.kits.serving import Server


@pytest.mark.slow
@pytest.mark.skipif(
    not find_spec("schemathesis"), reason="schemathesis is not installed"
)
def test_generated_requests_find_no_gap_between_server_and_document(
    storage, tmp_path, versions
):
    with Server(storage) as server:
        server.wait_for("plan loaded")
        made = server.predict(versions[2][:1])["predictions"][0]["id"]
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run"),
                f"http://127.0.0.1:{server.port}/openapi.json",
                *("--max-examples", "50", "--no-color", "--continue-on-failure"),
                *("--phases", "examples,coverage,fuzzing", "--seed", "1"),
                *("--checks", "all", "--generation-database", "none"),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "PREDICTION_ID": made,
                "SCHEMATHESIS_HOOKS": "openapi_hooks",
                "PYTHONPATH": str(Path(__file__).parent),
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "No issues found" in done.stdout
        assert server.get("/v2/health/ready")[0] == 200


def test_the_document_names_every_route_of_the_model(storage):
    with Server(storage) as server:
        server.wait_for("plan loaded")
        document = json.loads(server.get("/openapi.json")[1])
    assert set(document["paths"]) >= {
        "/models",
        "/models/census",
        "/models/census/predict",
        "/invocations",
        "/v2/models/census/infer",
        "/v2/health/ready",
    }
    age = document["components"]["schemas"]["census_row"]["properties"]["age"]
    assert age == {"type": ["number", "null"]}
