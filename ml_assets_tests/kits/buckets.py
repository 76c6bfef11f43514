"""Stores of objects that speak the protocols of S3 and Azure, as real servers."""

import base64
import hmac
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from ml_assets.core.storage import Storage

# Published with the emulator; every copy of it has this account.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # pragma: allowlist secret  # noqa: E501
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, f"{process.args!r} ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "no server within a minute"
            time.sleep(0.05)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[int]:
    """The port of a server with the protocol of S3."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with open(os.devnull, "wb") as quiet:
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    try:
        await_port(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def azure_server() -> Iterator[int]:
    """The port of a server with the protocol of Azure's blobs."""
    name = "azurite-blob"
    found = shutil.which(name) or shutil.which(
        name, path=str(ROOT / "build" / "azurite" / "node_modules" / ".bin")
    )
    if found is None:
        pytest.skip("azurite is not installed (`make packages`)")
    port = free_port()
    options = ("--inMemoryPersistence", "--skipApiVersionCheck", "--silent")
    command = [found, *options, "--blobPort", str(port)]
    with open(os.devnull, "wb") as quiet:
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    try:
        await_port(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


def s3_bucket(port: int) -> tuple[str, dict[str, str]]:
    """The URL of a new bucket, and the environment in which it is reached."""
    name = f"b{uuid.uuid4().hex}"
    urlopen(Request(f"http://127.0.0.1:{port}/{name}", method="PUT"), timeout=30)
    return f"s3://{name}/ml", {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }


def azure_container(port: int) -> tuple[str, dict[str, str]]:
    """The URL of a new container, and the environment in which it is reached."""
    name = f"c{uuid.uuid4().hex}"
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    listed = "".join(f"{key}:{value}\n" for key, value in headers.items())
    # The account stands twice: in the path of the emulator, and as the signed resource.
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signed = hmac.new(
        base64.b64decode(KEY), f"PUT{12 * chr(10)}{listed}{resource}".encode(), "sha256"
    )
    mark = base64.b64encode(signed.digest()).decode()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{mark}"
    headers["Content-Length"] = "0"
    address = f"{endpoint}/{name}?restype=container"
    urlopen(Request(address, method="PUT", headers=headers), timeout=30)
    return f"az://{name}/ml", {
        "AZURE_STORAGE_ENDPOINT": endpoint,
        "AZURE_ALLOW_HTTP": "true",
        "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": KEY,
    }


def copy_into(url: str, directory: Path) -> None:
    """Create what a directory holds in the storage, under the same names."""
    found = Storage(url)
    for file in directory.rglob("*"):
        if file.is_file():
            found.create(str(file.relative_to(directory)), file.read_bytes())


@pytest.fixture(params=["directory", "s3", "azure"])
def any_storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The URL of an empty storage, which is that of this test."""
    url = str(tmp_path / "storage")
    if request.param != "directory":
        server = request.getfixturevalue(f"{request.param}_server")
        make = {"s3": s3_bucket, "azure": azure_container}[request.param]
        url, environment = make(server)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("ML_ASSETS_STORAGE", url)
    return url
