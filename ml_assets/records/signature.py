"""Whether a version takes every request that another takes, and making it so.

Clients send what the version took that they were written for. A later week's table may
hold whole numbers where that one had fractions, no missing cell where it had some, or
one category fewer: none of this may turn a request away that was good before.
"""

from collections.abc import Collection, Iterator

import msgspec

from ml_assets.core.canonical import (
    BOOLEANS,
    as_boolean,
    canonical_text,
    match_category,
)
from ml_assets.records.plan import Column, Signature, ignored

# Above this many values a column is free text or an identifier, not a choice.
MAX_CATEGORIES = 1_000
_SHOWN = 5
_KINDS = {
    "number": "numbers",
    "integer": "whole numbers",
    "boolean": "truth values",
    "string": "texts",
}


def incompatibilities(new: Signature, before: Signature) -> tuple[str, ...]:
    """What requests to `before` the version of `new` would refuse, or answer otherwise.

    Returns
    -------
    tuple of str
        One sentence a fault, which names the column; empty where there is none.

    Examples
    --------
    >>> def of(**column: object) -> Signature:
    ...     columns = (Column(name="fee", **column),)
    ...     return Signature(columns=columns, target="y", negative=0, positive=1)
    >>> incompatibilities(of(kind="integer"), of(kind="number"))
    ("column 'fee': expected whole numbers, found numbers in requests until now",)
    >>> incompatibilities(of(kind="number"), of(kind="integer"))
    ()
    """
    return tuple([*_answers(new, before), *_requests(new, before)])


def widened(new: Signature, before: Signature, spares: Collection[str]) -> Signature:
    """`new` so that it takes what `before` takes, as far as its pipeline can.

    Parameters
    ----------
    new, before : Signature
        Of the version just trained, and of the one that serves.
    spares : collection of str
        Inputs of `new` that its pipeline can do without.
    """
    known = {column.name: column for column in before.columns}
    columns = [
        _widened(column, known.pop(column.name, None), column.name in spares)
        for column in new.columns
    ]
    gone = [ignored(column.name, column.kind) for column in known.values()]
    return msgspec.structs.replace(new, columns=(*columns, *gone))


def summary(faults: Collection[str]) -> str:
    """Some faults in one sentence.

    Examples
    --------
    >>> summary(["a", "b"])
    'a; b'
    """
    more = len(faults) - _SHOWN
    shown = "; ".join([*faults][:_SHOWN])
    return shown + (f"; and {more} more" if more > 0 else "")


def _widened(column: Column, before: Column | None, is_spared: bool) -> Column:
    if column.ignored:
        return column
    # Requests until now lack a column that is new.
    may_lack = before is None or before.optional
    may_miss = may_lack or (before is not None and before.nullable)
    fraction = before is not None and before.kind == "number"
    wider = msgspec.structs.replace(
        column,
        kind="number" if fraction and column.kind == "integer" else column.kind,
        nullable=column.nullable or (may_miss and is_spared),
        optional=column.optional or (may_lack and is_spared),
    )
    return wider if before is None else _with_categories(wider, before)


def _with_categories(column: Column, before: Column) -> Column:
    if column.kind != "string" or before.kind not in ("string", "boolean"):
        return column
    # One that was ignored had any texts.
    if before.kind == "string" and (before.open or before.categories is None):
        return msgspec.structs.replace(column, open=True)
    if column.open or column.categories is None:
        return msgspec.structs.replace(column, open=True)
    gone = _unknown(column, _categories(before))
    if len(gone) + len(column.categories) > MAX_CATEGORIES:
        return msgspec.structs.replace(column, open=True)
    both = tuple(sorted({*column.categories, *gone}))
    return msgspec.structs.replace(column, categories=both)


def _categories(column: Column) -> tuple[str, ...]:
    return (
        tuple(sorted(BOOLEANS)) if column.kind == "boolean" else column.categories or ()
    )


def _unknown(column: Column, values: Collection[str]) -> list[str]:
    known = column.categories or ()
    return [value for value in values if match_category(known, value) is None]


def _answers(new: Signature, before: Signature) -> Iterator[str]:
    if new.target != before.target:
        yield f"it predicts '{new.target}', and '{before.target}' until now"
        return
    if new.task != before.task:
        yield f"its task is {new.task}, and {before.task} until now"
        return
    now, then = ([_class(label) for label in item.labels] for item in (new, before))
    if now == then:
        return
    if new.task == "multiclass":
        yield from _classes(new, before)
        return
    if now == then[::-1]:
        yield (
            f"`probability` is that of {new.positive!r}, and that of"
            f" {before.positive!r} until now"
        )
        return
    yield (
        f"its labels are {new.negative!r} and {new.positive!r}, and {before.negative!r}"
        f" and {before.positive!r} until now"
    )


def _classes(new: Signature, before: Signature) -> Iterator[str]:
    """How the classes of two multiclass signatures differ."""
    now, then = ({_class(label): label for label in s.labels} for s in (new, before))
    more = [repr(label) for key, label in now.items() if key not in then]
    gone = [repr(label) for key, label in then.items() if key not in now]
    if more:
        yield f"its class {summary(more)} was none until now"
    if gone:
        yield f"the class {summary(gone)} is none of its classes any more"
    if not more and not gone:
        yield f"its classes are in the order {list(now)}, and {list(then)} until now"


def _class(label: object) -> str:
    found = as_boolean(label)
    return str(int(found)) if found is not None else canonical_text(label) or str(label)


def _requests(new: Signature, before: Signature) -> Iterator[str]:
    known = {column.name: column for column in new.columns}
    for column in before.columns:
        now = known.pop(column.name, None)
        if now is None:
            yield f"column '{column.name}': it is not known any more"
        elif not now.ignored:
            for fault in _faults(now, column):
                yield f"column '{column.name}': {fault}"
    for column in known.values():
        if not column.optional:
            yield f"column '{column.name}': it is needed, and was not until now"


def _faults(now: Column, then: Column) -> Iterator[str]:
    if not _takes_kind(now, then):
        keeps = ", which features.categorical keeps" if then.kind == "string" else ""
        yield (
            f"expected {_KINDS[now.kind]}, found {_KINDS[then.kind]} in requests until"
            f" now{keeps}"
        )
    elif now.kind == "string" and not now.open and not _takes_texts(now, then):
        yield "other values than those of its list were taken until now"
    if then.optional and not now.optional:
        yield "it is needed, and could be left out until now"
    elif then.nullable and not now.nullable:
        yield "a missing value is refused, and was taken until now"


def _takes_kind(now: Column, then: Column) -> bool:
    match now.kind, then.kind:
        case ("number", "integer"):
            return True
        case ("string", other) if other != "string" and now.open:
            return True
        case ("string", "boolean"):
            return True
        case ("boolean", "string"):
            return then.categories is not None and BOOLEANS.issuperset(then.categories)
        case (kind, other):
            return kind == other
    return False


def _takes_texts(now: Column, then: Column) -> bool:
    """Whether a column that is not open accepts the texts that `then` accepted."""
    if then.kind == "string" and (then.open or then.categories is None):
        return now.categories is None and not then.open
    return now.categories is None or not _unknown(now, _categories(then))
