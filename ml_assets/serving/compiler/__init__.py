"""Turns a fitted pipeline into the tables of the compiled runtime."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.plan import Signature
from ml_assets.serving.runtime.program import Program


class NotCompiled(Exception):
    """The pipeline holds something that the compiled runtime cannot do; says what."""


def compile_pipeline(
    pipeline: Any, signature: Signature, rows: list[list[Any]]
) -> tuple[Program, dict[str, NDArray[Any]]]:
    """Compile a fitted pipeline."""
    raise NotCompiled(f"{type(pipeline[-1]).__name__} is not compiled yet")
