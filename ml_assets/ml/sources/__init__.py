"""Reading data: from the source in a model's YAML to one tidy table."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from ml_assets.core import progress
from ml_assets.core.retry import Retry
from ml_assets.ml.column_kinds import with_kinds
from ml_assets.ml.concat import concat_tables
from ml_assets.ml.tables import NAMELESS, DataError, SourceError, tidy
from ml_assets.spec.columns import ColumnKind, texts_of
from ml_assets.spec.source import SourceSpec

__all__ = ["Retry", "SourceError", "join", "part_names", "read_part", "read_source"]


def read_source(
    spec: SourceSpec,
    cache: Path,
    retry: Retry | None = None,
    columns: Mapping[str, ColumnKind] | None = None,
) -> pd.DataFrame:
    """Read the rows that `spec` describes.

    Parameters
    ----------
    spec : SourceSpec
        The ``source`` of the YAML.
    cache : Path
        Directory for downloads. Any number of processes may share it; a file that a
        killed one began is finished by the next.
    retry : Retry, optional
        How to deal with a server that fails for a moment.
    columns : mapping of str to str, optional
        Kinds that some columns are to have, as ``columns`` of the YAML gives them.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        A tidy table: see `ml_assets.ml.tables.tidy`.

    Raises
    ------
    SourceError
        The data cannot be read, or is no usable table. The message names the source
        and shows no value that came from the environment.

    See Also
    --------
    read_part, join : The same in pieces.
    ml_assets.ml.tables.check_target : Whether the table can train a classifier.

    Examples
    --------
    >>> spec = SourceSpec(type="sklearn", dataset="breast_cancer")
    >>> read_source(spec, Path("cache"))["target"].cat.categories.tolist()
    ['benign', 'malignant']
    """
    kinds = columns or {}
    frame = _read(spec, cache, retry or Retry(), texts_of(kinds))
    return _with_kinds(_tidy(frame, describe(spec)), kinds, describe(spec))


def part_names(spec: SourceSpec) -> list[str]:
    """The names of the files that make up a CSV or Parquet source, in their order.

    The name of a source's only file is the empty text.
    """
    from ml_assets.ml.sources.files import find_files

    return [file.name for file in find_files(spec)]


def read_part(
    spec: SourceSpec, name: str, columns: Mapping[str, ColumnKind] | None = None
) -> pd.DataFrame:
    """Read one file of a CSV or Parquet source: a tidy table, but for empty columns.

    Raises
    ------
    SourceError
        It is gone, cannot be read, or is no usable table.
    """
    from ml_assets.ml.sources.files import find_files, read_file

    for file in find_files(spec):
        if file.name == name:
            kinds = columns or {}
            frame = read_file(spec, file, texts_of(kinds))
            tidied = _tidy(frame, file.shown, is_part=True)
            return _with_kinds(tidied, kinds, file.shown)
    raise SourceError(f"{_shown(spec, name)} does not exist any more")


def join(spec: SourceSpec, parts: list[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """The table that the files of a source make up, whoever read them.

    Parameters
    ----------
    parts : list of (str, DataFrame)
        Each file's name and rows as `read_part` gave them, in the order of the names.

    Raises
    ------
    SourceError
        A file has other columns than the first, or other kinds of values in them.
    """
    joined = _tidy(_join(spec, parts), describe(spec))
    joined.attrs[NAMELESS] = sum(part.attrs.get(NAMELESS, 0) for _, part in parts)
    return joined


def _join(spec: SourceSpec, parts: list[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    try:
        return concat_tables([(_shown(spec, name), frame) for name, frame in parts])
    except DataError as error:
        raise SourceError(str(error)) from None


def _read_files(spec: SourceSpec, texts: Collection[str]) -> pd.DataFrame:
    from ml_assets.ml.sources.files import find_files, read_file

    files = find_files(spec)
    parts: list[tuple[str, pd.DataFrame]] = []
    for file in files:
        progress.report("files", len(parts), len(files))
        frame = _tidy(read_file(spec, file, texts), file.shown, is_part=True)
        parts.append((file.name, frame))
    joined = _join(spec, parts)
    joined.attrs[NAMELESS] = sum(part.attrs[NAMELESS] for _, part in parts)
    return joined


def _tidy(frame: pd.DataFrame, shown: str, is_part: bool = False) -> pd.DataFrame:
    try:
        tidied = tidy(frame, is_part)
        tidied.attrs[NAMELESS] += frame.attrs.get(NAMELESS, 0)
        return tidied
    except DataError as error:
        fault = str(error)
    raise SourceError(f"{shown}: {fault}")


def _with_kinds(
    frame: pd.DataFrame, columns: Mapping[str, ColumnKind], shown: str
) -> pd.DataFrame:
    try:
        return with_kinds(frame, columns)
    except DataError as error:
        raise SourceError(f"{shown}: {error}") from None


def _shown(spec: SourceSpec, name: str) -> str:
    return f"{describe(spec)} ({name})" if name else describe(spec)


def describe(spec: SourceSpec) -> str:
    """What errors call a source: as it is in the YAML, without any password.

    Examples
    --------
    >>> describe(SourceSpec(type="csv", path="data/adult.csv"))
    'csv source data/adult.csv'
    """
    from ml_assets.ml.sources.environment import hide_password

    named = {
        "sklearn": spec.dataset,
        "kaggle": f"{spec.dataset}/{spec.file}",
        "synthetic": f"{spec.rows:,} rows",
    }
    address = named.get(spec.type) or spec.path or spec.url or spec.function or ""
    return f"{spec.type} source {hide_password(address)}"


def _read(
    spec: SourceSpec, cache: Path, retry: Retry, texts: Collection[str]
) -> pd.DataFrame:
    # Each family is imported where it is used: some bring heavy libraries.
    match spec.type:
        case "sklearn":
            from ml_assets.ml.sources.sklearn_datasets import read_sklearn_dataset

            return read_sklearn_dataset(str(spec.dataset))
        case "csv" | "parquet":
            return _read_files(spec, texts)
        case "http":
            from ml_assets.ml.sources.http import read_http

            return read_http(spec, cache, retry, texts)
        case "kaggle":
            from ml_assets.ml.sources.kaggle import read_kaggle

            return read_kaggle(spec, cache, retry, texts)
        case "sql":
            from ml_assets.ml.sources.sql import read_sql

            return read_sql(spec.url, spec.query)
        case "python":
            from ml_assets.ml.sources.function import read_function

            return read_function(str(spec.function))
        case "synthetic":
            from ml_assets.ml.synthetic import synthetic

            return synthetic(spec.rows, spec.seed, spec.drift)
