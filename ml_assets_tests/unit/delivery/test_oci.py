"""The client of registries: what it asks for, believes, and gives up on."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml_assets.core.retry import Retry
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.oci_session import Credentials
from ml_assets.delivery.oci_session import (
    NotInRegistryError,
    RegistryRefusedError,
    RegistrySession,
    RegistryUnavailableError,
)
from ml_assets_tests.kits.oci import (
    COMMITS,
    INDEX,
    RegistryDouble,
    build,
    real_registry,
    registry_double,
)
from ml_assets_tests.kits.slack import closed_port

REVISION = "org.opencontainers.image.revision"


@pytest.fixture
def registry() -> Iterator[RegistryDouble]:
    with registry_double() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    """The pauses that were made."""
    return []


@pytest.fixture
def connect(registry: RegistryDouble, waits: list[float]) -> Callable[..., Repository]:
    """A client that waits for nothing."""

    def make(**credentials: str) -> Repository:
        retry = Retry(attempts=4, sleep=waits.append)
        session = RegistrySession(registry.url, Credentials(**credentials), retry)
        return Repository(registry.image, session)

    return make


def test_tags_manifests_and_labels_are_read(
    registry: RegistryDouble, connect: Callable[..., Repository]
) -> None:
    images = build(COMMITS["a"], title="x")
    digest = registry.push(images, "main")
    found = connect()
    assert found.tags() == ["main-base", "main-observability", "main-production"]
    manifest = found.manifest("main-base")
    assert manifest.digest == digest
    assert found.labels(manifest) == {REVISION: COMMITS["a"], "title": "x"}
    assert found.labels(found.manifest(digest))[REVISION] == COMMITS["a"]


def test_every_page_of_tags_is_read(
    registry: RegistryDouble, connect: Callable[..., Repository]
) -> None:
    registry.page = 2
    registry.push(build(COMMITS["a"]), "main", "v1.0.0", "v1.1.0")
    assert len(connect().tags()) == 9


def test_a_repository_without_images_has_no_tags_and_names_what_is_missing(
    connect: Callable[..., Repository],
) -> None:
    found = connect()
    assert found.tags() == []
    with pytest.raises(NotInRegistryError, match="404: manifest unknown"):
        found.manifest("main-base")


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_credentials_are_given_when_they_are_asked_for(
    registry: RegistryDouble, connect: Callable[..., Repository], scheme: str
) -> None:
    registry.secret, registry.scheme = "s3cret", scheme
    registry.push(build(COMMITS["a"]), "main")
    found = connect(username="robot", password="s3cret")
    assert found.tags() and found.manifest("main-base")
    # One token serves for many requests.
    assert registry.tokens == (1 if scheme == "Bearer" else 0)


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_wrong_credentials_are_refused_at_once_and_the_password_is_not_told(
    registry: RegistryDouble,
    connect: Callable[..., Repository],
    waits: list[float],
    scheme: str,
) -> None:
    registry.secret, registry.scheme = "s3cret", scheme
    with pytest.raises(RegistryRefusedError, match="REGISTRY_USERNAME") as caught:
        connect(username="robot", password="wr0ng").tags()
    assert "wr0ng" not in str(caught.value) and waits == []


def test_a_token_that_has_ended_is_asked_for_anew(
    registry: RegistryDouble, connect: Callable[..., Repository]
) -> None:
    registry.secret = "s3cret"
    registry.push(build(COMMITS["a"]), "main")
    found = connect(username="robot", password="s3cret")
    found.tags()
    # The server forgets the one that it gave.
    registry.tokens += 1
    assert found.tags()
    assert registry.tokens == 3


@pytest.mark.parametrize(
    "scheme, realm, reason",
    [
        ("Negotiate", "", "it asks for 'negotiate', expected Bearer or Basic"),
        ("Bearer", "file:///etc/passwd", "names no address to get one from"),
        ("Bearer", "", "names no address to get one from"),
    ],
)
def test_a_challenge_that_cannot_be_met_says_so(
    registry: RegistryDouble,
    connect: Callable[..., Repository],
    scheme: str,
    realm: str,
    reason: str,
) -> None:
    registry.secret, registry.scheme, registry.realm = "s", scheme, realm
    with pytest.raises(RegistryRefusedError, match=reason):
        connect(username="robot", password="s").tags()


def test_what_passes_is_tried_again_after_the_pause_that_is_asked_for(
    registry: RegistryDouble,
    connect: Callable[..., Repository],
    waits: list[float],
) -> None:
    registry.faults = [(429, {"Retry-After": "7"}), (503, {})]
    registry.push(build(COMMITS["a"]), "main")
    assert connect().manifest("main-base")
    assert len(waits) == 2 and waits[0] == 7.0


def test_what_does_not_pass_is_given_up(
    registry: RegistryDouble,
    connect: Callable[..., Repository],
    waits: list[float],
) -> None:
    registry.faults = [(502, {})] * 9
    with pytest.raises(RegistryUnavailableError, match=r"502.*injected.*4 attempt"):
        connect().tags()
    assert len(waits) == 3


def test_a_registry_that_is_away_is_given_up(waits: list[float]) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    session = RegistrySession(url, Credentials(), Retry(attempts=2, sleep=waits.append))
    with pytest.raises(RegistryUnavailableError, match="the connection failed"):
        session.get("/v2/")


def test_bytes_that_are_not_those_of_their_digest_are_refused(
    registry: RegistryDouble, connect: Callable[..., Repository]
) -> None:
    images = build(COMMITS["a"])
    digest = registry.push(images, "main")
    other = build(COMMITS["b"])["base"]
    registry.manifests[digest] = (other.index, INDEX)
    found = connect()
    with pytest.raises(RegistryRefusedError, match=f"expected {digest}"):
        found.manifest(digest)
    config = json.loads(images["base"].manifest)["config"]["digest"]
    registry.blobs[config] = b"{}"
    with pytest.raises(RegistryRefusedError, match=f"the blob {config} has the digest"):
        found.labels(found.manifest("main-base"))


def test_what_is_no_json_and_what_has_no_end_are_refused(
    registry: RegistryDouble, connect: Callable[..., Repository]
) -> None:
    found = connect()
    registry.manifests["a"] = (b"<html>", INDEX)
    with pytest.raises(RegistryRefusedError, match="manifest a: no JSON"):
        found.manifest("a")
    registry.manifests["b"] = (b" " * (5 * 2**20), INDEX)
    with pytest.raises(RegistryRefusedError, match="more than 4,194,304 bytes"):
        found.manifest("b")


@pytest.mark.parametrize("image", ["ml-assets", "acme/ml-assets", "ftp://a.b/c", ""])
def test_an_image_without_its_registry_is_refused(image: str) -> None:
    with pytest.raises(RegistryRefusedError, match="such as ghcr.io/acme/ml-assets"):
        Repository(image)


@pytest.mark.parametrize(
    "image, base",
    [
        ("ghcr.io/acme/ml-assets", "https://ghcr.io"),
        ("localhost:5000/ml-assets", "http://localhost:5000"),
        ("127.0.0.1:5000/a/b", "http://127.0.0.1:5000"),
        ("http://registry.local:5000/a", "http://registry.local:5000"),
        ("docker.io/acme/ml-assets", "https://registry-1.docker.io"),
    ],
)
def test_only_a_registry_of_this_machine_is_asked_without_tls(
    image: str, base: str
) -> None:
    assert Repository(image).session.base == base


def test_a_real_registry_is_read(tmp_path: Path) -> None:
    with real_registry(tmp_path) as registry:
        found = Repository(registry.image)
        assert found.tags() == []
        digest = registry.push(build(COMMITS["a"]), "main", "v1.0.0")
        assert "v1.0.0-production" in found.tags()
        manifest = found.manifest("main-base")
        assert manifest.digest == digest
        assert found.labels(manifest)[REVISION] == COMMITS["a"]
        with pytest.raises(NotInRegistryError):
            found.manifest("v2.0.0-base")
