"""Which prediction a label is about, and what counts where labels disagree."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

HORIZON_DAYS = 30.0


class Counts(NamedTuple):
    """What became of the labels that were received.

    Parameters
    ----------
    labels : int
        All of them.
    joined : int
        Predictions that have a label.
    repeated : int
        Labels that are equal to an earlier one of the same prediction.
    contradicting : int
        Labels that differ from an earlier one of the same prediction.
    pending : int
        Labels without a prediction so far; they join when it arrives.
    """

    labels: int = 0
    joined: int = 0
    repeated: int = 0
    contradicting: int = 0
    pending: int = 0


def resolve(
    labels: pd.DataFrame,
    answers: pd.DataFrame,
    horizon_days: float = HORIZON_DAYS,
) -> tuple[pd.DataFrame, Counts]:
    """Match labels with answered predictions.

    A label with an id is about that prediction. One with an entity and a time is about
    the entity's latest prediction at or before the time, if that is at most
    `horizon_days` earlier. Of several labels of one prediction the last received
    counts.

    Parameters
    ----------
    labels : DataFrame of shape (n_labels, 5) or (n_labels, 7)
        ``id``, ``entity``, ``time`` (unix seconds), ``label``, ``received`` (unix
        seconds), in the order in which they came. Where there is ``own``, a label that
        has it true is about predictions of its ``caller`` only.
    answers : DataFrame of shape (n_predictions, 3) or (n_predictions, 4)
        ``id``, ``entity`` and ``time`` of each prediction that a caller got, and beside
        ``own`` the ``caller``.

    Returns
    -------
    joined : DataFrame of shape (n_joined, 3)
        ``id``, ``label`` and ``received`` of each prediction with a label, in the order
        in which the labels that count were received.
    counts : Counts

    Examples
    --------
    >>> labels = pd.DataFrame({
    ...     "id": ["a", None, "a"], "entity": [None, "anna", None],
    ...     "time": [None, 50.0, None], "label": ["yes", "no", "no"],
    ...     "received": [60.0, 61.0, 62.0],
    ... })
    >>> answers = pd.DataFrame(
    ...     {"id": ["a", "b"], "entity": ["otto", "anna"], "time": [10.0, 11.0]}
    ... )
    >>> resolve(labels, answers)[0]
      id label  received
    0  b    no      61.0
    1  a    no      62.0
    >>> resolve(labels, answers)[1].contradicting
    1
    """
    found = labels.reset_index(drop=True)
    by_entity = _by_entity(found, answers, ["entity"], horizon_days)
    nobody = pd.Series(False, index=found.index)
    own = found["own"].eq(True) if "own" in found else nobody
    if own.any():
        of_caller = _by_entity(found[own], answers, ["entity", "caller"], horizon_days)
        by_entity[own] = of_caller
    ids = found["id"].astype(object).where(found["id"].notna(), by_entity)
    found = found.assign(id=ids)
    known = found[found["id"].isin(answers["id"])]
    if own.any():
        asked_by = answers.drop_duplicates("id").set_index("id")["caller"]
        is_of_caller = known["id"].map(asked_by) == known["caller"]
        known = known[is_of_caller | ~own[known.index]]
    known = known.sort_values("received", kind="stable")
    before = known.groupby("id", sort=False)["label"].shift()
    later = before.notna()
    repeated = int((known["label"] == before)[later].sum())
    joined = known.drop_duplicates("id", keep="last")
    counts = Counts(
        labels=len(found),
        joined=len(joined),
        repeated=repeated,
        contradicting=int(later.sum()) - repeated,
        pending=len(found) - len(known),
    )
    return joined[["id", "label", "received"]].reset_index(drop=True), counts


def _by_entity(
    labels: pd.DataFrame, answers: pd.DataFrame, by: list[str], horizon_days: float
) -> "pd.Series[Any]":
    """Prediction id of each label that names an entity and a time; None elsewhere.

    `by` are the columns that are equal in a label and its prediction.
    """
    ids = pd.Series([None] * len(labels), index=labels.index, dtype=object)
    asked = labels["id"].isna() & labels["entity"].notna() & labels["time"].notna()
    wanted = labels.loc[asked, [*by, "time"]].astype({"time": np.float64})
    known = answers[answers[by].notna().all(axis=1)]
    if wanted.empty or known.empty:
        return ids
    wanted = wanted.assign(at=wanted.index).astype(dict.fromkeys(by, object))
    known = known[[*by, "time", "id"]].astype(dict.fromkeys(by, object))
    tolerance: Any = horizon_days * 86_400.0
    latest = pd.merge_asof(
        wanted.sort_values("time", kind="stable"),
        known.sort_values(["time", "id"], kind="stable"),
        on="time",
        by=by,
        tolerance=tolerance,
    )
    ids.loc[latest["at"].to_numpy()] = latest["id"].to_numpy(dtype=object)
    return ids.where(ids.notna(), None)
