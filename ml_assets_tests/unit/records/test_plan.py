"""Plans as files: what older ones do not hold has a default."""

import msgspec

from ml_assets.records.plan import Arm, ServingPlan, encode

OLD = b"""{
  "arms": [{"bundle": "b", "files": {}, "runtime": "compiled", "version": "v1"}],
  "created_at": "2026-11-23T02:00:00+00:00", "generation": 3, "model": "churn",
  "reason": "deployed", "run_id": null
}"""


def test_a_plan_from_before_experiments_logs_everything_and_tests_nothing() -> None:
    plan = msgspec.json.decode(OLD, type=ServingPlan)
    assert (plan.salt, plan.log_sample, plan.experiment) == ("", 1.0, None)
    assert plan.live.version == "v1" and plan.live.share == 1.0


def test_an_experiment_survives_its_file() -> None:
    arm = Arm(version="v1", bundle="b", files={"a": "0"}, runtime="compiled")
    plan = ServingPlan(
        model="churn",
        generation=4,
        arms=(arm, Arm(**msgspec.structs.asdict(arm) | {"mode": "shadow"})),
        created_at="2026-11-23T02:00:00+00:00",
        reason="experiment",
        salt="churn/v2",
        log_sample=0.25,
        experiment="v2",
    )
    assert msgspec.json.decode(encode(plan), type=ServingPlan) == plan
