"""Plans rolled out to a cluster that fails; see test_kubernetes_deployers as well."""

import json
from pathlib import Path
from typing import Any

import pytest

from ml_assets.records.plan import Arm, ServingPlan, pin_of
from ml_assets.state.plans import Plans
from ml_assets.targets import RolloutError, TargetError, configured_target
from ml_assets.targets.kubernetes import ANNOTATION, KubernetesTarget
from ml_assets_tests.kits.kubernetes_api import KubernetesApi
from ml_assets_tests.kits.kubernetes_site import (
    NAME,
    a,
    api,
    b,
    root,
    serving,
    storage,
    target,
    tried,
    url,
)
from ml_assets_tests.kits.plans import apply, commit
from ml_assets_tests.kits.serving import plan

__all__ = ["a", "api", "b", "root", "storage", "target", "url"]


def refuse(api: KubernetesApi, bad: ServingPlan) -> None:
    """Pods that are pinned to `bad` never get ready."""
    good = api.judge
    api.judge = lambda pod: (
        "probe row 3: 0.2 instead of 0.4"
        if pod.annotations.get(ANNOTATION) == pin_of(bad)
        else good(pod)
    )


def test_a_plan_is_active_when_every_pod_serves_it(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    assert apply(target, plan(a, 1)) == (plan(a, 1), 2)
    assert apply(target, plan(b, 2)) == (plan(b, 2), 2)
    assert serving(api) == {pin_of(plan(b, 2))}
    assert Plans().history("census") == [plan(a, 1), plan(b, 2)]
    assert tried(target) == []
    _, patch = api.patches[-1]
    template = {"metadata": {"annotations": {ANNOTATION: pin_of(plan(b, 2))}}}
    assert patch["spec"] == {"template": template}


def test_the_active_plan_may_be_applied_again(
    api: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    apply(target, plan(a, 1))
    assert apply(target, plan(a, 1)) == (plan(a, 1), 2)
    assert len(api.patches) == 1


def test_a_deployment_that_lost_its_pin_is_pinned_to_the_active_plan(
    api: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    apply(target, plan(a, 1))
    api.edit(NAME, lambda found: found["spec"]["template"]["metadata"].clear())
    api.edit(
        NAME,
        lambda found: found["spec"]["template"]["metadata"].update(
            labels={"app.kubernetes.io/name": "ml-assets"}
        ),
    )
    apply(target, plan(a, 1))
    assert serving(api) == {pin_of(plan(a, 1))}


def test_a_failed_rollout_returns_to_the_active_plan_with_the_reasons(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    refuse(api, plan(b, 2))
    with pytest.raises(RolloutError) as caught:
        apply(target, plan(b, 2))
    assert "probe row 3: 0.2 instead of 0.4" in str(caught.value)
    assert "all 2 replicas run the former template" in str(caught.value)
    assert Plans().current("census") == plan(a, 1)
    assert serving(api) == {pin_of(plan(a, 1))}
    assert api.is_complete(NAME)
    assert tried(target) == []


def test_a_pod_that_refuses_its_plan_ends_the_rollout_with_what_it_logged(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    refuse(api, plan(b, 2))
    line = {"message": "plan refused", "event.reason": "b/runtime.npz was altered"}
    api.log = lambda pod: ["a line of another kind", json.dumps(line), "not JSON {"]
    # Long before the progress deadline of the Deployment.
    api.edit(NAME, lambda found: found["spec"].update(progressDeadlineSeconds=600))
    with pytest.raises(RolloutError, match="refused the plan: b/runtime.npz was alter"):
        apply(target, plan(b, 2))
    assert serving(api) == {pin_of(plan(a, 1))}
    assert tried(target) == []


def test_the_first_plan_of_all_is_undone_to_none(
    api: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    refuse(api, plan(a, 1))
    # Nothing serves before, so that a return can only be verified by its template.
    short = KubernetesTarget(api.cluster(), timeout=4.0)
    with pytest.raises(RolloutError, match="plan 1 of census is not active"):
        apply(short, plan(a, 1))
    assert api.annotation(NAME, ANNOTATION) is None
    assert Plans().current("census") is None
    api.judge = lambda pod: None
    apply(target, plan(a, 1))
    assert serving(api) == {pin_of(plan(a, 1))}


def test_a_version_that_does_not_load_never_reaches_the_cluster(
    api: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    apply(target, plan(a, 1))
    files = {name: "0" * 64 for name in a.files}
    bad = Arm(version="x", bundle=a.bundle, files=files, runtime="compiled")
    with pytest.raises(RolloutError, match="version x was refused"):
        apply(target, plan(bad, 2))
    assert len(api.patches) == 1


def test_a_plan_that_was_overtaken_is_refused(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    with pytest.raises(RolloutError, match="generation 1 is, expected plan 2"):
        apply(target, plan(b, 1))
    assert serving(api) == {pin_of(plan(a, 1))}


def test_an_api_that_goes_away_for_good_leaves_work_that_the_next_one_finishes(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))

    def go_down(name: str, patch: Any) -> None:
        api.is_down = True

    api.before_patch = go_down
    hasty = KubernetesTarget(api.cluster(patience=1.0))
    with pytest.raises(RolloutError, match="did not serve us for 1 s"):
        apply(hasty, plan(b, 2))
    assert Plans().current("census") == plan(a, 1)
    api.before_patch, api.is_down = (lambda name, patch: None), False
    again = plan(b, 2)
    assert apply(target, again) == (again, 2)
    assert serving(api) == {pin_of(again)}


def test_a_zombie_does_not_overwrite_a_newer_plan(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    newer = plan(b, 2)
    zombie = KubernetesTarget(api.cluster())

    def overtake(name: str, patch: Any) -> None:
        # While the zombie's patch is on its way, another deployer does all its work.
        api.before_patch = lambda name, patch: None
        apply(target, newer)

    api.before_patch = overtake
    late = ServingPlan(
        model="census", generation=2, arms=(a,), created_at="later", reason="late"
    )
    with pytest.raises(RolloutError, match="another deployer was first"):
        apply(zombie, late)
    assert Plans().history("census") == [plan(a, 1), newer]
    assert serving(api) == {pin_of(newer)}


def test_a_zombie_that_commits_first_is_followed_by_the_cluster(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    zombies = plan(a, 2)

    def overtake(name: str, patch: Any) -> None:
        if Plans().current("census") == plan(a, 1):
            target.published.pin(zombies)
            commit(zombies)

    api.before_patch = overtake
    with pytest.raises(RolloutError, match="generation 2 already exists"):
        apply(target, plan(b, 2))
    assert Plans().current("census") == zombies
    assert serving(api) == {pin_of(zombies)}


def test_without_a_cluster_the_error_names_what_is_missing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_TARGET", "kubernetes")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(TargetError, match="K8S_SERVER is not set"):
        configured_target()
