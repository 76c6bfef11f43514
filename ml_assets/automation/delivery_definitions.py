"""Everything of releases that the code location offers."""

import dagster as dg

from ml_assets.assets import delivery as assets
from ml_assets.assets import release_smoke as smoke
from ml_assets.automation import delivery as automation
from ml_assets.automation import release_rollback as way_back_job


def build() -> dg.Definitions:
    """Assets with their checks, jobs and sensors."""
    parts = (assets, automation, way_back_job, smoke)
    return dg.Definitions.merge(*(part.build() for part in parts))
