"""The one error of reading data."""

from ml_assets.ml.tables import DataError


class SourceError(DataError):
    """Data that could not be read: names the source, and says what to do about it."""
