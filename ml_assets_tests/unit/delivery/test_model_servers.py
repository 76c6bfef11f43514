"""Servers of each task are asked by what they publish."""

from pathlib import Path
from typing import Any

import pytest

from ml_assets.delivery.checks import CheckContext
from ml_assets.delivery.checks.model_servers import check
from ml_assets.delivery.environments import Settings
from ml_assets.records.plan import Signature
from ml_assets_tests.kits.plans import published
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import Server, plan
from ml_assets_tests.kits.task_versions import DEMAND, TICKETS, write_version


@pytest.mark.parametrize("signature", [TICKETS, DEMAND], ids=["classes", "numbers"])
def test_a_server_of_each_task_answers_by_its_schema(
    tmp_path: Path, signature: Signature
) -> None:
    arm = write_version(tmp_path, "a", signature)
    published(tmp_path).publish(plan(arm, 1, "m"))
    with Server(tmp_path) as server:
        await_true(
            lambda: server.get("/v2/health/ready")[0] == 200, "the server is ready"
        )
        url = f"http://127.0.0.1:{server.port}"
        settings = Settings("staging", "", url, "", "", p99_ms=1e6, patience=9.0)
        unused: Any = None
        found = check(CheckContext(settings, unused, "staging:1", {"m": "x"}))
    assert [(item.name, item.passed, item.sentence) for item in found][:1] == [
        ("model_contract", True, "1 model(s) answer by their schema")
    ]
