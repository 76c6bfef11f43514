"""Several files as one table: the same as one file with all the rows."""

from pathlib import Path

import pandas as pd
import pytest

from ml_assets.ml.sources import SourceError, join, part_names, read_part, read_source
from ml_assets.ml.tables import content_hash
from ml_assets.spec.source import SourceSpec

HEADER = "age,plan,paid,left\n"


def csv(path: Path) -> SourceSpec:
    return SourceSpec(type="csv", path=str(path))


def write(directory: Path, **parts: str) -> SourceSpec:
    for name, rows in parts.items():
        (directory / f"{name}.csv").write_text(HEADER + rows)
    return csv(directory / "*.csv")


@pytest.mark.parametrize(
    "a, b",
    [
        ("1,x,true,no\n", "2,y,false,yes\n"),
        pytest.param("1,x,true,no\n", "2.5,y,true,yes\n", id="floats in one"),
        pytest.param("1,x,true,no\n", ",,,yes\n", id="nothing in one"),
        pytest.param("1,,true,no\n2,x,true,no\n", ",,,yes\n3,y,false,no\n", id="gaps"),
        pytest.param("1,x,,no\n", "2,y,false,yes\n", id="no Boolean in one"),
        pytest.param("1,x,true,no\n", "", id="no rows in one"),
        pytest.param("1,2026-01-01,true,no\n", "2,2026-01-02,true,yes\n", id="dates"),
    ],
)
def test_parts_are_what_one_file_would_be(tmp_path: Path, a: str, b: str) -> None:
    (tmp_path / "parts").mkdir()
    spec = write(tmp_path / "parts", a=a, b=b)
    (tmp_path / "whole.csv").write_text(HEADER + a + b)

    whole = read_source(csv(tmp_path / "whole.csv"), tmp_path)
    joined = read_source(spec, tmp_path)
    by_hand = join(spec, [(name, read_part(spec, name)) for name in part_names(spec)])

    pd.testing.assert_frame_equal(joined, whole)
    assert content_hash(whole) == content_hash(joined) == content_hash(by_hand)


def test_parts_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    spec = write(tmp_path, b="2,x,true,no\n", a="1,x,true,no\n", c="3,x,true,yes\n")

    assert part_names(spec) == ["a.csv", "b.csv", "c.csv"]
    assert read_source(spec, tmp_path)["age"].tolist() == [1, 2, 3]


def test_a_glob_may_span_directories(tmp_path: Path) -> None:
    for day in ("day=2", "day=1"):
        (tmp_path / day).mkdir()
        write(tmp_path / day, part=f"{day[-1]},x,true,no\n")

    spec = csv(tmp_path / "day=*" / "part.csv")

    assert part_names(spec) == ["day=1/part.csv", "day=2/part.csv"]
    assert read_part(spec, "day=2/part.csv")["age"].tolist() == [2]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "t[1].csv").write_text(HEADER + "7,x,true,no\n")

    assert read_source(csv(tmp_path / "t[1].csv"), tmp_path)["age"].tolist() == [7]


@pytest.mark.parametrize(
    "rows, message",
    [
        ("old,x,true,no\n", "column 'age' holds texts, but numbers in {0} (a.csv)"),
        ("1,x,7,no\n", "column 'paid' holds numbers, but Booleans in {0} (a.csv)"),
        ("1,x,maybe,no\n", "column 'paid' holds texts, but Booleans in {0} (a.csv)"),
    ],
)
def test_a_part_with_other_values_is_refused_by_name(
    tmp_path: Path, rows: str, message: str
) -> None:
    spec = write(tmp_path, a="1,x,true,no\n", b="2,x,true,no\n", c=rows)

    with pytest.raises(SourceError) as caught:
        read_source(spec, tmp_path)

    source = f"csv source {tmp_path}/*.csv"
    assert str(caught.value) == f"{source} (c.csv): {message.format(source)}"


@pytest.mark.parametrize(
    "header, message", [("age,plan,left\n1,x,no\n", "paid"), ("", "empty")]
)
def test_a_part_with_other_columns_is_refused_by_name(
    tmp_path: Path, header: str, message: str
) -> None:
    spec = write(tmp_path, a="1,x,true,no\n")
    (tmp_path / "b.csv").write_text(header)

    with pytest.raises(SourceError, match=rf"\(b\.csv\).*{message}"):
        read_source(spec, tmp_path)


def test_a_part_that_went_away_is_reported(tmp_path: Path) -> None:
    spec = write(tmp_path, a="1,x,true,no\n", b="2,x,true,no\n", c="3,x,true,no\n")
    (tmp_path / "b.csv").unlink()

    with pytest.raises(SourceError, match=r"\(b\.csv\) does not exist any more"):
        read_part(spec, "b.csv")


def test_a_glob_that_matches_nothing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"\*\.csv does not exist; check the path"):
        read_source(csv(tmp_path / "*.csv"), tmp_path)
