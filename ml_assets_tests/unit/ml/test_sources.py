"""Reading files, bundled data and generated rows: what comes out, and each fault."""

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.sources import SourceError, describe, read_source
from ml_assets.spec.csv_format import CsvFormat
from ml_assets.spec.source import SourceSpec

ADULT = (
    "age workclass fnlwgt education education_num marital_status occupation"
    " relationship race sex capital_gain capital_loss hours_per_week native_country"
    " income"
).split()


def real_data(name: str) -> Path:
    directory = os.environ.get("ML_ASSETS_TEST_DATA")
    if not directory:
        pytest.skip("ML_ASSETS_TEST_DATA names no directory with the real data")
    return Path(directory) / name


def csv(path: Path, content: bytes | str, **read: Any) -> SourceSpec:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    layout = CsvFormat(**read) if read else None
    return SourceSpec(type="csv", path=str(path), read=layout)


def read_csv(tmp_path: Path, content: bytes | str, **read: Any) -> pd.DataFrame:
    return read_source(csv(tmp_path / "t.csv", content, **read), tmp_path / "cache")


COLUMNS: list[tuple[str, list[str], str, list[Any]]] = [
    ("whole numbers", ["1", "2"], "int64", [1, 2]),
    ("whole numbers with a gap", ["1", "?"], "float64", [1.0, np.nan]),
    ("fractions", ["1", "2.5"], "float64", [1.0, 2.5]),
    ("numbers among blanks", [" 1", "  ?  ", "2 "], "float64", [1.0, np.nan, 2.0]),
    ("whole numbers among blanks", [" 1", " 2"], "int64", [1, 2]),
    ("Booleans", ["true", "False"], "bool", [True, False]),
    ("Booleans with a gap", ["true", "NA"], "category", ["True", np.nan]),
    ("Booleans among blanks", [" true", " False "], "bool", [True, False]),
    ("quotes after a blank", [' "a"', "b"], "category", ["a", "b"]),
    ("bare quotes", ['5" pipe', "b"], "category", ['5" pipe', "b"]),
    ("0 and 1 are numbers", ["0", "1"], "int64", [0, 1]),
    ("texts", ["b", "a"], "category", ["b", "a"]),
    ("texts among blanks", [" b", "a ", "b", "  ?"], "category", ["b", "a", "b", None]),
    ("a text late in numbers", ["1"] * 3 + ["x"], "category", ["1"] * 3 + ["x"]),
    ("dates stay texts", ["2024-01-31", ""], "category", ["2024-01-31", np.nan]),
    (
        "moments stay texts",
        ["2024-01-31 10:00:00"],
        "category",
        ["2024-01-31 10:00:00"],
    ),
    ("quoted cells", ['"a, b"', '"c\nd"'], "category", ["a, b", "c\nd"]),
    ("beyond 64 bits", ["9223372036854775808"], "float64", [9223372036854775808.0]),
]


@pytest.mark.parametrize(
    "cells, dtype, expected",
    [case[1:] for case in COLUMNS],
    ids=[case[0] for case in COLUMNS],
)
def test_a_csv_column_gets_the_type_of_its_cells(
    cells: list[str], dtype: str, expected: list[Any], tmp_path: Path
) -> None:
    content = "key,cell\n" + "".join(f"7,{cell}\n" for cell in cells)
    column = read_csv(tmp_path, content)["cell"]
    assert column.dtype == dtype
    wanted = [None if pd.isna(value) else value for value in expected]
    assert [None if pd.isna(value) else value for value in column] == wanted


def test_categories_are_sorted_and_unordered(tmp_path: Path) -> None:
    column = read_csv(tmp_path, "key,cell\n1,b\n2,c\n3,a\n")["cell"]
    assert column.cat.categories.tolist() == ["a", "b", "c"]
    assert not column.cat.ordered


def test_a_column_that_turns_to_text_after_many_blocks_is_text(tmp_path: Path) -> None:
    content = "key,cell\n" + "1,123456\n" * 300_000 + "1,x\n"
    column = read_csv(tmp_path, content)["cell"]
    assert column.cat.categories.tolist() == ["123456", "x"]
    assert len(column) == 300_001


LAYOUTS: list[tuple[str, bytes, dict[str, Any]]] = [
    ("semicolons", b"a;b\n1;x\n", {"separator": ";"}),
    ("tabs", b"a\tb\n1\tx\n", {"separator": "\t"}),
    ("no header", b"1, x\n", {"header": False, "columns": ["a", "b"]}),
    ("renamed header", b"one,two\n1,x\n", {"columns": ["a", "b"]}),
    ("latin-1", "a,b\n1,x\n".encode("latin-1"), {"encoding": "latin-1"}),
    ("utf-16", "a,b\n1,x\n".encode("utf-16"), {"encoding": "utf-16"}),
    ("byte-order mark", b"\xef\xbb\xbfa,b\n1,x\n", {}),
    ("blanks around names", b" a , b\n1,x\n", {}),
    ("blank lines", b"a,b\n\n1,x\n   \n\n", {}),
    ("Windows line ends", b"a,b\r\n1,x\r\n", {}),
    ("no line end", b"a,b\n1,x", {}),
    ("own missing mark", b"a,b\n1,x\n-9,-9\n", {"missing": ["-9"]}),
]


@pytest.mark.parametrize(
    "content, read",
    [case[1:] for case in LAYOUTS],
    ids=[case[0] for case in LAYOUTS],
)
def test_a_csv_file_may_be_laid_out_in_many_ways(
    content: bytes, read: dict[str, Any], tmp_path: Path
) -> None:
    frame = read_csv(tmp_path, content, **read)
    assert frame.columns.tolist() == ["a", "b"]
    assert (frame["a"][0], frame["b"][0]) == (1, "x")


def test_blanks_stay_where_they_matter(tmp_path: Path) -> None:
    frame = read_csv(tmp_path, "a,b\n1, x\n", strip=False)
    assert frame["b"].tolist() == [" x"]


FAULTS: list[tuple[str, bytes, dict[str, Any], str]] = [
    ("empty file", b"", {}, " is empty (0 bytes)"),
    ("blank lines only", b"\n\n", {}, ": there is nothing but blank lines"),
    ("header only", b"a,b\n", {}, ": there are columns but no rows"),
    (
        "wrong encoding",
        b"a,b\n1,caf\xe9\n",
        {},
        ": line 2 is not utf-8 (byte 0xe9); set read.encoding, for example to"
        " latin-1 or utf-16",
    ),
    (
        "wrong encoding of the header",
        b"caf\xe9,b\n1,2\n",
        {},
        ": line 1 is not utf-8 (byte 0xe9); set read.encoding, for example to"
        " latin-1 or utf-16",
    ),
    ("duplicate column", b"a,b,a\n1,2,3\n", {}, ": column 'a' appears 2 times"),
    ("columns without names", b",\n1,2\n", {}, ": there are no columns"),
    (
        "short row",
        b"a,b\n1,2\n\n3\n",
        {},
        ": line 4 has 1 cell where 2 were expected",
    ),
    (
        "long row",
        b"a,b\n1,2,3\n",
        {},
        ": line 2 has 3 cells where 2 were expected",
    ),
    (
        "quote never closed",
        b'a,b\n1,2\n3,"4\n5,6\n',
        {},
        ": the quotes that open in line 3 are not closed (unexpected end of data)",
    ),
    (
        "quote never closed in the first column",
        b'a,b\n1,2\n"3,4\n5,6\n',
        {},
        ": the quotes that open in line 3 are not closed (unexpected end of data)",
    ),
    (
        "wrong count of names",
        b"1,2\n",
        {"header": False, "columns": ["a", "b", "c"]},
        ": line 1 has 2 cells where 3 were expected",
    ),
    (
        "wrong separator",
        b"a;b\n1;2\n",
        {},
        ": one column 'a;b' was read; is the separator ';' rather than ','?",
    ),
]


@pytest.mark.parametrize(
    "content, read, message",
    [case[1:] for case in FAULTS],
    ids=[case[0] for case in FAULTS],
)
def test_each_fault_of_a_csv_file_is_named(
    content: bytes, read: dict[str, Any], message: str, tmp_path: Path
) -> None:
    spec = csv(tmp_path / "t.csv", content, **read)
    with pytest.raises(SourceError) as caught:
        read_source(spec, tmp_path)
    assert str(caught.value) == f"csv source {tmp_path}/t.csv{message}"


def test_a_compressed_csv_file_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,x\n"))
    frame = read_source(SourceSpec(type="csv", path=str(path)), tmp_path)
    assert frame.shape == (1, 2)


def test_a_compressed_csv_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,x\n" * 1000)[:-20])
    with pytest.raises(SourceError, match="t.csv.gz cannot be read to its end"):
        read_source(SourceSpec(type="csv", path=str(path)), tmp_path)


def test_an_fsspec_url_is_read(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://data/t.csv", "wb") as stream:
        stream.write(b"a,b\n1,x\n")
    spec = SourceSpec(type="csv", path="memory://data/t.csv")
    assert read_source(spec, tmp_path).shape == (1, 2)


# Parquet


def parquet(path: Path) -> SourceSpec:
    return SourceSpec(type="parquet", path=str(path))


def test_parquet_columns_become_tidy(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame(
        {
            "small": np.array([1, 2], dtype="int8"),
            "gap": pd.array([1, None], dtype="Int64"),
            "single": np.array([1.5, np.nan], dtype="float32"),
            "text": ["b", "a"],
            "flag": [True, False],
            "maybe": [True, None],
            "day": pd.to_datetime(["2024-01-31", "2024-02-01"]),
        },
        index=["x", "y"],
    ).to_parquet(path)
    frame = read_source(parquet(path), tmp_path)
    assert frame.dtypes.astype(str).to_dict() == {
        "small": "int64",
        "gap": "float64",
        "single": "float64",
        "text": "category",
        "flag": "bool",
        "maybe": "category",
        "day": "category",
    }
    assert frame["day"].tolist() == ["2024-01-31T00:00:00", "2024-02-01T00:00:00"]


@pytest.mark.parametrize("pattern", ["", "*.parquet", "part-?.parquet"])
def test_a_directory_or_a_glob_is_one_table_in_order(
    pattern: str, tmp_path: Path
) -> None:
    for number in (2, 1):
        table = pd.DataFrame({"a": [number], "b": [f"v{number}"]})
        table.to_parquet(tmp_path / f"part-{number}.parquet")
    frame = read_source(parquet(tmp_path / pattern), tmp_path)
    assert frame["a"].tolist() == [1, 2]
    assert frame["b"].tolist() == ["v1", "v2"]


def test_parquet_files_with_unlike_columns_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1], "b": [1]}).to_parquet(tmp_path / "1.parquet")
    pd.DataFrame({"a": [1], "c": [1]}).to_parquet(tmp_path / "2.parquet")
    with pytest.raises(SourceError) as caught:
        read_source(parquet(tmp_path), tmp_path)
    name = f"parquet source {tmp_path}"
    assert str(caught.value) == (
        f"{name} (2.parquet): its columns are not those of {name} (1.parquet) (b, c)"
    )


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty (0 bytes)"),
        (b"a,b\n", "is not a Parquet file (it does not start so)"),
        (b"PAR1 cut off", "cannot be read as Parquet: "),
    ],
)
def test_each_fault_of_a_parquet_file_is_named(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read_source(parquet(tmp_path / "t.parquet"), tmp_path)
    assert f"parquet source {tmp_path}/t.parquet {message}" in str(caught.value)


def test_nested_values_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"tags": [["a"], ["b"]]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="column 'tags' holds mixed values"):
        read_source(parquet(tmp_path / "t.parquet"), tmp_path)


# All families


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_missing_file_is_named(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read_source(SourceSpec(type=kind, path="no/such.file"), tmp_path)
    assert str(caught.value) == (
        f"{kind} source no/such.file does not exist; check the path"
    )


def test_an_unknown_protocol_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="csv source nope://x cannot be opened: "):
        read_source(SourceSpec(type="csv", path="nope://x"), tmp_path)


def test_the_environment_fills_in_a_path_and_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_HOME", str(tmp_path))
    spec = SourceSpec(type="csv", path="${DATA_HOME}/t.csv")
    with pytest.raises(SourceError) as caught:
        read_source(spec, tmp_path)
    assert str(caught.value) == (
        "csv source ${DATA_HOME}/t.csv does not exist; check the path"
    )
    csv(tmp_path / "t.csv", "a,b\n1,2\n")
    assert read_source(spec, tmp_path).shape == (1, 2)


def test_a_variable_that_is_not_set_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATA_HOME", raising=False)
    with pytest.raises(SourceError) as caught:
        read_source(SourceSpec(type="csv", path="${DATA_HOME}/t.csv"), tmp_path)
    assert str(caught.value) == (
        "csv source: path: the environment variable DATA_HOME is not set"
        " (used in '${DATA_HOME}/t.csv')"
    )


@pytest.mark.parametrize(
    "dataset, shape, labels",
    [
        ("breast_cancer", (569, 31), ["benign", "malignant"]),
        ("iris", (150, 5), ["setosa", "versicolor", "virginica"]),
        ("wine", (178, 14), ["class_0", "class_1", "class_2"]),
    ],
)
def test_bundled_data_has_readable_names_and_labels(
    dataset: str, shape: tuple[int, int], labels: list[str], tmp_path: Path
) -> None:
    frame = read_source(SourceSpec(type="sklearn", dataset=dataset), tmp_path)
    assert frame.shape == shape
    assert frame["target"].cat.categories.tolist() == labels
    assert all(str(name).isidentifier() for name in frame.columns)


def test_an_unknown_bundled_data_set_gets_the_list() -> None:
    with pytest.raises(
        ValueError, match="breast_cancer, diabetes, digits, iris, wine, found 'titanic'"
    ):
        SourceSpec(type="sklearn", dataset="titanic")


def test_synthetic_rows_are_a_source(tmp_path: Path) -> None:
    spec = SourceSpec(type="synthetic", rows=50, seed=3, drift=0.5)
    assert read_source(spec, tmp_path).shape == (50, 15)
    assert describe(spec) == "synthetic source 50 rows"


def test_adult_is_read_as_published(tmp_path: Path) -> None:
    layout = CsvFormat(header=False, columns=ADULT)
    path = str(real_data("adult-train.csv"))
    frame = read_source(SourceSpec(type="csv", path=path, read=layout), tmp_path)
    assert frame.shape == (32561, 15)
    assert frame["age"].dtype == "int64"
    assert frame["income"].cat.categories.tolist() == ["<=50K", ">50K"]
    gaps = {name: int(n) for name, n in frame.isna().sum().items() if n}
    assert gaps == {"workclass": 1836, "occupation": 1843, "native_country": 583}


def test_the_blank_charges_of_telco_are_missing_numbers(tmp_path: Path) -> None:
    path = str(real_data("telco_customer_churn.csv"))
    frame = read_source(SourceSpec(type="csv", path=path), tmp_path)
    assert frame.shape == (7043, 21)
    assert frame["TotalCharges"].dtype == "float64"
    assert int(frame["TotalCharges"].isna().sum()) == 11
