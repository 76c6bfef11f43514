"""The session with a registry: who gets the credentials, and what is tried again."""

from collections.abc import Callable

import pytest

from ml_assets.core.retry import Retry
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.oci_session import (
    Credentials,
    RegistryRefusedError,
    RegistrySession,
    RegistryUnavailableError,
)
from ml_assets_tests.kits.oci import COMMITS, RegistryDouble, build, registry_double
from ml_assets_tests.kits.slack import closed_port

REVISION = "org.opencontainers.image.revision"


# How a Link header may name a server: {own} is the registry, {other} another server.
ELSEWHERE = (
    "http://{other}/v2/acme/ml-assets/tags/list?n=2",
    "//{other}/v2/acme/ml-assets/tags/list?n=2",
    # As a text it begins with the registry's own address.
    "http://{own}@{other}/v2/",
    # One parser of URLs sees the first host in it, another one the second.
    "http://{other}\\@{own}/v2/",
    "https://{own}/v2/",
    "ftp://{own}/v2/",
)


@pytest.mark.parametrize("link", ELSEWHERE)
@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_a_link_to_another_server_is_refused_and_gets_no_credentials(
    registry: RegistryDouble,
    connect: Callable[..., Repository],
    waits: list[float],
    scheme: str,
    link: str,
) -> None:
    registry.secret, registry.scheme, registry.page = "s3cret", scheme, 2
    registry.push(build(COMMITS["a"]), "main")
    with registry_double() as other:
        # It would ask for the password, too.
        other.secret, other.scheme = "s3cret", scheme
        own, strange = (f"127.0.0.1:{item.server_port}" for item in (registry, other))
        registry.next_link = link.format(own=own, other=strange)
        with pytest.raises(RegistryRefusedError, match="is not the same server"):
            connect(username="robot", password="s3cret").tags()
        assert registry.authorizations and waits == []
        assert other.requests == other.authorizations == []


# Appended to the registry's own address, they name another server.
@pytest.mark.parametrize("link", ["@{other}/v2/", "0@{other}/v2/", ".{other}/v2/"])
def test_a_link_without_a_host_stays_on_the_registry(
    registry: RegistryDouble, connect: Callable[..., Repository], link: str
) -> None:
    registry.secret, registry.page = "s3cret", 2
    registry.push(build(COMMITS["a"]), "main")
    with registry_double() as other:
        registry.next_link = link.format(other=f"127.0.0.1:{other.server_port}")
        connect(username="robot", password="s3cret").tags()
        assert other.requests == []
        assert registry.requests[-1].startswith("/v2/acme/ml-assets/tags/")


@pytest.mark.parametrize("prefix", ["", "http://{own}", "//{own}"])
def test_a_link_to_the_registry_itself_is_followed(
    registry: RegistryDouble, connect: Callable[..., Repository], prefix: str
) -> None:
    registry.secret, registry.page = "s3cret", 2
    registry.push(build(COMMITS["a"]), "main")
    own = prefix.format(own=f"127.0.0.1:{registry.server_port}")
    page = "/v2/acme/ml-assets/tags/list?n=2&last=main-observability"
    registry.next_link = own + page
    found = connect(username="robot", password="s3cret").tags()
    assert found == ["main-base", "main-observability", "main-production"]


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_a_server_that_the_registry_redirects_to_gets_no_credentials(
    registry: RegistryDouble, connect: Callable[..., Repository], scheme: str
) -> None:
    registry.secret, registry.scheme = "s3cret", scheme
    found = connect(username="robot", password="s3cret")
    registry.push(build(COMMITS["a"]), "main")
    assert found.tags()
    with registry_double() as other:
        other.secret, other.scheme = "s3cret", scheme
        registry.faults = [(307, {"Location": f"{other.url}/v2/acme/ml-assets/x"})]
        with pytest.raises(RegistryRefusedError, match="answered 401"):
            found.tags()
        assert len(other.requests) == 1 and other.authorizations == []


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
def test_wrong_credentials_are_refused_at_once_and_the_password_is_not_shown(
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
