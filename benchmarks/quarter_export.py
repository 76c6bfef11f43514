"""The source of `benchmarks.quarter`: a server that is overloaded once a week."""

import contextlib
import os
import threading
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd

from benchmarks.quarter_location import EXPORT


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *given: object, export: "Export", **named: object) -> None:
        self.export = export
        super().__init__(*given, **named)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """503 to the first who asks for a new file, and the file from then on."""
        if self.path in self.export.fresh:
            self.export.fresh.remove(self.path)
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Export:
    """The files that are exported; of each new one the first request fails."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fresh: set[str] = set()

    def write(self, model: str, table: pd.DataFrame) -> None:
        """Export the rows of a model."""
        table.to_csv(self.directory / f"{model}.csv", index=False)
        self.fresh.add(f"/{model}.csv")


@contextlib.contextmanager
def exporting(directory: Path) -> Iterator[Export]:
    """Serve a directory until the block ends; its address is in the environment."""
    export = Export(directory)
    handler = partial(_Handler, export=export, directory=str(directory))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    os.environ[EXPORT] = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield export
    finally:
        server.shutdown()
        server.server_close()
