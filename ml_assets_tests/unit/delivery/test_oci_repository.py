"""A repository in a registry: tags, manifests, labels, and what is not believed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.oci_session import NotInRegistryError, RegistryRefusedError
from ml_assets_tests.kits.oci import COMMITS, INDEX, RegistryDouble, build
from ml_assets_tests.kits.real_registry import real_registry

REVISION = "org.opencontainers.image.revision"


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
