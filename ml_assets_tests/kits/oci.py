"""Images without a container engine, a registry in small, and a real one."""

import base64
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ml_assets_tests.kits.doubles import served
from ml_assets_tests.kits.processes import await_true

PATH = "acme/ml-assets"
COMMITS = {name: hashlib.sha1(name.encode()).hexdigest() for name in "abcdef"}
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
PLATFORM = {"os": "linux", "architecture": "amd64"}
ATTESTATION = {"os": "unknown", "architecture": "unknown"}


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def described(data: bytes, kind: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data), **more}


class Built:
    """An image as a build makes it: an index of one platform, and an attestation."""

    def __init__(self, target: str, commit: str, **labels: str) -> None:
        layer = f"{target} of {commit} {labels}".encode()
        names = {"org.opencontainers.image.revision": commit} if commit else {}
        config = json.dumps(
            {**PLATFORM, "config": {"Labels": {**names, **labels}}, "rootfs": {}}
        ).encode()
        self.blobs = [layer, config]
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": described(config, CONFIG),
                "layers": [described(layer, LAYER)],
            }
        ).encode()
        self.index = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": INDEX,
                "manifests": [
                    described(self.manifest, MANIFEST, platform=ATTESTATION),
                    described(self.manifest, MANIFEST, platform=PLATFORM),
                ],
            }
        ).encode()

    @property
    def digest(self) -> str:
        return digest_of(self.index)


def build(commit: str, **labels: str) -> dict[str, Built]:
    """The images that a build of a commit pushes."""
    targets = ("base", "production", "observability")
    return {target: Built(target, commit, **labels) for target in targets}


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
                self._push_blob(blob)
            self._put_manifest(digest_of(image.manifest), image.manifest, MANIFEST)
        # A name is given when all images are there, the code location's last.
        for name in names:
            for target in reversed(images):
                index = images[target].index
                self._put_manifest(f"{name}-{target}", index, INDEX)
        return images["base"].digest

    def _push_blob(self, blob: bytes) -> None:
        with self._ask("POST", f"/v2/{PATH}/blobs/uploads/") as answer:
            place = answer.headers["Location"]
        joint = "&" if "?" in place else "?"
        query = f"{joint}digest={digest_of(blob)}"
        place = place.removeprefix(f"http://127.0.0.1:{self.port}")
        self._ask("PUT", place + query, blob, "application/octet-stream").close()

    def _put_manifest(self, reference: str, body: bytes, kind: str) -> None:
        self._ask("PUT", f"/v2/{PATH}/manifests/{reference}", body, kind).close()

    def _ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=body if method != "GET" else None,
            method=method,
            headers={"Content-Type": kind} if kind else {},
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


class RegistryDouble(ThreadingHTTPServer):
    """A registry in small, by the distribution specification, that can misbehave.

    With a `secret` it answers 401 and demands a token, which ``robot`` gets with that
    password; `faults` are statuses for the next requests, and `tokens` counts those
    that were given.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.manifests: dict[str, tuple[bytes, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.secret = ""
        self.tokens = 0
        self.page = 1000
        self.faults: list[tuple[int, dict[str, str]]] = []
        self.requests: list[str] = []
        self.scheme = "Bearer"
        self.realm = f"{self.url}/token"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self.server_port}/{PATH}"

    def push(self, images: dict[str, Built], *names: str) -> str:
        for target, image in images.items():
            self.blobs |= {digest_of(blob): blob for blob in image.blobs}
            self.manifests[digest_of(image.manifest)] = (image.manifest, MANIFEST)
            for reference in (image.digest, *(f"{name}-{target}" for name in names)):
                self.manifests[reference] = (image.index, INDEX)
        return images["base"].digest

    def tag(self, image: Built, name: str) -> None:
        self.manifests[name] = (image.index, INDEX)


class _Handler(BaseHTTPRequestHandler):
    server: RegistryDouble
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        registry = self.server
        registry.requests.append(self.path)
        if registry.faults:
            status, headers = registry.faults.pop(0)
            self._answer(status, _error("TOOMANYREQUESTS", "injected"), headers)
            return
        path, _, query = self.path.partition("?")
        if path == "/token":
            self._give_token()
            return
        if registry.secret and not self._is_known():
            challenge = (
                f'{registry.scheme} realm="{registry.realm}",service="double",'
                f'scope="repository:{PATH}:pull"'
            )
            body = _error("UNAUTHORIZED", "authentication required")
            self._answer(401, body, {"WWW-Authenticate": challenge})
            return
        parts = path.removeprefix(f"/v2/{PATH}/").split("/", 1)
        if parts == ["tags", "list"]:
            self._list(query)
        elif parts[0] == "manifests" and parts[1] in registry.manifests:
            body, kind = registry.manifests[parts[1]]
            headers = {"Content-Type": kind, "Docker-Content-Digest": digest_of(body)}
            self._answer(200, body, headers)
        elif parts[0] == "blobs" and parts[1] in registry.blobs:
            self._answer(200, registry.blobs[parts[1]], {})
        else:
            body = _error("MANIFEST_UNKNOWN", "manifest unknown")
            self._answer(404, body, {})

    def _list(self, query: str) -> None:
        found = sorted(tag for tag in self.server.manifests if ":" not in tag)
        last = dict(item.split("=") for item in query.split("&")).get("last", "")
        rest = [tag for tag in found if tag > last]
        shown = rest[: self.server.page]
        headers = {}
        if len(rest) > len(shown):
            link = f"/v2/{PATH}/tags/list?n={self.server.page}&last={shown[-1]}"
            headers["Link"] = f'<{link}>; rel="next"'
        body = json.dumps({"name": PATH, "tags": shown}).encode()
        self._answer(200, body, headers)

    def _is_known(self) -> bool:
        given = self.headers.get("Authorization", "")
        if self.server.scheme == "Basic":
            return given == _basic(self.server.secret)
        return self.server.tokens > 0 and given == f"Bearer t{self.server.tokens}"

    def _give_token(self) -> None:
        if self.headers.get("Authorization") != _basic(self.server.secret):
            self._answer(401, _error("DENIED", "wrong password"), {})
            return
        self.server.tokens += 1
        body = {"token": f"t{self.server.tokens}", "expires_in": 300}
        self._answer(200, json.dumps(body).encode(), {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _error(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def _basic(secret: str) -> str:
    return "Basic " + base64.b64encode(f"robot:{secret}".encode()).decode()


@contextlib.contextmanager
def registry_double() -> Iterator[RegistryDouble]:
    """A double that runs until the block ends."""
    registry = RegistryDouble()
    with served(registry):
        yield registry
