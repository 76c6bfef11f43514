"""Log lines of the server: one JSON object each, with the names that ECS gives."""

import logging

from ml_assets.core import logs

logger = logging.getLogger("ml_assets.serving")


def log(message: str, level: int = logging.INFO, **fields: object) -> None:
    """Write one line; a double underscore in a field's name stands for a dot."""
    logs.write(logger, message, level, **fields)


def configure() -> None:
    """Send the lines of the server, and the warnings of uvicorn, to standard output."""
    levels = {logger.name: logging.INFO, "uvicorn.error": logging.ERROR}
    logs.configure("ml-assets.server", levels)
