"""A plan as it is published: its JSON, and beside it the signature of the deployer.

``signature`` is a member of the same object, which readers of before pass over. What is
signed is the rest of the object as `canonical` writes it, so that fields of a later
release are covered as well.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ml_assets.core.decoding import from_builtins, from_json
from ml_assets.core.signing import SIGNING, VERIFY, Keys, SigningKeyError, keys
from ml_assets.records.ledger_entry import canonical
from ml_assets.records.plan import ServingPlan, encode

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_MEMBER = "signature"


class UntrustedPlanError(ValueError):
    """What was published is no plan, or one that nobody who may has signed."""


def seal(plan: ServingPlan) -> bytes:
    """The content of the object that publishes `plan`, the same each time.

    It is signed with ``ML_ASSETS_SIGNING_KEY``; without one it is `encode(plan)`.

    Raises
    ------
    SigningKeyError
        If the key is none, or there is none where ``ML_ASSETS_VERIFY_KEYS`` asks for
        signatures: what servers will refuse is not published.
    """
    known = keys()
    if known.private is None:
        if known.public:
            raise SigningKeyError(
                f"plan {plan.generation} of {plan.model} cannot be published: {VERIFY}"
                f" asks for signed plans, and {SIGNING} is not set here"
            )
        return encode(plan)
    body = msgspec.to_builtins(plan)
    _, name, value = str(known.sign(_signed_text(body))).split(":")
    return encode({**body, _MEMBER: {"key": name, "value": value}})


def unseal(
    data: bytes,
    public: "Mapping[str, Ed25519PublicKey]",
    model: str | None = None,
) -> ServingPlan:
    """The plan that `seal` made `data` of.

    Parameters
    ----------
    data : bytes
    public : mapping of str to Ed25519PublicKey
        As `ml_assets.core.signing.verify_keys` gives them. Where there are none, a plan
        needs no signature, and one that it has is not looked at.
    model : str, optional
        The model that it must be a plan of.

    Raises
    ------
    UntrustedPlanError
        If it is no plan, one of another model, or is not signed by one of the keys.
    """
    try:
        body = from_json(data, dict[str, Any])
        signature = body.pop(_MEMBER, None)
        plan = from_builtins(body, ServingPlan)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        of = f" of {model}" if model else ""
        raise UntrustedPlanError(f"the plan{of} is not readable: {error}") from error
    name = f"plan {plan.generation} of {plan.model}"
    if model not in (None, plan.model):
        raise UntrustedPlanError(f"{name} stands where one of {model} is expected")
    if not public:
        return plan
    if signature is None:
        raise UntrustedPlanError(f"{name} is not signed, and {VERIFY} asks for it")
    key, value = _parts(signature)
    if key not in public:
        known = ", ".join(sorted(public))
        raise UntrustedPlanError(
            f"{name} is signed by the key {key[:16]!r}, which is none of {VERIFY}:"
            f" {known}"
        )
    text = _signed_text(body)
    if not Keys(public=public).is_signed(text, f"ed25519:{key}:{value}"):
        raise UntrustedPlanError(
            f"{name} was changed after it was signed, or its signature is forged"
        )
    return plan


def _signed_text(body: Mapping[str, Any]) -> str:
    # Nothing else that is signed begins so, and cannot be presented as a plan.
    return f"plan {canonical(body).decode()}"


def _parts(signature: Any) -> tuple[str, str]:
    """The name of the key and the base64 of a signature, whatever stands there."""
    found = signature if isinstance(signature, dict) else {}
    return str(found.get("key", "")), str(found.get("value", ""))
