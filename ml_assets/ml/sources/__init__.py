"""Reading data: from what a model's YAML says to one tidy table."""

from pathlib import Path

import pandas as pd

from ml_assets.ml.sources.errors import SourceError
from ml_assets.ml.sources.retry import Retry
from ml_assets.ml.tables import DataError, tidy
from ml_assets.model import SourceSpec

__all__ = ["Retry", "SourceError", "read_source"]


def read_source(
    spec: SourceSpec, cache: Path, retry: Retry | None = None
) -> pd.DataFrame:
    """Read the rows that `spec` describes.

    Parameters
    ----------
    spec : SourceSpec
        What the YAML says under ``source``.
    cache : Path
        Directory for downloads. Any number of processes may share it; a file that a
        killed one began is finished by the next.
    retry : Retry, optional
        How to deal with a server that fails for a moment.

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
    ml_assets.ml.tables.check_target : Whether the table can train a classifier.

    Examples
    --------
    >>> spec = SourceSpec(type="sklearn", dataset="breast_cancer")
    >>> read_source(spec, Path("cache"))["target"].cat.categories.tolist()
    ['benign', 'malignant']
    """
    frame = _read(spec, cache, retry or Retry())
    try:
        return tidy(frame)
    except DataError as error:
        fault = str(error)
    raise SourceError(f"{describe(spec)}: {fault}")


def describe(spec: SourceSpec) -> str:
    """What errors call a source: as the YAML says it, without any password.

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
    place = named.get(spec.type) or spec.path or spec.url or ""
    return f"{spec.type} source {hide_password(place)}"


def _read(spec: SourceSpec, cache: Path, retry: Retry) -> pd.DataFrame:
    # Each family is imported where it is used: some bring heavy libraries.
    match spec.type:
        case "sklearn":
            from ml_assets.ml.sources.bundled import read_bundled

            return read_bundled(spec.dataset)
        case "csv":
            from ml_assets.ml.sources.files import read_csv_path

            return read_csv_path(spec.path, spec.read)
        case "parquet":
            from ml_assets.ml.sources.files import read_parquet_path

            return read_parquet_path(spec.path)
        case "http":
            from ml_assets.ml.sources.http import read_http

            return read_http(spec, cache, retry)
        case "kaggle":
            from ml_assets.ml.sources.kaggle import read_kaggle

            return read_kaggle(spec, cache, retry)
        case "sql":
            from ml_assets.ml.sources.sql import read_sql

            return read_sql(spec.url, spec.query)
        case "synthetic":
            from ml_assets.ml.synthetic import synthetic

            return synthetic(spec.rows, spec.seed, spec.drift)
