"""Segments of the prediction log and of labels, as servers ship them.

``segments/<model>/<server>-<number>.jsonl`` holds in a line one prediction, or those of
one answer for several rows; one that ends in ``.labels.jsonl`` holds labels. A segment
never changes; `ml_assets.lifecycle.compaction` turns it into Parquet and then removes
it.
"""

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from ml_assets.core.canonical import as_boolean, canonical_text
from ml_assets.core.decoding import decoder
from ml_assets.core.storage import Info, Storage
from ml_assets.records.plan import HALF

Kind = Literal["predictions", "labels"]
LABELS = ".labels.jsonl"
SUFFIX = ".jsonl"
_NUMBERED = re.compile(r"(.+)-(\d{8,})")

Label = str | int | float | bool


class PredictionRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One logged prediction; ``x`` stays the text that the server wrote.

    ``p`` is the probability of the positive class. Of several classes it is that of the
    label, and ``probabilities`` are those of all, in the order of the signature; a
    number that was predicted is the ``value``, and has neither ``p`` nor ``label``.
    ``caller`` is who asked; None where no key was needed, or by an older release.
    """

    id: str
    time: float
    request: str
    model: str
    version: str
    arm: Literal["live", "split", "shadow"]
    generation: int
    x: msgspec.Raw
    us: int
    entity: str | None = None
    p: float | None = None
    label: Label | None = None
    error: str | None = None
    probabilities: list[float] | None = None
    value: float | None = None
    caller: str | None = None


class AnswerRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The predictions of one answer for several rows, in one record."""

    ids: list[str]
    time: float
    request: str
    model: str
    version: str
    arm: Literal["live", "split", "shadow"]
    generation: int
    entities: list[str | None] | None
    columns: list[str] | None = None
    x: list[msgspec.Raw]
    p: list[float | list[float]] | None = None
    labels: tuple[Label, ...] = ()
    us: int
    values: list[float] | None = None
    threshold: float = HALF
    caller: str | None = None

    def predictions(self) -> Iterator[PredictionRecord]:
        """Each prediction, as it would be logged alone.

        Raises
        ------
        ValueError
            If the parts differ in length, or probabilities are not one a label.
        KeyError
            If a row lacks a column.
        """
        entities = self.entities or [None] * len(self.ids)
        parts = zip(self.ids, entities, self.x, self._outcomes(), strict=True)
        for id_, entity, row, outcome in parts:
            yield PredictionRecord(
                id=id_,
                time=self.time,
                request=self.request,
                model=self.model,
                version=self.version,
                arm=self.arm,
                generation=self.generation,
                entity=entity,
                x=row if self.columns is None else _in_order(row, self.columns),
                us=self.us,
                caller=self.caller,
                **outcome,
            )

    def _outcomes(self) -> Iterator[dict[str, Any]]:
        """What of each prediction depends on the task."""
        for value in self.values or ():
            yield {"value": value}
        for answer in self.p or ():
            if isinstance(answer, float):
                yield {"p": answer, "label": self.labels[answer > self.threshold]}
                continue
            if len(answer) != len(self.labels):
                raise ValueError(f"{len(answer)} probabilities, and other labels")
            most = max(answer)
            label = self.labels[answer.index(most)]
            yield {"p": most, "label": label, "probabilities": answer}


class LabelRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What turned out, by prediction id, or by entity and the time it is about.

    ``caller`` is who handed it in; with ``own`` it counts for that caller's predictions
    only.
    """

    label: Label
    received: float
    id: str | None = None
    entity: str | None = None
    time: float | None = None
    caller: str | None = None
    own: bool = False


_decode_row = decoder(dict[str, msgspec.Raw]).decode


def _in_order(row: msgspec.Raw, columns: list[str]) -> msgspec.Raw:
    """The values of a row that was sent by column, as one array.

    A shadow may read a column that the requests of the live version do not have.
    """
    values = _decode_row(row)
    given = (bytes(values.get(name, _NULL)) for name in columns)
    return msgspec.Raw(b"[%b]" % b",".join(given))


_NULL = msgspec.Raw(b"null")
# The first key that the server writes distinguishes the records of answers.
_ANSWER = b'{"ids":'
_decode_answer = decoder(AnswerRecord).decode
_decode_prediction = decoder(PredictionRecord).decode
_decode_label = decoder(LabelRecord).decode


class Parsed(NamedTuple):
    """Records of segments by day, and how many lines could not be read."""

    by_day: dict[str, list[PredictionRecord | LabelRecord]]
    unreadable: int


def waiting(storage: Storage, model: str, kind: Kind) -> Iterator[Info]:
    """The shipped segments of one kind that were not removed yet, in no order."""
    for info in storage.objects(f"segments/{model}"):
        if info.name.endswith(SUFFIX) and info.name.endswith(LABELS) == (
            kind == "labels"
        ):
            yield info


def numbered(name: str) -> tuple[str, int]:
    """The server that wrote a segment, and its number; -1 where it has none.

    Examples
    --------
    >>> numbered("segments/churn/web-1-00000007.labels.jsonl")
    ('web-1', 7)
    >>> numbered("feedback.jsonl")
    ('feedback', -1)
    """
    stem = name.rpartition("/")[2].removesuffix(LABELS).removesuffix(SUFFIX)
    found = _NUMBERED.fullmatch(stem)
    # As it is written, so that no two names are the same number.
    if found and found[2] == f"{int(found[2]):08d}":
        return found[1], int(found[2])
    return stem, -1


def parse(contents: Iterable[bytes], kind: Kind) -> Parsed:
    """The records of some segments; labels are all of one "day", the empty text."""
    by_day: dict[str, list[PredictionRecord | LabelRecord]] = {}
    unreadable = 0
    read = _labels_in if kind == "labels" else _dated
    for content in contents:
        # Bytes after the last newline were never answered for.
        for line in content.split(b"\n")[:-1]:
            try:
                found = [*read(line)]
            except (msgspec.MsgspecError, ValueError, KeyError):
                unreadable += 1
                continue
            for day, item in found:
                by_day.setdefault(day, []).append(item)
    return Parsed(by_day, unreadable)


def _labels_in(line: bytes) -> Iterator[tuple[str, LabelRecord]]:
    yield "", _decode_label(line)


def _dated(line: bytes) -> Iterator[tuple[str, PredictionRecord]]:
    for item in predictions_in(line):
        yield day_of(item.id), item


def predictions_in(line: bytes) -> Iterator[PredictionRecord]:
    """The predictions that a line of a segment holds.

    Raises
    ------
    msgspec.MsgspecError, ValueError, KeyError
        If it is no such line.
    """
    if line.startswith(_ANSWER):
        yield from _decode_answer(line).predictions()
    else:
        yield _decode_prediction(line)


def timestamp_of(prediction_id: str) -> float:
    """Unix seconds at which a UUIDv7 was made.

    Raises
    ------
    ValueError
        If it is no UUIDv7.

    Examples
    --------
    >>> timestamp_of("019aae2f-a000-7000-8000-000000000000")
    1763858948.096
    """
    if len(prediction_id) != 36 or prediction_id[14] != "7":
        raise ValueError(f"expected a UUIDv7, found {prediction_id!r}")
    return int(prediction_id[:8] + prediction_id[9:13], 16) / 1000


def day_of(prediction_id: str) -> str:
    """UTC day of a prediction id, such as ``2026-11-23``."""
    return day_at(timestamp_of(prediction_id))


def day_at(timestamp: float) -> str:
    """UTC day of a time in unix seconds.

    Examples
    --------
    >>> day_at(0.0)
    '1970-01-01'
    """
    return dt.datetime.fromtimestamp(timestamp, dt.UTC).date().isoformat()


def label_text(value: object) -> str:
    """A label as text: what a CSV holds and what JSON holds become the same.

    Examples
    --------
    >>> label_text(">50K"), label_text(1), label_text(1.0), label_text("1")
    ('>50K', '1', '1', '1')
    >>> label_text(True), label_text("True"), label_text("1.0"), label_text("01")
    ('true', 'true', '1', '01')
    """
    found = as_boolean(value)
    if found is not None:
        return json.dumps(found)
    text = canonical_text(value)
    return json.dumps(value) if text is None else text
