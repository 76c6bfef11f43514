"""How a process of ours writes its log lines: JSON, or text for a person."""

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from ml_assets.core.log_format import EcsLines, labelled

VARIABLE = "ML_ASSETS_LOG"


class TextLines(logging.Formatter):
    """A line for a person, with the fields behind the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without its exception."""
        given: dict[str, Any] = getattr(record, "fields", {})
        told = (f"{name}={value}" for name, value in given.items())
        return " ".join((super().formatMessage(record), *told))


def configure(dataset: str, levels: Mapping[str, int]) -> None:
    """Send the lines of some loggers to standard output.

    Parameters
    ----------
    dataset
        What ``event.dataset`` says of each line, such as ``ml-assets.server``.
    levels
        Logger to the lowest level that it writes.
    """
    handler = logging.StreamHandler(sys.stdout)
    text = os.environ.get(VARIABLE) == "text"
    handler.setFormatter(TextLines() if text else EcsLines(dataset))
    for name, level in levels.items():
        target = logging.getLogger(name)
        target.handlers = [handler]
        target.propagate = False
        target.setLevel(level)


def write(
    logger: logging.Logger, message: str, level: int = logging.INFO, **fields: object
) -> None:
    """Write one line; `labelled` says how fields are named."""
    logger.log(level, message, extra={"fields": labelled(fields)})
