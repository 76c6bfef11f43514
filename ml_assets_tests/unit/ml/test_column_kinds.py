"""Kinds that a YAML gives to columns: what was read does not decide."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.cli.rows import read as read_rows
from ml_assets.ml.column_kinds import with_kinds
from ml_assets.ml.prepare import prepare
from ml_assets.ml.schema import signature_columns
from ml_assets.ml.sources import SourceError, join, part_names, read_part, read_source
from ml_assets.ml.tables import content_hash, tidy
from ml_assets.ml.training import train
from ml_assets.serving.requests.values import clean
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.source import SourceSpec

SOURCE = {"source": {"type": "synthetic"}}


def spec(**more: Any) -> ModelSpec:
    given = {"name": "m", "target": "late", **SOURCE}
    return ModelSpec.model_validate({**given, **more})


def texts(column: "pd.Series[Any]") -> list[Any]:
    return [None if pd.isna(cell) else cell for cell in column]


@pytest.mark.parametrize(
    "cells, expected",
    [
        (["8001", "3011"], ["8001", "3011"]),
        ([" 8001", "3011 "], ["8001", "3011"]),
        (["01234", "3011"], ["01234", "3011"]),
        (["1.50", ""], ["1.50", None]),
        (["true", "false"], ["true", "false"]),
        (["2026-11-28", "?"], ["2026-11-28", None]),
        (["", ""], [None, None]),
    ],
)
@pytest.mark.parametrize("header", ["zip", " zip "])
def test_a_csv_column_of_texts_is_read_as_it_is_written(
    cells: list[str], expected: list[Any], header: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"n,{header},x\n" + "".join(f"7,{c},1.5\n" for c in cells))
    source = SourceSpec(type="csv", path=str(path))

    table = read_source(source, tmp_path, columns={"zip": "text"})

    assert texts(table["zip"]) == expected
    assert table["n"].tolist() == [7, 7] and table["x"].tolist() == [1.5, 1.5]


def test_files_read_apart_make_the_same_table(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("zip,n\n8001,1\n")
    (tmp_path / "2.csv").write_text("zip,n\n01234,2\n")
    source = SourceSpec(type="csv", path=f"{tmp_path}/*.csv")
    columns = {"zip": "text"}

    whole = read_source(source, tmp_path, columns=columns)  # type: ignore[arg-type]
    parts = [
        (name, read_part(source, name, columns))  # type: ignore[arg-type]
        for name in part_names(source)
    ]

    assert texts(whole["zip"]) == ["8001", "01234"]
    assert content_hash(join(source, parts)) == content_hash(whole)


@pytest.mark.parametrize(
    "cells, expected",
    [
        ([8001, 3011], ["8001", "3011"]),
        ([8001.0, None], ["8001", None]),
        ([2.5, 1.0], ["2.5", "1"]),
        ([True, False], ["True", "False"]),
        (["01", "x"], ["01", "x"]),
    ],
)
def test_texts_of_other_sources_are_their_values(
    cells: list[Any], expected: list[Any]
) -> None:
    table = with_kinds(tidy(pd.DataFrame({"zip": cells, "n": 1})), {"zip": "text"})

    assert texts(table["zip"]) == expected
    assert table["zip"].dtype == "category"


@pytest.mark.parametrize(
    "cells",
    [[0, 1], [0.0, None], ["yes", "no"], ["Y", None], ["TRUE", "False"], [True, False]],
)
def test_truth_values_of_one_spelling_are_accepted(cells: list[Any]) -> None:
    frame = tidy(pd.DataFrame({"new": cells, "n": 1}))

    pd.testing.assert_frame_equal(with_kinds(frame, {"new": "boolean"}), frame)


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"new": "boolean"}, "t.csv: column 'new' holds 'maybe', expected truth"),
        ({"nwe": "text"}, "columns names 'nwe', .* did you mean new.; its columns are"),
    ],
)
def test_what_a_column_cannot_be_is_said_with_the_source(
    columns: Any, message: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("new,n\nyes,1\nmaybe,2\n")
    source = SourceSpec(type="csv", path=str(tmp_path / "t.csv"))

    with pytest.raises(SourceError, match=message):
        read_source(source, tmp_path, columns=columns)


def test_kinds_are_those_of_the_features() -> None:
    given = spec(
        columns={"plan": "category", "fee": "number", "zip": "text", "new": "boolean"},
        features={"numeric": ["fee", "age"]},
    )

    assert given.features.numeric == ["fee", "age"]
    assert given.features.categorical == ["plan", "new"]
    again = ModelSpec.model_validate(given.model_dump(exclude={"source"}) | SOURCE)
    assert again.features == given.features
    prepared = prepare(
        pd.DataFrame(
            {"plan": [1, 2], "fee": pd.Categorical(["3", "x"]), "age": [1, 2]}
        ).assign(new=[0, 1], zip=pd.Categorical(["a", "b"]), late=[0, 1]),
        given.features,
        "late",
    )
    assert texts(prepared.table["plan"]) == ["1", "2"]
    assert prepared.table["fee"].isna().tolist() == [False, True]


def test_codes_stay_texts_from_training_to_requests_and_the_command(
    tmp_path: Path,
) -> None:
    generator = np.random.default_rng(0)
    # None of this week's codes begins with a zero.
    codes = generator.choice(["1234", "8001", "3011"], 400)
    late = (codes == "8001").astype(int)
    (tmp_path / "t.csv").write_text(
        "zip,late\n" + "".join(f"{c},{y}\n" for c, y in zip(codes, late, strict=True))
    )
    model = spec(columns={"zip": "text"})
    source = SourceSpec(type="csv", path=str(tmp_path / "t.csv"))
    raw = read_source(source, tmp_path, columns=model.columns)
    trained = train(prepare(raw, model.features, "late").table, model)

    (column,) = signature_columns(trained.x, trained.inputs)
    # A number in a request is the code that it spells; one with a zero is another.
    assert column.kind == "string"
    assert clean(column, 8001) == clean(column, "8001") == "8001"
    assert clean(column, "08001") != "8001"
    file = io.BytesIO(b"zip\n8001\n01234\n1234\n")
    rows = [row["zip"] for row in read_rows(file, "csv", [column])]
    assert rows == ["8001", "01234", "1234"]
    scores = trained.task.answers(trained.pipeline, pd.DataFrame({"zip": rows}))
    assert scores[0] > 0.9 > 0.1 > scores[2]
    assert scores[1] != scores[2] or column.categories == ("1234", "3011", "8001")
