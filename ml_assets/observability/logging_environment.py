"""Which lines a service writes: JSON for machines, or text for a person."""

import os
from pathlib import Path

from ml_assets.core.logs import VARIABLE

SITE = Path(__file__).with_name("site")


def json_environment() -> dict[str, str]:
    """Variables with which Dagster's programs write JSON lines.

    Every process that they start inherits them.
    """
    others = os.environ.get("PYTHONPATH", "")
    paths = [str(SITE), *(part for part in others.split(os.pathsep) if part)]
    return {VARIABLE: "json", "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
