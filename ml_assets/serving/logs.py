"""Log lines of the server: one JSON object each, with the names that ECS gives."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

logger = logging.getLogger("ml_assets.serving")


class JsonLines(logging.Formatter):
    """Formats a record as one line. Of an exception it keeps the type and the place.

    The message of an unforeseen exception is left out: it may hold a caller's values.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`; ``extra={"fields": {...}}`` adds to it."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "@timestamp": moment.isoformat(timespec="milliseconds"),
            "log.level": record.levelname.lower(),
            "log.logger": record.name,
            "message": record.getMessage(),
            "service.name": "ml-assets",
            "process.pid": record.process,
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["error.type"] = record.exc_info[0].__name__
            frames = traceback.format_tb(record.exc_info[2])
            line["error.stack_trace"] = "".join(frames)
        return json.dumps(line)


def log(message: str, level: int = logging.INFO, **fields: object) -> None:
    """Write one line; a double underscore in a field's name stands for a dot."""
    named = {name.replace("__", "."): value for name, value in fields.items()}
    logger.log(level, message, extra={"fields": named})


def configure() -> None:
    """Send the lines of the server, and the warnings of uvicorn, to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    for name, level in (
        ("ml_assets.serving", logging.INFO),
        ("uvicorn.error", logging.ERROR),
    ):
        target = logging.getLogger(name)
        target.handlers = [handler]
        target.propagate = False
        target.setLevel(level)
