"""Files scored column by column give what rows of JSON get."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_assets_tests.kits.cli import VERSION, deployed, invoke, storage

__all__ = ["deployed", "storage"]
pytestmark = pytest.mark.usefixtures("storage")

ROWS = [{"age": age, "sex": sex} for age in (41, None, 55) for sex in ("f", "m", "NA")]


def write(rows: Any, path: Path) -> Path:
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        make = pa.ipc.new_file if path.suffix == ".feather" else pa.ipc.new_stream
        with make(str(path), table.schema) as writer:
            writer.write_table(table)
    return path


def score(tmp_path: Path, file: Path, *more: str, output: str = "parquet") -> Any:
    to = tmp_path / f"scored.{output}"
    asked = ("predict", "income", str(file), "--output", output, "--to", str(to))
    result = invoke(*asked, *more)
    if result.exit_code:
        assert not to.exists()
        return result
    if output == "parquet":
        return pq.read_table(to)
    with pa.OSFile(str(to)) as source:
        return pa.ipc.open_stream(source).read_all()


def expected() -> list[dict[str, Any]]:
    found = json.loads(
        invoke("predict", "income", "--json", stdin=json.dumps(ROWS)).stdout
    )
    return [
        {"row": p["row"], "probability": p["probability"], "label": p["label"]}
        for p in found["predictions"]
    ]


@pytest.mark.parametrize("suffix", ["parquet", "arrows", "feather", "jsonl", "csv"])
@pytest.mark.parametrize("output", ["parquet", "arrow"])
def test_every_format_gives_the_answers_of_json(
    suffix: str, output: str, tmp_path: Path
) -> None:
    file = write(ROWS, tmp_path / f"rows.{suffix}")
    table = score(tmp_path, file, output=output)
    assert table.to_pylist() == expected()
    assert table.schema.metadata[b"version"] == VERSION.encode()


@pytest.mark.parametrize(
    "options", [["--chunk", "2"], ["--chunk", "2", "--processes", "2"]]
)
def test_chunks_and_processes_change_nothing(
    options: list[str], tmp_path: Path
) -> None:
    file = write(ROWS, tmp_path / "rows.parquet")
    assert score(tmp_path, file, *options).to_pylist() == expected()


def test_an_arrow_file_is_read_row_by_row_too(tmp_path: Path) -> None:
    file = write(ROWS, tmp_path / "rows")
    found = json.loads(invoke("predict", "income", str(file), "--json").stdout)
    assert [p["probability"] for p in found["predictions"]] == [
        row["probability"] for row in expected()
    ]


def test_a_refused_row_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    ages = pa.array([1.0, 2.0, float("inf"), 4.0])
    file = write(pa.table({"age": ages, "sex": ["f"] * 4}), tmp_path / "rows.parquet")
    for options in ((), ("--chunk", "2"), ("--chunk", "2", "--processes", "2")):
        result = score(tmp_path, file, *options)
        assert result.exit_code == 1
        assert "row 3, column 'age': expected a" in result.stderr


def test_columns_that_the_model_does_not_take_are_refused_or_left_out(
    tmp_path: Path,
) -> None:
    file = write([{**row, "more": 1} for row in ROWS], tmp_path / "rows.parquet")
    assert "--ignore-unknown" in score(tmp_path, file).stderr
    assert score(tmp_path, file, "--ignore-unknown").to_pylist() == expected()


def test_broken_and_empty_files_are_named(tmp_path: Path) -> None:
    whole = write(ROWS, tmp_path / "whole.arrows").read_bytes()
    for name, kind in (("rows.parquet", "Parquet"), ("rows.arrow", "Arrow")):
        (tmp_path / name).write_bytes(whole[:-200])
        result = score(tmp_path, tmp_path / name)
        assert f"the {kind} file cannot be read" in result.stderr
    empty = write(pa.Table.from_pylist(ROWS).slice(0, 0), tmp_path / "empty.parquet")
    assert "there are no rows to score" in score(tmp_path, empty).stderr


@pytest.mark.parametrize(
    "options, message",
    [
        (["--output", "arrow"], "--output arrow needs a file: --to FILE"),
        (["--output", "parquet", "--url", "http://x"], "leave out --url"),
        (["--output", "arrow", "--on-error", "skip"], "leave out --on-error"),
        (["--processes", "2"], "--processes needs --output arrow or parquet"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: list[str], message: str
) -> None:
    result = invoke("predict", "income", *options, stdin="age,sex\n1,f\n")
    assert result.exit_code == 2
    assert message in result.stderr
