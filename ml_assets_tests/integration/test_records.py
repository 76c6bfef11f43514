"""What is written of a deployment, what a rollback makes of it, and training again."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from click.testing import CliRunner

from ml_assets.components import TabularClassifier
from ml_assets.core.files import sha256_file
from ml_assets.lifecycle.audit import audit
from ml_assets.lifecycle.holds import HoldError, hold, unhold
from ml_assets.lifecycle.reproduce import ReproduceError, reproduce
from ml_assets.lifecycle.rollback import RollbackError, rollback
from ml_assets.records.plan import digest
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.registry import Registry
from ml_assets.state.versions import UnknownVersionError, Versions
from ml_assets.targets.local import LocalTarget
from ml_assets_tests.conftest import another, definitions_of, failure_of
from ml_assets_tests.kits.ledger_rows import edit, rewrite

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]
SMALL = {
    "name": "churn",
    "source": {"type": "synthetic", "rows": 200},
    "target": "churned",
    "positive": "yes",
    "estimator": {"params": {"max_iter": 5}},
    # Some answer a little worse than the one before.
    "gate": {"threshold": 0, "beat_majority": False, "beat_champion": False},
}


def train_and_deploy(spec: Any, run_job: Run, home: Path, **tags: str) -> str:
    """A new version in service; its name."""
    trained = run_job(another(spec), "train")
    assert trained.success, failure_of(trained)
    deployed = run_job(spec, "deploy", **tags)
    assert deployed.success, failure_of(deployed)
    (check,) = deployed.get_asset_check_evaluations()
    assert check.passed, check.description
    plan = Plans().current(spec.name)
    assert plan is not None
    return plan.live.version


@pytest.fixture(scope="module")
def three_versions(
    empty_registry: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A home with three versions that were put in service one after the other."""
    directory = tmp_path_factory.mktemp("three")
    shutil.copy(empty_registry, directory / "mlflow.db")
    spec = TabularClassifier.model_validate(SMALL)
    with (
        pytest.MonkeyPatch.context() as patch,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        patch.setenv("ML_ASSETS_HOME", str(directory))
        for job in ("train", "deploy") * 3:
            definitions = definitions_of(another(spec) if job == "train" else spec)
            done = definitions.resolve_job_def(f"churn_{job}").execute_in_process(
                instance=instance
            )
            assert done.success
    return directory


@pytest.fixture
def versions(three_versions: Path, home: Path, registry: Path) -> list[str]:
    """The three versions, in this test's own home."""
    shutil.copytree(three_versions, home, dirs_exist_ok=True)
    return Versions().names("churn")


def serving(home: Path) -> tuple[int, str]:
    plan = Plans().current("churn")
    assert plan is not None
    return plan.generation, plan.live.version


def aliases(home: Path) -> dict[str, str]:
    numbers = {r.registry_version: r.version for r in Versions().records("churn")}
    return {alias: numbers[n] for alias, n in Registry().aliases("churn").items()}


def kinds(home: Path) -> list[str]:
    return [entry.kind for entry in Ledger().entries("churn")]


def test_a_deployment_is_written_with_who_why_and_evidence(
    make_spec: Any, run_job: Run, home: Path
) -> None:
    tags = {"dagster/sensor_name": "churn_gate"}
    version = train_and_deploy(make_spec(), run_job, home, **tags)
    (entry,) = Ledger().entries("churn")
    plan = Plans().current("churn")
    assert plan is not None
    assert (entry.kind, entry.version, entry.generation) == ("deployment", version, 1)
    assert entry.who == f"sensor churn_gate, run {plan.run_id}"
    assert entry.why == f"version {version} passed its gate"
    record = Versions().get("churn", version)
    assert entry.evidence["plan_sha256"] == digest(plan)
    assert entry.evidence["raw_version"] == record.raw_version
    assert entry.evidence["gate"]["passed"] is True
    assert entry.evidence["figures"]["metrics"]["accuracy"] > 0.8
    assert entry.evidence["sha256"] == Versions().digests("churn", version)
    assert len(entry.evidence["sha256"]) == 2
    kept = [f"versions/churn/{version}/{name}.json" for name in ("spec", "validation")]
    tables = [
        f"tables/churn/raw/{record.raw_version}.parquet",
        f"tables/churn/features/{record.features_version}.parquet",
    ]
    assert record.origins == {
        name: sha256_file(home / name) for name in [*kept, *tables]
    }


def test_a_refusal_is_written_with_its_reason(
    make_spec: Any, run_job: Run, home: Path
) -> None:
    spec = make_spec()
    assert run_job(spec, "train").success
    (version,) = Versions().names("churn")
    bundle = home / Versions().get("churn", version).bundle
    (bundle / "model.skops").write_bytes(b"altered")
    assert not run_job(spec, "deploy").success
    (entry,) = Ledger().entries("churn")
    assert (entry.kind, entry.version, entry.generation) == ("refusal", version, None)
    assert f"version {version}: " in entry.why


def test_a_plan_and_its_entry_are_there_together_or_not_at_all(
    make_spec: Any, run_job: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec()
    assert run_job(spec, "train").success
    with monkeypatch.context() as patch:

        def die(*_: Any, **__: Any) -> None:
            raise MemoryError

        patch.setattr("ml_assets.lifecycle.activation.append", die)
        assert not run_job(spec, "deploy").success
    assert Plans().current("churn") is None and kinds(home) == []
    assert run_job(spec, "deploy").success
    assert kinds(home) == ["deployment"]
    assert audit("churn") == []


def test_a_rollback_returns_holds_and_is_written(
    versions: list[str], make_spec: Any, run_job: Run, home: Path
) -> None:
    first, second, third = versions
    assert aliases(home) == {"champion": third, "previous": second}
    target = LocalTarget()
    done = rollback(target, "churn", "user ana", "complaints")
    assert (done.left, done.is_on_hold, done.warning) == (third, True, "")
    assert serving(home) == (4, second)
    assert aliases(home) == {"champion": second, "previous": first}
    assert kinds(home) == ["deployment"] * 3 + ["rollback", "hold"]
    assert audit("churn") == []

    # What was rolled back from stays out, whoever asks.
    spec = make_spec(**SMALL)
    again = run_job(spec, "deploy")
    assert again.success and serving(home) == (4, second)
    with pytest.raises(RollbackError, match=f"{third} of churn is on hold since"):
        rollback(target, "churn", "user ana", "back", to=third)
    with pytest.raises(HoldError, match="is in service, as plan 4"):
        hold(target, "churn", second, "user ana", "check")

    unhold(target, "churn", third, "user ana", "mended")
    assert Ledger().held("churn") == {}
    with pytest.raises(HoldError, match="is not on hold; on hold: none"):
        unhold(target, "churn", third, "user ana", "mended")
    back = rollback(target, "churn", "user ana", "mended", to=third, key="k")
    # An older version that is left is not at fault.
    assert (back.left, back.is_on_hold) == (second, False)
    assert rollback(target, "churn", "user ana", "mended", to=third, key="k") == back
    assert serving(home) == (5, third)
    assert audit("churn") == []

    for wanted, message in {
        third: "is the one that serves now",
        "20200101T000000Z": "was removed; kept: ",
    }.items():
        with pytest.raises((RollbackError, UnknownVersionError), match=message):
            rollback(target, "churn", "user ana", "?", to=wanted)
    assert serving(home) == (5, third)


def test_a_rollback_needs_no_registry(
    versions: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml_assets.cli import main

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = rollback(LocalTarget(), "churn", "user ana", "complaints")
    assert "cannot be reached" in done.warning and "--repair" in done.warning
    assert serving(home) == (4, versions[1])
    (finding,) = audit("churn")
    assert "cannot be reached" in finding.message and not finding.is_serious

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    messages = [finding.message for finding in audit("churn")]
    assert len(messages) == 2
    assert "the registry could not be reached after the last plan" in messages[0]
    repaired = CliRunner().invoke(main, ["ledger", "churn", "--repair"])
    assert repaired.exit_code == 0, repaired.output
    assert aliases(home) == {"champion": versions[1], "previous": versions[0]}


def test_a_champion_deleted_by_hand_is_named_and_can_be_left(
    versions: list[str], run_job: Run, make_spec: Any, home: Path
) -> None:
    target = LocalTarget()
    number = Versions().get("churn", versions[2]).registry_version
    Registry().client.delete_model_version("churn", number)
    (finding,) = audit("churn")
    assert finding.message.startswith(
        f"alias champion points at nothing, expected version {versions[2]}"
    )
    done = rollback(target, "churn", "user ana", "it is gone")
    assert done.warning == "" and serving(home) == (4, versions[1])
    assert audit("churn") == []


def test_the_check_names_an_alias_moved_by_hand_and_an_edited_entry(
    versions: list[str], home: Path
) -> None:
    oldest = Versions().get("churn", versions[0]).registry_version
    Registry().client.set_registered_model_alias("churn", "champion", oldest)
    (finding,) = audit("churn")
    assert not finding.is_serious
    assert finding.message.startswith(
        f"alias champion points at version {versions[0]} (registry number {oldest}),"
        f" expected version {versions[2]}; it was moved by hand"
    )
    rewrite(lambda found: [edit(found[0], why="is good"), *found[1:]])
    serious, _ = audit("churn")
    assert serious.is_serious
    assert "the chain is broken before entry 2" in serious.message


def test_the_job_of_the_ui_rolls_back_once(
    versions: list[str], make_spec: Any, run_job: Run, home: Path
) -> None:
    spec = make_spec()
    options = {"config": {"reason": "complaints", "to": versions[0]}}
    result = run_job(spec, "rollback", {"churn__roll_back": options})
    assert result.success, failure_of(result)
    assert serving(home) == (4, versions[0])
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["left"].value == versions[2]
    entry = Ledger().entries("churn")[3]
    assert entry.who == f"run {result.run_id}" and entry.why == "complaints"
    assert entry.evidence["from"] == versions[2]
    bad = run_job(spec, "rollback", {"churn__roll_back": {"config": {"to": "x"}}})
    assert not bad.success and "has no version x" in failure_of(bad)


def test_a_model_that_was_never_deployed_has_nothing_to_return_to(
    home: Path, registry: Path
) -> None:
    with pytest.raises(RollbackError, match="churn was never deployed"):
        rollback(LocalTarget(), "churn", "user ana", "?")


def test_a_version_reproduces_bit_for_bit(versions: list[str], home: Path) -> None:
    done = reproduce_in_a_process(versions[0])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["identical"] and found["notes"] == []
    test_rows = Versions().get("churn", versions[0]).test_rows
    assert (found["probe_rows"], found["held_out_rows"]) == (32, test_rows)


def reproduce_in_a_process(version: str) -> "subprocess.CompletedProcess[str]":
    """Training had one thread; this one has two."""
    command = [sys.executable, "-m", "ml_assets.cli", "reproduce", "churn", version]
    return subprocess.run(
        [*command, "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_a_version_was_made_from_must_be_what_it_was(
    versions: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml_assets.core import provenance
    from ml_assets.serving.models import probe

    version = versions[0]
    record = Versions().get("churn", version)
    monkeypatch.setattr(provenance, "code_hash", lambda: "0" * 64)
    monkeypatch.setattr(probe, "this_machine", lambda: "Linux riscv64")
    raw = home / f"tables/churn/raw/{record.raw_version}.parquet"
    raw.rename(raw.with_suffix(".away"))
    found = reproduce("churn", version)
    assert found.identical
    code, chain, machine = found.notes
    assert code.startswith("the code is not that of the version: 000000000000, then")
    assert chain.startswith("features were not made again: table churn/raw")
    assert machine.startswith("the machine is not of the kind of then: Linux riscv64")

    features = home / f"tables/churn/features/{record.features_version}.parquet"
    frame = pd.read_parquet(features)
    frame.head(100).to_parquet(features)
    with pytest.raises(ReproduceError, match="was altered: its content has the hash"):
        reproduce("churn", version)
    spec = home / f"versions/churn/{version}/spec.json"
    spec.write_text(spec.read_text().replace("200", "201"))
    with pytest.raises(ReproduceError, match="spec.json was altered"):
        reproduce("churn", version)


def test_the_commands_do_what_the_job_does(
    versions: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml_assets.cli import main

    def call(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, [*arguments])
        assert result.exit_code == code, result.output
        return result.output

    first, second, third = versions
    shown = json.loads(call("rollback", "churn", "--reason", "slow", "--json"))
    assert shown == {
        "model": "churn",
        "version": second,
        "left": third,
        "held": True,
        "generation": 4,
        "servers": 0,
        "warning": None,
    }
    assert f"version {third} of churn is on hold" in call(
        "rollback", "churn", "--to", third, code=1
    )
    assert "release_hold" in call("unhold", "churn", third, "--reason", "mended")
    assert f"hold of {first}" in call("hold", "churn", first)
    assert aliases(home) == {"champion": second, "previous": third}
    lines = call("ledger", "churn").splitlines()
    assert [line.split()[2] for line in lines[1:]] == [
        *["deployment"] * 3,
        "rollback",
        "hold",
        "release_hold",
        "hold",
    ]
    call("unhold", "churn", first)
    assert aliases(home) == {"champion": second, "previous": third}
    assert call("rollback", "nothing", code=1).startswith(
        "Error: there is no model nothing"
    )


def test_the_retention_of_the_ui_removes_a_version_everywhere(
    versions: list[str], run_job: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = TabularClassifier.model_validate(
        SMALL | {"retention": {"versions": 1, "days": 30, "predictions_days": 5}}
    )
    number = Versions().get("churn", versions[0]).registry_version
    later = time.time() + 40 * 86_400
    monkeypatch.setattr("time.time", lambda: later)
    dry = {"churn__retention": {"config": {"dry_run": True}}}
    for config, left in ((dry, 3), ({}, 2)):
        result = run_job(spec, "retention", config)
        assert result.success, failure_of(result)
        assert len(Versions().names("churn")) == left
    assert Versions().names("churn") == versions[1:]
    found = Registry().client.search_model_versions("name='churn'")
    assert number not in {str(item.version) for item in found} and len(found) == 2
    assert audit("churn") == []
    # All three were made of the same data, which the others still need.
    assert len(list(home.glob("tables/churn/*/*.parquet"))) == 2
