"""``ml-assets feedback MODEL FILE``: what turned out, for past predictions."""

import contextlib
import io
import time
from collections.abc import Iterator
from itertools import count
from typing import Any, BinaryIO, NamedTuple, cast

import click
import msgspec

from ml_assets.cli.context import require_known
from ml_assets.cli.output import (
    EXIT_CODES,
    Failed,
    echo_json,
    json_option,
    reporting_errors,
)
from ml_assets.cli.rows import Row, detect, read
from ml_assets.core.digests import BundleError
from ml_assets.core.storage import storage
from ml_assets.prediction_log.segments import (
    LABELS,
    LabelRecord,
    label_text,
    timestamp_of,
)
from ml_assets.records.plan import Label, Signature
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.requests.timestamps import unix_seconds
from ml_assets.serving.tasks import answers_of
from ml_assets.spec.catalogue import specs
from ml_assets.state.bundles import signature_of
from ml_assets.state.plans import Plans

NEEDED = "id and label, or {entity}, time and label"


class Names(NamedTuple):
    """What a file calls its columns, and the version whose labels are in it."""

    entity: str
    signature: Signature


@click.command("feedback", epilog=EXIT_CODES)
@click.argument("model")
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "json", "jsonl", "parquet"]),
    help="Format of FILE; by default recognised by its name, else by its first bytes.",
)
@json_option
def command(model: str, file: BinaryIO, kind: str | None, as_json: bool) -> None:
    """Hand in what turned out for predictions of MODEL.

    Each row of FILE names a prediction by its id, or an entity and a time, and its
    label. The time is ISO 8601 or unix seconds; the label is for the entity's latest
    prediction at or before it. All rows are accepted, or none.

    \b
    Examples:
      ml-assets feedback breast_cancer labels.csv
      ml-assets feedback census_income labels.parquet --json

    JSON keys: model, labels, segment.
    """
    require_known(model)
    plan = Plans().current(model)
    if plan is None:
        raise Failed(f"{model} was never deployed; it has no predictions to label")
    with reporting_errors(BundleError):
        signature = signature_of(plan.live)
    spec = specs().get(model)
    entity = spec.serving.entity if spec else "entity"
    names = Names(entity, signature)
    if isinstance(file, io.BufferedReader):
        stream = file
    else:
        stream = io.BufferedReader(cast(io.RawIOBase, file))
    kind = kind or detect(str(getattr(file, "name", "")), stream)
    lines = list(_lines(read(stream, kind, ()), names))
    if not lines:
        raise Failed("the file holds no labels")
    segment = f"feedback-{PredictionIds().one()}{LABELS}"
    text = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    name = f"segments/{model}/{segment}"
    if not storage().create(name, text):
        raise Failed(f"the storage holds another {name}: hand the file in once more")
    if as_json:
        echo_json({"model": model, "labels": len(lines), "segment": segment})
    else:
        click.echo(f"{len(lines):,} labels of {model} are handed in")


def _lines(rows: Iterator[Row], names: Names) -> Iterator[LabelRecord]:
    received = time.time()
    for number, row in zip(count(1), rows):
        try:
            yield _line(row, names, received)
        except ValueError as error:
            raise Failed(f"row {number}: {error}") from error


def _line(row: Row, names: Names, received: float) -> LabelRecord:
    found = {name: value for name, value in row.items() if value not in (None, "")}
    wanted = {"id", "time", "label", names.entity}
    surplus = sorted(found.keys() - wanted)
    if surplus:
        expected = NEEDED.format(entity=names.entity)
        raise ValueError(f"expected {expected}, found the column {surplus[0]}")
    by_entity = names.entity in found and "time" in found
    if "label" not in found or not ("id" in found or by_entity):
        expected = NEEDED.format(entity=names.entity)
        raise ValueError(f"expected {expected}, found {', '.join(found) or 'nothing'}")
    label = _label(found["label"], names.signature)
    if "id" in found:
        timestamp_of(str(found["id"]))
    return LabelRecord(
        id=str(found["id"]) if "id" in found else None,
        entity=str(found[names.entity]) if names.entity in found else None,
        time=unix_seconds(found["time"]) if "time" in found else None,
        label=label,
        received=received,
    )


def _label(value: Any, signature: Signature) -> Label:
    """A cell as a label: a file of CSV holds numbers as texts."""
    answers = answers_of(signature)
    label = answers.label(value)
    if label is None and isinstance(value, str):
        with contextlib.suppress(ValueError):
            label = answers.label(float(value))
    if label is None:
        names = " or ".join(map(label_text, signature.labels)) or answers.label_names
        raise ValueError(f"expected the label {names}, found {label_text(value)}")
    return label
