"""Read by every Python process whose ``PYTHONPATH`` names this directory.

So Dagster's own programs, and the processes that they start, write JSON lines too.
"""

import os

if os.environ.get("ML_ASSETS_LOG") == "json":
    from ml_assets.observability.dagster_logs import install

    install()
