"""Predictions as an Arrow stream, and the rows of one.

PyArrow is imported with the first request that needs it: it takes 27 MiB.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from ml_assets.records.plan import Signature
from ml_assets.serving.models.arms import Scored
from ml_assets.serving.requests.batch import Batch
from ml_assets.serving.tasks import Answers

if TYPE_CHECKING:
    import pyarrow as pa


def decode(signature: Signature, body: bytes, max_rows: int) -> Batch:
    """The rows of an Arrow stream, as `requests.arrow_stream` has it."""
    from ml_assets.serving.requests import arrow_stream

    return arrow_stream.decode(signature, body, max_rows)


def answer_columns(task: Answers, answers: list[Any]) -> dict[str, "pa.Array"]:
    """What the answers hold, a column each.

    ``probability`` and ``label``, and of several classes ``probabilities``, a struct of
    one number a class; or ``value``, and with an interval ``lower`` and ``upper``.
    """
    import pyarrow as pa

    found = task.columns(answers)
    if "probabilities" in found:
        found["probabilities"] = task.named(answers)
    return {name: pa.array(values) for name, values in found.items()}


def encode(scored: Scored) -> bytes:
    """The stream of an answer: a row each, with ``id`` before what it holds.

    Where the plan splits the traffic each row has its ``version`` and ``arm``. The
    metadata of the schema has ``model``, ``request_id``, the ``version`` and the
    ``arm`` if there is only one, and ``warnings`` as JSON if there are any.
    """
    import pyarrow as pa

    arm, arms = scored.only_arm, scored.arms
    metadata = {"model": scored.arm.model, "request_id": scored.request_id}
    if arm is not None:
        metadata |= {"version": arm.version, "arm": arm.mode}
    if scored.batch.unseen:
        metadata["warnings"] = msgspec.json.encode(scored.batch.unseen).decode()
    columns = {"id": pa.array(scored.ids)}
    if arms is not None:
        columns["version"] = pa.array([own.version for own in arms])
        columns["arm"] = pa.array([own.mode for own in arms])
    columns |= answer_columns(scored.task, scored.answers)
    table = pa.table(columns).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found
