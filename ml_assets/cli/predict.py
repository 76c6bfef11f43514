"""``ml-assets predict MODEL [FILE]``: score rows with the version in service."""

import io
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

import click
import msgspec

from ml_assets.cli import bulk
from ml_assets.cli import rows as sources
from ml_assets.cli.activity import Activity, activity
from ml_assets.cli.client import ServerClient
from ml_assets.cli.console import width_of
from ml_assets.cli.context import require_known
from ml_assets.cli.output import EXIT_CODES, Failed
from ml_assets.cli.rows import Row
from ml_assets.cli.scorers import (
    Outcome,
    PlanScorer,
    Prediction,
    Refusal,
    Scorer,
    ServerScorer,
    explanation,
    outcomes,
    reason,
    unseen_notes,
)
from ml_assets.cli.writers import WRITERS, Writer
from ml_assets.core.files import atomic_path
from ml_assets.state.versions import SPEC, Versions

if TYPE_CHECKING:
    from ml_assets.spec.csv_format import CsvFormat

# What a server takes at once by default, with room for wide rows.
CHUNK = 1_000


@click.command("predict", epilog=EXIT_CODES)
@click.argument("model")
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "json", "jsonl", "parquet", "arrow"]),
    help="Format of FILE; by default recognised by its name, else by its first bytes.",
)
@click.option("--url", help="Ask the model server there, not the active plan here.")
@click.option(
    "--output",
    type=click.Choice(sorted((*WRITERS, *bulk.OUTPUTS))),
    default="table",
    show_default=True,
    help="How predictions are printed; arrow and parquet are the quickest by far.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --output json.")
@click.option(
    "--ignore-unknown",
    is_flag=True,
    help="Leave out columns that the model does not take, such as its target.",
)
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip", "collect"]),
    default="fail",
    show_default=True,
    help="Of rows that the model refuses: fail, leave them out, or print why.",
)
@click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write predictions to this file, once all of them are there.",
)
@click.option(
    "--chunk",
    type=click.IntRange(min=1, max=1_000_000),
    help=f"Rows that are scored at a time: {CHUNK:,}, or {bulk.CHUNK:,} with --output"
    " arrow and parquet.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1, max=256),
    default=1,
    show_default=True,
    help="Processes that score, with --output arrow and parquet.",
)
def command(
    model: str,
    file: BinaryIO,
    kind: str | None,
    url: str | None,
    output: str,
    as_json: bool,
    ignore_unknown: bool,
    on_error: str,
    to: Path | None,
    chunk: int | None,
    processes: int,
) -> None:
    """Score the rows of FILE (- for standard input) with MODEL's version in service.

    Needs no server: the active plan is verified and loaded in this process, and
    refuses what a server would refuse. Empty cells of a CSV are missing values.
    Predictions are written once all of them are there: a file is whole, or not there.

    \b
    Examples:
      ml-assets predict breast_cancer rows.csv --ignore-unknown
      ml-assets predict breast_cancer rows.parquet --output csv > scored.csv
      echo '{"age": 41, "sex": "Male"}' | ml-assets predict adult --json
      ml-assets predict adult rows.jsonl --url http://127.0.0.1:8080
      ml-assets predict adult rows.parquet --output parquet --to scored.parquet
      ml-assets predict adult rows.csv --on-error collect --output csv --to scored.csv

    JSON keys: model, version, predictions (row, id, probability, label; of several
    classes probabilities, too; of a regression row, id, value, and lower and upper
    where the version has an interval; or row, error), rows, refused, unseen (where
    there are any: by column, how many rows hold a category that training did not see),
    error.
    Columns of arrow (an IPC stream) and of parquet: row, probability, label (of
    several classes probabilities, too; of a regression value, and lower and upper).
    """
    output = "json" if as_json else output
    if isinstance(file, io.BufferedReader):
        stream = file
    else:
        stream = io.BufferedReader(cast(io.RawIOBase, file))
    if output in bulk.OUTPUTS:
        to = _check_bulk(output, url, on_error, to)
        size = chunk or bulk.CHUNK
        _score_in_bulk(model, stream, kind, output, ignore_unknown, to, size, processes)
        return
    if processes > 1:
        raise click.UsageError("--processes needs --output arrow or parquet")
    chunk = chunk or CHUNK
    with ExitStack() as stack:
        scorer = _scorer(stack, model, url, chunk)
        kind = kind or _detect(stream)
        layout = _csv_format(scorer.model, scorer.version)
        read = sources.read(stream, kind, scorer.columns, layout)
        if ignore_unknown:
            names = {column.name for column in scorer.columns}
            read = ({n: v for n, v in row.items() if n in names} for row in read)
        try:
            with _whole(to) as out, activity("scoring") as shown:
                room = None if to else width_of(sys.stdout)
                writer = WRITERS[output](out, on_error == "collect", room)
                answered, note = _run(scorer, read, writer, chunk, on_error, shown)
        except Failed as failure:
            if output == "json" and to is None:
                empty = WRITERS[output](sys.stdout, False, None)
                empty.start(
                    scorer.model, scorer.version, scorer.task, scorer.has_interval
                )
                empty.end(0, 0, {}, failure.message)
            raise
    # Below the predictions, of which none was shown until now.
    if output == "table":
        click.echo(f"{answered:,} predictions", err=True)
    for line in filter(None, (note, *unseen_notes(scorer))):
        click.echo(line, err=True)


def _detect(stream: io.BufferedReader) -> str:
    return sources.detect(str(getattr(stream, "name", "")), stream)


def _check_bulk(output: str, url: str | None, on_error: str, to: Path | None) -> Path:
    """The file to write, unless the output cannot be combined with what is asked."""
    if url is not None:
        raise click.UsageError(f"--output {output} scores here: leave out --url")
    if on_error != "fail":
        raise click.UsageError(f"--output {output} has no errors: leave out --on-error")
    if to is None:
        raise click.UsageError(f"--output {output} needs a file: --to FILE")
    return to


def _score_in_bulk(
    model: str,
    stream: io.BufferedReader,
    kind: str | None,
    output: str,
    ignore_unknown: bool,
    to: Path,
    size: int,
    processes: int,
) -> None:
    require_known(model)
    scorer = PlanScorer.of_plan(model, size)
    kind = kind or _detect(stream)
    layout = _csv_format(scorer.model, scorer.version)
    given = bulk.chunks(scorer, stream, kind, layout, size, ignore_unknown)
    with bulk.scoring(scorer, size, processes) as score, activity("scoring") as shown:
        rows = bulk.write_predictions(score(given), scorer, output, to, shown)
    for line in (f"{rows:,} predictions", *unseen_notes(scorer)):
        click.echo(line, err=True)


def _scorer(stack: ExitStack, model: str, url: str | None, chunk: int) -> Scorer:
    if url is None:
        require_known(model)
        return PlanScorer.of_plan(model, chunk)
    client = stack.enter_context(ServerClient(url))
    return ServerScorer(client, model)


def _csv_format(model: str, version: str) -> "CsvFormat | None":
    """``source.read`` of a version's YAML; None where none is known here."""
    configuration = Versions().document(model, version, SPEC) or {}
    given = configuration.get("source", {}).get("read")
    if given is None:
        return None
    from ml_assets.spec.csv_format import CsvFormat

    return CsvFormat.model_validate(given)


@contextmanager
def _whole(to: Path | None) -> Iterator[TextIO]:
    """The file of predictions, or standard output, written once all are there."""
    if to is not None:
        with atomic_path(to) as path, path.open("w", encoding="utf-8") as out:
            yield out
        return
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as spool:
        yield spool
        spool.seek(0)
        shutil.copyfileobj(spool, sys.stdout)
        # What goes to stderr afterwards comes after it in a pipe, too.
        sys.stdout.flush()


def _run(
    scorer: Scorer,
    read: Iterator[Row],
    writer: Writer,
    chunk: int,
    on_error: str,
    shown: Activity,
) -> tuple[int, str]:
    """Write predictions chunk by chunk; how many, and what became of refused rows."""
    done = refused = 0
    first = ""
    writer.start(scorer.model, scorer.version, scorer.task, scorer.has_interval)
    for rows in sources.chunks(read, chunk):
        for number, outcome in enumerate(_scored(scorer, rows, done, on_error), 1):
            if isinstance(outcome, Prediction):
                writer.row(done + number, outcome)
                continue
            refused += 1
            first = first or f"row {done + number}, {reason(outcome)}"
            if on_error == "collect":
                writer.refused(done + number, reason(outcome))
        done += len(rows)
        shown.count("rows", done)
    if not done:
        raise Failed("there are no rows to score")
    if refused == done:
        raise Failed(f"all {done:,} rows are refused, the first of them: {first}")
    writer.end(done - refused, refused, scorer.unseen, None)
    if not refused:
        return done, ""
    kept = "are left out" if on_error == "skip" else "have an error and no answer"
    return done - refused, f"{refused:,} of {done:,} rows {kept}; {first}"


def _scored(
    scorer: Scorer, rows: list[Row], done: int, on_error: str
) -> Sequence[Outcome]:
    if on_error != "fail":
        return outcomes(scorer, rows)
    try:
        return scorer.score(msgspec.json.encode({"rows": rows}))
    except Refusal as refusal:
        raise Failed(explanation(refusal, done)) from refusal
