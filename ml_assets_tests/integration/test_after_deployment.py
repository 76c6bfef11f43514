"""From the log and the labels to drift, live figures and the end of an experiment."""

import datetime as dt
import json
import shutil
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from ml_assets.core.files import read_json
from ml_assets.core.storage import storage
from ml_assets.prediction_log.segments import waiting
from ml_assets.records.plan import ServingPlan
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.registry import Registry
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import another, definitions_of, failure_of
from ml_assets_tests.kits.prediction_log import line, ship, truth
from ml_assets_tests.kits.processes import await_true

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]
PNG = b"\x89PNG"
Lines = list[dict[str, Any]]

MODEL = {
    "name": "churn",
    "source": {"type": "synthetic", "rows": 800},
    "target": "churned",
    "positive": "yes",
    "estimator": {"params": {"max_iter": 20}},
    "gate": {"beat_champion": False},
}


def spec_of(strategy: str = "shadow", **serving: Any) -> Any:
    from ml_assets.components import TabularClassifier

    given = {"strategy": strategy, "minimum_requests": 50, **serving}
    return TabularClassifier.model_validate(MODEL | {"serving": given})


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a champion in service and a second version that passed its gate."""
    directory = tmp_path_factory.mktemp("two")
    with (
        pytest.MonkeyPatch.context() as patch,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        patch.setenv("ML_ASSETS_HOME", str(directory))
        for job in ("train", "deploy", "train"):
            definitions = definitions_of(another(spec_of()))
            done = definitions.resolve_job_def(f"churn_{job}").execute_in_process(
                instance=instance, raise_on_error=False
            )
            assert done.success, failure_of(done)
    return directory


@pytest.fixture
def run(
    two_versions: Path, home: Path, instance: dg.DagsterInstance
) -> Callable[..., dg.ExecuteInProcessResult]:
    shutil.copytree(two_versions, home, dirs_exist_ok=True)

    def execute(spec: Any, job: str, **ops: Any) -> dg.ExecuteInProcessResult:
        config = {f"churn__{stage}": {"config": given} for stage, given in ops.items()}
        done = (
            definitions_of(spec)
            .resolve_job_def(f"churn_{job}")
            .execute_in_process(
                instance=instance, run_config={"ops": config}, raise_on_error=False
            )
        )
        assert done.success, failure_of(done)
        return done

    return execute


def plan_now(home: Path) -> ServingPlan:
    plan = Plans().current("churn")
    assert plan is not None
    return plan


def arms(plan: ServingPlan) -> list[tuple[str, float]]:
    return [(arm.mode, arm.share) for arm in plan.arms]


def check_of(done: dg.ExecuteInProcessResult, name: str) -> tuple[bool, str]:
    (found,) = [e for e in done.get_asset_check_evaluations() if e.check_name == name]
    assert found.severity == dg.AssetCheckSeverity.WARN
    return bool(found.passed), str(found.description)


def metadata_of(done: dg.ExecuteInProcessResult, stage: str) -> dict[str, Any]:
    (event,) = [
        e
        for e in done.get_asset_materialization_events()
        if e.asset_key is not None and e.asset_key.path[-1] == stage
    ]
    return {name: v.value for name, v in event.materialization.metadata.items()}


def any_row(plan: ServingPlan) -> list[Any]:
    """A row that the champion takes."""
    from ml_assets.state.bundles import signature_of

    columns = signature_of(plan.live).columns
    return [column.categories[0] if column.categories else 1 for column in columns]


def compared(
    plan: ServingPlan,
    champion_right: Sequence[bool],
    challenger_right: Sequence[bool],
    **shadow: Any,
) -> tuple[Lines, Lines]:
    """Requests that both models answered, and the labels of all of them."""
    now, x = dt.datetime.now(dt.UTC).timestamp(), any_row(plan)
    lines, labels = [], []
    for number, right in enumerate(champion_right):
        answer = line(
            now + number / 1_000,
            number,
            version=plan.live.version,
            generation=plan.generation,
            x=x,
            label="yes" if right else "no",
            p=0.75 if right else 0.25,
        )
        label = "yes" if challenger_right[number] else "no"
        double = {"arm": "shadow", "version": plan.experiment, "label": label}
        lines += [answer, answer | double | shadow]
        labels.append(truth(answer["id"], "yes", now + 10 + number))
    return lines, labels


def log(home: Path, lines: Lines, labels: Lines, number: int = 1) -> None:
    ship(home, lines, f"server-{number:08d}")
    ship(home, labels, f"server-{number:08d}.labels")


def test_under_shadow_a_passing_version_becomes_the_challenger(
    run: Run, home: Path
) -> None:
    run(spec_of(), "deploy")
    first, second = Versions().names("churn")
    plan = plan_now(home)
    assert [(arm.version, arm.mode) for arm in plan.arms] == [
        (first, "live"),
        (second, "shadow"),
    ]
    assert plan.experiment == second
    assert set(Registry().aliases("churn")) == {"champion", "challenger"}
    entry = Ledger().entries("churn")[-1]
    assert (entry.kind, entry.version) == ("experiment", second)
    # Its profile is there before it may serve, and it is not tried twice.
    assert Versions().has_profile("churn", second)
    assert run(spec_of(), "deploy").success
    assert plan_now(home) == plan


@pytest.mark.parametrize(
    "wins, losses, both, verdict",
    [(40, 2, 60, "promote"), (2, 40, 60, "roll_back"), (9, 7, 84, "not_yet")],
)
def test_labels_decide_a_shadow_experiment(
    run: Run, home: Path, wins: int, losses: int, both: int, verdict: str
) -> None:
    spec = spec_of()
    run(spec, "deploy")
    plan = plan_now(home)
    champion, challenger = plan.live.version, plan.experiment
    rng = np.random.default_rng(0)
    pairs = [(False, True)] * wins + [(True, False)] * losses + [(True, True)] * both
    order = [pairs[at] for at in rng.permutation(len(pairs))]
    log(home, *compared(plan, [a for a, _ in order], [b for _, b in order]))

    done = run(spec, "monitor")
    passed, sentence = check_of(done, "experiment")
    assert sentence.startswith(f"{verdict}: {challenger}")
    assert passed == (verdict != "roll_back")
    shown = metadata_of(done, "experiment")
    assert shown["verdict"] == verdict and shown["labels"] == len(pairs)
    assert Path(shown["plot_evidence"]).read_bytes().startswith(PNG)

    expected = {
        "promote": (challenger, "promotion", ["champion", "previous"]),
        "roll_back": (champion, "rollback", ["champion"]),
        "not_yet": (champion, "experiment", ["challenger", "champion"]),
    }
    version, kind, aliases = expected[verdict]
    after, entries = plan_now(home), Ledger().entries("churn")
    assert after.live.version == version and entries[-1].kind == kind
    assert (after.experiment is None) == (verdict != "not_yet")
    assert sorted(Registry().aliases("churn")) == aliases

    # To look again changes nothing.
    run(spec, "monitor")
    assert plan_now(home) == after
    assert Ledger().entries("churn") == entries
    assert not Ledger().verify("churn")


def test_a_challenger_that_fails_is_rolled_back_without_a_label(
    run: Run, home: Path
) -> None:
    spec = spec_of()
    run(spec, "deploy")
    plan = plan_now(home)
    failed = {"error": "Refused", "p": None, "label": None}
    lines, _ = compared(plan, [True] * 30, [True] * 30, **failed)
    ship(home, lines)
    _, sentence = check_of(run(spec, "monitor"), "experiment")
    assert "guardrail breached: errors: challenger 30 of 30 requests" in sentence
    assert plan_now(home).experiment is None
    assert plan_now(home).live.version == plan.live.version


def test_time_without_evidence_keeps_the_champion(run: Run, home: Path) -> None:
    spec = spec_of(max_days=1e-9)
    run(spec, "deploy")
    before = plan_now(home)
    _, sentence = check_of(run(spec, "monitor"), "experiment")
    assert sentence.startswith("keep: ") and "time is over" in sentence
    assert plan_now(home).live.version == before.live.version
    assert Ledger().entries("churn")[-1].key == f"experiment:{before.experiment}:keep"


@pytest.mark.parametrize(
    "moment, is_committed",
    [
        ("ml_assets.lifecycle.activation.append", False),
        ("ml_assets.state.plans.publish", True),
    ],
)
def test_a_promotion_whose_run_died_is_completed_and_labelled_by_the_next(
    run: Run,
    home: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    is_committed: bool,
) -> None:
    spec = spec_of()
    run(spec, "deploy")
    plan = plan_now(home)
    log(home, *compared(plan, [False] * 60, [True] * 60))

    def die(*_: Any, **__: Any) -> None:
        raise SystemError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(moment, die)
        job = definitions_of(spec).resolve_job_def("churn_monitor")
        killed = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not killed.success and "killed" in failure_of(killed)
    # The plan and its entry are one transaction.
    kinds = [entry.kind for entry in Ledger().entries("churn")]
    assert ("promotion" in kinds) == is_committed
    assert (plan_now(home) != plan) == is_committed
    assert Plans().unpublished() == ({"churn"} if is_committed else set())
    run(spec, "monitor")
    run(spec, "monitor")
    kinds = [entry.kind for entry in Ledger().entries("churn")]
    assert kinds == ["deployment", "experiment", "promotion"]
    assert plan_now(home).live.version == plan.experiment
    assert set(Registry().aliases("churn")) == {"champion", "previous"}


def test_a_challenger_can_be_taken_out_by_hand(run: Run, home: Path) -> None:
    from ml_assets_tests.kits.cli import invoke

    run(spec_of(), "deploy")
    plan = plan_now(home)
    said = invoke("experiment", "churn", "--stop", "complaints")
    assert said.exit_code == 0, said.output
    assert f"version {plan.experiment} is taken out" in said.stderr
    assert plan_now(home).live.version == plan.live.version
    assert plan_now(home).experiment is None
    entry = Ledger().entries("churn")[-1]
    assert (entry.kind, entry.why) == ("rollback", "complaints")
    again = invoke("experiment", "churn", "--stop", "again")
    assert again.exit_code == 1 and "churn has no challenger" in again.stderr


def split_traffic(plan: ServingPlan, n: int, right: Callable[[bool], bool]) -> Any:
    """One request of each of `n` entities, and the label of each."""
    from ml_assets.records.assignment import Assignment

    now, x = dt.datetime.now(dt.UTC).timestamp(), any_row(plan)
    lines, labels = [], []
    arms = Assignment(plan.salt, [arm.share for arm in plan.arms])
    for number in range(n):
        entity = f"person-{plan.generation}-{number}"
        arm = plan.arms[arms.arm_of(entity)]
        answer = line(
            now + number / 1_000,
            number,
            version=arm.version,
            arm=arm.mode,
            generation=plan.generation,
            entity=entity,
            x=x,
            label="yes" if right(arm is plan.arms[1]) else "no",
        )
        lines.append(answer)
        named = {"id": None, "entity": entity, "time": answer["time"] + 1}
        labels.append(truth("", "yes", now + 10 + number) | named)
    return lines, labels


def test_a_split_is_decided_by_labels_of_entities(run: Run, home: Path) -> None:
    spec = spec_of("split", share=0.5)
    run(spec, "deploy")
    plan = plan_now(home)
    assert arms(plan) == [("live", 0.5), ("split", 0.5)]
    rng = np.random.default_rng(1)

    def right(is_challenger: bool) -> bool:
        return bool(rng.random() < (0.97 if is_challenger else 0.6))

    log(home, *split_traffic(plan, 600, right))
    shown = metadata_of(run(spec, "monitor"), "experiment")
    assert shown["verdict"] == "promote" and shown["labels"] == 600
    assert plan_now(home).live.version == plan.experiment


def test_a_canary_grows_by_steps_and_then_waits_for_labels(
    run: Run, home: Path
) -> None:
    spec = spec_of("canary", steps=[0.2, 0.5])
    run(spec, "deploy")
    seen = [arms(plan_now(home))]
    for number in range(3):
        plan = plan_now(home)
        lines, _ = split_traffic(plan, 400, lambda _: True)
        ship(home, lines, f"server-{number:08d}")
        run(spec, "monitor")
        seen.append(arms(plan_now(home)))
    small, large = [("live", 0.8), ("split", 0.2)], [("live", 0.5), ("split", 0.5)]
    assert seen == [small, large, large, large]
    whys = [e.why for e in Ledger().entries("churn") if e.kind == "experiment"]
    assert "no guardrail is breached after" in whys[-1] and len(whys) == 2


def as_requests(home: Path, shift: float, rows: int = 400) -> Lines:
    """Held-out rows as requests to the champion, a numeric column moved by `shift`."""
    from ml_assets.lifecycle.scoring import held_out_rows, load, score
    from ml_assets.state.bundles import signature_of

    plan = plan_now(home)
    record = Versions().get("churn", plan.live.version)
    held = held_out_rows(spec_of(), record)
    frame = held.rows.sample(rows, replace=True, random_state=0)
    signature = signature_of(plan.live)
    number = next(c.name for c in signature.columns if c.kind == "number")
    frame[number] = frame[number] + shift * frame[number].std()
    p = score(held.task, load(record), frame)
    inputs = json.loads(
        frame[[c.name for c in signature.columns]].to_json(orient="values")
    )
    now = dt.datetime.now(dt.UTC).timestamp()
    return [
        line(
            now + at / 1_000,
            at,
            version=plan.live.version,
            x=x,
            p=float(p[at]),
            label="yes" if p[at] > 0.5 else "no",
        )
        for at, x in enumerate(inputs)
    ]


def test_drift_is_found_reported_once_and_leads_to_one_training(
    run: Run, home: Path, instance: dg.DagsterInstance
) -> None:
    spec = spec_of()
    ship(home, as_requests(home, shift=0.0), "server-00000001")
    calm = run(spec, "monitor")
    assert check_of(calm, "drift")[0], check_of(calm, "drift")[1]

    ship(home, as_requests(home, shift=1.5, rows=2_000), "server-00000002")
    found = run(spec, "monitor")
    passed, sentence = check_of(found, "drift")
    assert not passed and "columns drifted over" in sentence
    shown = metadata_of(found, "drift")
    assert shown["drifted"] and "| **yes** |" in shown["columns"]
    assert {"plot_drift", "plot_distributions"} <= shown.keys()
    kept = read_json(home / f"reports/churn/drift/{shown['report_id']}.json")
    assert kept["drifted"] and kept["columns"][0]["drifted"]

    # Nothing new: no second report, and the check stays as it is.
    again = run(spec, "monitor")
    assert not check_of(again, "drift")[0]
    assert len(list((home / "reports/churn/drift").glob("*.json"))) == 2

    sensor = definitions_of(spec).resolve_sensor_def("drift")
    context = dg.build_sensor_context(instance=instance)
    result = sensor.evaluate_tick(context)
    (request,) = result.run_requests or []
    assert request.run_key == f"churn:{shown['report_id']}"
    assert request.run_config == {}
    context = dg.build_sensor_context(instance=instance, cursor=result.cursor)
    assert not sensor.evaluate_tick(context).run_requests


def test_live_figures_are_held_against_those_of_evaluation(
    run: Run, home: Path
) -> None:
    spec = spec_of()
    lines = as_requests(home, shift=0.0)
    now = lines[-1]["time"]
    right = [truth(item["id"], item["label"], now + 1) for item in lines[:100]]
    log(home, lines, [*right, truth("unknown", "yes", now + 1)])
    good = run(spec, "monitor")
    assert check_of(good, "performance")[0]
    shown = metadata_of(good, "performance")
    assert shown["accuracy"] == 1.0 and shown["joined"] == 100 and shown["pending"] == 1
    assert Path(shown["plot_accuracy"]).read_bytes().startswith(PNG)

    other = {"yes": "no", "no": "yes"}
    wrong = [truth(i["id"], other[i["label"]], now + 2) for i in lines[100:]]
    ship(home, wrong, "server-00000002.labels")
    passed, sentence = check_of(run(spec, "monitor"), "performance")
    assert not passed and "live accuracy 0.2500 over 400 labels is below" in sentence


def test_a_replay_shows_what_a_version_would_have_said(run: Run, home: Path) -> None:
    spec = spec_of()
    lines = as_requests(home, shift=0.0, rows=60)
    lines[7]["x"] = [None] * (len(lines[7]["x"]) - 1) + ["never seen"]
    ship(home, lines)
    run(spec, "monitor")
    done = run(spec, "replay")
    shown = metadata_of(done, "replay")
    _, second = Versions().names("churn")
    assert (shown["version"], shown["rows"], shown["answered"]) == (second, 60, 59)
    assert shown["misfits"] == 1 and not shown["crash"]
    passed, sentence = check_of(done, "replay")
    assert not passed and "misfits: 1 of 1 kinds" in sentence


def test_a_monitor_run_without_anything_to_do_changes_nothing(
    run: Run, home: Path
) -> None:
    before = sorted(path for path in home.rglob("*") if "mlflow" not in path.name)
    done = run(spec_of(), "monitor")
    for name in ("drift", "performance", "experiment"):
        assert check_of(done, name)[0]
    assert not list(waiting(storage(), "churn", "predictions"))
    after = sorted(path for path in home.rglob("*") if "mlflow" not in path.name)
    assert [path for path in after if path not in before and path.is_file()] in (
        [],
        [home / "plans/churn/.lock"],
    )


def test_what_a_real_server_logged_decides_a_real_experiment(
    run: Run, home: Path
) -> None:
    from ml_assets.lifecycle.scoring import held_out_rows
    from ml_assets.state.bundles import signature_of
    from ml_assets.state.logged import labelled
    from ml_assets_tests.kits.serving import Server

    spec = spec_of()
    run(spec, "deploy")
    plan = plan_now(home)
    record = Versions().get("churn", plan.live.version)
    frame, y, *_ = held_out_rows(spec, record)
    names = [column.name for column in signature_of(plan.live).columns]
    given = json.loads(frame[names].to_json(orient="records"))
    with Server(home) as server:
        await_true(
            lambda: server.get("/v2/health/ready")[0] == 200, "the server is ready"
        )
        ids = [
            item["id"]
            for start in range(0, len(given), 16)
            for item in server.predict(given[start : start + 16], "churn")[
                "predictions"
            ]
        ]
        outcomes = ["yes" if value else "no" for value in y]
        labels = [{"id": i, "label": v} for i, v in zip(ids, outcomes, strict=True)]
        asked = urllib.request.Request(
            f"http://127.0.0.1:{server.port}/feedback",
            json.dumps({"model": "churn", "labels": labels}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(asked) as answer:
            assert answer.status == 202
        assert server.stop() == 0
    done = run(spec, "monitor")
    shown = metadata_of(done, "experiment")
    # One iteration apart, the two versions hardly differ.
    assert shown["labels"] == len(ids) and shown["verdict"] == "not_yet"
    assert f"of {len(ids)} labels the models differ on" in shown["finding"]
    versions = [plan.live.version, str(plan.experiment)]
    rows = labelled("churn", 0.0, versions).rows
    assert sorted(rows["arm"].unique()) == ["live", "shadow"]
    assert len(rows) == 2 * len(ids)
    assert metadata_of(done, "performance")["joined"] == len(ids)


def test_a_new_raw_table_is_compared_once_with_what_the_champion_learnt_from(
    run: Run, home: Path, instance: dg.DagsterInstance
) -> None:
    spec = spec_of()
    assert check_of(run(spec, "monitor"), "drift")[1] == (
        "there is nothing to compare yet"
    )
    # Not so far away that the contract refuses the rows, which are not compared then.
    other = {"type": "synthetic", "rows": 800, "seed": 3, "drift": 0.6}
    definitions_of(spec).resolve_job_def("churn_train").execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(["churn", "raw"])],
        run_config={"ops": {"churn__raw": {"config": {"source": other}}}},
    )
    done = run(spec, "monitor")
    passed, sentence = check_of(done, "drift")
    assert not passed and sentence.startswith("raw: ")
    shown = metadata_of(done, "drift")
    assert (shown["source"], shown["rows"]) == ("raw", 800)
    run(spec, "monitor")
    (report,) = (home / "reports/churn/drift").glob("*.json")
    assert report.stem == shown["report_id"]
    # Nobody trained on these rows yet.
    sensor = definitions_of(spec).resolve_sensor_def("drift")
    tick = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
    assert [request.run_key for request in tick.run_requests or []] == [
        f"churn:{report.stem}"
    ]
