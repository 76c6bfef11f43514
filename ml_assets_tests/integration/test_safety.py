"""The online audit with the real Safety, and a database that is at hand."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from checks.vulnerabilities import ROOT, UVX, VERSION

pytestmark = pytest.mark.slow
META = {"schema_version": "2.0.0", "timestamp": 1700000000}
FAULT = {
    "specs": ["<99"],
    "advisory": "sends what it should not",
    "ids": [{"type": "cve", "id": "CVE-2026-44431"}],
    "more_info_path": "/v/1",
    "transitive": False,
}
VERSIONS = {"insecure_versions": [], "secure_versions": [], "more_info_path": "/p/1"}


class Account(BaseHTTPRequestHandler):
    """What Safety asks for before it checks anything; it is not logged in."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        here = f"http://127.0.0.1:{port}"
        names = ("issuer", "jwks_uri", "token_endpoint", "authorization_endpoint")
        body = json.dumps({**dict.fromkeys(names, here), "keys": []}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def account() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Account) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    "package, code, message",
    [
        ("urllib3", 1, "CVE-2026-44431: sends what it should not"),
        ("no-such-package", 0, "Safety knows no fault of what is pinned"),
    ],
)
def test_safety_checks_every_pin_and_prints_its_findings(
    account: str, tmp_path: Path, package: str, code: int, message: str
) -> None:
    tool = [str(UVX), "--offline", "--from", f"safety=={VERSION}", "safety"]
    if subprocess.run([*tool, "--help"], capture_output=True, check=False).returncode:
        pytest.skip(f"Safety is not here: uv tool install safety=={VERSION}")
    brief = {"meta": META, "vulnerable_packages": {package: ["<99"]}}
    full = {"meta": META, "vulnerable_packages": {package: [FAULT]}}
    (tmp_path / "insecure.json").write_text(json.dumps(brief))
    (tmp_path / "insecure_full.json").write_text(
        json.dumps(full | {"packages": {package: VERSIONS}})
    )
    services = (
        "AUTH_SERVER_URL",
        "PLATFORM_URL",
        "PLATFORM_V2_URL",
        "DATA_API_BASE_URL",
    )
    done = subprocess.run(
        [sys.executable, "-m", "checks.vulnerabilities", "--db", str(tmp_path)],
        cwd=ROOT,
        env=os.environ
        | {f"SAFETY_{name}": f"{account}/" for name in services}
        | {"HOME": str(tmp_path), "UV_OFFLINE": "1", "UV_CACHE_DIR": _cache()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    # Nothing but the findings follows what Safety itself prints.
    assert message in done.stdout.splitlines()[-1]


def _cache() -> str:
    """Where uv keeps what it has, also for a process with another home."""
    command = [str(UVX.with_name("uv")), "cache", "dir"]
    return subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.strip()
