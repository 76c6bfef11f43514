"""Debian's ``docker-registry``: a real registry on this machine."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_assets_tests.kits.oci import INDEX, MANIFEST, PATH, Built, digest_of
from ml_assets_tests.kits.processes import await_true


class RealRegistry:
    """Debian's ``docker-registry``, over files in a directory."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.directory = directory
        self.config = directory / "registry.json"
        # JSON is YAML, too.
        storage = {"filesystem": {"rootdirectory": str(directory / "registry")}}
        config = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": storage,
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        self.config.write_text(json.dumps(config))
        self.process: subprocess.Popen[bytes] | None = None
        self.sign: Callable[[Any, Built], None] | None = None

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self.port}/{PATH}"

    def start(self) -> None:
        with (self.directory / "registry.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", str(self.config)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
            )
        await_true(self._answers, "the registry answers", 30.0)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        try:
            with self._ask("GET", "/v2/"):
                return True
        except OSError:
            return False

    def push(self, images: dict[str, Built], *names: str) -> str:
        """Push the images of a commit under names; the digest of the release."""
        for target, image in images.items():
            for blob in image.blobs:
                self.put_blob(blob)
            self.put_manifest(digest_of(image.manifest), image.manifest, MANIFEST)
            self.put_manifest(image.digest, image.index, INDEX)
            if self.sign is not None:
                self.sign(self, image)
        # A name is given when all images are there, the code location's last.
        for name in names:
            for target in reversed(images):
                index = images[target].index
                self.put_manifest(f"{name}-{target}", index, INDEX)
        return images["base"].digest

    def put_blob(self, blob: bytes) -> None:
        with self._ask("POST", f"/v2/{PATH}/blobs/uploads/") as answer:
            upload = answer.headers["Location"]
        upload += f"{'&' if '?' in upload else '?'}digest={digest_of(blob)}"
        path = upload.removeprefix(f"http://127.0.0.1:{self.port}")
        self._ask("PUT", path, blob, "application/octet-stream").close()

    def put_manifest(self, reference: str, body: bytes, kind: str) -> None:
        self._ask("PUT", f"/v2/{PATH}/manifests/{reference}", body, kind).close()

    def find_manifest(self, reference: str) -> bytes | None:
        try:
            with self._ask("GET", f"/v2/{PATH}/manifests/{reference}") as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def _ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=body if method != "GET" else None,
            method=method,
            headers={"Content-Type": kind} if kind else {"Accept": INDEX},
        )
        return urllib.request.urlopen(request, timeout=10)


@contextlib.contextmanager
def real_registry(directory: Path) -> Iterator[RealRegistry]:
    """A real registry until the block ends; the test is skipped where there is none."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed (apt-get install it)")
    registry = RealRegistry(directory)
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()
