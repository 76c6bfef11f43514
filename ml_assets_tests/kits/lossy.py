"""A store of objects that is away, or whose replies are lost, as a test asks for."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ml_assets.core import storage
from ml_assets_tests.kits.buckets import s3_bucket


class Lossy:
    """A server with the protocol of S3 behind a proxy that misbehaves on purpose."""

    def __init__(self, behind: int) -> None:
        self.mode = "through"
        lossy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                import http.client

                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                mode = lossy.mode
                if mode == "refuse":
                    self.close_connection = True
                    return
                if mode == "error":
                    self.send_response(503)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                asked = http.client.HTTPConnection("127.0.0.1", behind, timeout=30)
                asked.request(self.command, self.path, body, dict(self.headers))
                given = asked.getresponse()
                content = given.read()
                if mode == "lose" and self.command == "PUT":
                    # Written, and nobody hears of it; then all is well again.
                    lossy.mode = "through"
                    self.close_connection = True
                    return
                self.send_response(given.status)
                for key, value in given.getheaders():
                    if key.lower() not in ("content-length", "connection", "date"):
                        self.send_header(key, value)
                size = given.getheader("Content-Length") or str(len(content))
                is_head = self.command == "HEAD"
                self.send_header(
                    "Content-Length", size if is_head else f"{len(content)}"
                )
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

            def log_message(self, *given: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def lossy(s3_server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lossy]:
    proxy = Lossy(s3_server)
    url, environment = s3_bucket(s3_server)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("ML_ASSETS_STORAGE", url)
    monkeypatch.setattr(storage, "RETRY_SECONDS", 2)
    yield proxy
    proxy.server.shutdown()
