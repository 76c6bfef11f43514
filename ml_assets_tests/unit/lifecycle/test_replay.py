"""Logged requests answered by another version, in a process of its own."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ml_assets.lifecycle.replay import Answer, replay
from ml_assets.records.plan import Arm, Signature
from ml_assets_tests.kits.cli import deploy_small_model
from ml_assets_tests.kits.task_versions import (
    CLASSES,
    DEMAND,
    ROWS,
    TICKETS,
    answers,
    write_version,
)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Arm]:
    root = tmp_path_factory.mktemp("storage")
    plan = deploy_small_model(root)
    return root / plan.live.bundle, plan.live


def body(**row: Any) -> bytes:
    return json.dumps({"rows": [row]}).encode()


def test_each_request_gets_the_answer_of_the_version_or_the_reason(
    version: tuple[Path, Arm],
) -> None:
    bundle, arm = version
    given = [
        body(age=40.0, sex="f"),
        body(age=40.0, sex="x"),
        body(age=40.0, income="yes"),
        body(age=None, sex="m"),
    ]
    done = replay(bundle, arm, given)
    assert done.crash == ""
    good, category, column, missing = done.answers
    assert good.p is not None and 0 < good.p < 1 and missing.p is not None
    assert category.p is None and "'sex'" in str(category.misfit)
    assert column.p is None and column.misfit


def test_a_version_that_does_not_load_answers_nothing(
    version: tuple[Path, Arm],
) -> None:
    bundle, arm = version
    done = replay(bundle.parent / "gone", arm, [body(age=1.0, sex="f")])
    assert done.answers == [] and "is no directory" in done.crash


def test_the_request_at_which_the_process_dies_is_known(
    version: tuple[Path, Arm], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # As a fault in compiled code would, at the third row.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "import ml_assets.serving.requests.decoder as request\n"
        "decode = request.RowDecoder.decode\n"
        "seen = []\n"
        "def die(self, body):\n"
        "    seen.append(body)\n"
        "    if len(seen) == 3:\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return decode(self, body)\n"
        "request.RowDecoder.decode = die\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    bundle, arm = version
    done = replay(bundle, arm, [body(age=1.0, sex="f")] * 5)
    assert len(done.answers) == 2 and isinstance(done.answers[0], Answer)
    assert done.crash == "the process died of signal 11"


def test_a_version_that_takes_forever_is_given_up(version: tuple[Path, Arm]) -> None:
    bundle, arm = version
    done = replay(bundle, arm, [body(age=1.0, sex="f")], timeout=0.01)
    assert done == ([], "not done within 0.01 s")


@pytest.mark.parametrize("signature", [TICKETS, DEMAND], ids=["classes", "numbers"])
def test_versions_of_other_tasks_are_replayed(
    signature: Signature, tmp_path: Path
) -> None:
    arm = write_version(tmp_path, "v", signature)
    expected = answers(tmp_path, arm, ROWS)
    given = [body(**row) for row in ROWS]
    done = replay(tmp_path / arm.bundle, arm, given)
    assert done.crash == ""
    if signature is DEMAND:
        assert [item.value for item in done.answers] == expected
        assert {(item.p, item.label) for item in done.answers} == {(None, None)}
        return
    for item, answer in zip(done.answers, expected, strict=True):
        assert item.p == max(answer)
        assert item.label == CLASSES[answer.index(max(answer))]
