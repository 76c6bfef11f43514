"""Which images a name in the registry means."""

import pytest

from ml_assets.delivery import image_tags
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.releases import (
    IncompleteError,
    Release,
    Releases,
    UnknownReleaseError,
    find,
    resolve,
)
from ml_assets_tests.kits.oci import COMMITS, Built, RegistryDouble, build

pytestmark = pytest.mark.usefixtures("home")


def resolved(registry: RegistryDouble, name: str = "main") -> Release:
    return resolve(Repository(registry.image), name)


def test_a_release_is_the_images_of_one_commit(
    registry: RegistryDouble,
) -> None:
    images = build(COMMITS["a"])
    digest = registry.push(images, "main")
    found = resolved(registry)
    assert (found.digest, found.commit) == (digest, COMMITS["a"])
    assert found.images == {
        "base": f"{registry.image}@{digest}",
        "production": f"{registry.image}@{images['production'].digest}",
    }
    assert found.short == digest[7:19]
    assert Releases().get(digest) == found


def test_a_digest_that_is_known_is_not_asked_about_again(
    registry: RegistryDouble,
) -> None:
    digest = registry.push(build(COMMITS["a"]), "main", "v1.0.0")
    first = resolved(registry)
    registry.requests.clear()
    # The name under which it was seen first stays.
    assert resolved(registry, "v1.0.0") == first
    assert registry.requests == ["/v2/acme/ml-assets/manifests/v1.0.0-base"]
    assert find(Repository(registry.image), digest) == first


def test_a_name_alone_means_the_code_location(
    registry: RegistryDouble,
) -> None:
    images = build(COMMITS["a"])
    registry.push(images, "main")
    registry.tag(images["base"], "v1.0.0")
    registry.tag(images["production"], "v1.0.0-production")
    assert resolved(registry, "v1.0.0").digest == images["base"].digest


def test_a_name_that_does_not_exist_says_which_tags_were_looked_for(
    registry: RegistryDouble,
) -> None:
    with pytest.raises(UnknownReleaseError, match="has no tag main-base or main"):
        resolved(registry)
    with pytest.raises(UnknownReleaseError, match="was not seen in the registry"):
        find(Repository(registry.image), "sha256:" + "0" * 64)


ELSEWHERE = ("../images/x", "x/../../../other/manifests/main", "main?n=1", "", "..")


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_release_leads_to_no_other_file_and_no_other_address(
    registry: RegistryDouble, name: str
) -> None:
    with pytest.raises(UnknownReleaseError, match="has no tag"):
        resolved(registry, name)
    assert registry.requests == []
    with pytest.raises(UnknownReleaseError, match="was not seen"):
        Releases().get(f"sha256:{name}/")


def test_a_push_that_is_under_way_is_no_release(
    registry: RegistryDouble,
) -> None:
    old, new = build(COMMITS["a"]), build(COMMITS["b"])
    registry.push(new, "sha-new")
    registry.push(old, "main")
    registry.tag(new["base"], "main-base")
    with pytest.raises(IncompleteError, match="are not of one commit: base of"):
        resolved(registry)
    registry.push({"base": build(COMMITS["c"])["base"]}, "v1.0.0")
    with pytest.raises(IncompleteError, match="has the image base and no v1.0.0-prod"):
        resolved(registry, "v1.0.0")
    registry.push(
        {target: Built(target, "") for target in image_tags.TARGETS}, "v2.0.0"
    )
    with pytest.raises(IncompleteError, match="have no label org.opencontainers"):
        resolved(registry, "v2.0.0")
    assert Releases().find(new["base"].digest) is None


@pytest.mark.parametrize(
    "name, expected",
    [
        ("v1.2.3", True),
        ("v1.2.3-rc.1", True),
        ("v0.0.0", True),
        ("1.2.3", False),
        ("v1.2", False),
        ("v01.2.3", False),
        ("v1.2.3-", False),
        ("v1.2.3-rc..1", False),
        ("main", False),
        ("v1.2.3 ", False),
    ],
)
def test_what_a_version_is(name: str, expected: bool) -> None:
    assert image_tags.is_version(name) is expected


@pytest.mark.parametrize(
    "names, newest",
    [
        (["v1.9.0", "v1.10.0"], "v1.10.0"),
        (["v2.0.0-rc.1", "v1.0.0"], "v2.0.0-rc.1"),
        (["v1.0.0-rc.1", "v1.0.0"], "v1.0.0"),
        (["v1.0.0-rc.2", "v1.0.0-rc.10"], "v1.0.0-rc.10"),
        (["v1.0.0-alpha", "v1.0.0-1"], "v1.0.0-alpha"),
        (["main", "sha-1"], None),
    ],
)
def test_the_newest_version_is_that_of_semver(
    names: list[str], newest: str | None
) -> None:
    pushed = [f"{name}-{target}" for name in names for target in image_tags.TARGETS]
    assert image_tags.newest_version(pushed) == newest
