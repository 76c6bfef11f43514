"""Many rows scored column by column: Arrow arrays in, and Parquet or Arrow out."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

from ml_assets.cli import rows as sources
from ml_assets.cli.activity import Activity
from ml_assets.cli.output import Failed
from ml_assets.cli.record_batches import FORMATS, record_batches
from ml_assets.cli.scorers import PlanScorer, Refusal, explanation, load_arm
from ml_assets.core.files import atomic_path
from ml_assets.records.plan import Arm
from ml_assets.serving.requests.problems import FieldError, Problem

if TYPE_CHECKING:
    import pyarrow as pa

    from ml_assets.serving.models.arms import ServedArm
    from ml_assets.spec.csv_format import CsvFormat

# Enough that what a chunk costs by itself does not count.
CHUNK = 65_536
OUTPUTS = ("arrow", "parquet")
# Chunks that wait for each process, so that none of them does.
_AHEAD = 2


class Scored(NamedTuple):
    """What came of a chunk: its predictions, or `errors` and the `detail` of them."""

    rows: int
    table: "pa.Table | None"
    unseen: dict[str, int]
    detail: str = ""
    errors: Sequence[FieldError] = ()


def score(arm: "ServedArm", given: "pa.Table | bytes") -> Scored:
    """The predictions for a table, or for the rows of a request's body, in order."""
    import pyarrow as pa

    from ml_assets.serving.protocols.arrow import answer_columns
    from ml_assets.serving.requests.arrow_columns import read_table

    try:
        if isinstance(given, bytes):
            batch = arm.decoder.decode(given)
        else:
            batch = read_table(arm.signature, given, given.num_rows)
        answers = arm.answers(batch)
    except Problem as problem:
        return Scored(0, None, {}, problem.detail, problem.errors)
    unseen = {item.column: len(item.rows) for item in batch.unseen}
    return Scored(batch.size, pa.table(answer_columns(arm.task, answers)), unseen)


def chunks(
    scorer: PlanScorer,
    stream: BinaryIO,
    kind: str,
    layout: "CsvFormat | None",
    size: int,
    ignore_unknown: bool,
) -> Iterator["pa.Table | bytes"]:
    """Yield the rows of a file, at most `size` at a time, as `score` takes them."""
    known = {column.name: column for column in scorer.columns}

    def is_read(name: str) -> bool:
        column = known.get(name)
        # What the model does not read is not decoded either.
        return not ignore_unknown if column is None else not column.ignored

    if kind not in FORMATS:
        read = sources.read(stream, kind, scorer.columns, layout)
        for rows in sources.chunks(read, size):
            kept = [{n: v for n, v in row.items() if is_read(n)} for row in rows]
            yield msgspec.json.encode({"rows": kept})
        return
    import pyarrow as pa

    for batch in record_batches(stream, kind, size):
        table = pa.Table.from_batches([batch])
        yield table.select([*filter(is_read, table.column_names)])


def write_predictions(
    scored: Iterable[Scored],
    scorer: PlanScorer,
    output: str,
    to: Path,
    shown: Activity,
) -> int:
    """Write the predictions of all chunks, with their rows counted from 1; how many.

    Raises
    ------
    Failed
        At the first row that the model refuses, and where there is none.
    """
    import pyarrow as pa

    done = 0
    metadata = {"model": scorer.model, "version": scorer.version}
    with ExitStack() as stack:
        write: Callable[[pa.Table], None] | None = None
        for chunk in scored:
            if chunk.table is None:
                refusal = Refusal(chunk.detail, list(chunk.errors))
                raise Failed(explanation(refusal, done))
            scorer.unseen.update(chunk.unseen)
            numbers = pa.array(range(done + 1, done + chunk.rows + 1), pa.int64())
            table = chunk.table.add_column(0, "row", numbers)
            if write is None:
                schema = table.schema.with_metadata(metadata)
                write = stack.enter_context(_writer(schema, output, to))
            write(table)
            done += chunk.rows
            shown.count("rows", done)
        if not done:
            raise Failed("there are no rows to score")
    return done


@contextmanager
def scoring(
    scorer: PlanScorer, size: int, processes: int
) -> Iterator[Callable[[Iterable["pa.Table | bytes"]], Iterator[Scored]]]:
    """A function that scores chunks in their order, here or in `processes`."""
    if processes == 1:
        yield lambda given: (score(scorer.arm, chunk) for chunk in given)
        return
    arguments = (scorer.model, scorer.plan_arm, size)
    context = get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _load, arguments)
    try:
        yield lambda given: _scored_by(pool, given, _AHEAD * processes)
    finally:
        pool.shutdown(cancel_futures=True)


def _scored_by(
    pool: ProcessPoolExecutor, given: Iterable["pa.Table | bytes"], most: int
) -> Iterator[Scored]:
    """What came of each chunk, of which at most `most` are in memory."""
    waiting: deque[Future[Scored]] = deque()
    for chunk in given:
        waiting.append(pool.submit(_score_here, chunk))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


_arms: list["ServedArm"] = []


def _load(model: str, arm: Arm, size: int) -> None:
    """Load a version in this process."""
    _arms.append(load_arm(model, arm, size))


def _score_here(given: "pa.Table | bytes") -> Scored:
    return score(_arms[-1], given)


@contextmanager
def _writer(
    schema: "pa.Schema", output: str, to: Path
) -> Iterator[Callable[["pa.Table"], None]]:
    """Write tables to a file that is whole or not there."""
    import pyarrow as pa

    with atomic_path(to) as path:
        if output == "arrow":
            with pa.ipc.new_stream(str(path), schema) as writer:
                yield writer.write_table
        else:
            import pyarrow.parquet as pq

            with pq.ParquetWriter(path, schema) as writer:
                yield writer.write_table
