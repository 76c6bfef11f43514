"""Directories of files: which are data, and the columns that stand in their names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest

from ml_assets.ml.sources import (
    SourceError,
    join,
    part_names,
    read_part,
    read_source,
)
from ml_assets.ml.sources.partitions import partitions
from ml_assets.spec.source import SourceSpec

Write = Callable[[str, pd.DataFrame], None]


def writer(kind: str, top: str) -> Write:
    """Writes a table below `top`, which may be a directory or the URL of a store."""

    def write(name: str, frame: pd.DataFrame) -> None:
        with fsspec.open(f"{top}/{name}", "wb", auto_mkdir=True) as stream:
            if kind == "csv":
                stream.write(frame.to_csv(index=False).encode())
            else:
                stream.write(frame.to_parquet(index=False))

    return write


@pytest.fixture(params=["local", "memory"])
def top(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "data")
    fsspec.filesystem("memory").store.clear()
    return "memory://data"


def rows(*values: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": values})


def read(path: str, kind: Any = "parquet") -> pd.DataFrame:
    return read_source(SourceSpec(type=kind, path=path), Path("cache"))


def test_a_directory_of_partitions_is_read_with_its_columns(top: str) -> None:
    write = writer("parquet", top)
    write("year=2026/month=01/part-0.parquet", rows(3))
    write("year=2025/month=12/part-0.snappy.parquet", rows(1, 2))
    for name in (
        *("_SUCCESS", "_metadata", "year=2026/_common_metadata", ".hidden.parquet"),
        *("_temporary/0/part.parquet", ".ipynb_checkpoints/x.parquet"),
        *("year=2026/month=01/.part-0.parquet.crc", "notes.txt"),
    ):
        with fsspec.open(f"{top}/{name}", "wb", auto_mkdir=True) as stream:
            stream.write(b"no data")

    frame = read(top)

    assert frame.to_dict("list") == {
        "a": [1, 2, 3],
        "year": [2025, 2025, 2026],
        "month": [12, 12, 1],
    }
    assert {str(kind) for kind in frame.dtypes} == {"int64"}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    "pattern, columns",
    [
        ("year=*/x.KIND", ["a", "year"]),
        ("year=*/*", ["a", "year"]),
        ("**/*.KIND", ["a", "year"]),
        ("year=202?/x.KIND", ["a", "year"]),
        ("year=2026/*.KIND", ["a"]),
    ],
)
def test_a_glob_keeps_the_columns_below_its_first_mark(
    top: str, kind: str, pattern: str, columns: list[str]
) -> None:
    write = writer(kind, top)
    write(f"year=2025/x.{kind}", rows(1))
    write(f"year=2026/x.{kind}", rows(2))

    frame = read(f"{top}/{pattern.replace('KIND', kind)}", kind)

    assert list(frame) == columns
    assert frame["a"].tolist() == ([1, 2] if "year" in columns else [2])


TYPES: list[tuple[str, list[str], list[Any]]] = [
    ("whole numbers", ["1", "02", "-3"], [1, 2, -3]),
    ("numbers", ["1", "2.5"], [1.0, 2.5]),
    ("Booleans", ["true", "False"], [True, False]),
    ("texts", ["1", "x"], ["1", "x"]),
    ("dates", ["2026-01-31", "2026-02-01"], ["2026-01-31", "2026-02-01"]),
    ("url-encoded", ["a%20b%2Fc", "%C3%A9"], ["a b/c", "é"]),
    ("an equals sign", ["a=b", "c"], ["a=b", "c"]),
    ("missing", ["1", "__HIVE_DEFAULT_PARTITION__"], [1, None]),
    ("longer than an integer", ["9" * 30], [1e30]),
]


@pytest.mark.parametrize(
    "texts, values", [item[1:] for item in TYPES], ids=[item[0] for item in TYPES]
)
def test_values_have_the_type_that_all_of_them_share(
    texts: list[str], values: list[Any]
) -> None:
    found = partitions([f"k={text}/x.parquet" for text in texts])

    assert [item["k"] for item in found] == values
    assert [type(item["k"]) for item in found] == [type(value) for value in values]


def test_a_name_is_decoded_and_a_column_of_the_file_is_its_own(top: str) -> None:
    write = writer("parquet", top)
    write("a=7/caf%C3%A9=x/1.parquet", rows(1))
    write("a=8/caf%C3%A9=y/1.parquet", rows(2))

    assert read(top).to_dict("list") == {"a": [1, 2], "café": ["x", "y"]}


def test_missing_values_and_types_go_through_the_parts_as_through_the_whole(
    top: str,
) -> None:
    write = writer("parquet", top)
    write("n=__HIVE_DEFAULT_PARTITION__/t=x/1.parquet", rows(1))
    write("n=5/t=__HIVE_DEFAULT_PARTITION__/1.parquet", rows(2))
    spec = SourceSpec(type="parquet", path=top, parallel=True)

    parts = [(name, read_part(spec, name)) for name in part_names(spec)]

    whole = read(top)
    pd.testing.assert_frame_equal(join(spec, parts), whole)
    assert whole["n"].tolist()[0] == 5 and whole["n"].isna().sum() == 1
    assert whole["t"].isna().sum() == 1


@pytest.mark.parametrize(
    "names, message",
    [
        (["year=2026/1.parquet", "2.parquet"], "columns are not those of"),
        (["year=2026/1.parquet", "month=1/2.parquet"], "columns are not those of"),
        (["notes.txt"], "is a directory without a *.parquet file"),
        (["_delta_log/0.json", "1.parquet"], "a table whose log (_delta_log)"),
    ],
)
def test_a_directory_that_is_no_table_is_refused(
    top: str, names: list[str], message: str
) -> None:
    write = writer("parquet", top)
    for name in names:
        write(name, rows(1))
    with pytest.raises(SourceError) as caught:
        read(top)
    assert message in str(caught.value)


def test_a_directory_of_csv_files_is_named_by_a_glob(top: str) -> None:
    writer("csv", top)("x.csv", rows(1))
    with pytest.raises(SourceError, match=r"is a directory; name its files, as in"):
        read(top, "csv")


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a directory without a"):
        read(str(tmp_path))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    "name", ["x[1]", "what?", "all*", "[a-z]", "x{1,2}", "100%", "a#b", "é ü"]
)
def test_what_exists_is_meant_by_its_name(top: str, kind: str, name: str) -> None:
    write = writer(kind, top)
    write(f"{name}.{kind}", rows(1))
    write(f"x1.{kind}", rows(2))
    write(f"a.{kind}", rows(3))
    write(f"{name}/deep.{kind}", rows(4))

    assert read(f"{top}/{name}.{kind}", kind)["a"].tolist() == [1]
    assert read(f"{top}/{name}/*.{kind}", kind)["a"].tolist() == [4]
    assert read(f"{top}/{name}/d?ep.{kind}", kind)["a"].tolist() == [4]
    if kind == "parquet":
        assert read(f"{top}/{name}")["a"].tolist() == [4]


def test_a_run_may_not_read_the_storage_by_a_directory_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml_assets.ml.sources.runtime_sources import refusal

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path / "home"))
    own = SourceSpec(type="parquet", path="data/x.parquet")
    asked = SourceSpec(type="parquet", path=".")
    writer("parquet", str(tmp_path))("data/x.parquet", rows(1))
    assert not refusal(asked, own, [])

    writer("parquet", str(tmp_path))("home/tables/m/raw/1.parquet", rows(1))
    assert refusal(asked, own, [])


def test_a_link_with_the_name_of_a_glob_leads_a_run_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml_assets.ml.sources.runtime_sources import refusal

    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    writer("csv", str(tmp_path))("secret/a.csv", rows(1))
    Path("x[1].csv").symlink_to(tmp_path / "secret" / "a.csv")
    own = SourceSpec(type="csv", path="data/x.csv")

    assert refusal(SourceSpec(type="csv", path="x[1].csv"), own, [])
