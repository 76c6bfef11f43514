"""Where an experiment stands: which requests and labels count, and how often."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ml_assets.lifecycle.compaction import compact
from ml_assets.lifecycle.experiments import ExperimentStatus, experiment_status
from ml_assets.lifecycle.plan_transitions import challenge, next_step
from ml_assets.ml.sequential import Betting, Loss, Planned, Scale
from ml_assets.records.plan import Column, ServingPlan, Signature
from ml_assets.spec.operation import ServingSpec
from ml_assets.state.versions import PROFILE, Versions
from ml_assets_tests.kits.cli import invoke, record
from ml_assets_tests.kits.plans import commit, keep_signature
from ml_assets_tests.kits.prediction_log import line, ship, truth
from ml_assets_tests.kits.task_versions import DEMAND, TICKETS

NOW = dt.datetime.now(dt.UTC)
MOMENT = NOW.timestamp() + 5
CHURN = Signature(
    columns=(Column(name="age", kind="number"),),
    target="churned",
    negative="no",
    positive="yes",
)


def plans(
    signature: Signature = CHURN, other: Signature | None = None, **serving: Any
) -> list[ServingPlan]:
    """A champion and its challenger; `other` is the challenger's signature."""
    spec = ServingSpec.model_validate(serving)
    first, second = (
        record(
            "churn",
            version,
            files=keep_signature(f"versions/churn/{version}/bundle", given),
        )
        for version, given in (("v1", signature), ("v2", other or signature))
    )
    plan = challenge(None, first, spec, "first")
    return [plan, challenge(plan, second, spec, "second")]


def status_of(
    root: Path, history: list[ServingPlan], loss: Loss | None = None, **serving: Any
) -> ExperimentStatus:
    for kind in ("predictions", "labels"):
        compact("churn", kind)
    spec = ServingSpec.model_validate(serving)
    found = experiment_status(spec, history, NOW, loss)
    assert found is not None
    return found


def answered(number: int, **given: Any) -> dict[str, Any]:
    return line(MOMENT + number / 1_000, number, generation=2, **given)


def test_without_a_challenger_there_is_nothing_to_look_at(home: Path) -> None:
    assert experiment_status(ServingSpec(), [], NOW) is None
    assert experiment_status(ServingSpec(), plans()[:1], NOW) is None


@pytest.mark.parametrize("strategy", ["shadow", "split", "canary"])
def test_without_requests_it_is_not_yet(home: Path, strategy: str) -> None:
    found = status_of(home, plans(strategy=strategy), strategy=strategy)
    assert found.decision.verdict == "not_yet"
    assert (found.evidence.n, found.step_requests) == (0, 0)
    assert json.dumps(found.to_dict())


def test_of_an_entity_only_the_first_labelled_request_counts(home: Path) -> None:
    lines, labels = [], []
    for number in range(20):
        answer = answered(number, entity=f"person-{number % 5}", label="no")
        lines += [answer, answer | {"arm": "shadow", "version": "v2", "label": "yes"}]
        labels.append(truth(answer["id"], "yes", MOMENT + number))
    ship(home, lines, "a")
    ship(home, labels, "a.labels")
    found = status_of(home, plans(strategy="shadow"), strategy="shadow")
    assert (found.evidence.n, found.counts.joined) == (5, 20)
    assert found.evidence.wins == 5  # type: ignore[union-attr]


def test_a_shadow_that_failed_was_wrong_and_one_that_is_missing_does_not_count(
    home: Path,
) -> None:
    answers = [answered(number) for number in range(3)]
    failed = {"arm": "shadow", "version": "v2", "p": None, "error": "Refused"}
    double = answers[0] | failed | {"label": None}
    right = answers[1] | {"arm": "shadow", "version": "v2"}
    ship(home, [*answers, double, right], "a")
    labels = [truth(answer["id"], "yes", MOMENT + 9) for answer in answers]
    ship(home, labels, "a.labels")
    found = status_of(home, plans(strategy="shadow"), strategy="shadow")
    assert found.evidence.describe() == (
        "of 2 labels the models differ on 1: the challenger was right on 0 of them"
    )
    errors, _ = found.guardrails
    assert errors.describe() == ("errors: challenger 1 of 2 requests, champion 0 of 2")


def test_requests_from_before_the_experiment_are_not_part_of_it(home: Path) -> None:
    early = line(MOMENT, 1, generation=1)
    ship(home, [early, answered(2)], "a")
    ship(home, [truth(early["id"], "yes", MOMENT + 1)], "a.labels")
    found = status_of(home, plans(strategy="split"), strategy="split")
    assert found.evidence.n == 0
    assert found.guardrails[0].requests_champion == 1


def test_rows_of_one_request_fail_once_and_an_entity_is_blamed_once(
    home: Path,
) -> None:
    many = [answered(n, request="batch", us=90_000, arm="split") for n in range(50)]
    same = [answered(99 + n, us=90_000, arm="split", entity="p") for n in range(50)]
    split = [item | {"version": "v2"} for item in (*many, *same)]
    ship(home, split, "a")
    found = status_of(home, plans(strategy="split"), strategy="split")
    assert found.guardrails[1].describe() == (
        "slow answers: challenger 2 of 51 requests, champion 0 of 0"
    )
    assert found.decision.verdict == "not_yet"


def test_a_slow_challenger_is_rolled_back_and_the_limit_is_the_models(
    home: Path,
) -> None:
    lines = []
    for number in range(400):
        is_tried = number % 10 == 0
        tried = {"arm": "split", "version": "v2", "us": 2_500} if is_tried else {}
        lines.append(answered(number, **tried))
    ship(home, lines, "a")
    history = plans(strategy="split")
    assert status_of(home, history, strategy="split").decision.verdict == "not_yet"
    found = status_of(home, history, strategy="split", slow_ms=2)
    assert found.decision.verdict == "roll_back"
    assert "slow answers: challenger 40 of 40 requests" in found.decision.sentence


def test_a_step_counts_the_requests_since_its_share_and_labels_count_with_theirs(
    home: Path,
) -> None:
    serving = {"strategy": "canary", "steps": [0.1, 0.5]}
    history = plans(**serving)
    larger = next_step(history[-1], [0.1, 0.5], "more")
    assert larger is not None
    tried = {"arm": "split", "version": "v2"}
    early = [answered(n, **tried) for n in range(7)]
    late = [answered(n + 10, **tried) | {"generation": 3} for n in range(3)]
    ship(home, [*early, *late], "a")
    labels = [truth(item["id"], "yes", MOMENT + 9) for item in (*early, *late)]
    ship(home, labels, "a.labels")
    found = status_of(home, [*history, larger], **serving)
    assert found.step_requests == 3
    phases = found.evidence.phases  # type: ignore[union-attr]
    assert [(phase.share, phase.counts) for phase in phases] == [
        (0.1, (7, 0, 0, 0)),
        (0.5, (3, 0, 0, 0)),
    ]


@pytest.mark.parametrize("times", [1, 4])
def test_asking_often_or_once_leads_to_the_same_status(home: Path, times: int) -> None:
    history = plans(strategy="shadow")
    for part in range(4):
        lines, labels = [], []
        for number in range(part * 10, part * 10 + 10):
            # The same ids in both cases, so that the two states can be compared.
            answer = answered(number, label="no" if number % 3 else "yes")
            double = {"arm": "shadow", "version": "v2", "label": "yes"}
            lines += [answer, answer | double]
            labels.append(truth(answer["id"], "yes", MOMENT + number))
        ship(home, lines, f"a-{part}")
        ship(home, labels, f"a-{part}.labels")
        if times > 1:
            status_of(home, history, strategy="shadow")
    found = status_of(home, history, strategy="shadow")
    assert found.decision.verdict == "not_yet"
    assert (found.evidence.n, found.evidence.decided) == (40, "promote")
    # Right beyond doubt, and still not promoted: the guardrails saw too little.
    assert found.decision.sentence.endswith(
        "guardrails await requests: errors, slow answers"
    )


def pairs_of(root: Path, count: int) -> None:
    """Requests of which both models are right, and the challenger surer."""
    lines, labels = [], []
    for number in range(count):
        answer = answered(number, label="yes", p=0.6)
        lines += [answer, answer | {"arm": "shadow", "version": "v2", "p": 0.95}]
        labels.append(truth(answer["id"], "yes", MOMENT + number))
    ship(root, lines, "a")
    ship(root, labels, "a.labels")


def test_a_given_loss_finds_what_right_and_wrong_cannot(home: Path) -> None:
    pairs_of(home, 60)
    history = plans(strategy="shadow")
    doubt = Loss(Scale("doubt"), lambda rows: (1 - rows["p"]).astype(float))

    plain = status_of(home, history, strategy="shadow")
    found = status_of(home, history, doubt, strategy="shadow")

    assert plain.evidence.decided is None
    assert isinstance(found.evidence, Betting)
    assert found.evidence.decided == "promote"
    assert "mean doubt is -0.35 against the champion's" in found.decision.sentence
    assert json.loads(json.dumps(found.to_dict()))["evidence"]["n"] == 60


@pytest.mark.parametrize("strategy", ["shadow", "split"])
def test_an_answer_that_failed_costs_the_bound(home: Path, strategy: str) -> None:
    answer = answered(1, label="yes", p=0.6)
    arm = {"arm": strategy, "version": "v2", "p": None, "label": None}
    failed = answer | arm | {"error": "Refused"}
    ship(home, [answer, failed] if strategy == "shadow" else [failed], "a")
    ship(home, [truth(answer["id"], "yes", MOMENT)], "a.labels")
    cost = Loss(Scale("cost", 40), lambda rows: rows["p"].astype(float) * 0)

    found = status_of(home, plans(strategy=strategy), cost, strategy=strategy)

    assert isinstance(found.evidence, Betting)
    assert found.evidence.n == 1
    assert found.evidence.difference > 0


def value(number: int, version: str, predicted: float, **given: Any) -> dict[str, Any]:
    """A regressor's answer."""
    numbers = {"p": None, "label": None, "value": predicted}
    return answered(number, version=version, **numbers, **given)


def bounded(bound: float) -> None:
    Versions().save_document("churn", "v2", PROFILE, {"loss_bound": bound})


@pytest.mark.parametrize(
    "truths, verdict, figure",
    [
        ([10.0], "promote", "-4"),
        ([13.25], "roll_back", "+2.5"),
        # One row at which the champion is off by a million counts as one by 20.
        ([10.0, 1e6], "promote", "-2"),
    ],
)
def test_a_regressors_arms_are_compared_by_their_clipped_absolute_error(
    home: Path, truths: list[float], verdict: str, figure: str
) -> None:
    lines, labels = [], []
    for number in range(600):
        live = value(number, "v1", 14.0)
        shadow = {"arm": "shadow", "version": "v2", "value": 10.0}
        lines += [live, live | shadow]
        labels.append(truth(live["id"], truths[number % len(truths)], MOMENT + number))
    ship(home, lines, "a")
    ship(home, labels, "a.labels")
    bounded(20.0)
    found = status_of(home, plans(DEMAND, strategy="shadow"), strategy="shadow")
    assert found.decision.verdict == verdict
    sentence = f"mean absolute error clipped at 20 is {figure} against the champion's"
    assert sentence in found.decision.sentence


def test_a_split_of_a_regressor_is_decided_by_the_same_loss(home: Path) -> None:
    lines, labels = [], []
    for number in range(4_000):
        is_tried = number % 2 == 1
        given = {"arm": "split", "entity": f"person-{number}"} if is_tried else {}
        version = "v2" if is_tried else "v1"
        answer = value(number, version, 11.0 if is_tried else 16.0, **given)
        lines.append(answer)
        labels.append(truth(answer["id"], 10.0, MOMENT + number))
    ship(home, lines, "a")
    ship(home, labels, "a.labels")
    bounded(20.0)
    serving = {"strategy": "split", "share": 0.5}
    found = status_of(home, plans(DEMAND, **serving), **serving)
    assert found.decision.verdict == "promote"
    assert "mean absolute error clipped at 20 is -5" in found.decision.sentence


COSTS = {"false_positive": 5.0, "false_negative": 400.0}
AMOUNT = {"false_positive": 5.0, "false_negative": 0.0, "amount": "age", "bound": 800.0}


@pytest.mark.parametrize(
    "costs, name", [(COSTS, "cost"), (AMOUNT, "cost clipped at 800")]
)
@pytest.mark.parametrize("alarms, verdict", [(3, "promote"), (9, "roll_back")])
def test_with_costs_the_cheaper_version_wins_though_it_errs_more_often(
    home: Path, costs: dict[str, Any], name: str, alarms: int, verdict: str
) -> None:
    """Of 20 requests the champion misses one; the challenger alarms for nothing."""
    lines, labels = [], []
    missed = {3: 400.0, 9: 20.0}[alarms]
    if costs is COSTS:
        costs = costs | {"false_negative": missed}
    for number in range(6_000):
        part = number % 20
        # The challenger decides at 0.1, the champion at one half.
        surely = {"p": 0.3 if part <= alarms else 0.05}
        live = answered(number, label="no", x=[missed], **surely)
        label = "yes" if part <= alarms else "no"
        shadow = {"arm": "shadow", "version": "v2", "label": label}
        lines += [live, live | shadow]
        labels.append(truth(live["id"], "yes" if part == 0 else "no", MOMENT + number))
    ship(home, lines, "a")
    ship(home, labels, "a.labels")
    Versions().save_document("churn", "v2", PROFILE, {"costs": costs})
    history = plans(
        CHURN, msgspec.structs.replace(CHURN, threshold=0.1), strategy="shadow"
    )
    found = status_of(home, history, strategy="shadow")
    assert found.decision.verdict == verdict, found.decision.sentence
    saved = (5 * alarms - missed) / 20
    assert f"mean {name} is {saved:+.4g} against" in found.decision.sentence


def test_without_the_bound_of_its_loss_nothing_is_compared(home: Path) -> None:
    with pytest.raises(LookupError, match="the reference profile has no loss_bound"):
        status_of(home, plans(DEMAND, strategy="shadow"), strategy="shadow")


def test_classes_are_compared_by_whether_the_likeliest_is_the_true_one(
    home: Path,
) -> None:
    lines, labels = [], []
    for number in range(120):
        wrong = {"p": 0.5, "probabilities": [0.3, 0.2, 0.5], "label": "other"}
        right = {"p": 0.6, "probabilities": [0.2, 0.6, 0.2], "label": "delivery"}
        live = answered(number, **wrong)
        lines += [live, live | right | {"arm": "shadow", "version": "v2"}]
        labels.append(truth(live["id"], "delivery", MOMENT + number))
    ship(home, lines, "a")
    ship(home, labels, "a.labels")
    found = status_of(home, plans(TICKETS, strategy="shadow"), strategy="shadow")
    assert found.decision.sentence == (
        "the challenger is better: of 120 labels the models differ on 120: the"
        " challenger was right on 120 of them"
    )


def test_a_loss_above_its_bound_is_refused_with_its_row(home: Path) -> None:
    pairs_of(home, 3)
    cost = Loss(Scale("cost", 40), lambda rows: rows["p"].astype(float) * 100)

    with pytest.raises(ValueError, match="cost of row 0 must be from 0 to 40"):
        status_of(home, plans(strategy="shadow"), cost, strategy="shadow")


@pytest.mark.parametrize("strategy", ["shadow", "split", "canary"])
def test_a_planned_experiment_ends_with_its_labels(home: Path, strategy: str) -> None:
    lines, labels = [], []
    for number in range(100):
        answer = answered(number, label="yes")
        double = answer | {"arm": "shadow", "version": "v2"}
        lines += [answer, double] if strategy == "shadow" else [answer]
        labels.append(truth(answer["id"], "yes", MOMENT + number))
    ship(home, lines, "a")
    ship(home, labels[:99], "a.labels")
    serving = {"strategy": strategy, "design": {"labels": 100}}
    history = plans(**serving)

    early = status_of(home, history, **serving)
    ship(home, labels[99:], "b.labels")
    found = status_of(home, history, **serving)

    assert (early.decision.verdict, found.decision.verdict) == ("not_yet", "keep")
    assert isinstance(found.evidence, Planned)
    assert "100 of 100 planned labels" in found.decision.sentence
    assert json.dumps(found.to_dict())


def test_the_command_shows_the_evidence(home: Path) -> None:

    for plan in plans(strategy="shadow"):
        commit(plan)
    result = invoke("experiment", "churn")
    assert result.exit_code == 0, result.output
    assert "churn: v2 against v1, shadow for 0.0 days" in result.stdout
    assert "verdict: not_yet, of 0 labels" in result.stdout
    value = json.loads(invoke("experiment", "churn", "--json").stdout)
    assert (value["verdict"], value["champion"]) == ("not_yet", "v1")
