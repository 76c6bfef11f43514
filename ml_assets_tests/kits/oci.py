"""Images without a container engine, and a registry in small."""

import base64
import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ml_assets_tests.kits.doubles import served

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
        self.commit = commit
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


class RegistryDouble(ThreadingHTTPServer):
    """A registry in small, by the distribution specification, that can misbehave.

    With a `secret` it answers 401 and demands a token, which ``robot`` gets with that
    password; `faults` are statuses for the next requests, and `tokens` counts those
    that were given. `sign` is called with each image that is pushed, and
    `has_referrers` is false for a registry without that API. `next_link` replaces the
    link to the next page of tags, and `authorizations` are the headers of all requests
    that had one.
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
        self.authorizations: list[str] = []
        self.next_link = ""
        self.has_referrers = True
        self.sign: Callable[[RegistryDouble, Built], None] | None = None
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
            if self.sign is not None:
                self.sign(self, image)
        return images["base"].digest

    def put_blob(self, data: bytes) -> None:
        self.blobs[digest_of(data)] = data

    def put_manifest(self, reference: str, body: bytes, kind: str) -> None:
        self.manifests[reference] = (body, kind)

    def find_manifest(self, reference: str) -> bytes | None:
        found = self.manifests.get(reference)
        return found and found[0]

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
        registry.authorizations += self.headers.get_all("Authorization", [])
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
        elif parts[0] == "referrers" and registry.has_referrers:
            empty = (b'{"schemaVersion": 2, "manifests": []}', INDEX)
            body, kind = registry.manifests.get(parts[1].replace(":", "-"), empty)
            self._answer(200, body, {"Content-Type": kind})
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
            page = f"/v2/{PATH}/tags/list?n={self.server.page}&last={shown[-1]}"
            headers["Link"] = f'<{self.server.next_link or page}>; rel="next"'
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
