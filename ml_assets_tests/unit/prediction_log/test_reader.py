"""Parquet files of the log that an older release wrote."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.prediction_log.reader import read_table


def test_a_file_of_an_older_release_has_no_caller() -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"id": ["a"], "label": ["yes"]}), stream)
    stream.seek(0)
    rows = read_table(stream, ["id", "label", "caller", "own"], [("id", ">", "")])
    assert rows.to_pylist() == [
        {"id": "a", "label": "yes", "caller": None, "own": None}
    ]
