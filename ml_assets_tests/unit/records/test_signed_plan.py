"""Who can write where plans are published cannot change what is served."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ml_assets.core.signing import (
    SIGNING,
    VERIFY,
    SigningKeyError,
    keys,
    verify_keys,
)
from ml_assets.records.plan import Arm, ServingPlan, digest, encode
from ml_assets.records.signed_plan import UntrustedPlanError, seal, unseal
from ml_assets_tests.kits.signing import make_keys

ARM = Arm(version="v1", bundle="versions/churn/v1", files={}, runtime="compiled")
PLAN = ServingPlan(
    model="churn",
    generation=7,
    arms=(ARM,),
    created_at="2026-11-23T02:00:00+00:00",
    reason="passed",
    log_sample=0.1,
)


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A plan signed with a key whose public part is configured."""
    make_keys(tmp_path).use(monkeypatch)
    return seal(PLAN)


def test_a_signed_plan_is_the_plan(sealed: bytes) -> None:
    found = unseal(sealed, verify_keys(), PLAN.model)
    assert found == PLAN and digest(found) == digest(PLAN)
    assert seal(PLAN) == sealed


def test_a_reader_of_before_reads_a_signed_plan(sealed: bytes) -> None:
    assert msgspec.json.decode(sealed, type=ServingPlan) == PLAN


def test_without_a_key_nothing_is_signed_and_any_plan_is_read(sealed: bytes) -> None:
    assert unseal(encode(PLAN), {}) == unseal(sealed, {}) == PLAN


def test_a_plan_without_key_is_published_as_ever(home: Path) -> None:
    assert seal(PLAN) == encode(PLAN)


def edit(data: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    body = json.loads(data)
    change(body)
    return json.dumps(body).encode()


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another version": lambda body: body["arms"][0].update(version="v9"),
    "another bundle": lambda body: body["arms"][0].update(bundle="versions/churn/v9"),
    "other files": lambda body: body["arms"][0]["files"].update({"a": "0" * 64}),
    "a higher generation": lambda body: body.update(generation=9),
    "a field more": lambda body: body.update(of_a_later_release=1),
    "a field less": lambda body: body.pop("reason") and body.update(reason=""),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_plan_that_was_changed_is_refused(
    sealed: bytes, change: Callable[[dict[str, Any]], Any]
) -> None:
    with pytest.raises(UntrustedPlanError, match="was changed after it was signed"):
        unseal(edit(sealed, change), verify_keys())


def test_the_order_and_the_blanks_of_a_plan_are_not_signed(sealed: bytes) -> None:
    turned = edit(sealed, lambda body: [body.update({k: body.pop(k)}) for k in [*body]])
    assert turned != sealed and unseal(turned, verify_keys()) == PLAN


def test_fields_of_a_later_release_are_signed_and_passed_over(sealed: bytes) -> None:
    class Later(ServingPlan, frozen=True, kw_only=True):
        window: float

    later = Later(**msgspec.structs.asdict(PLAN), window=0.5)
    data = seal(later)
    assert unseal(data, verify_keys()) == PLAN
    with pytest.raises(UntrustedPlanError):
        unseal(edit(data, lambda body: body.update(window=0.6)), verify_keys())


@pytest.mark.parametrize(
    "signature",
    [
        {"key": "", "value": ""},
        {"value": "AAAA"},
        "none",
        ["key", "value"],
        {"key": ["list"], "value": 1},
        {"key": "0123456789abcdef", "value": "AAAA"},
    ],
)
def test_a_signature_that_is_none_is_refused(sealed: bytes, signature: Any) -> None:
    forged = edit(sealed, lambda body: body.update(signature=signature))
    with pytest.raises(UntrustedPlanError, match="which is none of"):
        unseal(forged, verify_keys())


def test_a_signature_of_something_else_is_refused(sealed: bytes) -> None:
    _, name, value = str(keys().sign("entry")).split(":")
    forged = edit(sealed, lambda body: body["signature"].update(value=value))
    assert json.loads(sealed)["signature"]["key"] == name
    with pytest.raises(UntrustedPlanError, match="forged"):
        unseal(forged, verify_keys())
    with pytest.raises(UntrustedPlanError, match="forged"):
        broken = edit(sealed, lambda body: body["signature"].update(value="é:*"))
        unseal(broken, verify_keys())


def test_a_plan_without_signature_is_refused(sealed: bytes) -> None:
    with pytest.raises(UntrustedPlanError, match=f"not signed, and {VERIFY} asks"):
        unseal(encode(PLAN), verify_keys())


def test_a_plan_of_another_model_is_refused(sealed: bytes) -> None:
    with pytest.raises(UntrustedPlanError, match="stands where one of fraud"):
        unseal(sealed, verify_keys(), "fraud")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b"\xff", b'{"a":"\\ud800"}', b'{"a":' + b"[" * 99999]
)
def test_what_is_no_plan_is_refused(sealed: bytes, data: bytes) -> None:
    with pytest.raises(UntrustedPlanError, match="the plan of churn is not readable"):
        unseal(data, verify_keys(), "churn")


def test_a_key_of_somebody_else_is_refused_by_name(
    sealed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_keys(tmp_path / "other")
    monkeypatch.setenv(VERIFY, str(other.verify))
    name = json.loads(sealed)["signature"]["key"]
    with pytest.raises(UntrustedPlanError, match=f"by the key '{name}'"):
        unseal(sealed, verify_keys())


def test_after_a_rotation_old_and_new_plans_are_served(
    sealed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = make_keys(tmp_path, "rotate")
    newer.use(monkeypatch)
    assert seal(PLAN) != sealed
    for data in (sealed, seal(PLAN)):
        assert unseal(data, verify_keys()) == PLAN


def test_what_servers_would_refuse_is_not_published(
    sealed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SIGNING)
    with pytest.raises(SigningKeyError, match=f"{SIGNING} is not set here"):
        seal(PLAN)
