"""From the source to the deployed version, in this process, on a real MLflow store."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.state import contracts
from ml_assets.state.plans import Plans
from ml_assets.state.registry import Registry
from ml_assets.state.tables import Tables
from ml_assets.state.validations import Validations
from ml_assets.state.versions import PROFILE, Versions
from ml_assets_tests.conftest import another, failure_of

Run = Callable[..., dg.ExecuteInProcessResult]


def skipped_reason(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [
        e for e in result.all_events if e.event_type_value == "ASSET_OBSERVATION"
    ]
    return str(event.asset_observation_data.asset_observation.metadata["skipped"].value)


def metadata_of(result: dg.ExecuteInProcessResult, stage: str) -> dict[str, Any]:
    (event,) = [
        event
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key.path[-1] == stage
    ]
    found = event.materialization.metadata
    return {name: value.value for name, value in found.items()}


def test_a_model_goes_from_its_source_to_its_plan(
    make_spec: Any, run_job: Run, home: Path
) -> None:
    spec = make_spec(
        expect=[{"expect_column_values_to_not_be_null": {"column": "churned"}}],
        owners=["team:retention"],
    )
    trained = run_job(spec, "train")
    assert trained.success, failure_of(trained)

    (version,) = Versions().names("churn")
    shown = metadata_of(trained, "evaluation")
    assert shown["version"] == version
    assert {"accuracy", "roc_auc", "plot_roc", "plot_calibration"} <= shown.keys()
    plots = home / "versions/churn" / version / "plots"
    assert shown["plot_roc"] == str(plots / "roc.png")
    assert (plots / "roc.png").read_bytes().startswith(b"\x89PNG")
    checks = {e.check_name: e.passed for e in trained.get_asset_check_evaluations()}
    assert checks == {"churned_not_null": True, "schema_contract": True, "gate": True}

    raw_version = Versions().get("churn", version).raw_version
    report = Validations().report("churn", raw_version)
    assert report is not None
    assert report["summary"]["passed"] and report["rows"] == 600

    deployed = run_job(spec, "deploy")
    assert deployed.success, failure_of(deployed)
    plan = Plans().current("churn")
    assert plan is not None and plan.generation == 1
    assert plan.live.version == version and plan.live.runtime == "compiled"
    aliases = Registry().aliases("churn")
    assert aliases == {"champion": Versions().get("churn", version).registry_version}
    profile = Versions().document("churn", version, PROFILE)
    assert profile is not None
    test_rows = Versions().get("churn", version).test_rows
    assert profile["rows"] == test_rows and 90 < test_rows < 150

    # Nothing changed, so nothing is trained, and the reason is shown.
    again = run_job(spec, "train")
    assert again.success
    assert f"are those of version {version}" in skipped_reason(again)
    assert Versions().names("churn") == [version]

    # A second deployment of the version changes nothing.
    twice = run_job(
        spec, "deploy", {"churn__deployment": {"config": {"version": version}}}
    )
    assert twice.success
    assert "was activated before, as plan 1 of churn" in skipped_reason(twice)
    assert [p.generation for p in Plans().history("churn")] == [1]

    # Force trains the same again: it is the champion, and nothing is deployed.
    forced = run_job(spec, "train", {"churn__model": {"config": {"force": True}}})
    assert forced.success, failure_of(forced)
    _, second = Versions().names("churn")
    (check,) = [
        e for e in forced.get_asset_check_evaluations() if e.check_name == "gate"
    ]
    assert check.passed and "there is nothing to deploy" in str(check.description)
    asked = {"churn__deployment": {"config": {"version": second}}}
    for config in ({}, asked):
        nothing = run_job(spec, "deploy", config)
        assert nothing.success
    said = f"version {second}: it is the champion {version} again"
    assert said in skipped_reason(nothing)
    plan = Plans().current("churn")
    assert plan is not None and (plan.generation, plan.live.version) == (1, version)


@pytest.mark.slow
def test_the_source_of_a_run_can_be_another_one(make_spec: Any, run_job: Run) -> None:
    other = {"type": "synthetic", "rows": 250, "seed": 7}
    result = run_job(
        make_spec(), "train", {"churn__raw": {"config": {"source": other}}}
    )
    assert result.success, failure_of(result)
    shown = metadata_of(result, "raw")
    assert shown["dagster/row_count"] == 250
    assert shown["source"] == other


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator, reason",
    [
        ({"type": "sklearn.dummy.DummyClassifier"}, "of the majority class"),
        (
            {
                "type": "sklearn.dummy.DummyClassifier",
                "params": {"strategy": "uniform"},
            },
            "is not above 0.8",
        ),
    ],
    ids=["constant", "coin"],
)
def test_a_useless_version_is_evaluated_warned_of_and_never_deployed(
    make_spec: Any, run_job: Run, home: Path, estimator: Any, reason: str
) -> None:
    spec = make_spec(estimator=estimator)
    trained = run_job(spec, "train")
    assert trained.success, failure_of(trained)
    (gate,) = [
        e for e in trained.get_asset_check_evaluations() if e.check_name == "gate"
    ]
    assert not gate.passed and gate.severity == dg.AssetCheckSeverity.WARN
    assert reason in str(gate.description)
    (version,) = Versions().names("churn")
    config = {"churn__deployment": {"config": {"version": version}}}
    deployed = run_job(spec, "deploy", config)
    assert not deployed.success
    assert f"version {version} did not pass its gate: " in failure_of(deployed)
    # Materialized with all the others, a deployment without a version is no failure.
    newest = run_job(spec, "deploy")
    assert "no version of churn has passed its gate" in skipped_reason(newest)
    assert Plans().current("churn") is None


def test_bad_data_stops_before_features_and_keeps_its_report(
    make_spec: Any, run_job: Run, home: Path
) -> None:
    spec = make_spec(
        expect=[
            {
                "expect_table_row_count_to_be_between": {
                    "min_value": 10_000,
                }
            }
        ]
    )
    result = run_job(spec, "train")
    assert not result.success
    done = {e.asset_key.path[-1] for e in result.get_asset_materialization_events()}
    assert done == {"raw"}
    (report,) = (home / "reports/churn/validation").glob("*.json")
    assert json.loads(report.read_text())["summary"]["failed"] == 1
    assert contracts.accepted("churn") is None


@pytest.mark.slow
def test_a_changed_schema_stops_and_the_contract_stays(
    make_spec: Any,
    run_job: Run,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ml_assets.ml.synthetic import synthetic

    table = synthetic(400)
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    table.to_csv(good, index=False)
    column = next(name for name in table.columns if name != "churned")
    table.drop(columns=column).to_csv(bad, index=False)
    # What a run packaged itself is not downloaded again.
    monkeypatch.delattr(Registry, "fetch")
    first = run_job(make_spec(source={"type": "csv", "path": str(good)}), "train")
    assert first.success, failure_of(first)
    kept = contracts.accepted("churn")
    second = run_job(make_spec(source={"type": "csv", "path": str(bad)}), "train")
    assert not second.success
    (contract,) = [
        e
        for e in second.get_asset_check_evaluations()
        if e.check_name == "schema_contract"
    ]
    assert f"column {column}: missing" in str(contract.description)
    assert contracts.accepted("churn") == kept
    # What failed is no version's data, whoever asks after it.
    (record,) = Versions().records("churn")
    assert Tables().version("churn", "raw") == record.raw_version
    features = Tables().pointer("churn", "features")
    assert features["made_of"] == record.raw_version


@pytest.mark.slow
def test_an_altered_artifact_is_refused_and_the_old_plan_stays(
    make_spec: Any, run_job: Run, home: Path
) -> None:
    spec = make_spec(gate={"beat_champion": False})
    assert run_job(spec, "train").success
    assert run_job(spec, "deploy").success
    assert run_job(another(spec), "train").success
    *_, version = Versions().names("churn")
    bundle = home / Versions().get("churn", version).bundle
    model = bundle / "model.skops"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    result = run_job(spec, "deploy")
    assert not result.success
    assert f"version {version}: " in failure_of(result)
    assert "model.skops" in failure_of(result)
    plan = Plans().current("churn")
    assert plan is not None and plan.generation == 1


@pytest.mark.slow
def test_a_version_overtaken_by_a_better_champion_is_not_deployed(
    make_spec: Any, run_job: Run, home: Path
) -> None:
    weak = make_spec(
        estimator={
            "type": "sklearn.tree.DecisionTreeClassifier",
            "params": {"max_depth": 1},
        },
        gate={"threshold": 0.5, "beat_majority": False},
    )
    strong = make_spec(gate={"threshold": 0.5})
    # Both pass while there is no champion; the better one is deployed first.
    assert run_job(weak, "train").success
    assert run_job(strong, "train").success
    first, second = Versions().names("churn")
    assert run_job(strong, "deploy").success
    config = {"churn__deployment": {"config": {"version": first}}}
    late = run_job(weak, "deploy", config)
    assert late.success, failure_of(late)
    assert f"version {first} was overtaken by {second}: accuracy" in skipped_reason(
        late
    )
    plan = Plans().current("churn")
    assert plan is not None and plan.live.version == second
