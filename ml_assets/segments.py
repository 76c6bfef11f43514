"""Segments of the prediction log and of labels, as servers ship them.

``segments/<model>/<server>-<number>.jsonl`` holds a prediction a line, one that ends in
``.labels.jsonl`` a label. A segment never changes; `ml_assets.compaction` turns it into
Parquet and removes it.
"""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

Kind = Literal["predictions", "labels"]
LABELS = ".labels.jsonl"
SUFFIX = ".jsonl"

Label = str | int | float | bool


class PredictionLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One logged prediction; ``x`` stays the text that the server wrote."""

    id: str
    time: float
    request: str
    version: str
    arm: Literal["live", "split", "shadow"]
    generation: int
    x: msgspec.Raw
    us: int
    entity: str | None = None
    p: float | None = None
    label: Label | None = None
    error: str | None = None


class LabelLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What turned out, by prediction id, or by entity and the time it is about."""

    label: Label
    received: float
    id: str | None = None
    entity: str | None = None
    time: float | None = None


LINES: dict[Kind, type[PredictionLine] | type[LabelLine]] = {
    "predictions": PredictionLine,
    "labels": LabelLine,
}


class Parsed(NamedTuple):
    """Lines of segments by day, and how many could not be read."""

    by_day: dict[str, list[PredictionLine | LabelLine]]
    unreadable: int


def waiting(root: Path, model: str, kind: Kind) -> list[str]:
    """Names of the shipped segments of one kind, sorted.

    Parameters
    ----------
    root : Path
        Of the storage.
    """
    directory = root / "segments" / model
    names = (item.name for item in directory.glob(f"*{SUFFIX}"))
    wanted = kind == "labels"
    return sorted(
        name
        for name in names
        if name.endswith(LABELS) == wanted and not name.startswith(".")
    )


def parse(paths: list[Path], kind: Kind) -> Parsed:
    """The lines of some segments; labels are all of one "day", the empty text."""
    by_day: dict[str, list[PredictionLine | LabelLine]] = {}
    unreadable = 0
    decode = msgspec.json.Decoder(LINES[kind]).decode
    for line in _lines(paths):
        try:
            item = decode(line)
            day = day_of(item.id) if isinstance(item, PredictionLine) else ""
        except (msgspec.MsgspecError, ValueError):
            unreadable += 1
            continue
        by_day.setdefault(day, []).append(item)
    return Parsed(by_day, unreadable)


def _lines(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        # Bytes after the last newline were never answered for.
        yield from path.read_bytes().split(b"\n")[:-1]


def moment_of(prediction_id: str) -> float:
    """Unix seconds at which a UUIDv7 was made.

    Raises
    ------
    ValueError
        If it is no UUIDv7.

    Examples
    --------
    >>> moment_of("019aae2f-a000-7000-8000-000000000000")
    1763858948.096
    """
    if len(prediction_id) != 36 or prediction_id[14] != "7":
        raise ValueError(f"expected a UUIDv7, found {prediction_id!r}")
    return int(prediction_id[:8] + prediction_id[9:13], 16) / 1000


def day_of(prediction_id: str) -> str:
    """UTC day of a prediction id, such as ``2026-11-23``."""
    return day_at(moment_of(prediction_id))


def day_at(moment: float) -> str:
    """UTC day of a time in unix seconds.

    Examples
    --------
    >>> day_at(0.0)
    '1970-01-01'
    """
    return dt.datetime.fromtimestamp(moment, dt.UTC).date().isoformat()


def label_text(value: object) -> str:
    """A label as text: what a CSV holds and what JSON holds become the same.

    Examples
    --------
    >>> label_text(">50K"), label_text(1), label_text(1.0), label_text("1")
    ('>50K', '1', '1', '1')
    >>> label_text(True), label_text("True")
    ('true', 'true')
    """
    if isinstance(value, str):
        return value.lower() if value in ("True", "False") else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value)
