"""What serves a model: the plan, its arms, and the schema of a request."""

import datetime as dt
import hashlib
import json
from typing import Literal

import msgspec

Kind = Literal["number", "integer", "boolean", "string"]
Mode = Literal["live", "split", "shadow"]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One input column of a model, as training saw it.

    ``categories`` lists the values that a ``string`` column may take; None means any.
    """

    name: str
    kind: Kind
    nullable: bool = False
    categories: tuple[str, ...] | None = None


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What a version's requests hold: raw columns in, probability of `positive` out."""

    columns: tuple[Column, ...]
    target: str
    negative: str | int | float | bool
    positive: str | int | float | bool


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One version inside a plan.

    ``bundle`` is the directory of its files below the storage root and ``files`` the
    SHA-256 of each, so that a server trusts the plan and not the bytes it finds.
    """

    version: str
    bundle: str
    files: dict[str, str]
    runtime: Literal["compiled", "sklearn"]
    mode: Mode = "live"
    share: float = 1.0


class ServingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions serve a model; immutable, numbered by generation from 1.

    The live arm's share is what the split arms leave of the traffic. `salt` places the
    entities on them and changes with each `experiment`, which bears the challenger's
    version as its name. `log_sample` is the share of requests that are logged.
    """

    model: str
    generation: int
    arms: tuple[Arm, ...]
    created_at: str
    reason: str
    run_id: str | None = None
    salt: str = ""
    log_sample: float = 1.0
    experiment: str | None = None

    @property
    def live(self) -> Arm:
        """The arm whose answers callers get by default."""
        return next(arm for arm in self.arms if arm.mode == "live")

    @property
    def made_at(self) -> float | None:
        """Unix seconds of ``created_at``; None where it tells no time."""
        try:
            return dt.datetime.fromisoformat(self.created_at).timestamp()
        except ValueError:
            return None


def encode(value: msgspec.Struct) -> bytes:
    """`value` as indented JSON with sorted keys, for files that people read."""
    text = json.dumps(msgspec.to_builtins(value), indent=2, sort_keys=True)
    return text.encode() + b"\n"


def pin_of(plan: ServingPlan) -> str:
    """What pins a server to `plan`: its generation and the start of its digest.

    The digest tells apart the plans of two deployers that took the same generation.
    """
    return f"{plan.generation}-{digest(plan)[:12]}"


def digest(plan: ServingPlan) -> str:
    """SHA-256 of a plan, by which servers and deployers speak of it."""
    return hashlib.sha256(encode(plan)).hexdigest()
