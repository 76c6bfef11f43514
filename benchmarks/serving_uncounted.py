"""The model server without its metrics, for `benchmarks.metrics`."""

import sys

from ml_assets.serving.__main__ import main
from ml_assets.serving.metrics.collector import Series


def _nothing(series: Series, status: int, seconds: float, rows: int) -> None:
    """Count nothing."""


if __name__ == "__main__":
    Series.observe = _nothing  # type: ignore[method-assign]
    sys.exit(main())
