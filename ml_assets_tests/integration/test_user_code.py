"""A model of the project's own Python, from training to the answers of a server."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.components import TabularClassifier
from ml_assets.core import user_code
from ml_assets.lifecycle.deployment import deploy
from ml_assets.lifecycle.reproduce import ReproduceError, reproduce
from ml_assets.lifecycle.scoring import held_out_rows, load
from ml_assets.state.bundles import signature_of_version
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions
from ml_assets.targets.local import LocalTarget
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.cli import invoke
from ml_assets_tests.kits.serving import Server
from ml_assets_tests.kits.user_package import MODEL, forget_package

pytestmark = pytest.mark.slow

METRIC = "my_project.metrics.profit"
Run = Callable[..., dg.ExecuteInProcessResult]


def spec(**overrides: Any) -> TabularClassifier:
    return TabularClassifier.model_validate(MODEL | overrides)


def ran(done: dg.ExecuteInProcessResult) -> dg.ExecuteInProcessResult:
    assert done.success, failure_of(done)
    return done


def predicted(server: Server, rows: list[dict[str, Any]]) -> dict[str, Any]:
    server.logged("plan loaded", model="customers")
    found: dict[str, Any] = server.predict(rows, "customers")
    return found


def test_it_is_trained_judged_deployed_and_answers_as_its_pipeline(
    user_package: Path, run_job: Run, home: Path
) -> None:
    trained = ran(run_job(spec(), "train"))
    (version,) = Versions().names("customers")
    record = Versions().get("customers", version)
    assert record.user_code == user_code.source_digests(["my_project"])
    assert record.runtime == "sklearn" and "Ratios" in record.runtime_reason
    evaluation = Versions().evaluation("customers", version)
    assert evaluation is not None and evaluation["gate"]["passed"]
    (event,) = trained.asset_materializations_for_node("customers__evaluation")
    assert event.metadata["profit"].value == evaluation["metrics"]["profit"] > 0
    # Requests are rows as the source has them, not what the transformer makes of them.
    signature = signature_of_version(record)
    assert [column.name for column in signature.inputs] == ["fee", "hours", "plan"]
    ran(run_job(spec(), "deploy"))

    pipeline = load(record)
    held = held_out_rows(spec(), record).rows.head(20)
    inputs = held[["fee", "hours", "plan"]]
    expected = pipeline.predict_proba(inputs.astype({"plan": str}))[:, 1].tolist()
    rows = json.loads(inputs.to_json(orient="records", double_precision=15))
    rows = [
        {**row, "fee": float(fee), "hours": float(hours)}
        for row, fee, hours in zip(rows, inputs["fee"], inputs["hours"], strict=True)
    ]
    with Server(home) as server:
        answer = predicted(server, rows)
        single = server.predict(rows[:1], "customers")["predictions"][0]
        assert server.stop() == 0
    assert [item["probability"] for item in answer["predictions"]] == expected
    assert single["probability"] == expected[0]
    found = json.loads(invoke("lineage", single["id"], "--json").stdout)
    assert found["training"]["user_code"] == record.user_code
    digest = record.user_code["my_project"]
    shown = invoke("lineage", single["id"]).stdout
    assert "own code" in shown and f"my_project {digest}" in " ".join(shown.split())

    # Code that changed and answers the same is used, and a line in the log says so.
    (user_package / "units.py").write_text("HOUR = 1.0  # as ever\n")
    with Server(home) as server:
        server.wait_for("own code is not that of training", reason="my_project")
        assert predicted(server, rows[:1])["predictions"][0]["probability"] == (
            expected[0]
        )
    (user_package / "units.py").write_text("HOUR = 60.0\n")
    with Server(home) as server:
        assert "probe row" in str(server.wait_for("plan refused"))

    with Server(home, environment={"ML_ASSETS_TRUSTED": ""}) as server:
        refused = server.wait_for("plan refused")
        assert "the model names my_project." in str(refused)
        assert "no class of a package that this process trusts" in str(refused)


def test_a_changed_line_trains_anew_and_an_unchanged_one_does_not(
    user_package: Path, run_job: Run
) -> None:
    ran(run_job(spec(), "train"))
    (first,) = Versions().names("customers")
    ran(run_job(spec(), "train"))
    assert Versions().names("customers") == [first]
    assert reproduce("customers", first).notes == []

    # A module that the named one imports, and that no YAML names.
    units = user_package / "units.py"
    units.write_text("HOUR = 60.0\n")
    forget_package()
    ran(run_job(spec(), "train"))
    assert len(Versions().names("customers")) == 2
    (note,) = [n for n in reproduce("customers", first).notes if "my_project" in n]
    assert note.startswith("the code of my_project is not that of the version: ")


def test_a_changed_metric_judges_the_version_anew(
    user_package: Path, run_job: Run
) -> None:
    plain = {"type": "sklearn.linear_model.LogisticRegression"}
    model = spec(estimator=plain, features={})
    ran(run_job(model, "train"))
    (version,) = Versions().names("customers")
    metrics = user_package / "metrics.py"
    metrics.write_text("def profit(y_true, answers):\n    return 7\n")
    forget_package()
    ran(run_job(model, "train"))
    assert Versions().names("customers") == [version]
    evaluation = Versions().evaluation("customers", version)
    assert evaluation is not None and evaluation["metrics"]["profit"] == 7.0


def test_the_gate_decides_by_a_metric_of_the_project(
    user_package: Path, run_job: Run
) -> None:
    demanding = spec(gate={"metric": METRIC, "above": 100_000})
    ran(run_job(demanding, "train"))
    (first,) = Versions().names("customers")
    evaluation = Versions().evaluation("customers", first)
    assert evaluation is not None and not evaluation["gate"]["passed"]
    assert "is not above 100000" in evaluation["gate"]["reason"]
    assert 0 < evaluation["figures"]["majority"]["profit"] < 1_000

    # Judged without a champion; it has one when it is deployed.
    model = spec(gate={"metric": METRIC, "above": 10})
    steeper = model.estimator.model_copy(update={"params": {"sharpness": 4.0}})
    ran(run_job(model, "train"))
    ran(run_job(model.model_copy(update={"estimator": steeper}), "train"))
    first, second = Versions().names("customers")
    deploy(model, LocalTarget(), first, "run-first", "user ana")
    deploy(model, LocalTarget(), second, "run-second", "user ana")
    plan = Plans().current("customers")
    assert plan is not None and plan.live.version == second


def test_what_is_trusted_no_more_is_not_trained_and_not_reproduced(
    user_package: Path, run_job: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = spec()
    ran(run_job(model, "train"))
    (version,) = Versions().names("customers")
    forget_package()
    monkeypatch.setenv("ML_ASSETS_TRUSTED", "")
    done = run_job(model, "train")
    assert not done.success
    assert "is in no package that is trusted (trusted: none)" in failure_of(done)
    with pytest.raises(ReproduceError, match="cannot be trained here: .*trusted"):
        reproduce("customers", version)
    assert not [name for name in sys.modules if name.startswith("my_project")]


def test_a_transformer_that_reads_other_rows_is_refused_before_training(
    user_package: Path, run_job: Run
) -> None:
    features = user_package / "features.py"
    text = features.read_text().replace("* HOUR", "- X['fee'].mean()")
    features.write_text(text)
    done = run_job(spec(), "train")
    assert not done.success
    assert "answers a row alone otherwise than in a batch" in failure_of(done)
