"""What serves a model: the plan, its arms and their versions, the request schema."""

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Kind = Literal["number", "integer", "boolean", "string"]
Mode = Literal["live", "split", "shadow"]
Task = Literal["binary", "multiclass", "regression"]
# scikit-learn takes the first class, the negative one, at exactly one half.
HALF = 0.5
# A value of a target of classes.
Label = str | int | float | bool
# The name of a version: the UTC time at which its training began.
STAMP = "%Y%m%dT%H%M%SZ"

# Of a column of more categories than these only their number is shown: so many values
# are no choice that a caller makes, and may name people.
LISTED = 64


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a model's requests.

    ``categories`` lists the values of a ``string`` column that the model knows; None
    means any. An ``open`` one takes other values as well, as unknown. A row may leave
    out an ``optional`` one, which is a missing value. An ``ignored`` one is a column of
    the source that the model does not read: any value of a row is accepted.
    """

    name: str
    kind: Kind
    nullable: bool = False
    categories: tuple[str, ...] | None = None
    open: bool = False
    optional: bool = False
    ignored: bool = False

    @property
    def listed(self) -> tuple[str, ...] | None:
        """The categories, where they are few enough to be shown to anybody."""
        known = self.categories
        return known if known is not None and len(known) <= LISTED else None


def ignored(name: str, kind: Kind) -> Column:
    """A column that requests may have and that no answer depends on.

    Examples
    --------
    >>> ignored("country", "string").optional
    True
    """
    # A whole number of today may have a fraction tomorrow.
    wide: Kind = "number" if kind == "integer" else kind
    return Column(name=name, kind=wide, nullable=True, optional=True, ignored=True)


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """What prediction intervals of numbers are made of.

    Each reaches from the value less the ``half_width`` to the value plus it, in units
    of the target, and is to hold what turns out in a share ``level`` of all rows. The
    half width was found on ``rows`` training rows.

    Raises
    ------
    ValueError
        If the level is not between 0 and 1, or the half width is negative or infinite.
    """

    level: float
    half_width: float
    rows: int

    def __post_init__(self) -> None:
        if not (0 < self.level < 1 and 0 <= self.half_width < math.inf):
            raise ValueError(
                f"an interval has the level {self.level!r} and the half width"
                f" {self.half_width!r}; expected a level above 0 and below 1, and a"
                " finite half width of 0 or more"
            )


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What a version's requests hold, and what its answers mean.

    ``task`` says what the answers to n rows are, in float64: ``binary``, the
    probability of `positive`, of shape (n,); ``multiclass``, the probability of each of
    ``classes`` in their order, of shape (n, k); ``regression``, the value, of shape
    (n,). ``negative`` and ``positive`` are those of a binary target alone, as
    ``classes`` are of a multiclass one. A row of a binary target is decided to be
    positive where its probability is above the ``threshold``. A regression may have an
    ``interval`` about its values.

    Raises
    ------
    ValueError
        If the labels are not those of the task: binary has two, multiclass two or more
        that differ, regression none. If the threshold is not between 0 and 1, or there
        is an interval and no regression.
    """

    columns: tuple[Column, ...]
    target: str
    negative: Label | None = None
    positive: Label | None = None
    task: Task = "binary"
    classes: tuple[Label, ...] = ()
    threshold: float = HALF
    interval: Interval | None = None

    def __post_init__(self) -> None:
        pair = [item for item in (self.negative, self.positive) if item is not None]
        named = {"binary": len(pair) == 2 and not self.classes}
        named["multiclass"] = len({*self.classes}) == len(self.classes) > 1
        named["regression"] = not self.classes
        if not named[self.task] or (pair and self.task != "binary"):
            raise ValueError(
                f"a signature of task {self.task} has negative {self.negative!r},"
                f" positive {self.positive!r} and classes {self.classes!r}; expected"
                " two labels for binary, two or more classes for multiclass, and"
                " neither for regression"
            )
        if not 0 < self.threshold < 1:
            raise ValueError(
                f"a signature has the threshold {self.threshold!r}; expected a"
                " probability above 0 and below 1"
            )
        if self.interval is not None and self.task != "regression":
            raise ValueError(
                f"a signature of task {self.task} has an interval; expected one of"
                " regression alone"
            )

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of answers: (negative, positive), the classes, or none."""
        if self.negative is None or self.positive is None:
            return self.classes
        return self.negative, self.positive

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The columns that the model reads."""
        return tuple(column for column in self.columns if not column.ignored)


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

    The live arm's share is what the split arms leave of the traffic. `salt` assigns
    the entities to them and changes with each `experiment`, which is named by the
    challenger's version. `log_sample` is the share of requests that are logged.
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
        """Unix seconds of ``created_at``; None where it is no timestamp."""
        try:
            return dt.datetime.fromisoformat(self.created_at).timestamp()
        except ValueError:
            return None


def encode(value: msgspec.Struct | Mapping[str, Any]) -> bytes:
    """`value` as indented JSON with sorted keys, for files that people read."""
    text = json.dumps(msgspec.to_builtins(value), indent=2, sort_keys=True)
    return text.encode() + b"\n"


def pin_of(plan: ServingPlan) -> str:
    """What pins a server to `plan`: its generation and the start of its digest.

    The digest distinguishes the plans of two deployers for the same generation.
    """
    return f"{plan.generation}-{digest(plan)[:12]}"


def digest(plan: ServingPlan) -> str:
    """SHA-256 of a plan, by which servers and deployers identify it."""
    return hashlib.sha256(encode(plan)).hexdigest()


def trained_at(version: str) -> float | None:
    """Unix seconds of a version's name, the start of its training; None if it is none.

    Examples
    --------
    >>> trained_at("19700101T000100Z")
    60.0
    """
    try:
        started = dt.datetime.strptime(version, STAMP)
    except ValueError:
        return None
    return started.replace(tzinfo=dt.UTC).timestamp()
