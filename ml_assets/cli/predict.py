"""``ml-assets predict MODEL [FILE]``: score rows with the version in service."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO, cast

import click
import msgspec

from ml_assets.cli import rows as sources
from ml_assets.cli.catalogue import require_known
from ml_assets.cli.client import ServerClient
from ml_assets.cli.output import EXIT_CODES, Failed
from ml_assets.cli.rows import Row
from ml_assets.cli.scorers import PlanScorer, Refusal, Scorer, ServerScorer
from ml_assets.cli.writers import WRITERS, Writer
from ml_assets.serving.problems import FieldError
from ml_assets.storage import storage_root

# What a server takes at once by default, with room for wide rows.
CHUNK = 1_000
# What a refusal finds in a column that the model does not take.
UNKNOWN = "an unknown column"


@click.command("predict", epilog=EXIT_CODES)
@click.argument("model")
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "json", "jsonl", "parquet"]),
    help="Format of FILE; by default told by its name, else by its first bytes.",
)
@click.option("--url", help="Ask the model server there, not the plan in force here.")
@click.option(
    "--output",
    type=click.Choice(sorted(WRITERS)),
    default="table",
    show_default=True,
    help="How predictions are printed.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --output json.")
@click.option(
    "--ignore-unknown",
    is_flag=True,
    help="Leave out columns that the model does not take, such as its target.",
)
@click.option(
    "--chunk",
    type=click.IntRange(min=1, max=10_000),
    default=CHUNK,
    show_default=True,
    help="Rows that are scored at a time.",
)
def command(
    model: str,
    file: BinaryIO,
    kind: str | None,
    url: str | None,
    output: str,
    as_json: bool,
    ignore_unknown: bool,
    chunk: int,
) -> None:
    """Score the rows of FILE (- for standard input) with MODEL's version in service.

    Needs no server: the plan in force is verified and loaded in this process, and
    refuses what a server would refuse. Empty cells of a CSV are missing values.

    \b
    Examples:
      ml-assets predict breast_cancer rows.csv --ignore-unknown
      ml-assets predict breast_cancer rows.parquet --output csv > scored.csv
      echo '{"age": 41, "sex": "Male"}' | ml-assets predict adult --json
      ml-assets predict adult rows.jsonl --url http://127.0.0.1:8080

    JSON keys: model, version, predictions (row, id, probability, label), rows, error.
    """
    writer = WRITERS["json" if as_json else output]()
    if isinstance(file, io.BufferedReader):
        stream = file
    else:
        stream = io.BufferedReader(cast(io.RawIOBase, file))
    with ExitStack() as stack:
        scorer = _scorer(stack, model, url, chunk)
        kind = kind or sources.detect(str(getattr(file, "name", "")), stream)
        read = sources.read(stream, kind, scorer.columns)
        if ignore_unknown:
            names = {column.name for column in scorer.columns}
            read = ({n: v for n, v in row.items() if n in names} for row in read)
        _run(scorer, read, writer, chunk)


def _scorer(stack: ExitStack, model: str, url: str | None, chunk: int) -> Scorer:
    if url is None:
        root = storage_root()
        require_known(model, root)
        return PlanScorer(root, model, chunk)
    client = stack.enter_context(ServerClient(url))
    return ServerScorer(client, model)


def _run(scorer: Scorer, read: Iterator[Row], writer: Writer, chunk: int) -> None:
    """Print predictions chunk by chunk; what follows a refused chunk is not read."""
    done, error = 0, None
    writer.start(scorer.model, scorer.version)
    try:
        for rows in sources.chunks(read, chunk):
            try:
                predictions = scorer.score(msgspec.json.encode({"rows": rows}))
            except Refusal as refusal:
                raise Failed(_told(refusal, done)) from refusal
            for prediction in predictions:
                done += 1
                writer.row(done, prediction)
        if not done:
            raise Failed("there are no rows to score")
    except Failed as failure:
        error = failure.message
        raise
    finally:
        writer.end(done, error)


def _told(refusal: Refusal, done: int) -> str:
    """What is wrong where, with rows counted from 1 over the whole file."""
    if not refusal.errors:
        return f"rows from {done + 1:,} on are refused: {refusal}"
    # The same fault of each row is told once, at its first row.
    first: dict[tuple[str | None, str, str], FieldError] = {}
    for error in refusal.errors:
        first.setdefault((error.column, error.expected, error.found), error)
    lines = [str(_counted(error, done)) for error in first.values()]
    if any(error.found == UNKNOWN for error in refusal.errors):
        lines.append("leave out what the model does not take: --ignore-unknown")
    return "\n  ".join(["the rows do not fit the model:", *lines])


def _counted(error: FieldError, done: int) -> FieldError:
    if error.row is None:
        return error
    return msgspec.structs.replace(error, row=error.row + done + 1)
