"""Which columns identify a row, and a hash of each row that stays from week to week.

The hash of a row is made of its cells as the source has them, before anything is
dropped, cast or derived. A cell counts by the name of its column and its value,
however that is spelt; a missing cell counts nothing, and the order of rows and columns
does not matter. So a row keeps its hash when others are added, when an integer column
becomes floats, when one cell elsewhere is missing, or when a column is added.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.ml.cell_hashes import Hashes, hash_columns, mixed
from ml_assets.ml.row_groups import Groups, joined
from ml_assets.spec.split import SplitSpec

# Of so many rows, texts and whole numbers that hardly repeat are an id, not a property.
MIN_ROWS = 20
UNIQUE_SHARE = 0.95
# Fewer kinds of rows than this, each seen often, are no identities of rows.
FEW_KINDS = 100
OFTEN = 10


class IdentityError(ValueError):
    """Rows that cannot be identified as the model's YAML asks for."""


@dataclass(frozen=True)
class Identity:
    """The columns that identify rows.

    Attributes
    ----------
    columns : tuple of str
        Columns of the raw table.
    counts_twins : bool
        Whether rows with the same cells are distinct: the first, the second, ...
    together : tuple of tuple of str
        Lists of columns; rows that agree in all columns of one list have one hash. A
        row that has no value in any of them is identified by `columns`.
    """

    columns: tuple[str, ...]
    counts_twins: bool = False
    together: tuple[tuple[str, ...], ...] = ()


def identity_of(
    frame: pd.DataFrame,
    target: str,
    drop: Collection[str] = (),
    split: SplitSpec | None = None,
) -> Identity:
    """Which columns identify the rows of a raw table.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        The raw table.
    target : str
        The column to predict, which is no part of it: duplicates that turned out
        differently are duplicates all the same.
    drop : collection of str
        Columns that are no part of it either.
    split : SplitSpec, optional
        Its ``group`` and ``key`` name columns by which rows stay together.

    Raises
    ------
    IdentityError
        If the data lacks one of those.

    Examples
    --------
    >>> frame = pd.DataFrame({"id": range(40), "age": [3, 4] * 20}).assign(late=0)
    >>> identity_of(frame, "late")
    Identity(columns=('age',), counts_twins=True, together=())
    >>> identity_of(frame, "late", split=SplitSpec(key=["id"])).together
    (('id',),)
    """
    together = () if split is None else together_of(frame, split)
    known = [name for name in frame.columns if name != target and name not in drop]
    columns = [name for name in known if not is_near_unique(frame[name])]
    chosen = tuple(columns or known)
    few_kinds = _are_few_kinds(row_hashes(frame, Identity(chosen)))
    return Identity(chosen, few_kinds, together)


def together_of(frame: pd.DataFrame, split: SplitSpec) -> tuple[tuple[str, ...], ...]:
    """The columns by which rows of a raw table stay together.

    Raises
    ------
    IdentityError
        If one of them is missing.
    """
    group = [split.group] if split.group is not None else []
    for name, columns in (("group", group), ("key", split.key)):
        absent = [column for column in columns if column not in frame.columns]
        if absent:
            raise IdentityError(
                f"split.{name} names '{absent[0]}', which the data does not have; its"
                f" columns are {', '.join(map(str, frame.columns))}"
            )
    return split.together


def is_near_unique(column: "pd.Series[Any]") -> bool:
    """Whether texts or whole numbers hardly repeat, as ids and time stamps do not.

    Measures do not count: a fraction that occurs once hides no duplicate.

    Examples
    --------
    >>> is_near_unique(pd.Series(range(100))), is_near_unique(pd.Series([.5] * 100))
    (True, False)
    """
    known = column.dropna()
    if len(known) < MIN_ROWS or known.nunique() < UNIQUE_SHARE * len(known):
        return False
    is_float = pd.api.types.is_float_dtype(known.dtype)
    return not is_float or bool((known % 1 == 0).all())


def row_hashes(frame: pd.DataFrame, identity: Identity, seed: int = 0) -> Hashes:
    """The hash of each row: the same for the same cells, else as if drawn at random.

    Columns of the identity that `frame` does not have count as missing.

    Examples
    --------
    >>> one = pd.DataFrame({"age": [31, 40], "wed": [True, False]})
    >>> other = pd.DataFrame({"wed": ["TRUE", None], "age": [31.0, 40.0], "more": 1})
    >>> identity = Identity(("age", "wed"))
    >>> (row_hashes(one, identity) == row_hashes(other, identity)).tolist()
    [True, False]
    """
    hashes = hash_columns(frame, identity.columns, seed)
    if identity.counts_twins:
        earlier = pd.Series(hashes).groupby(hashes, sort=False).cumcount().to_numpy()
        hashes = np.where(earlier, mixed(hashes ^ mixed(earlier)), hashes)
    groups = [_group(frame, columns, seed) for columns in identity.together]
    return joined(hashes, groups)


def are_among(
    frame: pd.DataFrame,
    identity: Identity,
    others: pd.DataFrame,
    chosen: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which rows are among the chosen ones of others, or belong together with one.

    Columns that one of the tables does not have identify no row.

    Raises
    ------
    IdentityError
        If none of the columns that identify rows is in both.

    Examples
    --------
    >>> rows = pd.DataFrame({"home": ["a", "b", None], "age": [31, 40, 52]})
    >>> identity = Identity(("age",), together=(("home",),))
    >>> before = pd.DataFrame({"home": ["a", None], "age": [18, 52]})
    >>> are_among(rows, identity, before, np.array([True, True])).tolist()
    [True, False, True]
    """
    both = {*frame.columns} & {*others.columns}
    columns = tuple(name for name in identity.columns if name in both)
    groups = [names for names in identity.together if both.issuperset(names)]
    if not columns and not groups:
        listed = ", ".join(identity.columns)
        raise IdentityError(
            f"its data has none of the columns that identify rows ({listed})"
        )
    own = Identity(columns, identity.counts_twins)
    alone, found = np.ones(len(frame), bool), np.zeros(len(frame), bool)
    others_alone = chosen
    for names in groups:
        mine, theirs = _group(frame, names), _group(others, names)
        found |= mine.known & np.isin(mine.hashes, theirs.hashes[theirs.known & chosen])
        alone &= ~mine.known
        others_alone = others_alone & ~theirs.known
    wanted = row_hashes(others, own)[others_alone]
    return np.asarray(found | (alone & np.isin(row_hashes(frame, own), wanted)))


def _group(frame: pd.DataFrame, columns: Sequence[str], seed: int = 0) -> Groups:
    present = [name for name in columns if name in frame.columns]
    known = frame[present].notna().any(axis="columns").to_numpy(dtype=bool)
    return Groups(hash_columns(frame, columns, seed), known)


def _are_few_kinds(hashes: Hashes) -> bool:
    """Whether most rows are of a few kinds, so that whole kinds cannot be held out."""
    if not len(hashes):
        return False
    sizes = np.unique(hashes, return_counts=True)[1].astype(np.float64)
    # So many kinds of one size would divide as evenly.
    kinds = len(hashes) ** 2 / (sizes**2).sum()
    return bool(kinds < FEW_KINDS and len(hashes) >= OFTEN * kinds)
