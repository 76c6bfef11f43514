"""Rolling a Deployment to another pod template, whatever the API does meanwhile."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ml_assets.targets.clusters import (
    Deployment,
    FailedRolloutError,
    OvertakenError,
    roll_out_or_undo,
    rollout_status,
)
from ml_assets_tests.kits.kubernetes_api import KubernetesApi
from ml_assets_tests.kits.kubernetes_controller import Pod
from ml_assets_tests.kits.processes import await_true

NAME, MANAGER = "code-location", "tests"
OLD, NEW, BROKEN = "server@sha256:1", "server@sha256:2", "server@sha256:bad"


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    """A cluster with one Deployment that is complete."""
    api = KubernetesApi()
    api.judge = broken_does_not_start
    api.add(NAME)
    with api.running():
        await_true(lambda: api.is_complete(NAME), "the Deployment is complete")
        yield api


def broken_does_not_start(pod: Pod) -> str | None:
    image = pod.template["spec"]["containers"][0]["image"]
    return "no such file: model.npz" if image == BROKEN else None


def set_image(image: str) -> Any:
    """Sets what a release changes: the digest, and the variable of the same value."""

    def edit(template: dict[str, Any]) -> None:
        container = template["spec"]["containers"][0]
        container["image"] = image
        container["env"] = [{"name": "DAGSTER_CURRENT_IMAGE", "value": image}]

    return edit


def release(api: KubernetesApi, image: str, **options: Any) -> dict[str, Any]:
    deployment = Deployment(api.cluster(), NAME, MANAGER)
    return roll_out_or_undo(deployment, set_image(image), set_image(OLD), **options)


def image_of(api: KubernetesApi) -> str:
    return api.template(NAME)["spec"]["containers"][0]["image"]


def test_every_replica_runs_the_new_image_when_a_rollout_ends(
    api: KubernetesApi,
) -> None:
    found = release(api, NEW)
    assert api.is_complete(NAME)
    assert {p.template["spec"]["containers"][0]["image"] for p in api.pods(NAME)} == {
        NEW
    }
    assert found["status"]["updatedReplicas"] == 2
    (_, patch), *others = api.patches
    assert not others
    assert patch["metadata"].keys() == {"resourceVersion"}


def test_what_is_done_already_is_not_done_again(api: KubernetesApi) -> None:
    release(api, NEW)
    release(api, NEW)
    assert len(api.patches) == 1


def test_a_release_that_does_not_start_is_undone_with_the_reasons(
    api: KubernetesApi,
) -> None:
    with pytest.raises(FailedRolloutError) as caught:
        release(api, BROKEN)
    assert caught.value.undone
    text = str(caught.value)
    assert "ProgressDeadlineExceeded" in text
    assert "model-server ended with exit code 3 (Error): last: no such file" in text
    assert "CrashLoopBackOff" in text
    assert "Readiness probe failed" in text
    assert "all 2 replicas run the former template" in text
    assert image_of(api) == OLD
    assert api.is_complete(NAME)


def test_the_verdict_on_a_failed_rollout_is_not_that_on_the_next(
    api: KubernetesApi,
) -> None:
    # One replica: returning shows no progress at once, and the verdict stays there.
    api.edit(NAME, lambda found: found["spec"].update(replicas=1))
    await_true(lambda: api.is_complete(NAME), "one replica is left")
    for _ in range(2):
        with pytest.raises(FailedRolloutError) as caught:
            release(api, BROKEN)
        assert caught.value.undone
    release(api, NEW)
    assert image_of(api) == NEW


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(api: KubernetesApi, status: int) -> None:
    api.fail(status, times=2, Retry_After="1" if status == 429 else "0")
    release(api, NEW)
    assert image_of(api) == NEW


@pytest.mark.parametrize("is_done", [False, True])
def test_a_patch_whose_answer_is_lost_is_made_once(
    api: KubernetesApi, is_done: bool
) -> None:
    api.cut(method="PATCH", is_done=is_done)
    release(api, NEW)
    assert image_of(api) == NEW
    assert len(api.patches) == 1


def test_a_return_whose_answer_is_lost_is_a_return(api: KubernetesApi) -> None:
    def cut_the_return(name: str, patch: dict[str, Any]) -> None:
        if len(api.patches) == 1 and not api.faults:
            api.cut(method="PATCH", is_done=True)

    api.before_patch = cut_the_return
    with pytest.raises(FailedRolloutError) as caught:
        release(api, BROKEN)
    assert caught.value.undone
    assert image_of(api) == OLD


def test_a_change_by_others_in_between_is_built_upon(api: KubernetesApi) -> None:
    def scale_first(name: str, patch: dict[str, Any]) -> None:
        if not api.patches:
            api.before_patch = lambda name, patch: None
            api.edit(name, lambda found: found["spec"].update(replicas=3))

    api.before_patch = scale_first
    found = release(api, NEW)
    assert found["status"]["availableReplicas"] == 3
    assert image_of(api) == NEW


def test_a_template_that_somebody_else_changed_is_left_alone(
    api: KubernetesApi,
) -> None:
    def overtake(name: str, patch: dict[str, Any]) -> None:
        threading.Timer(
            0.5,
            api.edit,
            (NAME, lambda found: set_image("other")(found["spec"]["template"])),
        ).start()

    api.before_patch = overtake
    with pytest.raises(OvertakenError, match="changed by somebody else"):
        release(api, BROKEN)
    assert image_of(api) == "other"


@pytest.mark.parametrize("kind", ["no right to watch", "watches end", "forgets"])
def test_the_rollout_is_followed_however_the_watch_ends(
    api: KubernetesApi, kind: str
) -> None:
    api.may_watch = kind != "no right to watch"
    api.watch_seconds = 0.05 if kind == "watches end" else 60.0
    timer = threading.Timer(0.3, api.forget)
    if kind == "forgets":
        timer.start()
    release(api, NEW)
    timer.cancel()
    assert api.is_complete(NAME)


def test_a_server_that_is_away_in_the_middle_is_waited_for(api: KubernetesApi) -> None:
    def go_down(name: str, patch: dict[str, Any]) -> None:
        api.is_down = True
        threading.Timer(1.5, setattr, (api, "is_down", False)).start()

    deployment = Deployment(api.cluster(patience=20), NAME, MANAGER)
    api.before_patch = go_down
    roll_out_or_undo(deployment, set_image(NEW), set_image(OLD))
    assert api.is_complete(NAME)


def test_a_server_that_stays_away_is_an_error_that_claims_nothing(
    api: KubernetesApi,
) -> None:
    def go_down(name: str, patch: dict[str, Any]) -> None:
        api.is_down = True

    api.before_patch = go_down
    with pytest.raises(FailedRolloutError, match="cannot be followed") as caught:
        deployment = Deployment(api.cluster(patience=1), NAME, MANAGER)
        deployment.change(lambda template: None)
        changed = set_image(NEW)
        roll_out_or_undo(deployment, changed, set_image(OLD))
    assert not caught.value.undone


def test_a_reason_of_the_caller_ends_the_rollout(api: KubernetesApi) -> None:
    with pytest.raises(
        FailedRolloutError, match="the check of pipelines failed"
    ) as caught:
        release(api, NEW, check=lambda: "the check of pipelines failed")
    assert caught.value.undone
    assert image_of(api) == OLD


def test_a_controller_that_stands_still_is_not_waited_for_for_ever(
    api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout_status, "GRACE_SECONDS", 0.0)
    api.edit(NAME, lambda found: found["spec"].update(paused=True))
    api.watch_seconds = 0.2
    with pytest.raises(FailedRolloutError, match="is paused after 1 s"):
        release(api, NEW, timeout=1.0)


def test_a_cancelled_run_undoes_its_change(api: KubernetesApi) -> None:
    def cancel() -> str | None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        release(api, NEW, check=cancel)
    assert image_of(api) == OLD
