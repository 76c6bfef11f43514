"""Everything of releases that the code location offers."""

import dagster as dg

from ml_assets.release import assets, automation, smoke, way_back_job


def build() -> dg.Definitions:
    """Assets with their checks, jobs and sensors."""
    parts = (assets, automation, way_back_job, smoke)
    return dg.Definitions.merge(*(part.build() for part in parts))
