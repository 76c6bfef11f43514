"""The rows that a function of the project's own returns."""

import pandas as pd

from ml_assets.core.user_code import UserCodeError, load
from ml_assets.ml.tables import SourceError


def read_function(path: str) -> pd.DataFrame:
    """Call the function at an import path, which has to be trusted, without arguments.

    What it raises is not caught: a run's own retries are for it as for any other step.

    Raises
    ------
    SourceError
        If it cannot be imported, or returns something else than a DataFrame.
    """
    try:
        function = load(path)
    except UserCodeError as error:
        raise SourceError(f"python source {path}: {error}") from error
    frame = function()
    if not isinstance(frame, pd.DataFrame):
        raise SourceError(
            f"python source {path}: it returned a {type(frame).__name__}, expected a"
            " pandas DataFrame"
        )
    # It may keep what it returns, and we add to it.
    return frame.copy(deep=False)
